//! Bytes to numbers and back: varints, checksums, compression.

pub mod checksum;
pub mod compression;
pub mod varint;

pub use compression::Compression;
