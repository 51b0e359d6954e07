//! The framing of a log: a header, then checksummed records. Shared by the write-ahead log and the MANIFEST.
//!
//! `FORMAT.md` beside this file is the specification. Two ideas carry it:
//!
//! - A record's checksum covers the number of its log and its own offset, so bytes that were copied, moved or left over
//!   from another log never pass for a record.
//! - A record says up to which offset its log was known to be synced when it was written. After a power loss, sectors
//!   that were never synced survive in any combination, so a bad record before good ones may be innocent; one that lies
//!   below an offset that a good record proves synced is not. The first is a torn tail, the second is corruption.

mod reader;
mod salvage;
mod writer;

pub(crate) use reader::{End, Expect, Link, LogReader, Record, peek_header};
pub(crate) use salvage::{Damage, Salvage};
pub(crate) use writer::{append_link, append_record, encode_header};

use esker_table::codec::checksum::crc32c;
use esker_table::footer::Features;

/// The length of a log's header.
pub(crate) const HEADER_LEN: usize = 64;

/// The length of what precedes a payload, at most and at least: checksum and tag, then two varints.
pub(crate) const MAX_RECORD_HEADER_LEN: usize = 8 + 5 + 5;
const MIN_RECORD_HEADER_LEN: usize = 8 + 1 + 1;

/// The longest payload. Whoever writes a log refuses more before it gets here.
pub(crate) const MAX_PAYLOAD_LEN: usize = 1 << 31;

/// The first bytes of every log.
pub(crate) const MAGIC: [u8; 8] = *b"ESKERLOG";

/// The version of the framing that is written, and the newest that is read.
pub(crate) const VERSION: u32 = 1;

/// The feature bits that are known: none so far.
const FEATURES: Features = Features { incompatible: 0, read_only_compatible: 0, compatible: 0 };

/// What a log is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogKind {
    /// A segment of the write-ahead log: payloads are write batches.
    Wal,
    /// A MANIFEST: payloads are version edits.
    Manifest,
}

impl LogKind {
    fn code(self) -> u32 {
        match self {
            LogKind::Wal => 1,
            LogKind::Manifest => 2,
        }
    }

    fn from_code(code: u32) -> Option<LogKind> {
        match code {
            1 => Some(LogKind::Wal),
            2 => Some(LogKind::Manifest),
            _ => None,
        }
    }
}

/// What a log says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogHeader {
    pub(crate) kind: LogKind,
    /// The number in the file's name.
    pub(crate) number: u64,
    /// The log that this one continues; 0 if there is none.
    pub(crate) previous: u64,
    /// Where the records of the previous log end; 0 if that was not known when this log was created.
    pub(crate) previous_end: u64,
}

/// What the reader looks for when it searches damaged bytes for a record: differs from log to log, and unlike the
/// number itself is not made of zeros.
fn tag(number: u64) -> u32 {
    crc32c(&number.to_le_bytes())
}

/// The checksum of what a record's position says, before its bytes.
fn position_crc(number: u64, offset: u64) -> u32 {
    let mut position = [0; 16];
    position[..8].copy_from_slice(&number.to_le_bytes());
    position[8..].copy_from_slice(&offset.to_le_bytes());
    crc32c(&position)
}
