//! [`Segment`]: the file that takes the records.

use crate::fs::filename::FileName;
use crate::fs::{Env, WritableFile};
use crate::options::TableIo;
use crate::record::{HEADER_LEN, LogHeader, LogKind, encode_header};
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::{Error, Result};
use std::io;
use std::path::{Path, PathBuf};

/// How much room is made behind what was appended, once there is less than [`LITTLE_ROOM`]: a sync of what is put there has
/// no new length or place to make durable, and writes one place of the device instead of two. Segments that are never synced
/// while they are written get only what a map needs.
const ROOM: u64 = 256 << 10;
const LITTLE_ROOM: u64 = 32 << 10;
/// What is written twice, once as room, is cheap as long as the device's latency is most of a sync. Those of more bytes get no
/// room.
const SHORT_SYNC: u64 = 64 << 10;

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
    /// Where the file ends, if room was made; `u64::MAX` if none is to be made any more. Changed by those only who may append.
    room_end: AtomicU64,
    /// Whether the file may make room by itself.
    is_mapped: bool,
    /// Held while a sync runs; whether one has failed.
    sync_failed: Mutex<bool>,
}

impl Segment {
    /// Creates segment `number`, which follows segment `previous` (0: it is the first), wherever that ends.
    #[cfg(test)]
    pub(crate) fn create(env: &dyn Env, dir: &Path, number: u64, previous: u64) -> Result<Segment> {
        Segment::create_after(env, dir, number, previous, 0, TableIo::Pread)
    }

    /// Creates segment `number`, which follows segment `previous` (0: it is the first), and makes its header and its name durable. The
    /// header says that the previous one ends at `previous_end` (0: that is not known) and, if it does, that everything up to there, in
    /// the segments before too, is durable: so it must be. With [`TableIo::Mmap`] records may be laid into a map.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn create_after(
        env: &dyn Env,
        dir: &Path,
        number: u64,
        previous: u64,
        previous_end: u64,
        io: TableIo,
    ) -> Result<Segment> {
        let path = FileName::Wal(number).path(dir);
        let created = match io {
            TableIo::Mmap => env.create_mapped(&path),
            TableIo::Pread => env.create(&path),
        };
        let file = created.map_err(|e| Error::io(&path, "create", e))?;
        let header = encode_header(&LogHeader { kind: LogKind::Wal, number, previous, previous_end });
        file.append(&header).map_err(|e| Error::io(&path, "write", e))?;
        file.sync().map_err(|e| Error::io(&path, "sync", e))?;
        env.sync_dir(dir).map_err(|e| Error::io(dir, "sync", e))?;
        let len = HEADER_LEN as u64;
        let (len, synced) = (AtomicU64::new(len), AtomicU64::new(len));
        let (room_end, sync_failed) = (AtomicU64::new(0), Mutex::new(false));
        let is_mapped = io == TableIo::Mmap;
        Ok(Segment { number, path, file, len, synced, room_end, is_mapped, sync_failed })
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

    /// Makes room behind what was appended, if there is little and the sync that follows is a short one. Nobody may append
    /// meanwhile.
    pub(crate) fn make_room(&self) {
        let (len, room_end) = (self.len(), self.room_end.load(Ordering::Relaxed));
        if room_end < len + LITTLE_ROOM && len - self.synced() <= SHORT_SYNC {
            let made = self.file.reserve(room_end.max(len), len + ROOM);
            // Where there is no room to be had the log goes on without, and leaves to others what there was. If even that cannot be,
            // the zeros stay until the segment ends.
            let room_end = made.map_or(u64::MAX, |()| len + ROOM);
            if room_end == u64::MAX {
                drop(self.file.take_back(len));
            }
            self.room_end.store(room_end, Ordering::Relaxed);
        }
    }

    /// Makes everything appended before this call durable.
    ///
    /// # Errors
    /// `Io`. The data may be lost, and a second sync that succeeds would not prove otherwise: from then on every sync
    /// fails. For that, one waits for another.
    pub(crate) fn sync(&self) -> Result<()> {
        let mut failed = lock(&self.sync_failed);
        if *failed {
            return Err(Error::io(&self.path, "sync", io::Error::other("a sync of this file failed before")));
        }
        let covered = self.len();
        self.file.sync().map_err(|e| {
            *failed = true;
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
        if self.room_end.swap(u64::MAX, Ordering::Relaxed) > 0 || self.is_mapped {
            self.file.take_back(self.len()).map_err(|e| Error::io(&self.path, "shorten", e))?;
        }
        Ok(())
    }
}
