//! What the simulated file system hands out: open files, maps, locks, and the guard that holds syncs back.

use super::{Fault, Op, Shared, SimEnv};
use crate::fs::{DirLock, LockMode, WritableFile};
use crate::sync::std_lock;
use esker_table::{ByteSource, Slice};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// An open file.
#[derive(Debug)]
pub(super) struct SimFile {
    env: SimEnv,
    id: u64,
    path: PathBuf,
    /// Whether appends leave zeros behind them.
    makes_room: AtomicBool,
}

impl SimFile {
    /// Takes over one hold on the file.
    pub(super) fn new(env: SimEnv, id: u64, path: &Path) -> SimFile {
        SimFile { env, id, path: path.to_owned(), makes_room: AtomicBool::new(false) }
    }

    /// Makes room ahead of what is appended, as a file does that is written through a map.
    pub(super) fn with_room(self) -> SimFile {
        self.makes_room.store(true, Ordering::Relaxed);
        self
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.env.state().disk.release(self.id);
    }
}

impl WritableFile for SimFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let (mut state, verdict) = self.env.begin(Op::Append, &self.path, bytes.len() as u64);
        match verdict {
            Ok(()) => {
                let file = state.disk.file(self.id);
                file.append(bytes);
                if self.makes_room.load(Ordering::Relaxed) {
                    file.make_room();
                }
                Ok(())
            }
            Err((Fault::Stop, error)) => {
                if !std::mem::replace(&mut state.stopped, true) {
                    let file = state.disk.file(self.id);
                    if self.makes_room.load(Ordering::Relaxed) && file.has_records() {
                        // A process that dies while it fills a map leaves a part of it, where a call would leave all.
                        file.append(&bytes[..bytes.len() / 2]);
                        file.make_room();
                    } else {
                        file.append(bytes);
                    }
                }
                Err(error)
            }
            Err((_, error)) => {
                state.disk.file(self.id).append(&bytes[..bytes.len() / 2]);
                Err(error)
            }
        }
    }

    fn reserve(&self, from: u64, end: u64) -> io::Result<()> {
        let (mut state, verdict) = self.env.begin(Op::Reserve, &self.path, end);
        let stopped = std::mem::replace(&mut state.stopped, matches!(verdict, Err((Fault::Stop, _))));
        if !stopped && matches!(verdict, Ok(()) | Err((Fault::Stop, _))) {
            let place = |at| usize::try_from(at).unwrap_or(usize::MAX);
            state.disk.file(self.id).reserve(place(from), place(end));
        }
        verdict.map_err(|(_, error)| error)
    }

    fn take_back(&self, end: u64) -> io::Result<()> {
        self.makes_room.store(false, Ordering::Relaxed);
        let (mut state, verdict) = self.env.begin(Op::TakeBack, &self.path, end);
        let stopped = std::mem::replace(&mut state.stopped, matches!(verdict, Err((Fault::Stop, _))));
        if !stopped && matches!(verdict, Ok(()) | Err((Fault::Stop, _))) {
            state.disk.file(self.id).take_back(usize::try_from(end).unwrap_or(usize::MAX));
        }
        verdict.map_err(|(_, error)| error)
    }

    fn sync(&self) -> io::Result<()> {
        self.env.shared.gate.pass();
        let (mut state, verdict) = self.env.begin(Op::Sync, &self.path, 0);
        match verdict {
            Ok(()) => {
                state.disk.file(self.id).sync();
                Ok(())
            }
            Err((Fault::Stop, error)) => {
                state.stopped = true;
                Err(error)
            }
            Err((_, error)) => {
                state.disk.file(self.id).lose();
                Err(error)
            }
        }
    }
}

/// A file opened for positioned reads.
pub(super) struct SimSource {
    file: SimFile,
    len: u64,
}

impl SimSource {
    pub(super) fn new(file: SimFile, len: u64) -> SimSource {
        SimSource { file, len }
    }
}

impl ByteSource for SimSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
        let file = &self.file;
        let (mut state, verdict) = file.env.begin(Op::Read, &file.path, len as u64);
        if let Err((fault, error)) = verdict {
            state.stopped |= fault == Fault::Stop;
            return Err(error);
        }
        let live = &state.disk.file(file.id).live;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.checked_add(len).filter(|&end| end as u64 <= self.len);
        let bytes = end.and_then(|end| live.get(start..end));
        bytes.map(Slice::copy_from).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn is_mapped(&self) -> bool {
        false
    }
}

/// A mapped file: what it held when it was mapped, since nobody may write to it any more.
pub(super) struct SimMap {
    env: SimEnv,
    path: PathBuf,
    bytes: Slice,
}

impl SimMap {
    pub(super) fn new(env: SimEnv, path: &Path, bytes: Vec<u8>) -> SimMap {
        SimMap { env, path: path.to_owned(), bytes: Slice::from(bytes) }
    }
}

impl ByteSource for SimMap {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        match start.checked_add(len).filter(|&end| end <= self.bytes.len()) {
            Some(end) => Ok(self.bytes.slice(start..end)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn is_mapped(&self) -> bool {
        true
    }

    fn populate(&self, _offset: u64, len: usize) -> io::Result<()> {
        let (mut state, verdict) = self.env.begin(Op::Populate, &self.path, len as u64);
        verdict.map_err(|(fault, error)| {
            state.stopped |= fault == Fault::Stop;
            error
        })
    }
}

/// A lock that is held; `None` where a reader found no file to lock.
#[derive(Debug)]
pub(super) struct SimLock {
    env: SimEnv,
    id: Option<u64>,
    mode: LockMode,
}

impl SimLock {
    pub(super) fn new(env: SimEnv, id: Option<u64>, mode: LockMode) -> SimLock {
        SimLock { env, id, mode }
    }
}

impl DirLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.env.state();
        if let Some(holders) = self.id.and_then(|id| state.locks.get_mut(&id)) {
            match self.mode {
                LockMode::Exclusive => holders.writer = false,
                LockMode::Shared => holders.readers -= 1,
            }
        }
    }
}

/// What syncs have to pass.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    /// Guards that hold it shut.
    held: usize,
    waiting: usize,
}

impl Gate {
    fn pass(&self) {
        let mut state = std_lock(&self.state);
        state.waiting += 1;
        self.changed.notify_all();
        while state.held > 0 {
            state = match self.changed.wait(state) {
                Ok(state) => state,
                Err(poisoned) => poisoned.into_inner(),
            };
        }
        state.waiting -= 1;
    }
}

/// While it lives, syncs of files wait; see [`SimEnv::hold_syncs`].
#[derive(Debug)]
pub struct HeldSyncs {
    shared: Arc<Shared>,
}

impl HeldSyncs {
    pub(super) fn new(shared: Arc<Shared>) -> HeldSyncs {
        std_lock(&shared.gate.state).held += 1;
        HeldSyncs { shared }
    }

    /// Waits until at least `count` syncs are being held back.
    pub fn wait_for(&self, count: usize) {
        let gate = &self.shared.gate;
        let mut state = std_lock(&gate.state);
        while state.waiting < count {
            state = match gate.changed.wait(state) {
                Ok(state) => state,
                Err(poisoned) => poisoned.into_inner(),
            };
        }
    }

    /// How many syncs are being held back now.
    pub fn waiting(&self) -> usize {
        std_lock(&self.shared.gate.state).waiting
    }
}

impl Drop for HeldSyncs {
    fn drop(&mut self) {
        std_lock(&self.shared.gate.state).held -= 1;
        self.shared.gate.changed.notify_all();
    }
}
