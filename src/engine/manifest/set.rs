//! [`VersionSet`]: the state of the store, and the one way to change it.
//!
//! ```text
//!   log_and_apply(edit)
//!     1  check the edit against the state         nothing happened yet
//!     2  append it to the MANIFEST and sync       a crash from here on rolls forward at the next open
//!     3  rename NNNNNN.sst.tmp to NNNNNN.sst      so an .sst that the MANIFEST does not know proves a lost edit
//!     4  install the new versions                 tables that no version names any more go with their last reader
//! ```
//!
//! Steps are serialised by a mutex that only flush, compaction and changes of keyspaces take. The state has a mutex of
//! its own, which is never held during I/O; readers take neither, they pin versions.
//!
//! **After a failure in 2 or 3 the set is poisoned**: whether the edit is durable is not known, so the tables that it names
//! must stay on disk under whichever name they have, and nothing may be removed. Opening the store again finds out.

use super::edit::{KeyspaceId, VersionEdit};
use super::file_meta::{FileGuard, FileMeta, Reclaim};
use super::log::{self, FIRST_MANIFEST, Manifest};
use super::state::StoreState;
use super::version::Version;
use crate::fs::Env;
use crate::fs::filename::FileName;
use crate::record::{End, LogKind, Salvage};
use crate::sync::std_lock;
use crate::{Error, Recovery, Result};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A MANIFEST is rewritten when its edits have outgrown both this many bytes and its snapshot.
const ROTATE_AFTER: u64 = 1 << 20;

/// What loading found besides the state.
#[derive(Debug)]
pub(crate) struct LoadReport {
    /// The MANIFEST that was read.
    pub(crate) manifest: PathBuf,
    /// How it ends. A torn tail is an edit that was never acknowledged.
    pub(crate) end: End,
    /// Tables that were still under their temporary name (and, if the store is opened read-only, still are).
    pub(crate) rolled_forward: Vec<u64>,
    /// Files that nothing needs: to be [removed](VersionSet::remove_debris) once all of recovery has succeeded.
    pub(crate) debris: Vec<FileName>,
}

/// The state of the store, and the one way to change it.
#[derive(Debug)]
pub(crate) struct VersionSet {
    env: Arc<dyn Env>,
    dir: PathBuf,
    /// Taken before `state`, never after.
    log: Mutex<Log>,
    state: Mutex<StoreState>,
    next_file: AtomicU64,
    next_keyspace: AtomicU32,
    reclaim: Arc<Reclaim>,
    /// Tables that a read-only store leaves under their temporary name.
    left_tmp: BTreeSet<u64>,
    rotate_after: u64,
}

#[derive(Debug)]
enum Log {
    /// The MANIFEST of this number was read; nothing can be written yet.
    Loaded(u64),
    Open(Manifest),
    /// A write failed, for this reason.
    Failed(String),
    /// The store was closed: somebody else may have it open by now.
    Closed,
}

impl VersionSet {
    /// Creates a store in an existing directory, whose state is what `first` makes of the empty one. A crash at any
    /// point leaves either no store, in a directory where one can be created, or a whole one.
    ///
    /// # Errors
    /// `Invalid` if the edit breaks an invariant; `Io`.
    pub(crate) fn create(env: Arc<dyn Env>, dir: &Path, mut first: VersionEdit) -> Result<VersionSet> {
        let next_file = first.next_file.unwrap_or(0).max(FIRST_MANIFEST + 1);
        first.next_file = Some(next_file);
        let mut state = StoreState::default();
        let checked = state.check(&first).map_err(|what| Error::invalid("version edit", what))?;
        state.take(&first, checked);
        let manifest = Manifest::create(&*env, dir, FIRST_MANIFEST, 0, &state.snapshot())?;
        Ok(VersionSet {
            env,
            dir: dir.to_owned(),
            log: Mutex::new(Log::Open(manifest)),
            next_file: AtomicU64::new(next_file),
            next_keyspace: AtomicU32::new(state.next_keyspace),
            state: Mutex::new(state),
            reclaim: Arc::default(),
            left_tmp: BTreeSet::new(),
            rotate_after: ROTATE_AFTER,
        })
    }

    /// Reads the state of a store and holds it against the files that are there. The only thing it changes on disk is
    /// the name of tables whose renaming was interrupted, and that only if the store is not opened `read_only`.
    /// Edits are refused until [`start_writing`](VersionSet::start_writing).
    ///
    /// # Errors
    /// `NoStore`; `MissingFile` if CURRENT, the MANIFEST, a table or a segment of the log that the state needs is lost;
    /// `Corruption` if one of them is damaged, a table has another length than recorded, or there is a table or a
    /// segment with records that the MANIFEST does not know; `Unsupported`; `Io`.
    pub(crate) fn load(
        env: Arc<dyn Env>,
        dir: &Path,
        recovery: Recovery,
        read_only: bool,
    ) -> Result<(VersionSet, LoadReport)> {
        let reclaim: Arc<Reclaim> = Arc::default();
        let mut loaded = log::load(&*env, dir, recovery, &reclaim)?;
        // Tables that came and went while the edits were replayed are known by `obsolete`.
        drop(reclaim.take());
        if loaded.read_only && !read_only {
            return Err(Error::Unsupported {
                path: loaded.path,
                what: "it uses a feature that this version cannot write; open the store read-only, or with a newer Esker"
                    .to_owned(),
            });
        }
        let names = env.read_dir(dir).map_err(|e| Error::io(dir, "list", e))?;
        let names: BTreeSet<FileName> = names.iter().filter_map(|name| FileName::parse(name)).collect();
        let found = Inventory { env: &*env, dir, names: &names, manifest: &loaded.path };
        let rolled_forward = found.check(&loaded.state)?;
        let debris = found.debris(&loaded.state, loaded.number);
        loaded.state.obsolete.retain(|&number| names.contains(&FileName::Table(number)));
        let highest = names.iter().filter_map(|name| name.number()).max().unwrap_or(0);
        let next_file = loaded.state.next_file.max(highest + 1);
        if !read_only {
            for &number in &rolled_forward {
                publish(&*env, dir, number)?;
            }
        }
        let left_tmp = if read_only { rolled_forward.iter().copied().collect() } else { BTreeSet::new() };
        let report = LoadReport { manifest: loaded.path, end: loaded.end, rolled_forward, debris };
        let set = VersionSet {
            env,
            dir: dir.to_owned(),
            log: Mutex::new(Log::Loaded(loaded.number)),
            next_file: AtomicU64::new(next_file),
            next_keyspace: AtomicU32::new(loaded.state.next_keyspace),
            state: Mutex::new(loaded.state),
            reclaim,
            left_tmp,
            rotate_after: ROTATE_AFTER,
        };
        Ok((set, report))
    }

    /// Puts a new MANIFEST in force, so that what the loaded one ends with is never appended to. Called once recovery
    /// has read everything else; edits are accepted from here on.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn start_writing(&self) -> Result<()> {
        let mut log = std_lock(&self.log);
        let Log::Loaded(number) = *log else { return Ok(()) };
        match self.rewrite(number) {
            Ok(manifest) => {
                *log = Log::Open(manifest);
                Ok(())
            }
            Err(error) => {
                *log = Log::Failed(error.to_string());
                Err(error)
            }
        }
    }

    /// Makes an edit durable and installs it; see the head of this file. The numbers of the next file and the next
    /// keyspace are filled in. Every table that the edit adds and that is not there yet must be on disk, synced,
    /// under its temporary name (or its own), and its name synced. A segment of the log that the edit names must
    /// exist, and its name be synced.
    ///
    /// `install` gets the new version of every keyspace that the edit names and does not drop, before the next edit can
    /// be applied: so readers see versions in the order of the edits.
    ///
    /// # Errors
    /// `Invalid` if the edit breaks an invariant, `MissingFile` or `Corruption` if a table that it adds is not there
    /// as it says: nothing has happened then. `Io` if writing failed, and from then on always `ReadOnly`.
    pub(crate) fn log_and_apply(
        &self,
        mut edit: VersionEdit,
        install: impl FnOnce(&[(KeyspaceId, Arc<Version>)]),
    ) -> Result<()> {
        let mut log = std_lock(&self.log);
        match &*log {
            Log::Open(_) => {}
            Log::Failed(reason) => return Err(Error::ReadOnly { reason: reason.clone() }),
            Log::Closed => return Err(Error::Closed),
            Log::Loaded(_) => {
                return Err(Error::ReadOnly { reason: "it was opened read-only".to_owned() });
            }
        }
        edit.next_file = Some(self.next_file.load(Ordering::Acquire));
        edit.next_keyspace = Some(self.next_keyspace.load(Ordering::Acquire));
        let (checked, new_tables) = {
            let state = std_lock(&self.state);
            let checked = state.check(&edit).map_err(|what| Error::invalid("version edit", what))?;
            let added = edit.keyspaces.iter().flat_map(|k| &k.added);
            let new = added.map(|a| &a.meta).filter(|m| !state.is_live(m.number)).cloned();
            (checked, new.collect::<Vec<_>>())
        };
        let mut unpublished = Vec::new();
        for meta in &new_tables {
            if self.is_unpublished(meta)? {
                unpublished.push(meta.number);
            }
        }
        if let Err(error) = self.write(&mut log, &edit, &unpublished) {
            *log = Log::Failed(error.to_string());
            return Err(error);
        }
        let mut versions = Vec::with_capacity(checked.len());
        for (id, keyspace) in &checked {
            if let Some(keyspace) = keyspace {
                versions.push((*id, Arc::clone(&keyspace.version)));
            }
        }
        std_lock(&self.state).take(&edit, checked);
        install(&versions);
        Ok(())
    }

    fn write(&self, log: &mut Log, edit: &VersionEdit, unpublished: &[u64]) -> Result<()> {
        if let Log::Open(manifest) = log {
            let (edits, snapshot) = manifest.growth();
            if edits > snapshot.max(self.rotate_after) {
                *manifest = self.rewrite(manifest.number())?;
            }
            manifest.append(edit)?;
        }
        unpublished.iter().try_for_each(|&number| publish(&*self.env, &self.dir, number))
    }

    /// Whether a write failed, so that it is not known what the MANIFEST says.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(*std_lock(&self.log), Log::Failed(_))
    }

    /// Refuses every further edit. One that is being written is written first.
    pub(crate) fn close(&self) {
        *std_lock(&self.log) = Log::Closed;
    }

    /// Puts a MANIFEST that begins with a snapshot of the state in the place of MANIFEST `previous`.
    fn rewrite(&self, previous: u64) -> Result<Manifest> {
        let number = self.new_file_number();
        let snapshot = {
            let mut state = std_lock(&self.state);
            state.next_file = self.next_file.load(Ordering::Acquire);
            state.next_keyspace = self.next_keyspace.load(Ordering::Acquire);
            state.snapshot()
        };
        let manifest = Manifest::create(&*self.env, &self.dir, number, previous, &snapshot)?;
        // If it cannot be removed now, it is debris at the next open.
        let _ = self.env.remove_file(&FileName::Manifest(previous).path(&self.dir));
        Ok(manifest)
    }

    /// Whether a table that is about to be added is still under its temporary name.
    fn is_unpublished(&self, meta: &FileMeta) -> Result<bool> {
        let tmp = FileName::TableTmp(meta.number);
        match check_len(&*self.env, &self.dir, tmp, meta) {
            Ok(()) => Ok(true),
            Err(Error::MissingFile { .. }) => {
                check_len(&*self.env, &self.dir, FileName::Table(meta.number), meta)?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The state as it stands. Keeping it keeps every table that it names.
    pub(crate) fn state(&self) -> StoreState {
        std_lock(&self.state).clone()
    }

    /// Looks at the state for a moment. The closure must be short and must not call back.
    pub(crate) fn with_state<T>(&self, look: impl FnOnce(&StoreState) -> T) -> T {
        look(&std_lock(&self.state))
    }

    /// The version of a keyspace.
    ///
    /// # Errors
    /// `NoSuchKeyspace` if it was dropped.
    pub(crate) fn version(&self, id: KeyspaceId) -> Result<Arc<Version>> {
        let version = self.with_state(|state| state.keyspaces.get(&id).map(|k| Arc::clone(&k.version)));
        version.ok_or_else(|| Error::NoSuchKeyspace { name: format!("number {id}") })
    }

    pub(crate) fn oldest_wal(&self) -> u64 {
        self.with_state(|state| state.oldest_wal)
    }

    /// The newest segment of the log that is known to exist; 0 if there never was one.
    pub(crate) fn newest_wal(&self) -> u64 {
        self.with_state(|state| state.newest_wal)
    }

    /// Reads the MANIFEST in force again, as opening would. No edit is made meanwhile.
    ///
    /// # Errors
    /// `Corruption` or `MissingFile` if it, or CURRENT, is damaged or lost; `Io`.
    pub(crate) fn verify(&self) -> Result<()> {
        let log = std_lock(&self.log);
        let (mode, written) = match &*log {
            Log::Open(manifest) => (Recovery::Absolute, Some((manifest.number(), manifest.len()))),
            // What a failed write left behind, or what was found to be torn when the store was opened.
            Log::Loaded(_) | Log::Failed(_) | Log::Closed => (Recovery::TolerateTornTail, None),
        };
        let loaded = log::load(&*self.env, &self.dir, mode, &Arc::default())?;
        let Some((number, written)) = written else { return Ok(()) };
        if loaded.number != number {
            let what = format!("it names MANIFEST {}, but {number} is in force", loaded.number);
            return Err(Error::corruption(&FileName::Current.path(&self.dir), 0, what));
        }
        let len = self.env.file_len(&loaded.path).map_err(|e| Error::io(&loaded.path, "look at", e))?;
        if len < written {
            let what = format!("it has {len} bytes, but {written} were written");
            return Err(Error::corruption(&loaded.path, len, what));
        }
        Ok(())
    }

    /// A number for a new file, never given out before.
    pub(crate) fn new_file_number(&self) -> u64 {
        self.next_file.fetch_add(1, Ordering::AcqRel)
    }

    /// An id for a new keyspace, never given out before.
    pub(crate) fn new_keyspace_id(&self) -> KeyspaceId {
        self.next_keyspace.fetch_add(1, Ordering::AcqRel)
    }

    /// A guard for a table that is being written.
    pub(crate) fn guard(&self, number: u64) -> Arc<FileGuard> {
        FileGuard::new(number, Arc::clone(&self.reclaim))
    }

    /// Where a table's file is.
    pub(crate) fn table_path(&self, number: u64) -> PathBuf {
        let name = match self.left_tmp.contains(&number) {
            true => FileName::TableTmp(number),
            false => FileName::Table(number),
        };
        name.path(&self.dir)
    }

    /// The length of the MANIFEST in bytes; 0 if none is being written.
    #[cfg(test)]
    pub(crate) fn manifest_len(&self) -> u64 {
        match &*std_lock(&self.log) {
            Log::Open(manifest) => manifest.len(),
            _ => 0,
        }
    }

    /// Takes the numbers of the tables whose last reader is gone since the last call. Their files are to be removed, and
    /// then said to be [removed](VersionSet::removed).
    pub(crate) fn reclaim(&self) -> Vec<u64> {
        self.reclaim.take()
    }

    /// Says that the file of an obsolete table is gone, so that snapshots need not know it any more.
    pub(crate) fn removed(&self, number: u64) {
        std_lock(&self.state).obsolete.remove(&number);
    }

    /// Removes what [`load`](VersionSet::load) found to be debris. Only after
    /// [`start_writing`](VersionSet::start_writing).
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn remove_debris(&self, debris: &[FileName]) -> Result<()> {
        for &name in debris {
            let path = name.path(&self.dir);
            match self.env.remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io(&path, "remove", e));
                }
                _ => {}
            }
            if let FileName::Table(number) = name {
                self.removed(number);
            }
        }
        Ok(())
    }
}

/// Writes a MANIFEST and a CURRENT for `state` into a directory that has neither: the last step of making a store out
/// of tables and segments that are already there, durable. Nothing else may be using the state's numbers.
///
/// # Errors
/// `Io`.
pub(crate) fn write_store(env: &dyn Env, dir: &Path, state: &StoreState) -> Result<()> {
    let number = state.next_file.max(FIRST_MANIFEST);
    let mut snapshot = state.snapshot();
    snapshot.next_file = Some(number + 1);
    Manifest::create(env, dir, number, 0, &snapshot).map(drop)
}

/// Gives a table its own name. That the renaming be durable is not needed: the MANIFEST names the table.
fn publish(env: &dyn Env, dir: &Path, number: u64) -> Result<()> {
    let path = FileName::Table(number).path(dir);
    env.rename(&FileName::TableTmp(number).path(dir), &path).map_err(|e| Error::io(&path, "name", e))
}

fn check_len(env: &dyn Env, dir: &Path, name: FileName, meta: &FileMeta) -> Result<()> {
    let path = name.path(dir);
    match env.file_len(&path) {
        Ok(len) if len == meta.size => Ok(()),
        Ok(len) => Err(Error::corruption(
            &path,
            len.min(meta.size),
            format!("the file has {len} bytes, but {} are recorded", meta.size),
        )),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Err(Error::MissingFile { path, what: "the MANIFEST names this table".to_owned() })
        }
        Err(e) => Err(Error::io(&path, "look at", e)),
    }
}

/// The files of a store, to be held against its state.
struct Inventory<'a> {
    env: &'a dyn Env,
    dir: &'a Path,
    names: &'a BTreeSet<FileName>,
    manifest: &'a Path,
}

impl Inventory<'_> {
    /// Checks that everything the state needs is there, and that no table is there that it does not know. Returns the
    /// tables that are still under their temporary name.
    fn check(&self, state: &StoreState) -> Result<Vec<u64>> {
        let mut tmp = Vec::new();
        for meta in state.tables() {
            let published = self.names.contains(&FileName::Table(meta.number));
            let name = match published || !self.names.contains(&FileName::TableTmp(meta.number)) {
                true => FileName::Table(meta.number),
                false => {
                    tmp.push(meta.number);
                    FileName::TableTmp(meta.number)
                }
            };
            check_len(self.env, self.dir, name, meta)?;
        }
        for (number, which) in [(state.oldest_wal, "oldest"), (state.newest_wal, "newest")] {
            if number != 0 && !self.names.contains(&FileName::Wal(number)) {
                return Err(Error::MissingFile {
                    path: FileName::Wal(number).path(self.dir),
                    what: format!("the MANIFEST names it as the {which} segment of the log"),
                });
            }
        }
        for name in self.names {
            if let FileName::Wal(number) = *name
                && number > state.newest_wal
                && self.holds_record(*name, number)?
            {
                return Err(self.lost_edit(*name));
            }
            let FileName::Table(number) = *name else { continue };
            if !state.is_live(number) && !state.obsolete.contains(&number) {
                // A table gets its own name only when an edit that names it is durable.
                return Err(self.lost_edit(*name));
            }
        }
        Ok(tmp)
    }

    fn lost_edit(&self, proof: FileName) -> Error {
        let at = self.env.file_len(self.manifest).unwrap_or(0);
        let what = format!("it does not know {proof}, so it has lost an edit; run `esker repair`");
        Error::corruption(self.manifest, at, what)
    }

    /// Whether a segment of the log took a record, which happens only once a durable edit names the segment.
    fn holds_record(&self, name: FileName, number: u64) -> Result<bool> {
        let path = name.path(self.dir);
        let source = self.env.open(&path).map_err(|e| Error::io(&path, "open", e))?;
        Ok(Salvage::open(source, &path, LogKind::Wal, number)?.next()?.is_some())
    }

    /// What nothing needs: to be asked only if [`check`](Inventory::check) found nothing wrong.
    fn debris(&self, state: &StoreState, manifest: u64) -> Vec<FileName> {
        let is_debris = |name: &FileName| match *name {
            FileName::Lock | FileName::Current => false,
            FileName::CurrentTmp | FileName::WalTmp(_) => true,
            FileName::Manifest(number) => number != manifest,
            FileName::Wal(number) => number < state.oldest_wal,
            FileName::Table(number) => !state.is_live(number),
            FileName::TableTmp(number) => {
                !state.is_live(number) || self.names.contains(&FileName::Table(number))
            }
        };
        self.names.iter().copied().filter(is_debris).collect()
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod crash_tests;
