//! The sections of a table of this format.

/// All data blocks. Extra: how many they are, and in bit 63 whether one of them is compressed.
pub(crate) const DATA: u32 = 1;
/// All index partitions, if there are two levels. Extra: how many they are.
pub(crate) const PARTITIONS: u32 = 2;
/// The filter's pages. Extra: lines, and from bit 32 on probes.
pub(crate) const FILTER: u32 = 3;
/// The block of range tombstones.
pub(crate) const TOMBSTONES: u32 = 4;
/// The index block that a search begins with. Extra: levels, 1 or 2.
pub(crate) const ROOT: u32 = 5;
/// The properties block.
pub(crate) const PROPERTIES: u32 = 6;

/// In [`DATA`]'s extra number: a data block is compressed.
pub(crate) const SOME_COMPRESSED: u64 = 1 << 63;
