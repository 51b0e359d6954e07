//! Compression of blocks: none, lz4 (written by lz4_flex, read by `lz4.rs` beside this file) or zstd.
//!
//! A compressed block begins with its length before compression, so that a reader allocates once:
//!
//! ```text
//!   ┌─────────────────────┬─────────────────────────────────────────┐
//!   │ plain length u32 LE │ lz4 block (not frame), or a zstd frame  │
//!   └─────────────────────┴─────────────────────────────────────────┘
//! ```

use super::lz4::Lz4;
use crate::Slice;
use crate::slice::Growing;
use std::fmt;
use std::str::FromStr;

/// How blocks are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all: blocks are served straight out of a map.
    #[default]
    None,
    /// LZ4: fast both ways.
    Lz4,
    /// Zstandard at this level (1 to 22): smaller, slower. Needs the feature `zstd`.
    Zstd(i32),
}

/// The byte that says how a stored block is compressed.
pub const TAG_NONE: u8 = 0;
/// See [`TAG_NONE`].
pub const TAG_LZ4: u8 = 1;
/// See [`TAG_NONE`].
pub const TAG_ZSTD: u8 = 2;

/// The largest block that a reader believes in, in bytes before compression: a value at its limit and then some.
pub const MAX_PLAIN_LEN: usize = (64 << 20) + (16 << 20);

const LEN_BYTES: usize = 4;

impl Compression {
    /// Compresses `plain` into `out` (cleared first) and returns the tag to store. If it does not save an eighth, `out` is
    /// left empty, the tag is [`TAG_NONE`], and the caller stores the plain bytes.
    pub fn compress(self, plain: &[u8], out: &mut Vec<u8>) -> u8 {
        out.clear();
        let Ok(plain_len) = u32::try_from(plain.len()) else { return TAG_NONE };
        let tag = match self {
            Compression::None => return TAG_NONE,
            Compression::Lz4 => {
                out.resize(LEN_BYTES + lz4_flex::block::get_maximum_output_size(plain.len()), 0);
                match lz4_flex::block::compress_into(plain, &mut out[LEN_BYTES..]) {
                    Ok(len) => out.truncate(LEN_BYTES + len),
                    Err(_) => out.clear(),
                }
                TAG_LZ4
            }
            Compression::Zstd(level) => {
                compress_zstd(plain, level, out);
                TAG_ZSTD
            }
        };
        if out.is_empty() || out.len() > plain.len() - plain.len() / 8 {
            out.clear();
            return TAG_NONE;
        }
        out[..LEN_BYTES].copy_from_slice(&plain_len.to_le_bytes());
        tag
    }

    /// Whether this program can write it.
    pub fn is_available(self) -> bool {
        !matches!(self, Compression::Zstd(_)) || cfg!(feature = "zstd")
    }
}

#[cfg(feature = "zstd")]
fn compress_zstd(plain: &[u8], level: i32, out: &mut Vec<u8>) {
    out.resize(LEN_BYTES + zstd::zstd_safe::compress_bound(plain.len()), 0);
    match zstd::bulk::compress_to_buffer(plain, &mut out[LEN_BYTES..], level) {
        Ok(len) => out.truncate(LEN_BYTES + len),
        Err(_) => out.clear(),
    }
}

#[cfg(not(feature = "zstd"))]
fn compress_zstd(_plain: &[u8], _level: i32, _out: &mut Vec<u8>) {}

/// Why a block could not be decompressed.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecompressError {
    /// The bytes are damaged.
    Damaged(String),
    /// The compression was not built in, or is unknown.
    Unavailable(String),
}

/// Undoes [`Compression::compress`] for a block that was stored under `tag` (not [`TAG_NONE`]).
///
/// # Errors
/// If the bytes are damaged or the tag is not one this program can undo.
pub fn decompress(tag: u8, stored: &[u8]) -> Result<Slice, DecompressError> {
    let mut decoding = Decoding::begin(tag, stored)?;
    decoding.reach(decoding.plain_len())?;
    Ok(decoding.finish())
}

/// A block that is decompressed from the front as far as it is needed; [`decompress`] is for all of it.
#[derive(Debug)]
pub struct Decoding<'a> {
    rest: Rest<'a>,
    out: Growing,
}

/// What is left to be decompressed.
#[derive(Debug)]
enum Rest<'a> {
    Lz4(Lz4<'a>),
    /// A frame of which nothing was decompressed yet.
    Zstd(&'a [u8]),
    Nothing,
}

impl<'a> Decoding<'a> {
    /// Begins with a block that was stored under `tag` (not [`TAG_NONE`]).
    ///
    /// # Errors
    /// See [`decompress`].
    pub fn begin(tag: u8, stored: &'a [u8]) -> Result<Decoding<'a>, DecompressError> {
        let Some((len, body)) = stored.split_first_chunk::<LEN_BYTES>() else {
            return Err(DecompressError::Damaged("a compressed block is too short".into()));
        };
        let plain_len = u32::from_le_bytes(*len) as usize;
        if plain_len > MAX_PLAIN_LEN {
            let what = format!("a block claims {plain_len} bytes before compression");
            return Err(DecompressError::Damaged(what));
        }
        let rest = match tag {
            TAG_LZ4 => Rest::Lz4(Lz4::new(body)),
            TAG_ZSTD => Rest::Zstd(body),
            _ => return Err(DecompressError::Unavailable(format!("compression {tag} is not known"))),
        };
        Ok(Decoding { rest, out: Growing::with_capacity(plain_len) })
    }

    /// The bytes that the whole block has.
    pub fn plain_len(&self) -> usize {
        self.out.capacity()
    }

    /// The block's front, with at least its first `end` bytes.
    ///
    /// # Errors
    /// See [`decompress`]; also if the block has fewer bytes.
    pub fn reach(&mut self, end: usize) -> Result<&[u8], DecompressError> {
        let damaged = |what: &str| DecompressError::Damaged(what.to_owned());
        let plain_len = self.out.capacity();
        if end > plain_len {
            return Err(damaged("a block has fewer bytes than its header says"));
        }
        match &mut self.rest {
            Rest::Lz4(lz4) => {
                lz4.reach(&mut self.out, end).map_err(damaged)?;
                if end == plain_len && !lz4.is_at_end() {
                    return Err(damaged("lz4: it has more bytes than it says"));
                }
            }
            Rest::Zstd(frame) => {
                self.out = Growing::filled(plain_len, |out| match decompress_zstd(frame, out)? {
                    written if written == plain_len => Ok(()),
                    written => Err(DecompressError::Damaged(format!(
                        "a block has {written} bytes instead of {plain_len}"
                    ))),
                })?;
                self.rest = Rest::Nothing;
            }
            Rest::Nothing => {}
        }
        Ok(self.out.written())
    }

    /// What was decompressed, at least as far as it was asked for.
    pub fn finish(self) -> Slice {
        self.out.freeze()
    }
}

#[cfg(feature = "zstd")]
fn decompress_zstd(body: &[u8], out: &mut [u8]) -> Result<usize, DecompressError> {
    zstd::bulk::decompress_to_buffer(body, out).map_err(|e| DecompressError::Damaged(format!("zstd: {e}")))
}

#[cfg(not(feature = "zstd"))]
fn decompress_zstd(_body: &[u8], _out: &mut [u8]) -> Result<usize, DecompressError> {
    Err(DecompressError::Unavailable("zstd was left out of this build (feature `zstd`)".into()))
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compression::None => f.write_str("none"),
            Compression::Lz4 => f.write_str("lz4"),
            Compression::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Compression, String> {
        match text {
            "none" => Ok(Compression::None),
            "lz4" => Ok(Compression::Lz4),
            "zstd" => Ok(Compression::Zstd(3)),
            _ => match text.strip_prefix("zstd:").and_then(|level| level.parse().ok()) {
                Some(level @ 1..=22) => Ok(Compression::Zstd(level)),
                _ => Err(format!("`{text}` is no compression; use none, lz4, zstd or zstd:1 to zstd:22")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_damage() {
        let plain: Vec<u8> = (0..5000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        for compression in [Compression::Lz4, Compression::Zstd(1), Compression::Zstd(9)] {
            if !compression.is_available() {
                continue;
            }
            let mut stored = Vec::new();
            let tag = compression.compress(&plain, &mut stored);
            assert_ne!(tag, TAG_NONE);
            assert!(stored.len() < plain.len());
            assert_eq!(decompress(tag, &stored).unwrap()[..], plain);
            let mut decoding = Decoding::begin(tag, &stored).unwrap();
            for end in [0, 17, 16, 900, 5000, 20_000] {
                let front = decoding.reach(end).unwrap();
                assert!(front.len() >= end && plain.starts_with(front));
            }
            assert!(decoding.reach(plain.len() + 1).is_err());
            assert_eq!(decoding.finish()[..], plain);
            for cut in 0..stored.len() {
                assert!(decompress(tag, &stored[..cut]).is_err());
            }
            assert_eq!(compression.to_string().parse(), Ok(compression));
        }
        assert!(matches!(decompress(9, &[0; 8]), Err(DecompressError::Unavailable(_))));
        assert!("zstd:77".parse::<Compression>().is_err());
    }

    #[test]
    fn what_does_not_shrink_stays_plain() {
        let noise: Vec<u8> =
            (0..4096u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        let mut out = Vec::new();
        let tag = Compression::Lz4.compress(&noise[..64], &mut out);
        assert_eq!((tag, out.len()), (TAG_NONE, 0));
    }
}
