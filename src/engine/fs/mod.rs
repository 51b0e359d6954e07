//! The environment: files, clock and background work. The engine's only door to the operating system.
//!
//! Everything above speaks to an [`Env`]. [`LocalEnv`] is the real one; `SimEnv` (feature `testing`) keeps a whole file
//! system in memory, knows what has been synced, and can lose, tear, fail or stop at any numbered call.

pub(crate) mod filename;
mod local;
#[cfg(target_os = "linux")]
mod mapped_log;
mod memory;
mod mmap;
#[cfg(target_os = "linux")]
mod polling;
mod positioned;
#[cfg(any(test, feature = "testing"))]
#[cfg_attr(
    not(feature = "testing"),
    allow(dead_code, unreachable_pub, reason = "the feature makes it public")
)]
pub(crate) mod simulated;
#[cfg(target_os = "linux")]
mod spare;
pub(crate) mod standing;

pub use local::LocalEnv;
pub(crate) use standing::{Standing, at_full_weight};

use esker_table::ByteSource;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Whether a file system that says this to a hard link cannot make that link at all, so that the file is to be copied: it has
/// no links (FAT says that they are not permitted), the other name is on another device, or the file has as many names as it
/// can.
pub(crate) fn refuses_links(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    matches!(kind, CrossesDevices | PermissionDenied | TooManyLinks | Unsupported)
}

/// A thread that can be content with what others leave of the processors.
pub trait SpareTime: Send + Sync + fmt::Debug {
    /// Whether the system would take the calling thread, which is this one, back from there. Asked before each piece of work: a process may give
    /// its privileges up.
    fn may_return(&self) -> bool;

    /// Whether it is to have only that, from now on. May be called by any thread.
    ///
    /// # Errors
    /// What the operating system says; the thread goes on as before.
    fn only_spare(&self, only: bool) -> io::Result<()>;
}

/// A file that is written from front to back. Many threads may share it: appends are ordered by the caller, a sync may
/// run beside an append and covers at least what was appended before it began.
pub trait WritableFile: Send + Sync + fmt::Debug {
    /// Appends all the bytes and hands them to the operating system.
    ///
    /// # Errors
    /// What the operating system says. The file may then end with a part of the bytes.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything appended so far survive a power loss (the directory entry excepted).
    ///
    /// # Errors
    /// What the operating system says. Data may be lost even if a later sync succeeds: do not retry.
    fn sync(&self) -> io::Result<()>;

    /// Makes room: zeros from `from`, where the file ends, up to `end`. Once they are synced, a sync of what is appended there
    /// has neither a new length nor a new place to make durable. Nobody may append meanwhile. An environment that has nothing
    /// to gain may make less room, or none.
    ///
    /// # Errors
    /// What the operating system says; there may be some room then.
    fn reserve(&self, _from: u64, _end: u64) -> io::Result<()> {
        Ok(())
    }

    /// Takes back the room behind `end`, where what was appended ends; from then on there is only what is asked for. Nobody may
    /// append meanwhile.
    ///
    /// # Errors
    /// What the operating system says.
    fn take_back(&self, _end: u64) -> io::Result<()> {
        Ok(())
    }
}

/// Held for as long as a store is open; dropping it releases the lock.
pub trait DirLock: Send + Sync + fmt::Debug {}

/// Who may hold a lock at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// One writer and nobody else.
    Exclusive,
    /// Any number of readers.
    Shared,
}

/// How background work runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Background {
    /// On threads of its own.
    Threads,
    /// Only when [`crate::Db::step_background`] is called, or when a write would have to wait for it: one thread runs
    /// everything, in an order that the caller decides.
    Stepped,
}

/// Files, clock and background work.
///
/// Paths are used as the store was opened with. Errors of kind `NotFound`, `AlreadyExists`, `StorageFull` and
/// `WouldBlock` (for locks) must be told apart; all others are failures.
pub trait Env: Send + Sync + fmt::Debug + 'static {
    /// Creates a file for writing; an existing one is emptied. The directory entry is durable only after
    /// [`sync_dir`](Env::sync_dir).
    ///
    /// # Errors
    /// What the operating system says, here and below.
    fn create(&self, path: &Path) -> io::Result<Box<dyn WritableFile>>;

    /// As [`create`](Env::create), for a file that takes many short appends and may have room behind them, zeros, from the beginning. An
    /// environment that has nothing to gain creates one like all others.
    ///
    /// # Errors
    /// See [`create`](Env::create).
    fn create_mapped(&self, path: &Path) -> io::Result<Box<dyn WritableFile>> {
        self.create(path)
    }

    /// Opens a file for positioned reads.
    ///
    /// # Errors
    /// See [`create`](Env::create).
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ByteSource>>;

    /// Opens a file for positioned reads of single blocks, for each of which somebody waits: the processor's time may be spent to have them sooner.
    ///
    /// # Errors
    /// See [`create`](Env::create).
    fn open_hurried(&self, path: &Path) -> io::Result<Arc<dyn ByteSource>> {
        self.open(path)
    }

    /// Maps the first `len` bytes of a file that nobody writes any more. An environment without maps may open it for
    /// positioned reads instead.
    ///
    /// # Errors
    /// See [`create`](Env::create); `UnexpectedEof` if the file is shorter.
    fn map(&self, path: &Path, len: u64) -> io::Result<Arc<dyn ByteSource>>;

    /// Cuts a file that nobody writes to `len` bytes and makes that durable.
    ///
    /// # Errors
    /// See [`create`](Env::create).
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;

    /// The length of a file in bytes.
    ///
    /// # Errors
    /// See [`create`](Env::create).
    fn file_len(&self, path: &Path) -> io::Result<u64>;

    /// The names in a directory, without `.` and `..`, in any order.
    ///
    /// # Errors
    /// See [`create`](Env::create).
    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Creates a directory and those above it.
    ///
    /// # Errors
    /// See [`create`](Env::create).
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory and everything in it.
    ///
    /// # Errors
    /// See [`create`](Env::create).
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Removes a file. Those who have it open or mapped keep it.
    ///
    /// # Errors
    /// See [`create`](Env::create).
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Renames a file or directory; an existing file of the new name is replaced, in one step.
    ///
    /// # Errors
    /// See [`create`](Env::create).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name.
    ///
    /// # Errors
    /// See [`create`](Env::create).
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable: creations, removals and renames.
    ///
    /// # Errors
    /// See [`create`](Env::create).
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Locks a file (created if it is not there and the mode is exclusive), without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if somebody holds it; see [`create`](Env::create).
    fn lock(&self, path: &Path, mode: LockMode) -> io::Result<Box<dyn DirLock>>;

    /// Milliseconds since 1970 by the wall clock: stamps of files, expiry.
    fn now_millis(&self) -> u64;

    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;

    /// How much memory the process may take, with what the system remembers of files for it; `None` if that is not known.
    fn memory_limit(&self) -> Option<u64> {
        None
    }

    /// How many files the process may have open; `None` if that is not known.
    fn file_limit(&self) -> Option<u64> {
        None
    }

    /// How background work runs.
    fn background(&self) -> Background {
        Background::Threads
    }

    /// Called by a thread that others shall have the processor before, by a niceness from 0 to 19, if the system knows of such a
    /// thing. Only a hint.
    fn lower_priority(&self, niceness: u8) {
        let _ = niceness;
    }

    /// The calling thread, if the system can let it have only what other threads leave of the processors.
    fn spare_time(&self) -> Option<Box<dyn SpareTime>> {
        None
    }

    /// Runs `work` on a thread of its own. Not called if background work is stepped.
    ///
    /// # Errors
    /// If no thread can be had.
    fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<std::thread::JoinHandle<()>> {
        std::thread::Builder::new().name(name.to_owned()).spawn(work)
    }
}
