//! The plain format under the conformance suite, with and without its hash index.

use esker_format_plain::PlainFormat;
use esker_table::WriteOptions;
use esker_table_conformance::conformance;

conformance!(default, PlainFormat::new(), WriteOptions::default());
conformance!(ordered, PlainFormat::new(), WriteOptions::default().with_filter_bits(0));
