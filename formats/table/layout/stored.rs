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
use crate::codec::compression::{DecompressError, TAG_NONE, decompress};
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
    let Some(payload_len) = stored.len().checked_sub(FRAME) else {
        return Err(TableError::corruption(at, format!("{} bytes are too few for a block", stored.len())));
    };
    match stored[payload_len] {
        TAG_NONE => Ok(stored.into_part(0..payload_len)),
        tag => match decompress(tag, &stored[..payload_len]) {
            Ok(plain) => Ok(plain),
            Err(DecompressError::Damaged(what)) => Err(TableError::corruption(at, what)),
            Err(DecompressError::Unavailable(what)) => Err(TableError::unsupported(what)),
        },
    }
}
