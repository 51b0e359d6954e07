//! [`Polling`]: waiting for a device that answers quickly without going to sleep.
//!
//! A thread that sleeps until the device has answered is woken by an interrupt, on a processor that has gone to sleep too as a rule. Where
//! the processor is a virtual one, that alone can take as long as the device. So a thread that reads a single block asks
//! again and again whether it is there (`RWF_NOWAIT` of preadv2(2), which also sets the device to work), and between two questions lets every
//! other thread have the processor that wants it.
//!
//! That takes processor time for nothing else. So no more threads do it than half of the processors; it ends when the device turns
//! out slow or another thread wanted the processor; and the more often it has ended so, the more of the reads that follow sleep.

use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::fs::File;
use std::io::IoSliceMut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Reads of more bytes are no single blocks, and mostly of a thread that reads ahead.
const MOST_BYTES: usize = 16 << 10;
/// A device that takes longer than this is slow.
const QUICK: Duration = Duration::from_micros(200);
/// Between two questions so much time passes only if another thread had the processor.
const OTHERS: Duration = Duration::from_micros(50);
/// How many reads sleep after the first wait that ended too late, and how many at most.
const PAUSES: (u32, u32) = (16, 4096);

/// How one file is waited for.
#[derive(Debug, Default)]
pub(super) struct Polling {
    /// The system does not know of such questions, or does not allow them.
    unknown: AtomicBool,
    /// So many reads to come sleep.
    paused: AtomicU32,
    /// How many did when it last ended too late; 0 if it has not since it last ended well.
    last_pause: AtomicU32,
}

/// How an attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The bytes are there.
    Read,
    /// It was not worth it.
    Late,
    /// The file system does not know of it, or has something to say that is to be heard from an ordinary read.
    Refused,
}

impl Polling {
    /// Fills `out` from `offset` on, if that works so. Otherwise it is to be read in the ordinary way; what `out` holds then does not matter.
    pub(super) fn read(&self, file: &File, offset: u64, out: &mut [u8]) -> bool {
        if out.len() > MOST_BYTES || !SEATS.is_any() || !self.is_its_turn() {
            return false;
        }
        match ask(file, offset, out) {
            Ok(true) => return true,
            Ok(false) => {}
            Err(errno) => {
                self.refuse(errno);
                return false;
            }
        }
        let Some(_seat) = SEATS.take() else { return false };
        let ended = wait(|| ask(file, offset, out).inspect_err(|errno| self.refuse(*errno)));
        self.note(ended);
        ended == Ended::Read
    }

    fn is_its_turn(&self) -> bool {
        if self.unknown.load(Ordering::Relaxed) {
            return false;
        }
        // Mostly it is 0, and then nothing is written.
        let next = |left: u32| left.checked_sub(1);
        self.paused.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_err()
    }

    fn refuse(&self, errno: Errno) {
        // A device that fails is no reason to ask others no more.
        self.unknown.fetch_or(errno != Errno::IO, Ordering::Relaxed);
    }

    fn note(&self, ended: Ended) {
        let pause = match ended {
            Ended::Read => 0,
            Ended::Late => (self.last_pause.load(Ordering::Relaxed) * 2).clamp(PAUSES.0, PAUSES.1),
            Ended::Refused => return,
        };
        self.last_pause.store(pause, Ordering::Relaxed);
        self.paused.store(pause, Ordering::Relaxed);
    }
}

/// Asks whether all the bytes are there, and takes them if they are.
fn ask(file: &File, offset: u64, out: &mut [u8]) -> Result<bool, Errno> {
    let len = out.len();
    match preadv2(file, &mut [IoSliceMut::new(out)], offset, ReadWriteFlags::NOWAIT) {
        Ok(read) if read == len => Ok(true),
        // The file ends before.
        Ok(0) => Err(Errno::IO),
        Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Asks until there is an answer, or it takes too long.
fn wait(mut ask: impl FnMut() -> Result<bool, Errno>) -> Ended {
    let began = Instant::now();
    let mut asked = began;
    loop {
        thread::yield_now();
        match ask() {
            Ok(true) => return Ended::Read,
            Ok(false) => {}
            Err(_) => return Ended::Refused,
        }
        let now = Instant::now();
        if now - asked > OTHERS || now - began > QUICK {
            return Ended::Late;
        }
        asked = now;
    }
}

/// How many threads may wait without sleep at a time.
struct Seats {
    /// Found out when it is first asked for.
    all: OnceLock<usize>,
    taken: AtomicUsize,
}

/// Those of this process: half as many as there are processors.
static SEATS: Seats = Seats { all: OnceLock::new(), taken: AtomicUsize::new(0) };

/// The right to wait without sleep.
struct Seat<'a>(&'a Seats);

impl Seats {
    fn all(&self) -> usize {
        *self.all.get_or_init(|| thread::available_parallelism().map_or(0, |n| n.get() / 2))
    }

    fn is_any(&self) -> bool {
        self.all() > 0
    }

    fn take(&self) -> Option<Seat<'_>> {
        let is_free = self.taken.fetch_add(1, Ordering::Relaxed) < self.all();
        let seat = Seat(self);
        // One that is not to be had is given back at once.
        is_free.then_some(seat)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    fn file(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.sync_all().unwrap();
        file
    }

    #[test]
    fn what_is_read_is_what_the_file_holds_wherever_it_lies() {
        let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        let (file, polling) = (file(&content), Polling::default());
        let mut read = 0;
        for i in 0..200 {
            if i % 2 == 0 {
                rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
            }
            let (offset, len) = (i * 1999, 1 + i * 80);
            let mut out = vec![0; len];
            if polling.read(&file, offset as u64, &mut out) {
                assert_eq!(out, content[offset..offset + len], "{offset}");
                read += 1;
            }
        }
        assert!(read > 0 || !SEATS.is_any() || polling.unknown.load(Ordering::Relaxed));
        // More than the file has is for the ordinary read to refuse, and so is more than a block.
        assert!(!polling.read(&file, content.len() as u64, &mut [0; 10]));
        assert!(!polling.read(&file, 0, &mut vec![0; MOST_BYTES + 1]));
    }

    #[test]
    fn the_more_often_it_is_late_the_more_reads_sleep() {
        let polling = Polling::default();
        let sleeping = || (0..).take_while(|_| !polling.is_its_turn()).count() as u32;
        assert_eq!(sleeping(), 0);
        for pause in [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 4096] {
            polling.note(Ended::Late);
            assert_eq!(sleeping(), pause);
        }
        polling.note(Ended::Read);
        assert_eq!(sleeping(), 0);
        polling.note(Ended::Late);
        assert_eq!(sleeping(), 16);
        polling.refuse(Errno::IO);
        assert!(polling.is_its_turn());
        polling.refuse(Errno::OPNOTSUPP);
        assert!(!polling.is_its_turn());
    }

    #[test]
    fn no_more_wait_without_sleep_than_there_are_seats() {
        let seats = Seats { all: OnceLock::from(2), taken: AtomicUsize::new(0) };
        let (first, second) = (seats.take(), seats.take());
        assert!(first.is_some() && second.is_some() && seats.take().is_none() && seats.take().is_none());
        drop(first);
        assert!(seats.take().is_some());
        let none = Seats { all: OnceLock::from(0), taken: AtomicUsize::new(0) };
        assert!(!none.is_any() && none.take().is_none());
    }

    #[test]
    fn a_wait_ends_with_an_answer_and_without_one() {
        let mut asked = 0;
        let third = wait(|| {
            asked += 1;
            Ok(asked == 3)
        });
        // Another thread may have had the processor.
        assert!((third == Ended::Read && asked == 3) || third == Ended::Late);
        assert_eq!(wait(|| Ok(false)), Ended::Late);
        assert_eq!(wait(|| Err(Errno::IO)), Ended::Refused);
    }
}
