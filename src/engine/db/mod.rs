//! The public handles: [`Db`], [`Keyspace`], [`Snapshot`], and what they are made of.

mod background;
mod builder;
mod checkpoint;
mod core;
mod expiry;
mod ingest;
mod inspect;
mod keyspace;
mod open;
mod repair;
mod snapshot;
mod stats;
mod verify;
mod view;
mod workers;

pub use builder::{Builder, MIN_MEMORY_BUDGET};
pub use ingest::IngestWriter;
pub use inspect::{InspectOptions, Inspected, inspect};
pub use keyspace::Keyspace;
pub use open::{RecoveryReport, TornLog};
pub use repair::{DamagedLog, DamagedTable, RepairOptions, RepairReport, repair};
pub use snapshot::Snapshot;
pub use stats::{KeyspaceStats, LevelStats, Stats};
pub use verify::VerifyReport;
pub use view::{TableInfo, Unflushed, UnflushedEntry, View};

use crate::error::{Error, Result};
use crate::manifest::{Ages, KeyspaceEdit, VersionEdit};
use crate::memtable::Memtable;
use crate::options::{Durability, KeyspaceOptions};
use crate::sync::std_lock;
use crate::write::batch::DEFAULT_KEYSPACE;
use crate::write::tree::Tree;
use crate::write::{Commit, WriteBatch, WriteOptions};
use core::Core;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The name of the keyspace that every store has.
pub const DEFAULT_KEYSPACE_NAME: &str = "default";

/// Closes the store when the last handle goes.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) core: Arc<Core>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // An error has nobody to go to here; `Db::close` reports it.
        let _ = self.core.close();
    }
}

/// An embedded, ordered, durable key-value store: one directory.
///
/// Handles are cheap to clone and share the store; it is closed when the last of them, keyspace handles among them, is
/// dropped, or by [`close`](Db::close), which reports errors. Everything may be called from any thread.
///
/// A store has one or more keyspaces. All the methods of [`Keyspace`] can be called on a `Db`, and then mean the keyspace
/// [`DEFAULT_KEYSPACE_NAME`], which always exists.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// use esker::{Db, Durability, WriteBatch};
///
/// let db = Db::open(dir.path())?;
/// db.put("user/1", "ada")?;
/// assert_eq!(db.get("user/1")?.as_deref(), Some(b"ada".as_slice()));
///
/// let mut batch = WriteBatch::new();
/// batch.put("user/2", "alan").delete("user/1");
/// db.write(batch, Durability::Synced)?;
///
/// for entry in db.range("user/1"..="user/9").rev() {
///     let (key, value) = entry?;
///     println!("{key:?} {value:?}");
/// }
/// # Ok::<(), esker::Error>(())
/// # .map_err(Into::<Box<dyn std::error::Error>>::into)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Db {
    default: Keyspace,
}

impl Deref for Db {
    type Target = Keyspace;

    fn deref(&self) -> &Keyspace {
        &self.default
    }
}

impl Db {
    /// Opens the store in this directory, with the default options; creates it if there is none.
    ///
    /// # Errors
    /// See [`Builder::open`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let db = esker::Db::open(dir.path())?;
    /// assert!(db.get("nothing yet")?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Db> {
        Builder::new().open(path)
    }

    /// Options for opening a store.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let db = esker::Db::builder().memory_budget(32 << 20).open(dir.path())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Removes a store and everything in its directory that belongs to it.
    ///
    /// # Errors
    /// `NoStore` if there is none, `Locked` if it is in use, `NotEmpty` if the directory holds other files too (nothing is
    /// removed then), `Io`.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("store");
    /// esker::Db::open(&path)?.close()?;
    /// esker::Db::destroy(&path)?;
    /// assert!(!path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn destroy(path: impl AsRef<Path>) -> Result<()> {
        open::destroy(&crate::LocalEnv, path.as_ref())
    }

    pub(crate) fn new(handle: Arc<Handle>, default: Arc<Tree>) -> Db {
        Db { default: Keyspace::new(handle, default) }
    }

    fn core(&self) -> &Arc<Core> {
        self.default.core()
    }

    /// The directory that the store was opened in.
    pub fn path(&self) -> &Path {
        self.core().path()
    }

    /// What was found and done when the store was opened.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let db = esker::Db::open(dir.path())?;
    /// assert!(db.recovery().torn.is_empty(), "a crash left a torn log");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recovery(&self) -> &RecoveryReport {
        &self.core().recovery
    }

    /// The keyspace of this name.
    ///
    /// # Errors
    /// `NoSuchKeyspace`.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// use esker::Error;
    /// assert!(matches!(db.keyspace("users"), Err(Error::NoSuchKeyspace { .. })));
    /// db.create_keyspace("users", Default::default())?;
    /// db.keyspace("users")?.put("ada", "Lovelace")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keyspace(&self, name: &str) -> Result<Keyspace> {
        self.core().health.check_open()?;
        Ok(Keyspace::new(self.default.handle().clone(), self.core().tree(name)?))
    }

    /// The names of all keyspaces, ascending.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// db.create_keyspace("users", Default::default())?;
    /// assert_eq!(db.keyspaces(), ["default", "users"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keyspaces(&self) -> Vec<String> {
        self.core().all_trees().iter().map(|tree| tree.name().to_owned()).collect()
    }

    /// Creates a keyspace. It is durable when this returns.
    ///
    /// # Errors
    /// `KeyspaceExists`; `Invalid` if the name or an option is not acceptable; `ReadOnly`; `Io`.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use esker::{Db, KeyspaceOptions, WriteBatch, Durability};
    /// let db = Db::open(dir.path())?;
    /// let users = db.create_keyspace("users", KeyspaceOptions::new())?;
    /// let mut batch = WriteBatch::new();
    /// users.put_to(&mut batch, "1", "ada").put("audit/1", "created");
    /// db.write(batch, Durability::Buffered)?;
    /// assert!(users.contains_key("1")? && db.contains_key("audit/1")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create_keyspace(&self, name: &str, options: KeyspaceOptions) -> Result<Keyspace> {
        let core = self.core();
        core.health.check_writable()?;
        check_name(name)?;
        options.check()?;
        open::check_formats(&core.registry, &options)?;
        let _ddl = std_lock(&core.ddl);
        core.health.check_writable()?;
        if core.tree(name).is_ok() {
            return Err(Error::KeyspaceExists { name: name.to_owned() });
        }
        let id = core.set.new_keyspace_id();
        let record = open::record_of(name, &options);
        let edit = VersionEdit {
            next_keyspace: Some(id + 1),
            keyspaces: vec![KeyspaceEdit { id, record: Some(record.clone()), ..KeyspaceEdit::default() }],
            ..VersionEdit::default()
        };
        core.log_and_apply(edit, |_| ())?;
        let mem = Arc::new(Memtable::new(core.committer.limits.memtable_capacity(0)));
        let version = core.set.version(id)?;
        let tree =
            Arc::new(Tree::new(id, record, options, core.tables.clone(), mem, version, Ages::default()));
        core.committer.add_tree(tree.clone(), None);
        core.insert_tree(tree.clone());
        Ok(Keyspace::new(self.default.handle().clone(), tree))
    }

    /// Drops a keyspace and everything in it at once, whatever its size. Readers that are under way go on; new ones get
    /// `NoSuchKeyspace`.
    ///
    /// # Errors
    /// `NoSuchKeyspace`; `Invalid` for the default keyspace; `ReadOnly`; `Io`.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// let old = db.create_keyspace("old", Default::default())?;
    /// old.put("k", "v")?;
    /// db.drop_keyspace("old")?;
    /// assert_eq!(db.keyspaces(), ["default"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drop_keyspace(&self, name: &str) -> Result<()> {
        let core = self.core();
        core.health.check_writable()?;
        let _ddl = std_lock(&core.ddl);
        core.health.check_writable()?;
        let tree = core.tree(name)?;
        if tree.id == DEFAULT_KEYSPACE {
            return Err(Error::invalid(
                "keyspace",
                "the default keyspace cannot be dropped; delete its range `..`",
            ));
        }
        tree.dropped.store(true, Ordering::Release);
        tree.stop.store(true, Ordering::Release);
        // Flush and compaction of this keyspace notice and end; nothing may install tables after the drop.
        let (_compacting, _flushing) =
            core.workers.wanting(|| (std_lock(&tree.compacting), std_lock(&tree.flushing)));
        let pause = core.committer.pause();
        // A power loss must not keep the drop and lose what was written before it: a copy of the contents, perhaps.
        core.guard(core.committer.sync_under_locks(core.committer.log_end().0))
            .inspect_err(|_| tree.dropped.store(false, Ordering::Release))?;
        // In this order: nothing is sealed any more in a tree that the committer does not know.
        core.committer.remove_tree(tree.id);
        let sealed: usize = tree.sealed().iter().map(|s| s.bytes).sum();
        core.committer.stall.remove_sealed(sealed);
        let edit = VersionEdit {
            keyspaces: vec![KeyspaceEdit { id: tree.id, dropped: true, ..KeyspaceEdit::default() }],
            ..VersionEdit::default()
        };
        // The store is read-only if this fails, and the keyspace still there for its readers.
        core.log_and_apply(edit, |_| ()).inspect_err(|_| tree.dropped.store(false, Ordering::Release))?;
        drop(pause);
        core.remove_tree(name);
        tree.forget_contents();
        // Whoever was waiting for room in this keyspace finds it gone, and there is room again for the others.
        core.committer.stall.progress();
        core.committer.stall.wake_background();
        Ok(())
    }

    /// Writes a batch: all of it or nothing, also after a crash. Returns when it is visible and has the durability.
    ///
    /// # Errors
    /// `KeyTooLong`, `ValueTooLong`, `BatchTooLarge`, `NoSuchKeyspace`, `Invalid`: nothing was written. `Io`: the batch may or
    /// may not be there after the store is opened again. `ReadOnly`, `Closed`.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// use esker::{Durability, WriteBatch};
    /// db.put("from", "100")?;
    /// let mut batch = WriteBatch::new();
    /// batch.delete("from").put("to", "100");
    /// db.write(batch, Durability::Synced)?;
    /// assert_eq!(db.range(..).count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        self.write_with(&batch, WriteOptions::new(durability))
    }

    /// Like [`write`](Db::write), with a choice about stalls; the batch can be used again.
    ///
    /// # Errors
    /// Those of [`write`](Db::write), and `Busy` if the store would stall and `no_stall` was asked for.
    pub fn write_with(&self, batch: &WriteBatch, options: WriteOptions) -> Result<()> {
        let core = self.core();
        if batch.is_empty() && batch.checked(core.id).is_ok() {
            return core.health.check_writable();
        }
        core.write(None, &batch.checked(core.id)?, options).map(|_| ())
    }

    /// The largest [`byte_len`](WriteBatch::byte_len) of a batch of several operations: half the memory budget, 2 GiB at
    /// most. A single
    /// operation is taken whatever its size, within the limits of keys and values.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use esker::{Db, Durability, Error, WriteBatch};
    /// let db = Db::builder().memory_budget(1 << 20).open(dir.path())?;
    /// let mut batch = WriteBatch::new();
    /// batch.put("large", vec![0; db.max_batch_bytes()]);
    /// db.write_with(&batch, Default::default())?;
    /// batch.put("and", "more");
    /// let refused = db.write(batch, Durability::Buffered);
    /// assert!(matches!(refused, Err(Error::BatchTooLarge { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_batch_bytes(&self) -> usize {
        self.core().committer.limits.batch_bytes
    }

    /// Writes a batch without waiting for its durability: it is visible when this returns, and the handle tells when it is as
    /// durable as it asked to be. An event loop never blocks on an fsync this way. It may still have to wait when the store
    /// stalls, and while an ingest, a checkpoint or the drop of a keyspace takes its place among the writes; with `no_stall`
    /// the answer is `Busy` then. Whoever submits many at once says [`deferred`](WriteOptions::deferred).
    ///
    /// # Errors
    /// Those of [`write_with`](Db::write_with), apart from what the durability brings.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use esker::{Db, Durability, WriteBatch, WriteOptions};
    /// let db = Db::open(dir.path())?;
    /// let mut batch = WriteBatch::new();
    /// batch.put("k", "v");
    /// let commit = db.submit(&batch, WriteOptions::new(Durability::Synced))?;
    /// assert!(db.contains_key("k")?);
    /// commit.wait()?;
    /// assert!(matches!(commit.poll(), Some(Ok(()))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn submit(&self, batch: &WriteBatch, options: WriteOptions) -> Result<Commit> {
        let core = self.core();
        let ops = batch.checked(core.id)?;
        if batch.is_empty() {
            core.health.check_writable()?;
            return Ok(Commit::new(
                core.committer.clone(),
                0,
                Durability::Buffered,
                core.committer.visible(),
            ));
        }
        let committed = core.write_visible(None, &ops, options)?;
        let (lsn, durability) = (committed.lsn, options.durability);
        let commit = Commit::new(core.committer.clone(), lsn, durability, committed.last_seqno);
        if durability == Durability::Synced || options.deferred {
            // If the log cannot take it, the handle says so.
            drop(core.committer.write_large_tail(lsn));
        }
        if !options.deferred {
            commit.begin();
        }
        Ok(commit)
    }

    /// Whether a write would have to wait, or be slowed, because flush or compaction are behind. Whoever must not be held up asks
    /// before it writes, and leaves the waiting to another thread; see [`keep_step`](Db::keep_step).
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// assert!(!db.is_stalled());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_stalled(&self) -> bool {
        self.core().is_stalled()
    }

    /// Waits as long as a write of so many bytes would be slowed down because flush or compaction are behind: some milliseconds at
    /// most. Where writers are stopped it returns at once. For whoever writes with [`WriteOptions::no_stall`], which slows nobody
    /// down, and is to keep step with the background all the same.
    ///
    /// # Errors
    /// `ReadOnly` if the background has failed.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// if db.is_stalled() {
    ///     db.keep_step(100)?;
    /// }
    /// db.put_with("k", "v", esker::WriteOptions::new(esker::Durability::Buffered).no_stall(true))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keep_step(&self, bytes: usize) -> Result<()> {
        self.core().keep_step(bytes)
    }

    /// Writes nothing, and tells when everything that was written before, by whomever and with whatever durability, is as
    /// durable as this asks for: for an answer that rests on what somebody else has just written. Like
    /// [`submit`](Db::submit) it does not wait. Keyspaces without a log are not covered.
    ///
    /// # Errors
    /// `ReadOnly`, `Closed`.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// use esker::Durability;
    /// db.put("k", "buffered")?;
    /// let value = db.get("k")?;
    /// db.barrier(Durability::Synced)?.wait()?;
    /// println!("{value:?} survives a power loss");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn barrier(&self, durability: Durability) -> Result<Commit> {
        self.core().health.check_writable()?;
        Ok(Commit::barrier(&self.core().committer, durability))
    }

    /// The state of the whole store at this moment, for as long as the snapshot lives.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let db = esker::Db::open(dir.path())?;
    /// db.put("k", "old")?;
    /// let snapshot = db.snapshot();
    /// db.put("k", "new")?;
    /// assert_eq!(snapshot.get("k")?.as_deref(), Some(b"old".as_slice()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self)
    }

    /// Writes all memtables of all keyspaces to tables.
    ///
    /// # Errors
    /// `ReadOnly`, `Closed`, `Io`.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// db.put("k", "v")?;
    /// db.flush()?;
    /// assert_eq!(db.stats().memtable_bytes, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush(&self) -> Result<()> {
        let core = self.core();
        core.health.check_writable()?;
        core.all_trees().iter().try_for_each(|tree| core.flush_tree(tree))
    }

    /// Makes everything written so far survive a power loss, whatever durability it asked for. Keyspaces without a log need
    /// [`flush`](Db::flush).
    ///
    /// # Errors
    /// `ReadOnly`, `Closed`, `Io`.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let db = esker::Db::open(dir.path())?;
    /// for i in 0..100u32 {
    ///     db.put(i.to_be_bytes(), "buffered")?;
    /// }
    /// db.sync()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sync(&self) -> Result<()> {
        let core = self.core();
        core.health.check_writable()?;
        let synced = core.committer.sync_through(core.committer.log_end().0);
        // It may have been synced before by somebody who could not call back.
        core.committer.notify_done();
        synced
    }

    /// Closes the store: ends background work (a compaction under way is given up), makes everything durable and releases
    /// the directory. Other handles get [`Error::Closed`] from then on. Memtables are not flushed, since the log has them,
    /// but for those of keyspaces without a log.
    ///
    /// # Errors
    /// `Io` if the log could not be synced, or a table not be written.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// db.put("k", "v")?;
    /// db.clone().close()?;
    /// assert!(matches!(db.get("k"), Err(esker::Error::Closed)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(self) -> Result<()> {
        self.core().close()
    }

    /// Copies the store, as it is now, into a new directory that can be opened as a store: tables by hard links where the
    /// file system allows it, so that it takes little time and space. Reading and writing go on.
    ///
    /// # Errors
    /// `NotEmpty` if the directory exists, `ReadOnly`, `Io`.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let db = esker::Db::open(dir.path().join("store"))?;
    /// db.put("k", "v")?;
    /// db.checkpoint(dir.path().join("copy"))?;
    /// let copy = esker::Db::open(dir.path().join("copy"))?;
    /// assert!(copy.contains_key("k")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn checkpoint(&self, to: impl AsRef<Path>) -> Result<()> {
        checkpoint::checkpoint(self.core(), to.as_ref())
    }

    /// Reads everything that the store needs and checks it: every byte of every live table, the MANIFEST, and the log, which
    /// is synced first.
    ///
    /// # Errors
    /// `Closed`, or `Io` if something could not be read, or the log not be synced. Damage is not an error here: the report lists it.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// let db = esker::Db::open(dir.path())?;
    /// assert!(db.verify()?.problems.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(&self) -> Result<VerifyReport> {
        verify::verify(self.core())
    }

    /// What the store holds, has done, and is doing.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// db.put("k", "v")?;
    /// db.get("k")?;
    /// let stats = db.stats();
    /// assert_eq!((stats.writes, stats.gets, stats.hits), (1, 1, 1));
    /// println!("{stats}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stats(&self) -> Stats {
        stats::stats(self.core())
    }

    /// Does one piece of background work, if the environment leaves it to the caller ([`crate::Background::Stepped`]). Returns
    /// whether there was any.
    ///
    /// # Errors
    /// What the work ran into; the store is then read-only.
    pub fn step_background(&self) -> Result<bool> {
        self.core().step()
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
        let what = "a keyspace's name has 1 to 255 bytes and no control characters";
        return Err(Error::invalid("keyspace", what));
    }
    Ok(())
}
