//! Frames: stretches of the file that are compressed if that pays, and always checksummed.
//!
//! ```text
//!   ┌──────────────────────────┬────────────────┬────────────┐
//!   │ body, perhaps compressed │ compression u8 │ CRC32C u32 │
//!   └──────────────────────────┴────────────────┴────────────┘
//!   the checksum covers the two fields before it
//! ```

use esker_table::codec::Compression;
use esker_table::codec::checksum::crc32c;
use esker_table::codec::compression::{DecompressError, TAG_NONE, decompress};
use esker_table::{BlockSource, Result, Slice, TableError};
use std::ops::Range;

/// The frame around `body`, and whether it was worth compressing.
pub(crate) fn seal(body: &[u8], compression: Compression) -> (Vec<u8>, bool) {
    let mut frame = Vec::new();
    let tag = compression.compress(body, &mut frame);
    if tag == TAG_NONE {
        frame.extend_from_slice(body);
    }
    frame.push(tag);
    let crc = crc32c(&frame);
    frame.extend_from_slice(&crc.to_le_bytes());
    (frame, tag != TAG_NONE)
}

/// The body of the frame at `place`.
///
/// # Errors
/// `Corruption` if there is no such frame, `Unsupported` if its compression was not built in, `Io`.
pub(crate) fn read(source: &BlockSource, place: &Range<u64>) -> Result<Slice> {
    let damaged = |what: String| TableError::corruption(place.start, what);
    let len = place.end.checked_sub(place.start).and_then(|len| usize::try_from(len).ok());
    let len = len.ok_or_else(|| damaged("a frame ends before it begins".to_owned()))?;
    // Behind a map a failing device raises a signal; populating first makes it an error.
    source.populate(place.start, len)?;
    let frame = source.read(place.start, len)?;
    let Some((&[ref stored @ .., tag], crc)) = frame.split_last_chunk::<4>() else {
        return Err(damaged(format!("{len} bytes are too few for a frame")));
    };
    if u32::from_le_bytes(*crc) != crc32c(&frame[..len - 4]) {
        return Err(damaged(format!("the checksum of a frame of {len} bytes is wrong")));
    }
    if tag == TAG_NONE {
        return Ok(frame.slice(..stored.len()));
    }
    decompress(tag, stored).map_err(|error| match error {
        DecompressError::Unavailable(what) => TableError::unsupported(what),
        DecompressError::Damaged(what) => damaged(what),
        other => damaged(format!("{other:?}")),
    })
}
