//! [`Call`]: what the store asked of the file system; [`Fault`]: what it gets instead.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A kind of call to the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// [`Env::create`](crate::Env::create).
    Create,
    /// [`Env::open`](crate::Env::open).
    Open,
    /// [`Env::map`](crate::Env::map).
    Map,
    /// [`Env::truncate`](crate::Env::truncate).
    Truncate,
    /// [`Env::file_len`](crate::Env::file_len).
    FileLen,
    /// [`Env::read_dir`](crate::Env::read_dir).
    ReadDir,
    /// [`Env::create_dir_all`](crate::Env::create_dir_all).
    CreateDirAll,
    /// [`Env::remove_dir_all`](crate::Env::remove_dir_all).
    RemoveDirAll,
    /// [`Env::remove_file`](crate::Env::remove_file).
    RemoveFile,
    /// [`Env::rename`](crate::Env::rename).
    Rename,
    /// [`Env::hard_link`](crate::Env::hard_link).
    HardLink,
    /// [`Env::sync_dir`](crate::Env::sync_dir).
    SyncDir,
    /// [`Env::lock`](crate::Env::lock).
    Lock,
    /// [`WritableFile::append`](crate::WritableFile::append).
    Append,
    /// [`WritableFile::sync`](crate::WritableFile::sync).
    Sync,
    /// [`WritableFile::reserve`](crate::WritableFile::reserve).
    Reserve,
    /// [`WritableFile::take_back`](crate::WritableFile::take_back).
    TakeBack,
    /// A positioned read.
    Read,
    /// The first touch of mapped bytes.
    Populate,
}

impl Op {
    /// Whether the call changes the disk, so that it matters whether it took place before a crash.
    pub fn changes(self) -> bool {
        !matches!(self, Op::Open | Op::Map | Op::FileLen | Op::ReadDir | Op::Read | Op::Populate | Op::Lock)
    }

    /// Whether the call needs space on the disk.
    pub fn takes_space(self) -> bool {
        matches!(self, Op::Create | Op::CreateDirAll | Op::HardLink | Op::Append | Op::Reserve)
    }

    /// Whether the call waits for the device.
    pub fn syncs(self) -> bool {
        matches!(self, Op::Sync | Op::SyncDir | Op::Truncate)
    }
}

/// One call to the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Counted from 0 since the environment was made.
    pub number: u64,
    /// What kind of call.
    pub op: Op,
    /// The file or directory; for a renaming or link the old name.
    pub path: PathBuf,
    /// Bytes appended or read; the new length of a truncated file, or of one with room.
    pub len: u64,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:6} {:?} {}", self.number, self.op, self.path.display())?;
        if matches!(self.op, Op::Append | Op::Read | Op::Truncate | Op::Reserve | Op::TakeBack | Op::Populate)
        {
            write!(f, " {}", self.len)?;
        }
        Ok(())
    }
}

/// What a call gets instead of success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The power goes: the call may have taken place on the device or not (the crash mode decides), and no call after it
    /// does anything.
    Stop,
    /// The device fails. An append may have written a part; a sync has lost what it was to write.
    Io,
    /// The disk is full. Meets only calls that need space; an append may have written a part.
    NoSpace,
    /// The device fails to make data durable. Meets only calls that wait for the device. What a file's sync was to
    /// write is lost even if a later sync succeeds.
    FailedSync,
}

impl Fault {
    /// Whether a call of this kind can fail like this.
    pub fn meets(self, op: Op) -> bool {
        match self {
            Fault::Stop | Fault::Io => true,
            Fault::NoSpace => op.takes_space(),
            Fault::FailedSync => op.syncs(),
        }
    }

    pub(super) fn error(self) -> io::Error {
        match self {
            Fault::Stop => io::Error::other(PowerLoss),
            Fault::Io => io::Error::other("simulated failure of the device"),
            Fault::NoSpace => {
                io::Error::new(io::ErrorKind::StorageFull, "no space left on the simulated device")
            }
            Fault::FailedSync => io::Error::other("simulated failure of the device to make data durable"),
        }
    }
}

/// The error of every call from a stop on; see [`Fault::Stop`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerLoss;

impl fmt::Display for PowerLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("simulated power loss")
    }
}

impl std::error::Error for PowerLoss {}

/// A fault laid at a call's number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) at: u64,
    pub(super) fault: Fault,
    pub(super) and_later: bool,
}

impl Rule {
    pub(super) fn meets(&self, number: u64, op: Op) -> bool {
        let due = if self.and_later { number >= self.at } else { number == self.at };
        due && self.fault.meets(op)
    }
}
