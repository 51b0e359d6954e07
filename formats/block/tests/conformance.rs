//! The block format under the conformance suite, with the options that change its layout.

use esker_format_block::BlockFormat;
use esker_table::WriteOptions;
use esker_table::codec::Compression;
use esker_table_conformance::conformance;

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
