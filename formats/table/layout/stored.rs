//! The frame that every stored block carries.
//!
//! ```text
//!   ┌──────────────────────┬─────────────────┬────────────┐
//!   │ payload              │ compression  u8 │ crc32c u32 │
//!   └──────────────────────┴─────────────────┴────────────┘
//!   the checksum covers the payload and the compression byte
//! ```

use crate::codec::Compression;
use crate::codec::checksum::crc32c;
use crate::codec::compression::{self, DecompressError, TAG_NONE, decompress};
use crate::{Result, Slice, TableError};

/// The length of compression byte and checksum.
pub const FRAME: usize = 5;

/// Frames `body`, compressed if that pays, into `out` (cleared first). Returns the compression byte.
pub fn seal(body: &[u8], compression: Compression, out: &mut Vec<u8>) -> u8 {
    let tag = compression.compress(body, out);
    if tag == TAG_NONE {
        out.clear();
        out.extend_from_slice(body);
    }
    out.push(tag);
    let crc = crc32c(out);
    out.extend_from_slice(&crc.to_le_bytes());
    tag
}

/// Checks the checksum of the stored block at `at`.
///
/// # Errors
/// `Corruption` if it is wrong, or if the block is shorter than its frame.
pub fn check(stored: &[u8], at: u64) -> Result<()> {
    let Some((framed, crc)) = stored.split_last_chunk::<4>().filter(|(framed, _)| !framed.is_empty()) else {
        return Err(TableError::corruption(at, format!("{} bytes are too few for a block", stored.len())));
    };
    let (expected, found) = (u32::from_le_bytes(*crc), crc32c(framed));
    if expected != found {
        return Err(TableError::corruption(
            at,
            format!(
                "a block of {} bytes has checksum {found:#010x} instead of {expected:#010x}",
                stored.len()
            ),
        ));
    }
    Ok(())
}

/// The compression byte of a stored block.
#[inline]
pub fn tag(stored: &[u8]) -> Option<u8> {
    stored.len().checked_sub(FRAME).map(|i| stored[i])
}

/// The body of a stored block: a part of it if it is not compressed, otherwise decompressed.
///
/// # Errors
/// `Corruption` if it is malformed, `Unsupported` if this build cannot undo the compression.
pub fn body(stored: Slice, at: u64) -> Result<Slice> {
    let (tag, payload_len) = split(&stored, at)?;
    match tag {
        TAG_NONE => Ok(stored.into_part(0..payload_len)),
        tag => decompress(tag, &stored[..payload_len]).map_err(|error| refused(error, at)),
    }
}

/// The compression byte, and the length of the payload.
fn split(stored: &[u8], at: u64) -> Result<(u8, usize)> {
    match stored.len().checked_sub(FRAME) {
        Some(payload_len) => Ok((stored[payload_len], payload_len)),
        None => Err(TableError::corruption(at, format!("{} bytes are too few for a block", stored.len()))),
    }
}

fn refused(error: DecompressError, at: u64) -> TableError {
    match error {
        DecompressError::Damaged(what) => TableError::corruption(at, what),
        DecompressError::Unavailable(what) => TableError::unsupported(what),
    }
}

/// A compressed block that is decompressed from the front as far as it is needed.
#[derive(Debug)]
pub struct Decoding<'a> {
    inner: compression::Decoding<'a>,
    at: u64,
}

/// Begins to decompress a stored block that is compressed.
///
/// # Errors
/// See [`body`].
pub fn decoding(stored: &[u8], at: u64) -> Result<Decoding<'_>> {
    let (tag, payload_len) = split(stored, at)?;
    let begun = compression::Decoding::begin(tag, &stored[..payload_len]);
    Ok(Decoding { inner: begun.map_err(|error| refused(error, at))?, at })
}

impl Decoding<'_> {
    /// The length of the body.
    pub fn plain_len(&self) -> usize {
        self.inner.plain_len()
    }

    /// The body's front, with at least `end` bytes.
    ///
    /// # Errors
    /// See [`body`].
    pub fn reach(&mut self, end: usize) -> Result<&[u8]> {
        let at = self.at;
        self.inner.reach(end).map_err(|error| refused(error, at))
    }

    /// What was decompressed.
    pub fn finish(self) -> Slice {
        self.inner.finish()
    }
}
