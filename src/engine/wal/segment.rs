//! [`Segment`]: the file that takes the records.

use crate::fs::filename::FileName;
use crate::fs::{Env, WritableFile};
use crate::record::{HEADER_LEN, LogHeader, LogKind, encode_header};
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::{Error, Result};
use std::io;
use std::path::{Path, PathBuf};

/// How much room is made behind what a sync covers, once there is less than [`LITTLE_ROOM`]: a sync that need not make a new
/// length durable writes one place of the device instead of two. Segments that are never synced while they are written get
/// none.
const ROOM: u64 = 1 << 20;
const LITTLE_ROOM: u64 = 64 << 10;

/// What is guarded while a sync runs.
#[derive(Debug, Default)]
struct Syncing {
    /// A sync has failed.
    failed: bool,
    /// Where the file ends, if room was made; `u64::MAX` if none is to be made any more.
    room_end: u64,
}

/// A segment of the log that is being written. Appends are ordered by the caller; a sync may run beside them.
#[derive(Debug)]
pub(crate) struct Segment {
    number: u64,
    path: PathBuf,
    file: Box<dyn WritableFile>,
    /// Bytes handed to the operating system.
    len: AtomicU64,
    /// Bytes known to be on the device.
    synced: AtomicU64,
    /// Held while a sync runs.
    syncing: Mutex<Syncing>,
}

impl Segment {
    /// Creates segment `number`, which follows segment `previous` (0: it is the first), and makes its header and its
    /// name durable.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn create(env: &dyn Env, dir: &Path, number: u64, previous: u64) -> Result<Segment> {
        Segment::create_after(env, dir, number, previous, 0)
    }

    /// Like [`create`](Segment::create), and records that the previous segment ends at `previous_end`: then even a cut
    /// between two of its records is noticed. The previous segment must be synced up to there.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn create_after(
        env: &dyn Env,
        dir: &Path,
        number: u64,
        previous: u64,
        previous_end: u64,
    ) -> Result<Segment> {
        let path = FileName::Wal(number).path(dir);
        let file = env.create(&path).map_err(|e| Error::io(&path, "create", e))?;
        let header = encode_header(&LogHeader { kind: LogKind::Wal, number, previous, previous_end });
        file.append(&header).map_err(|e| Error::io(&path, "write", e))?;
        file.sync().map_err(|e| Error::io(&path, "sync", e))?;
        env.sync_dir(dir).map_err(|e| Error::io(dir, "sync", e))?;
        let len = HEADER_LEN as u64;
        let (len, synced) = (AtomicU64::new(len), AtomicU64::new(len));
        Ok(Segment { number, path, file, len, synced, syncing: Mutex::default() })
    }

    /// The number in the file's name.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// How many bytes were appended, the header among them: where the next record will lie.
    pub(crate) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// How many bytes are known to be on the device.
    pub(crate) fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Appends framed records, which must have been framed for the offset [`len`](Segment::len).
    ///
    /// # Errors
    /// `Io`. The segment may then end with a part of the bytes and must not be written again.
    pub(crate) fn append(&self, records: &[u8]) -> Result<()> {
        self.file.append(records).map_err(|e| Error::io(&self.path, "write", e))?;
        self.len.fetch_add(records.len() as u64, Ordering::AcqRel);
        Ok(())
    }

    /// Makes everything appended before this call durable.
    ///
    /// # Errors
    /// `Io`. The data may be lost, and a second sync that succeeds would not prove otherwise: from then on every sync
    /// fails. For that, one waits for another.
    pub(crate) fn sync(&self) -> Result<()> {
        let mut syncing = lock(&self.syncing);
        if syncing.failed {
            return Err(Error::io(&self.path, "sync", io::Error::other("a sync of this file failed before")));
        }
        let covered = self.len();
        if syncing.room_end < covered + LITTLE_ROOM {
            // Where there is no room to be had the log goes on without.
            syncing.room_end = self.file.reserve(covered + ROOM).map_or(u64::MAX, |()| covered + ROOM);
        }
        self.file.sync().map_err(|e| {
            syncing.failed = true;
            Error::io(&self.path, "sync", e)
        })?;
        self.synced.fetch_max(covered, Ordering::AcqRel);
        Ok(())
    }

    /// Takes back the room behind what was appended, and makes none any more. Nobody may append meanwhile.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn end_here(&self) -> Result<()> {
        let mut syncing = lock(&self.syncing);
        if std::mem::replace(&mut syncing.room_end, u64::MAX) > 0 {
            self.file.take_back(self.len()).map_err(|e| Error::io(&self.path, "shorten", e))?;
        }
        Ok(())
    }

    /// Starts writing back what was appended, without waiting.
    pub(crate) fn start_writeback(&self) {
        self.file.start_writeback();
    }
}
