//! Bytes to numbers and back: varints, checksums, compression.

pub mod checksum;
pub mod compression;
mod lz4;
pub mod varint;

pub use compression::Compression;
