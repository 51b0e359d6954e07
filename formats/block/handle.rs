//! [`Handle`]: where a stored block lies, and its number among the blocks of its table.
//!
//! ```text
//!    0  offset of the stored block       u64
//!    8  its length, frame included       u32
//!   12  its ordinal                      u32   data blocks first, then index partitions
//!   16
//! ```

/// The length of an encoded handle.
pub(crate) const HANDLE_LEN: usize = 16;

/// Where a stored block lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle {
    /// Where it begins in the file.
    pub(crate) offset: u64,
    /// How long it is, frame included.
    pub(crate) len: u32,
    /// Its number among the blocks of the table: its place in the bitmap of verified blocks.
    pub(crate) ordinal: u32,
}

impl Handle {
    pub(crate) fn encode(&self) -> [u8; HANDLE_LEN] {
        let mut out = [0; HANDLE_LEN];
        out[..8].copy_from_slice(&self.offset.to_le_bytes());
        out[8..12].copy_from_slice(&self.len.to_le_bytes());
        out[12..].copy_from_slice(&self.ordinal.to_le_bytes());
        out
    }

    /// Decodes exactly [`HANDLE_LEN`] bytes.
    #[inline]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Handle> {
        let bytes: &[u8; HANDLE_LEN] = bytes.try_into().ok()?;
        let (offset, rest) = bytes.split_first_chunk::<8>()?;
        let (len, ordinal) = rest.split_first_chunk::<4>()?;
        Some(Handle {
            offset: u64::from_le_bytes(*offset),
            len: u32::from_le_bytes(*len),
            ordinal: u32::from_le_bytes(*ordinal.first_chunk::<4>()?),
        })
    }

    /// The first byte after the block.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.len))
    }

    /// Where the block lies.
    pub(crate) fn range(&self) -> std::ops::Range<u64> {
        self.offset..self.end()
    }
}
