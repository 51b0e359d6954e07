//! The contract's promises, each a test, under the options that change what `chunked` writes.

use esker_table::WriteOptions;
use esker_table::codec::Compression;
use esker_table_conformance::conformance;
use third_party_format::Chunked;

conformance!(plain, Chunked, WriteOptions::default());
conformance!(lz4, Chunked, WriteOptions::default().with_compression(Compression::Lz4));
conformance!(small_chunks, Chunked, WriteOptions::default().with_block_size(100));
