//! [`SimEnv`]: a file system in memory that can fail like a real one, and a clock that is set by hand.
//!
//! It knows what was synced: every file's data by sector, every directory's names. Every call is numbered, and at any
//! number the power can go or the device can fail; a crash then gives the disk that a machine could find afterwards. With
//! background work stepped (the default), a store on it does the same calls in the same order every time, so a finding
//! is repeated by its number and seed alone.

mod call;
mod crash;
mod disk;
mod handle;

pub use call::{Call, Fault, Op, PowerLoss};
pub use crash::CrashMode;
pub use handle::HeldSyncs;

use super::{Background, DirLock, Env, LockMode, WritableFile};
use crate::sync::std_lock;
use call::Rule;
#[cfg(test)]
use disk::SECTOR;
use disk::{Disk, Id, Node};
use esker_table::ByteSource;
use handle::{Gate, SimFile, SimLock, SimMap, SimSource};
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// A file system in memory, a clock set by hand, and background work as asked for. Clones share everything.
///
/// ```
/// use esker::testing::{CrashMode, Fault, SimEnv};
/// use esker::{Env, WritableFile};
/// use std::path::Path;
///
/// let env = SimEnv::new();
/// let file = env.create(Path::new("log")).unwrap();
/// env.sync_dir(Path::new("")).unwrap();
/// file.append(b"durable").unwrap();
/// file.sync().unwrap();
/// file.append(b", and not").unwrap();
/// let after = env.power_loss(CrashMode::LoseAll);
/// assert_eq!(after.read_file("log").unwrap(), b"durable");
/// ```
#[derive(Clone, Debug)]
pub struct SimEnv {
    shared: Arc<Shared>,
    background: Background,
    memory_limit: Option<u64>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    gate: Gate,
}

#[derive(Debug, Default)]
struct State {
    disk: Disk,
    locks: HashMap<Id, Holders>,
    calls: u64,
    rules: Vec<Rule>,
    stopped: bool,
    fired: u64,
    trace: Option<Vec<Call>>,
    clock: Duration,
}

/// Who holds a lock.
#[derive(Clone, Copy, Debug, Default)]
struct Holders {
    writer: bool,
    readers: usize,
}

impl Default for SimEnv {
    fn default() -> SimEnv {
        SimEnv::new()
    }
}

impl SimEnv {
    /// An empty disk, the clock at a fixed time in 2024, background work stepped.
    pub fn new() -> SimEnv {
        let state = State { clock: Duration::from_secs(1_704_067_200), ..State::default() };
        SimEnv::with_state(state, Background::Stepped)
    }

    /// The same disk with background work run as `background` says.
    #[must_use]
    pub fn with_background(mut self, background: Background) -> SimEnv {
        self.background = background;
        self
    }

    /// The same disk in a machine that has so many bytes of memory for the store; without a limit it has enough.
    #[must_use]
    pub fn with_memory_limit(mut self, bytes: Option<u64>) -> SimEnv {
        self.memory_limit = bytes;
        self
    }

    fn with_state(state: State, background: Background) -> SimEnv {
        let shared = Arc::new(Shared { state: Mutex::new(state), gate: Gate::default() });
        SimEnv { shared, background, memory_limit: None }
    }

    /// The same machine with another state.
    fn same_machine(&self, state: State) -> SimEnv {
        SimEnv::with_state(state, self.background).with_memory_limit(self.memory_limit)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        std_lock(&self.shared.state)
    }

    /// How many calls were made so far: the number of the next one.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Lets call `number` fail, if it is of a kind that can fail like this.
    pub fn fail_at(&self, number: u64, fault: Fault) {
        self.state().rules.push(Rule { at: number, fault, and_later: false });
    }

    /// Lets call `number` and all after it fail, those that can fail like this.
    pub fn fail_from(&self, number: u64, fault: Fault) {
        self.state().rules.push(Rule { at: number, fault, and_later: true });
    }

    /// Takes away all faults that were laid. A power loss stays one.
    pub fn clear_faults(&self) {
        self.state().rules.clear();
    }

    /// How many calls failed because of a fault, those after a stop not counted.
    pub fn faults_fired(&self) -> u64 {
        self.state().fired
    }

    /// Whether the power went, see [`Fault::Stop`].
    pub fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Begins to write down all calls, forgetting what was written down before.
    pub fn start_trace(&self) {
        self.state().trace = Some(Vec::new());
    }

    /// The calls written down so far; as text, one a line by [`Call`]'s `Display`.
    pub fn trace(&self) -> Vec<Call> {
        self.state().trace.clone().unwrap_or_default()
    }

    /// The machine after a power loss now: its disk, the same clock, nothing locked, no faults laid, calls counted from 0.
    /// This environment is left as it is.
    #[must_use]
    pub fn power_loss(&self, mode: CrashMode) -> SimEnv {
        let state = self.state();
        let disk = crash::after_power_loss(&state.disk, mode);
        self.same_machine(State { disk, clock: state.clock, ..State::default() })
    }

    /// The machine after the process was killed: what was written is there to be read, but still not durable. This
    /// environment is left as it is.
    #[must_use]
    pub fn kill(&self) -> SimEnv {
        let state = self.state();
        let disk = crash::after_kill(&state.disk);
        self.same_machine(State { disk, clock: state.clock, ..State::default() })
    }

    /// Lets the clock go on.
    pub fn advance(&self, by: Duration) {
        self.state().clock += by;
    }

    /// Lets every sync of a file wait until the returned guard is dropped. Calls that do not sync go on.
    #[must_use]
    pub fn hold_syncs(&self) -> HeldSyncs {
        HeldSyncs::new(self.shared.clone())
    }

    /// The content of a file as its readers see it. Not counted as a call, like everything below.
    ///
    /// # Errors
    /// If it is not there.
    pub fn read_file(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        let id = state.disk.find_file(path.as_ref())?;
        Ok(state.disk.file(id).live.clone())
    }

    /// Replaces the content of a file, or creates it, durably: damage done from outside.
    ///
    /// # Errors
    /// If its directory is not there.
    pub fn write_file(&self, path: impl AsRef<Path>, content: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let id = state.disk.create(path.as_ref())?;
        state.disk.file(id).settle(content.to_vec());
        if let Some(parent) = path.as_ref().parent() {
            let dir = state.disk.find_dir(parent)?;
            state.disk.sync_names(dir);
        }
        Ok(())
    }

    /// Flips bits of one byte of a file, in the page cache and on the device.
    ///
    /// # Errors
    /// If the file is not there.
    pub fn flip(&self, path: impl AsRef<Path>, offset: u64, mask: u8) -> io::Result<()> {
        let mut state = self.state();
        let id = state.disk.find_file(path.as_ref())?;
        state.disk.file(id).flip(offset as usize, mask);
        Ok(())
    }

    /// How many bytes of a file a power loss now could take.
    ///
    /// # Errors
    /// If it is not there.
    pub fn unsynced_bytes(&self, path: impl AsRef<Path>) -> io::Result<u64> {
        let mut state = self.state();
        let id = state.disk.find_file(path.as_ref())?;
        Ok(state.disk.file(id).unsynced() as u64)
    }

    /// Every file, by its path from the root, with its length.
    pub fn files(&self) -> Vec<(String, u64)> {
        let mut state = self.state();
        let paths = state.disk.paths();
        paths.into_iter().map(|(path, id)| (path, state.disk.file(id).live.len() as u64)).collect()
    }

    /// Numbers a call, and decides what becomes of it.
    fn begin(
        &self,
        op: Op,
        path: &Path,
        len: u64,
    ) -> (MutexGuard<'_, State>, Result<(), (Fault, io::Error)>) {
        let mut state = self.state();
        let verdict = state.admit(op, path, len);
        (state, verdict)
    }

    /// A call that changes names: it has no effect if it fails, and an effect that is not durable if the power goes.
    fn change<T>(&self, op: Op, path: &Path, act: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
        let (mut state, verdict) = self.begin(op, path, 0);
        match verdict {
            Ok(()) => act(&mut state.disk),
            Err((Fault::Stop, error)) => {
                if !std::mem::replace(&mut state.stopped, true) {
                    // Whether it worked is no longer of interest to anybody.
                    let _ = act(&mut state.disk);
                }
                Err(error)
            }
            Err((_, error)) => Err(error),
        }
    }

    /// A call that changes nothing.
    fn look<T>(&self, op: Op, path: &Path, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let (mut state, verdict) = self.begin(op, path, 0);
        match verdict {
            Ok(()) => act(&mut state),
            Err((fault, error)) => {
                state.stopped |= fault == Fault::Stop;
                Err(error)
            }
        }
    }
}

impl State {
    /// Numbers a call, and says which fault it meets. After a stop nothing is counted.
    fn admit(&mut self, op: Op, path: &Path, len: u64) -> Result<(), (Fault, io::Error)> {
        if self.stopped {
            return Err((Fault::Stop, Fault::Stop.error()));
        }
        let number = self.calls;
        self.calls += 1;
        if let Some(trace) = &mut self.trace {
            trace.push(Call { number, op, path: path.to_owned(), len });
        }
        match self.rules.iter().find(|rule| rule.meets(number, op)) {
            Some(rule) => {
                self.fired += 1;
                Err((rule.fault, rule.fault.error()))
            }
            None => Ok(()),
        }
    }
}

impl SimEnv {
    fn create_file(&self, path: &Path) -> io::Result<SimFile> {
        let id = self.change(Op::Create, path, |disk| {
            let id = disk.create(path)?;
            disk.file(id).truncate(0);
            disk.hold(id);
            Ok(id)
        })?;
        Ok(SimFile::new(self.clone(), id, path))
    }
}

impl Env for SimEnv {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WritableFile>> {
        Ok(Box::new(self.create_file(path)?))
    }

    fn create_mapped(&self, path: &Path) -> io::Result<Box<dyn WritableFile>> {
        Ok(Box::new(self.create_file(path)?.with_room()))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ByteSource>> {
        let (id, len) = self.look(Op::Open, path, |state| {
            let id = state.disk.find_file(path)?;
            state.disk.hold(id);
            Ok((id, state.disk.file(id).live.len() as u64))
        })?;
        Ok(Arc::new(SimSource::new(SimFile::new(self.clone(), id, path), len)))
    }

    fn map(&self, path: &Path, len: u64) -> io::Result<Arc<dyn ByteSource>> {
        let bytes = self.look(Op::Map, path, |state| {
            let id = state.disk.find_file(path)?;
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            let bytes = state.disk.file(id).live.get(..len);
            bytes.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        })?;
        Ok(Arc::new(SimMap::new(self.clone(), path, bytes)))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let (mut state, verdict) = self.begin(Op::Truncate, path, len);
        let stopped = std::mem::replace(&mut state.stopped, matches!(verdict, Err((Fault::Stop, _))));
        if stopped || matches!(verdict, Err((Fault::Io, _))) {
            return verdict.map_err(|(_, error)| error);
        }
        let id = state.disk.find_file(path)?;
        let file = state.disk.file(id);
        file.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        match verdict {
            Ok(()) => file.sync(),
            Err((Fault::FailedSync, _)) => file.lose(),
            Err(_) => {}
        }
        verdict.map_err(|(_, error)| error)
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.look(Op::FileLen, path, |state| {
            let id = state.disk.find_file(path)?;
            Ok(state.disk.file(id).live.len() as u64)
        })
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.look(Op::ReadDir, path, |state| {
            let dir = state.disk.find_dir(path)?;
            Ok(state.disk.dirs[&dir].live.keys().cloned().collect())
        })
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.change(Op::CreateDirAll, path, |disk| disk.create_dir_all(path))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.change(Op::RemoveDirAll, path, |disk| disk.remove(path, true))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change(Op::RemoveFile, path, |disk| disk.remove(path, false))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(Op::Rename, from, |disk| disk.rename(from, to))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(Op::HardLink, from, |disk| disk.link(from, to))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        // Failing leaves the changes as they are: a later sync can still make them durable.
        self.look(Op::SyncDir, path, |state| {
            let dir = state.disk.find_dir(path)?;
            state.disk.sync_names(dir);
            Ok(())
        })
    }

    fn lock(&self, path: &Path, mode: LockMode) -> io::Result<Box<dyn DirLock>> {
        let id = self.look(Op::Lock, path, |state| {
            let id = match (state.disk.find(path), mode) {
                (Ok(Node::File(id)), _) => id,
                (Err(error), LockMode::Shared) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                _ => state.disk.create(path)?,
            };
            let holders = state.locks.entry(id).or_default();
            match mode {
                _ if holders.writer => return Err(io::ErrorKind::WouldBlock.into()),
                LockMode::Exclusive if holders.readers > 0 => return Err(io::ErrorKind::WouldBlock.into()),
                LockMode::Exclusive => holders.writer = true,
                LockMode::Shared => holders.readers += 1,
            }
            Ok(Some(id))
        })?;
        Ok(Box::new(SimLock::new(self.clone(), id, mode)))
    }

    fn now_millis(&self) -> u64 {
        self.state().clock.as_millis() as u64
    }

    fn monotonic(&self) -> Duration {
        self.state().clock
    }

    fn memory_limit(&self) -> Option<u64> {
        self.memory_limit
    }

    fn background(&self) -> Background {
        self.background
    }
}

#[cfg(test)]
mod tests;
