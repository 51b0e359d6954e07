//! [`MappedLog`]: a log whose records are laid into a map of the file's end.
//!
//! To hand a record of a hundred bytes to the operating system by a call takes longer than all else that a write does. So room
//! is made ahead, as zeros that are written, and mapped; a record is then copied into memory that is the operating system's
//! already, and survives the process like one that was written by a call. A record that is long is written by a call, and so are all
//! while the log is synced every now and then: the system takes all of what was made at once for written where a byte of it is,
//! and a sync would bring much to the device for little.
//!
//! ```text
//!   file  ├───────────── records ─────────────┤00000000000000┤
//!   map                     ├─────────────────┼─── ready ────┼ ─ ─ ─ ─ ─ ─ ┤
//!                         start              len          room ends     mapped, and never touched
//! ```
//!
//! This file holds `unsafe`. The argument: the map is of a file that the engine has just created and whose name tells everybody
//! else to keep off; the store's directory is locked. Nobody else maps it, and through the map it is only written. What reads a log
//! reads by position. Nothing behind the room is touched, and the room is shortened only after the map has gone.
//!
//! Space is the file system's concern when the zeros are written, which is where a full device is told; every page is brought in
//! for writing before it is touched, and what the operating system then says leads to a call for the record. What
//! remains is a device that fails to bring back a page which was written back and evicted before it was filled, and a file
//! system that copies on write and is full by then: these raise a signal. `TableIo::Pread` has no maps, of logs either.

#![allow(unsafe_code)]

use super::WritableFile;
use super::local::write_zeros;
use crate::sync::std_lock;
use memmap2::{MmapMut, MmapOptions, UncheckedAdvice};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

/// How much is mapped at once. To map and to unmap waits for whatever other threads have the system do with maps at the moment, and they
/// for it, so that it is to be seldom.
const WINDOW: usize = 16 << 20;

/// So much of a window that is filled is let go of at once. Nobody reads it, and a page that no map holds is the first to go where memory
/// is short.
const PIECE: usize = 1 << 20;

/// How much room is made at once. A divisor of [`WINDOW`].
const STEP: usize = 64 << 10;

/// A log of which so much was written since the last sync is seldom synced.
const SELDOM: u64 = STEP as u64;

/// From this length on a call costs less than to write twice.
const LONG: usize = 16 << 10;

/// Windows begin at multiples of this, a page of most machines.
const ALIGN: u64 = 4096;

/// A log that is being written.
#[derive(Debug)]
pub(super) struct MappedLog {
    file: File,
    end: Mutex<End>,
}

/// Where the log ends.
#[derive(Debug)]
struct End {
    /// Where the next record will lie.
    len: u64,
    /// From `len` to here there are zeros.
    room_end: u64,
    /// What was written before is on the device, or on its way there.
    synced: u64,
    window: Option<Window>,
    /// Whether everything is written by calls from now on.
    is_plain: bool,
    /// How much is mapped at once, a multiple of [`STEP`].
    mapped: usize,
}

#[derive(Debug)]
struct Window {
    start: u64,
    map: MmapMut,
    /// So much of the map may be touched.
    ready: usize,
    /// Before this the map has let go of its pages.
    left: usize,
}

impl Window {
    /// Lets go of what lies before `at`, once that is worth while. The file has it; should it be touched again, it comes back.
    fn leave(&mut self, at: usize) {
        let at = at - at % ALIGN as usize;
        if at < self.left + PIECE {
            return;
        }
        // SAFETY: the map is shared and backed by its file, so that nothing is lost with its pages.
        let _ =
            unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, self.left, at - self.left) };
        self.left = at;
    }
}

impl MappedLog {
    /// Writes to `file`, which is empty.
    pub(super) fn new(file: File) -> MappedLog {
        MappedLog::with_window(file, WINDOW)
    }

    /// Writes to `file`, which is empty, of which so much is mapped at once.
    fn with_window(file: File, mapped: usize) -> MappedLog {
        let end = End { len: 0, room_end: 0, synced: 0, window: None, is_plain: false, mapped };
        MappedLog { file, end: Mutex::new(end) }
    }
}

impl End {
    /// Whether so much was written since the last sync that the next one is a long one anyhow. The header, which is synced before there is a
    /// record, is written by a call too.
    #[inline]
    fn is_seldom_synced(&self) -> bool {
        self.len - self.synced >= SELDOM
    }

    /// Lays as much of `bytes` into the map as there is room for. Returns how much.
    #[inline]
    fn lay(&mut self, bytes: &[u8]) -> usize {
        let Some(window) = &mut self.window else { return 0 };
        let at = usize::try_from(self.len - window.start).unwrap_or(usize::MAX);
        let n = bytes.len().min(window.ready.saturating_sub(at));
        if n > 0 {
            window.map[at..at + n].copy_from_slice(&bytes[..n]);
            self.len += n as u64;
        }
        n
    }

    /// Makes a step of room in the window, or in the next one if this one is behind.
    #[cold]
    fn make_ready(&mut self, file: &File) -> io::Result<()> {
        let is_behind = |window: &Window| self.len >= window.start + self.mapped as u64;
        if self.window.as_ref().is_none_or(is_behind) {
            let start = self.len - self.len % ALIGN;
            self.window = None;
            // SAFETY: nobody else maps or shortens the file, see the head of this file.
            let map = unsafe { MmapOptions::new().offset(start).len(self.mapped).map_mut(file)? };
            // That the pages were touched is no reason to keep them.
            let _ = map.advise(memmap2::Advice::Sequential);
            self.window = Some(Window { start, map, ready: 0, left: 0 });
        }
        let Some(window) = &mut self.window else { return Ok(()) };
        // A long record may have gone over what was ready.
        let at = usize::try_from(self.len - window.start).unwrap_or(self.mapped);
        let ready = ((at / STEP + 1) * STEP).min(self.mapped);
        window.leave(at);
        let end = window.start + ready as u64;
        write_zeros(file, self.room_end.max(self.len), end)?;
        self.room_end = self.room_end.max(end);
        // What a long record went over is never touched.
        let from = window.ready.max(at - at % ALIGN as usize);
        match window.map.advise_range(memmap2::Advice::PopulateWrite, from, ready - from) {
            // Linux before 5.14 does not know it: what is lost is the error in place of a signal.
            Err(error) if error.kind() != io::ErrorKind::InvalidInput => return Err(error),
            _ => window.ready = ready,
        }
        Ok(())
    }
}

impl WritableFile for MappedLog {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let end = &mut *std_lock(&self.end);
        let mut rest = bytes;
        if bytes.len() < LONG && end.is_seldom_synced() {
            rest = &rest[end.lay(rest)..];
            while !rest.is_empty() && !end.is_plain {
                match end.make_ready(&self.file) {
                    Ok(()) => rest = &rest[end.lay(rest)..],
                    Err(_) => (end.is_plain, end.window) = (true, None),
                }
            }
        }
        if !rest.is_empty() {
            self.file.write_all_at(rest, end.len)?;
            end.len += rest.len() as u64;
            end.room_end = end.room_end.max(end.len);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        {
            let end = &mut *std_lock(&self.end);
            end.synced = end.len;
        }
        self.file.sync_data()
    }

    fn reserve(&self, from: u64, to: u64) -> io::Result<()> {
        let end = &mut *std_lock(&self.end);
        let from = from.max(end.room_end);
        write_zeros(&self.file, from, to)?;
        end.room_end = end.room_end.max(to);
        Ok(())
    }

    fn take_back(&self, to: u64) -> io::Result<()> {
        let window = {
            let end = &mut *std_lock(&self.end);
            end.is_plain = true;
            end.window.take()
        };
        // The map has to go first. Without the lock, since who syncs takes it, and the file system may wait for the device here.
        drop(window);
        self.file.set_len(to)?;
        let end = &mut *std_lock(&self.end);
        (end.len, end.room_end, end.synced) = (to, to, end.synced.min(to));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, OpenOptions};

    fn log() -> (tempfile::TempDir, std::path::PathBuf, MappedLog) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        (dir, path, MappedLog::with_window(file, SMALL))
    }

    /// Less than a test fills.
    const SMALL: usize = 2 * PIECE;

    /// Numbers that look like chance, below `below`.
    fn draw(seed: &mut u64, below: u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) % below
    }

    #[test]
    fn what_is_appended_is_in_the_file_at_once_and_zeros_follow() {
        let (_dir, path, log) = log();
        let (mut expected, mut seed) = (Vec::new(), 7);
        for step in 0..3000u64 {
            let longest = [40, 300, 5000, 100_000][draw(&mut seed, 40).saturating_sub(36) as usize];
            let bytes: Vec<u8> = (0..draw(&mut seed, longest)).map(|i| (step + i) as u8 | 1).collect();
            log.append(&bytes).unwrap();
            expected.extend_from_slice(&bytes);
            if step % 250 == 100 {
                let len = expected.len() as u64;
                log.reserve(len, len + draw(&mut seed, 200_000)).unwrap();
                log.sync().unwrap();
            }
            if step % 100 == 0 {
                let read = fs::read(&path).unwrap();
                assert!(read[..expected.len()] == expected, "after {step} appends");
                assert!(read[expected.len()..].iter().all(|&byte| byte == 0));
            }
        }
        assert!(expected.len() > SMALL + PIECE);
        log.take_back(expected.len() as u64).unwrap();
        assert!(fs::read(&path).unwrap() == expected);
        log.append(b"closing").unwrap();
        expected.extend_from_slice(b"closing");
        assert!(fs::read(&path).unwrap() == expected, "a log that has ended gets no more room");
    }

    #[test]
    fn a_log_that_is_synced_often_is_written_by_calls() {
        let (_dir, path, log) = log();
        for round in 1..=300u64 {
            log.append(&[1; 1000]).unwrap();
            log.sync().unwrap();
            assert_eq!(fs::metadata(&path).unwrap().len(), round * 1000, "room was made");
        }
        (0..100).for_each(|_| log.append(&[1; 1000]).unwrap());
        let len = fs::metadata(&path).unwrap().len();
        assert!(len > 400_000, "no room was made for a log that is synced no more: {len}");
        let content = fs::read(&path).unwrap();
        assert!(content[..400_000].iter().all(|&byte| byte == 1));
        assert!(content[400_000..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn without_a_map_records_are_written_by_calls() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        // A map for writing takes a file that may be read too.
        let log = MappedLog::new(OpenOptions::new().write(true).create_new(true).open(&path).unwrap());
        let records = 2 * SELDOM as usize / 6;
        for _ in 0..records {
            log.append(b"record").unwrap();
        }
        assert!(fs::read(&path).unwrap() == b"record".repeat(records));
    }
}
