//! The sections of a table of this format.

/// The entries. Extra: 0.
pub(crate) const DATA: u32 = 1;
/// The checksums of the data's pages, in lines. Extra: how many lines.
pub(crate) const CHECKSUMS: u32 = 2;
/// The hash index, in lines. Extra: how many lines.
pub(crate) const HASH: u32 = 3;
/// The ordered index, in lines. Extra: groups, and from bit 32 on the length of the keys' common prefix.
pub(crate) const INDEX: u32 = 4;
/// The block that holds the keys' common prefix, if that is not empty.
pub(crate) const PREFIX: u32 = 5;
/// The block of range tombstones.
pub(crate) const TOMBSTONES: u32 = 6;
/// The properties block.
pub(crate) const PROPERTIES: u32 = 7;
