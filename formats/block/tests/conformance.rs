//! The block format under the conformance suite, with the options that change its layout.

use esker_format_block::BlockFormat;
use esker_table::WriteOptions;
use esker_table::codec::Compression;
use esker_table_conformance::{Subject, conformance};

fn tiny_blocks() -> WriteOptions {
    WriteOptions::default().with_block_size(128).with_index_block_size(128)
}

conformance!(default, BlockFormat::new(), WriteOptions::default());
conformance!(lz4, BlockFormat::new(), WriteOptions::default().with_compression(Compression::Lz4));
#[cfg(feature = "zstd")]
conformance!(zstd, BlockFormat::new(), WriteOptions::default().with_compression(Compression::Zstd(1)));
conformance!(tiny, BlockFormat::new(), tiny_blocks());
conformance!(
    hashed,
    BlockFormat::new().with_hash_index(true),
    tiny_blocks().with_compression(Compression::Lz4)
);
conformance!(
    unhashed,
    BlockFormat::new().with_hash_index(false),
    WriteOptions::default().with_filter_bits(0)
);

conformance!(
    pages,
    BlockFormat::new(),
    WriteOptions::default().with_fit_pages(true).with_compression(Compression::Lz4)
);

/// Blocks so small that nearly every entry has one, and so large that a table may be one, which then is no longer cut
/// evenly and takes long to ask.
#[test]
fn the_smallest_and_large_blocks() {
    for (block_size, fit_pages) in [(64, false), (64, true), (1 << 20, false), (1 << 20, true)] {
        let options = WriteOptions::default().with_block_size(block_size).with_fit_pages(fit_pages);
        let subject = Subject { format: &BlockFormat::new(), options: &options };
        esker_table_conformance::round_trip(&subject);
        esker_table_conformance::order_is_enforced(&subject);
        esker_table_conformance::properties_tell_the_truth(&subject);
        esker_table_conformance::blocks_are_copied(&subject);
    }
}
