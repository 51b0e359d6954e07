//! The footer that every Esker table ends with, whatever its format.
//!
//! ```text
//!   offset from the footer's start, all numbers little-endian
//!    0  format id                u32
//!    4  version of the format    u32
//!    8  incompatible features    u32   an unknown bit: the table is refused
//!   12  read-only-compatible     u32   an unknown bit: the table may be read, not rewritten
//!   16  compatible features      u32   an unknown bit: ignored
//!   20  body                     32 B  what the format wants to find first
//!   52  CRC32C of bytes 0..52    u32
//!   56  magic                    8 B   "ESKERTBL"
//!   64  end of file
//! ```

use crate::codec::checksum::crc32c;
use crate::{FormatId, Result, TableError};

/// The length of the footer in bytes.
pub const FOOTER_LEN: usize = 64;

/// The last eight bytes of every Esker table.
pub const MAGIC: [u8; 8] = *b"ESKERTBL";

/// The length of the part that belongs to the format.
pub const BODY_LEN: usize = 32;

const VERSION_AT: usize = 4;
const FEATURES_AT: usize = 8;
const BODY_AT: usize = 20;
const CRC_AT: usize = BODY_AT + BODY_LEN;
const MAGIC_AT: usize = CRC_AT + 4;

/// Feature bits of a file, by what an unknown one means (the rule of ext4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// An unknown bit: refuse.
    pub incompatible: u32,
    /// An unknown bit: read only.
    pub read_only_compatible: u32,
    /// An unknown bit: ignore.
    pub compatible: u32,
}

impl Features {
    /// Holds a file's features against those this program knows. Returns whether the file may only be read.
    ///
    /// # Errors
    /// `Unsupported`, naming the bits, if an incompatible one is unknown.
    pub fn check(&self, known: &Features) -> Result<bool> {
        let unknown = self.incompatible & !known.incompatible;
        if unknown != 0 {
            return Err(TableError::unsupported(format!(
                "the file uses features that this version does not know (bits {unknown:#x}); open it with a newer Esker"
            )));
        }
        Ok(self.read_only_compatible & !known.read_only_compatible != 0)
    }
}

/// A decoded footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The format that the rest of the file is laid in.
    pub format: FormatId,
    /// The version of that format.
    pub version: u32,
    /// What a reader must know.
    pub features: Features,
    /// What the format wants to find first.
    pub body: [u8; BODY_LEN],
}

impl Footer {
    /// The footer's bytes.
    pub fn encode(&self) -> [u8; FOOTER_LEN] {
        let mut out = [0; FOOTER_LEN];
        out[..VERSION_AT].copy_from_slice(&self.format.0.to_le_bytes());
        out[VERSION_AT..FEATURES_AT].copy_from_slice(&self.version.to_le_bytes());
        let features =
            [self.features.incompatible, self.features.read_only_compatible, self.features.compatible];
        for (slot, bits) in out[FEATURES_AT..BODY_AT].chunks_exact_mut(4).zip(features) {
            slot.copy_from_slice(&bits.to_le_bytes());
        }
        out[BODY_AT..CRC_AT].copy_from_slice(&self.body);
        let crc = crc32c(&out[..CRC_AT]);
        out[CRC_AT..MAGIC_AT].copy_from_slice(&crc.to_le_bytes());
        out[MAGIC_AT..].copy_from_slice(&MAGIC);
        out
    }

    /// Decodes the last bytes of a file of `file_len` bytes.
    ///
    /// # Errors
    /// `Corruption` if they are no footer.
    pub fn decode(tail: &[u8], file_len: u64) -> Result<Footer> {
        let Some(bytes) = tail.last_chunk::<FOOTER_LEN>() else {
            return Err(TableError::corruption(
                0,
                format!("a file of {file_len} bytes is too short for a table"),
            ));
        };
        let at = file_len.saturating_sub(FOOTER_LEN as u64);
        if bytes[MAGIC_AT..] != MAGIC {
            return Err(TableError::corruption(
                at + MAGIC_AT as u64,
                "the file does not end like an Esker table",
            ));
        }
        let word = |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        if word(CRC_AT) != crc32c(&bytes[..CRC_AT]) {
            return Err(TableError::corruption(at, "the footer's checksum is wrong"));
        }
        let mut body = [0; BODY_LEN];
        body.copy_from_slice(&bytes[BODY_AT..CRC_AT]);
        Ok(Footer {
            format: FormatId(word(0)),
            version: word(VERSION_AT),
            features: Features {
                incompatible: word(FEATURES_AT),
                read_only_compatible: word(FEATURES_AT + 4),
                compatible: word(FEATURES_AT + 8),
            },
            body,
        })
    }

    /// The format of a file that ends with `tail`, if it is an intact footer.
    pub fn format_of(tail: &[u8]) -> Option<FormatId> {
        Footer::decode(tail, tail.len() as u64).ok().map(|f| f.format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_found() {
        let footer = Footer {
            format: FormatId::BLOCK,
            version: 1,
            features: Features { incompatible: 1, read_only_compatible: 2, compatible: 4 },
            body: [7; BODY_LEN],
        };
        let bytes = footer.encode();
        assert_eq!(Footer::decode(&bytes, 64).unwrap(), footer);
        for bit in 0..FOOTER_LEN * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Footer::decode(&bad, 64).unwrap_err().is_corruption());
        }
        assert!(Footer::decode(&bytes[1..], 63).is_err());
    }

    #[test]
    fn unknown_features_follow_the_rule() {
        let known = Features { incompatible: 1, read_only_compatible: 1, compatible: 0 };
        assert!(!Features { incompatible: 1, read_only_compatible: 1, compatible: 8 }.check(&known).unwrap());
        assert!(Features { incompatible: 0, read_only_compatible: 2, compatible: 0 }.check(&known).unwrap());
        assert!(Features { incompatible: 2, ..known }.check(&known).is_err());
    }
}
