//! [`LogReader`]: reads a log from front to back, and judges how it ends.
//!
//! It holds one window of the file and never more, except for a record that is larger than the window, and that only
//! after its checksum has been found right piece by piece: a damaged length costs time, not memory.

use super::{FEATURES, HEADER_LEN, LogHeader, LogKind, MAGIC, VERSION};
use super::{MAX_PAYLOAD_LEN, MAX_RECORD_HEADER_LEN, MIN_RECORD_HEADER_LEN};
use crate::{Error, Recovery, Result};
use esker_table::codec::checksum::{crc32c, crc32c_append};
use esker_table::codec::varint::Reader;
use esker_table::footer::Features;
use esker_table::{ByteSource, Slice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much of the file is read at a time.
const WINDOW: usize = 1 << 20;

/// A search for records among damaged bytes gives up after checksumming this many times the bytes it searches. Honest
/// data stays far below; bytes laid out to look like the beginnings of records do not get to cost more.
const SEARCH_FACTOR: u64 = 16;

/// What the caller knows about a log before reading it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expect {
    pub(crate) kind: LogKind,
    /// The number in the file's name.
    pub(crate) number: u64,
    pub(crate) recovery: Recovery,
    /// Damage below this offset is corruption, whatever the log itself proves, and so is an end before it; `u64::MAX`
    /// for a log that was synced whole, wherever it ends.
    pub(crate) synced: u64,
}

/// One intact record.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Where it begins.
    pub(crate) offset: u64,
    /// Where it ends.
    pub(crate) end: u64,
    pub(crate) payload: Slice,
    /// The log was synced up to here when the record was written.
    pub(crate) synced: u64,
}

impl Record {
    /// What this record says of the log before, if it is a link. It is the first of its log, and no other record can claim that more is
    /// synced than what lies before it.
    pub(crate) fn link(&self) -> Option<Link> {
        let is_link = self.offset == HEADER_LEN as u64 && self.synced > self.offset;
        is_link.then(|| {
            let mut reader = Reader::new(&self.payload);
            let mut number = || reader.varint().unwrap_or(0);
            Link { end: self.synced, synced: (number(), number()) }
        })
    }

    /// Whether it carries something, and is not a link or a record of which only `synced` counts.
    pub(crate) fn is_commit(&self) -> bool {
        !self.payload.is_empty() && self.link().is_none()
    }
}

/// What the first record of a log says of those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Where the records of the log before end.
    pub(crate) end: u64,
    /// Up to this offset of this log, and with all logs before it, they were synced when this record was written.
    pub(crate) synced: (u64, u64),
}

/// How a log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With its last record, and nothing or only zeros after it.
    Clean,
    /// With bytes that are no record and that nothing proves synced: what a power loss leaves of unsynced writes.
    Torn {
        /// Where they begin. Offset 0: not even the header was durable.
        offset: u64,
        /// How many there are, up to the end of the file.
        bytes: u64,
        /// Intact records among them, which cannot be used because something before them is lost.
        records: u64,
    },
}

/// Reads a log from front to back.
pub(crate) struct LogReader {
    file: Window,
    path: PathBuf,
    expect: Expect,
    header: Option<LogHeader>,
    read_only: bool,
    /// Where the next record begins, or the records end.
    at: u64,
    end: Option<End>,
}

impl LogReader {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// `Corruption` if the header is damaged and was durable, or belongs to another log; `Unsupported` if it is from a
    /// newer version; `Io`.
    pub(crate) fn open(source: Arc<dyn ByteSource>, path: &Path, expect: Expect) -> Result<LogReader> {
        let mut reader = LogReader::open_lenient(source, path, expect)?;
        if reader.header.is_none() {
            reader.at = 0;
            reader.end = Some(reader.judge("its header is damaged")?);
        }
        Ok(reader)
    }

    /// Reads the header and takes none if it is damaged. Stands behind it in either case.
    pub(super) fn open_lenient(
        source: Arc<dyn ByteSource>,
        path: &Path,
        expect: Expect,
    ) -> Result<LogReader> {
        let mut reader = LogReader {
            file: Window { source, bytes: Slice::new(), at: 0 },
            path: path.to_owned(),
            expect,
            header: None,
            read_only: false,
            at: HEADER_LEN as u64,
            end: None,
        };
        if reader.file.len() >= HEADER_LEN as u64 {
            let bytes = reader.bytes(0, HEADER_LEN)?;
            reader.decode_header(&bytes)?;
        }
        Ok(reader)
    }

    /// What the log says of itself; `None` if its creation was interrupted before the header was durable, in which
    /// case there are no records.
    pub(crate) fn header(&self) -> Option<&LogHeader> {
        self.header.as_ref()
    }

    /// Whether the log uses a feature that this version may read but not write beside.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Where the next record begins; after the last one, where the records end.
    pub(crate) fn offset(&self) -> u64 {
        self.at
    }

    /// The length of the file.
    pub(super) fn len(&self) -> u64 {
        self.file.len()
    }

    /// Says where the next record begins.
    pub(super) fn move_to(&mut self, offset: u64) {
        self.at = offset;
    }

    /// How the log ends, once [`next`](LogReader::next) has returned `None`.
    pub(crate) fn outcome(&self) -> End {
        self.end.unwrap_or(End::Clean)
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// `Corruption` if there is damage in what was synced, or any damage if the recovery mode says so; `Io`.
    pub(crate) fn next(&mut self) -> Result<Option<Record>> {
        if self.end.is_some() {
            return Ok(None);
        }
        if self.at == self.file.len() {
            self.check_complete()?;
            self.end = Some(End::Clean);
            return Ok(None);
        }
        let mut budget = u64::MAX;
        match self.record_at(self.at, &mut budget)? {
            Some(record) => {
                self.at = record.end;
                Ok(Some(record))
            }
            None => {
                self.end = Some(self.judge("a record is damaged")?);
                Ok(None)
            }
        }
    }

    /// Holds the header's fields against what the caller expects. Leaves `header` empty if the bytes are no header.
    fn decode_header(&mut self, bytes: &[u8]) -> Result<()> {
        let u32_at = |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        let u64_at = |i: usize| u64::from(u32_at(i)) | u64::from(u32_at(i + 4)) << 32;
        if bytes[..8] != MAGIC || u32_at(60) != crc32c(&bytes[..60]) {
            return Ok(());
        }
        let unsupported = |what: String| Error::Unsupported { path: self.path.clone(), what };
        let version = u32_at(8);
        if version > VERSION {
            return Err(unsupported(format!(
                "the log has version {version}, and this Esker reads up to {VERSION}; open it with a newer one"
            )));
        }
        let features =
            Features { incompatible: u32_at(16), read_only_compatible: u32_at(20), compatible: u32_at(24) };
        self.read_only = features.check(&FEATURES).map_err(|e| Error::table(&self.path, e))?;
        let kind = LogKind::from_code(u32_at(12));
        if kind != Some(self.expect.kind) {
            return Err(self.corruption(12, format!("a log of kind {} has this file's name", u32_at(12))));
        }
        let header = LogHeader {
            kind: self.expect.kind,
            number: u64_at(32),
            previous: u64_at(40),
            previous_end: u64_at(48),
        };
        if header.number != self.expect.number {
            return Err(self.corruption(32, format!("log {} has this file's name", header.number)));
        }
        self.header = Some(header);
        Ok(())
    }

    /// The record that begins at `offset`, if the bytes there are one. Takes from `budget` what the checksum costs, and
    /// also says `None` once that is used up.
    pub(super) fn record_at(&mut self, offset: u64, budget: &mut u64) -> Result<Option<Record>> {
        let rest = self.file.len() - offset;
        let header = self.bytes(offset, rest.min(MAX_RECORD_HEADER_LEN as u64) as usize)?;
        let Some(Header { crc, header_len, len, synced }) = Header::parse(&header, self.expect.number) else {
            return Ok(None);
        };
        if len > MAX_PAYLOAD_LEN || len as u64 > rest - header_len as u64 {
            return Ok(None);
        }
        if *budget < len as u64 {
            *budget = 0;
            return Ok(None);
        }
        *budget -= len as u64;
        let position = super::position_crc(self.expect.number, offset);
        let mut actual = crc32c_append(position, &header[4..header_len]);
        let payload_at = offset + header_len as u64;
        let end = payload_at + len as u64;
        let mut done = 0;
        while done < len {
            let piece = self.bytes(payload_at + done as u64, (len - done).min(WINDOW))?;
            actual = crc32c_append(actual, &piece);
            done += piece.len();
            if done == len && piece.len() == len {
                let record = Record { offset, end, payload: piece, synced };
                return Ok((actual == crc).then_some(record));
            }
        }
        if actual != crc {
            return Ok(None);
        }
        // Larger than the window, or empty. The checksum is right, so the length is one that was once written.
        let payload = if len == 0 { Slice::new() } else { self.read(payload_at, len)? };
        Ok(Some(Record { offset, end, payload, synced }))
    }

    /// Decides what the bytes from `self.at` on are, which are no record.
    fn judge(&mut self, what: &str) -> Result<End> {
        let (offset, len) = (self.at, self.file.len());
        if self.only_zeros(offset)? && (offset > 0 || self.expect.synced == 0) {
            self.check_complete()?;
            return Ok(End::Clean);
        }
        if offset < self.expect.synced {
            return Err(self.corruption(offset, format!("{what}, and the log was synced beyond it")));
        }
        let mut records = 0;
        let mut budget = SEARCH_FACTOR * (len - offset) + WINDOW as u64;
        let mut at = offset + 1;
        while let Some(found) = self.search(at, &mut budget)? {
            if found.synced > offset {
                return Err(self.corruption(
                    offset,
                    format!("{what}, but a later one at {} proves that it was synced", found.offset),
                ));
            }
            records += 1;
            at = found.end;
        }
        if budget == 0 {
            return Err(
                self.corruption(offset, format!("{what}, and what follows looks like records without end"))
            );
        }
        if self.expect.recovery == Recovery::Absolute {
            return Err(self.corruption(
                offset,
                format!(
                    "{what}; it was never synced, so opening without absolute recovery keeps what is before"
                ),
            ));
        }
        Ok(End::Torn { offset, bytes: len - offset, records })
    }

    /// Refuses records that end, without any trace of damage, before an offset that the caller knows they reach.
    fn check_complete(&self) -> Result<()> {
        if self.expect.synced != u64::MAX && self.at < self.expect.synced {
            return Err(self.corruption(
                self.at,
                format!("the records end here, but the log was synced up to {}", self.expect.synced),
            ));
        }
        Ok(())
    }

    /// The first record that begins at `from` or later.
    pub(super) fn search(&mut self, from: u64, budget: &mut u64) -> Result<Option<Record>> {
        let tag = super::tag(self.expect.number).to_le_bytes();
        let mut at = from;
        while *budget > 0 && self.file.len().saturating_sub(at) >= MIN_RECORD_HEADER_LEN as u64 {
            let len = (self.file.len() - at).min(WINDOW as u64) as usize;
            let piece = self.bytes(at, len)?;
            let candidates = len - MIN_RECORD_HEADER_LEN + 1;
            for i in 0..candidates {
                if piece[i + TAG_AT..i + TAG_AT + 4] == tag {
                    if let Some(record) = self.record_at(at + i as u64, budget)? {
                        return Ok(Some(record));
                    }
                    if *budget == 0 {
                        return Ok(None);
                    }
                }
            }
            at += candidates as u64;
        }
        Ok(None)
    }

    pub(super) fn only_zeros(&mut self, from: u64) -> Result<bool> {
        let mut at = from;
        while at < self.file.len() {
            let piece = self.bytes(at, (self.file.len() - at).min(WINDOW as u64) as usize)?;
            if piece.iter().any(|&b| b != 0) {
                return Ok(false);
            }
            at += piece.len() as u64;
        }
        Ok(true)
    }

    /// At most [`WINDOW`] bytes, out of the window, which is moved there if need be.
    fn bytes(&mut self, offset: u64, len: usize) -> Result<Slice> {
        self.file.bytes(offset, len).map_err(|e| Error::io(&self.path, "read", e))
    }

    fn read(&self, offset: u64, len: usize) -> Result<Slice> {
        self.file.source.read(offset, len).map_err(|e| Error::io(&self.path, "read", e))
    }

    fn corruption(&self, offset: u64, what: String) -> Error {
        Error::corruption(&self.path, offset, what)
    }
}

impl std::fmt::Debug for LogReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogReader").field("path", &self.path).field("at", &self.at).finish_non_exhaustive()
    }
}

/// Kind and number in an intact header.
pub(crate) fn peek_header(bytes: &[u8]) -> Option<(LogKind, u64)> {
    let bytes: &[u8; HEADER_LEN] = bytes.first_chunk()?;
    let field = |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
    let intact = bytes[..8] == MAGIC && field(60) == crc32c(&bytes[..60]);
    let number = u64::from(field(32)) | u64::from(field(36)) << 32;
    LogKind::from_code(field(12)).filter(|_| intact).map(|kind| (kind, number))
}

/// Where the tag lies in a record.
const TAG_AT: usize = 4;

/// What precedes a payload.
struct Header {
    crc: u32,
    header_len: usize,
    /// Of the payload.
    len: usize,
    synced: u64,
}

impl Header {
    /// Parses what a record begins with, if the tag is that of log `number`.
    fn parse(bytes: &[u8], number: u64) -> Option<Header> {
        let mut reader = Reader::new(bytes);
        let (crc, tag) = (reader.u32()?, reader.u32()?);
        if tag != super::tag(number) {
            return None;
        }
        let (len, synced) = (usize::try_from(reader.varint()?).ok()?, reader.varint()?);
        Some(Header { crc, header_len: bytes.len() - reader.rest().len(), len, synced })
    }
}

/// A part of the file in memory.
struct Window {
    source: Arc<dyn ByteSource>,
    bytes: Slice,
    at: u64,
}

impl Window {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn bytes(&mut self, offset: u64, len: usize) -> std::io::Result<Slice> {
        let inside = offset >= self.at && offset + len as u64 <= self.at + self.bytes.len() as u64;
        if !inside {
            let take = (self.len() - offset).min(WINDOW as u64) as usize;
            self.bytes = match self.source.read(offset, take.max(len)) {
                // A log that is in use may have given back the room behind its records since it was opened.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && take > len => {
                    self.source.read(offset, len)?
                }
                read => read?,
            };
            self.at = offset;
        }
        let start = (offset - self.at) as usize;
        Ok(self.bytes.slice(start..start + len))
    }
}

#[cfg(test)]
mod tests;
