//! [`Core`]: what an open store consists of, and the work that is not tied to one keyspace.

use super::background;
use super::open::{RecoveryReport, cache_bytes};
use super::workers::Workers;
use crate::compaction;
use crate::compaction::limiter::{self, Pace, Pressure};
use crate::error::{Error, Result};
use crate::event::{Event, Events};
use crate::fs::filename::FileName;
use crate::fs::{DirLock, Env, Standing};
use crate::manifest::{KeyspaceEdit, KeyspaceId, Version, VersionEdit, VersionSet};
use crate::metrics::Metrics;
use crate::options::Durability;
use crate::read::SnapshotList;
use crate::sync::std_lock;
use crate::tables::{CachedBlocks, FormatRegistry, TableCache};
use crate::write::WriteOptions;
use crate::write::batch::Ops;
use crate::write::commit::{Committed, Committer};
use crate::write::health::Health;
use crate::write::stall::Duty;
use crate::write::tree::Tree;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

/// An open store. Shared by every handle and by the background threads.
pub(crate) struct Core {
    /// Tells this open store from every other in the process.
    pub(crate) id: u64,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) dir: PathBuf,
    pub(crate) read_only: bool,
    pub(crate) durability: Durability,
    pub(crate) registry: Arc<FormatRegistry>,
    pub(crate) tables: TableCache,
    pub(crate) blocks: Arc<CachedBlocks>,
    pub(crate) memory_budget: usize,
    /// What cached blocks may take now.
    pub(crate) cache_share: Mutex<u64>,
    pub(crate) set: Arc<VersionSet>,
    pub(crate) committer: Arc<Committer>,
    /// By name.
    pub(crate) trees: RwLock<BTreeMap<String, Arc<Tree>>>,
    pub(crate) snapshots: Arc<SnapshotList>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) events: Arc<Events>,
    pub(crate) health: Arc<Health>,
    pub(crate) recovery: RecoveryReport,
    /// Held while a keyspace is created or dropped, or given ingested tables.
    pub(crate) ddl: Mutex<()>,
    /// Checkpoints and verifications under way: segments of the log must stay. Held while some are removed.
    pub(crate) log_readers: Mutex<usize>,
    /// Held while a checkpoint is made.
    pub(crate) copying: Mutex<()>,
    /// Held while the store is closed.
    pub(crate) closing: Mutex<()>,
    pub(crate) workers: Workers,
    /// Ends the background threads.
    pub(crate) stop: AtomicBool,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    /// Released when the store is closed.
    pub(crate) lock: Mutex<Option<Box<dyn DirLock>>>,
}

/// The files that a process is taken to be allowed to open, where that is not known.
const FEW_FILES: u64 = 1024;

impl Core {
    pub(crate) fn tree(&self, name: &str) -> Result<Arc<Tree>> {
        let trees = self.trees.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        trees.get(name).cloned().ok_or_else(|| Error::NoSuchKeyspace { name: name.to_owned() })
    }

    /// The tree of the keyspace with this number, if there is one.
    fn tree_of(&self, id: KeyspaceId) -> Option<Arc<Tree>> {
        let trees = self.trees.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        trees.values().find(|tree| tree.id == id).cloned()
    }

    pub(crate) fn all_trees(&self) -> Vec<Arc<Tree>> {
        let trees = self.trees.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        trees.values().cloned().collect()
    }

    /// Runs a write through stall, commit and durability. `tree` is the only keyspace it touches, if that is known.
    pub(crate) fn write(
        &self,
        tree: Option<&Tree>,
        ops: &Ops<'_>,
        options: WriteOptions,
    ) -> Result<Committed> {
        let committed = self.write_visible(tree, ops, options)?;
        match options.durability {
            Durability::Buffered => self.committer.write_through(committed.lsn)?,
            Durability::Synced => self.committer.sync_through(committed.lsn)?,
        }
        Ok(committed)
    }

    /// Makes a write visible; its durability is still to be waited for.
    pub(crate) fn write_visible(
        &self,
        tree: Option<&Tree>,
        ops: &Ops<'_>,
        options: WriteOptions,
    ) -> Result<Committed> {
        self.health.check_writable()?;
        let named = match (tree, ops) {
            (None, Ops::Single(op)) => self.tree_of(op.keyspace),
            _ => None,
        };
        self.stall(tree.or(named.as_deref()), ops.byte_len(), options.no_stall)?;
        self.committer.commit(ops, options)
    }

    /// What a writer has to do before it may write to this keyspace.
    fn pace_of(&self, tree: &Tree) -> Pace {
        let pressure = Pressure {
            backlog: tree.backlog(),
            sealed_bytes: self.committer.stall.sealed_bytes() as u64,
            sealed_limit: self.committer.limits.sealed_bytes as u64,
            active_bytes: self.committer.stall.active_bytes() as u64,
            active_limit: self.committer.limits.memtable_bytes as u64,
            flush_drain: tree.drain.flushes(),
            merge_drain: tree.drain.merges(),
        };
        limiter::pace(&pressure, &tree.limits)
    }

    fn pace(&self, tree: Option<&Tree>) -> Pace {
        let Some(tree) = tree else {
            let worse = |a: Pace, b: Pace| match (a, b) {
                (Pace::Stop { .. }, _) | (_, Pace::Free) => a,
                (_, Pace::Stop { .. }) | (Pace::Free, _) => b,
                (Pace::Slow { nanos_per_byte: x, .. }, Pace::Slow { nanos_per_byte: y, .. }) if x < y => b,
                (Pace::Slow { .. }, Pace::Slow { .. }) => a,
            };
            let trees = self.trees.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            return trees.values().map(|tree| self.pace_of(tree)).fold(Pace::Free, worse);
        };
        self.pace_of(tree)
    }

    /// Whether writers have to wait at the moment.
    pub(crate) fn is_stalled(&self) -> bool {
        !matches!(self.pace(None), Pace::Free)
    }

    /// Waits as long as a write of so many bytes is slowed down, and for nothing where writers are stopped.
    pub(crate) fn keep_step(&self, bytes: usize) -> Result<()> {
        match self.pace(None) {
            Pace::Slow { nanos_per_byte, why } => {
                self.slow_down(Duration::from_nanos(nanos_per_byte * bytes as u64), why)
            }
            Pace::Free | Pace::Stop { .. } => Ok(()),
        }
    }

    /// Waits as long as the backlog of flush and compaction demands.
    #[inline]
    fn stall(&self, tree: Option<&Tree>, bytes: usize, no_stall: bool) -> Result<()> {
        if let Some(flushing) = self.workers.flushing().filter(|flushing| flushing.is_back())
            && self.is_flush_wanted()
        {
            flushing.want();
        }
        match self.pace(tree) {
            Pace::Free => Ok(()),
            Pace::Slow { .. } if no_stall => Ok(()),
            Pace::Slow { nanos_per_byte, why } => {
                self.slow_down(Duration::from_nanos(nanos_per_byte * bytes as u64), why)
            }
            Pace::Stop { why } if no_stall => {
                self.workers.want();
                Err(Error::Busy { what: why })
            }
            Pace::Stop { why } => self.wait_for_room(tree, why),
        }
    }

    /// Whether writers are about to be slowed down for a flush: a second memtable is sealed, or one has begun to fill up since. What the other
    /// memtables of several keyspaces held before counts too, so that flushes of such a store seldom stand back.
    fn is_flush_wanted(&self) -> bool {
        let (stall, memtable) = (&self.committer.stall, self.committer.limits.memtable_bytes);
        stall.sealed_bytes() > memtable / 2 * 3
            || limiter::is_filling_up(stall.active_bytes() as u64, memtable as u64)
    }

    #[cold]
    fn slow_down(&self, delay: Duration, why: &'static str) -> Result<()> {
        let stall = &self.committer.stall;
        let Some(delay) = stall.owe(delay) else { return Ok(()) };
        stall.slowed.fetch_add(1, Ordering::Relaxed);
        if stall.stepped {
            return self.step().map(|_| ());
        }
        let began = self.env.monotonic();
        self.workers.want();
        stall.wake_background();
        stall.wait_progress(stall.epoch(), Some(delay));
        self.note_stall(why, began);
        Ok(())
    }

    #[cold]
    fn wait_for_room(&self, tree: Option<&Tree>, why: &'static str) -> Result<()> {
        let stall = &self.committer.stall;
        let began = self.env.monotonic();
        stall.stalls.fetch_add(1, Ordering::Relaxed);
        loop {
            let epoch = stall.epoch();
            self.health.check_writable()?;
            if !matches!(self.pace(tree), Pace::Stop { .. }) {
                break;
            }
            if !stall.stepped {
                self.workers.want();
                stall.wake_background();
                stall.wait_progress(epoch, None);
            } else if !self.step()? {
                break;
            }
        }
        self.note_stall(why, began);
        Ok(())
    }

    fn note_stall(&self, reason: &'static str, began: Duration) {
        let waited = self.env.monotonic().saturating_sub(began);
        self.committer.stall.stalled_micros.fetch_add(waited.as_micros() as u64, Ordering::Relaxed);
        self.events.emit(&Event::Stalled { reason, waited });
    }

    /// Does one piece of background work. Returns whether there was any.
    pub(crate) fn step(&self) -> Result<bool> {
        // Also after a failure, so that those who wait are told.
        if self.committer.stall.stepped && self.committer.do_wanted()? {
            return Ok(true);
        }
        Ok(self.flush_step(None)? || self.compact_step(None)?)
    }

    /// Does one piece of what writers may wait for. Returns whether there was any.
    pub(crate) fn flush_step(&self, standing: Option<&Arc<Standing>>) -> Result<bool> {
        self.health.check_writable()?;
        self.note_ages();
        self.share_memory(false);
        self.committer.tend_log()?;
        if self.flush_pending(standing)? {
            return Ok(true);
        }
        self.committer.seal_idle();
        Ok(self.seal_expired() && self.flush_pending(standing)?)
    }

    /// Does one compaction, if one is wanted. Returns whether there was one.
    pub(crate) fn compact_step(&self, standing: Option<&Arc<Standing>>) -> Result<bool> {
        self.health.check_writable()?;
        self.committer.shorten_ended();
        if self.compact_once(standing)? {
            return Ok(true);
        }
        self.share_memory(true);
        self.remove_obsolete();
        Ok(false)
    }

    /// Takes from cached blocks the memory that sealed memtables take, and if `is_idle` gives it back. Only then: a cache that grows and
    /// shrinks with every flush forgets what it knows of blocks that it has given up.
    fn share_memory(&self, is_idle: bool) {
        let mut share = std_lock(&self.cache_share);
        let bytes = cache_bytes(self.memory_budget, self.committer.stall.sealed_bytes());
        if bytes < *share || (is_idle && bytes > *share) {
            *share = bytes;
            self.blocks.resize(bytes);
        }
    }

    /// Flushes the sealed memtables of one keyspace. Returns whether there were any.
    pub(crate) fn flush_pending(&self, standing: Option<&Arc<Standing>>) -> Result<bool> {
        for tree in self.all_trees() {
            if tree.has_sealed() && self.flush_sealed(&tree, standing)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes the memtables of a keyspace that are sealed by now to tables. Returns whether there were any.
    pub(crate) fn flush_sealed(&self, tree: &Arc<Tree>, standing: Option<&Arc<Standing>>) -> Result<bool> {
        let _one = match standing {
            Some(_) => std_lock(&tree.flushing),
            None => self.workers.wanting(|| std_lock(&tree.flushing)),
        };
        self.health.check_open()?;
        self.share_memory(false);
        let sealed = tree.sealed();
        let Some(last) = sealed.last() else { return Ok(false) };
        if tree.is_dropped() {
            return Ok(false);
        }
        self.committer.wait_visible(last.seqno);
        let began = self.env.monotonic();
        self.events.emit(&Event::FlushBegin { keyspace: tree.name().to_owned() });
        let mems: Vec<_> = sealed.iter().map(|s| s.mem.clone()).collect();
        let between = || {
            self.want_in_time(standing, began);
            Ok(())
        };
        if let Some(standing) = standing {
            standing.begin();
        }
        let standing = standing.filter(|_| !self.is_pressed() && !self.is_flush_wanted());
        let context = self.job_context(tree, Some(&between), standing);
        let added = self.guard(compaction::flush(&context, &mems))?;
        // A table makes its entries durable. Everything that was committed before them must be so too, or a power loss
        // could keep a later write and lose an earlier one, or a part of a batch. Mostly that is in tables already.
        if self.committer.others_unflushed(tree.id) {
            self.guard(self.committer.sync_under_locks(last.lsn))?;
        }
        self.guard(self.committer.leave_idle_segment())?;
        let (tables, bytes) = (added.len(), added.iter().map(|f| f.meta.size).sum());
        // The segment that records are appended to may not be on disk yet, and what the MANIFEST names has to be.
        let oldest = self.committer.oldest_needed_segment(tree.id, sealed.len()).min(self.set.newest_wal());
        let edit = VersionEdit {
            oldest_wal: Some(oldest),
            last_seqno: Some(last.seqno),
            keyspaces: vec![KeyspaceEdit {
                id: tree.id,
                flushed_seqno: Some(last.seqno),
                added,
                ages: self.ages_up_to(tree, last.seqno),
                ..KeyspaceEdit::default()
            }],
            ..VersionEdit::default()
        };
        let installed = self.set.log_and_apply(edit, |versions| {
            for (_, version) in versions {
                tree.install(version.clone(), sealed.len());
            }
        });
        self.guard(installed)?;
        self.choose_way();
        self.metrics.write.fsyncs.add(1);
        let drained: usize = sealed.iter().map(|s| s.bytes).sum();
        self.committer.stall.remove_sealed(drained);
        self.remove_old_segments();
        self.committer.stall.progress();
        self.committer.stall.wake(Duty::Compaction);
        if self.is_pressed() {
            self.workers.want();
        }
        let took = self.env.monotonic().saturating_sub(began);
        tree.drain.note_flush(drained as u64, bytes, took);
        self.metrics.write.flushes.add(1);
        self.metrics.write.flush_bytes.add(bytes);
        self.events.emit(&Event::FlushEnd { keyspace: tree.name().to_owned(), tables, bytes, took });
        Ok(true)
    }

    /// Chooses how tables are read, when there are others than before.
    pub(crate) fn choose_way(&self) {
        let tables = self.all_trees().iter().map(|tree| tree.version().bytes()).sum();
        let way = self.tables.way();
        way.may_open(self.env.file_limit().unwrap_or(FEW_FILES));
        way.choose(tables, self.memory_budget as u64, self.env.memory_limit());
    }

    /// Seals and flushes a keyspace, so that everything written before is in tables.
    pub(crate) fn flush_tree(&self, tree: &Arc<Tree>) -> Result<()> {
        self.health.check_writable()?;
        self.committer.seal(tree.id);
        while self.flush_sealed(tree, None)? {}
        Ok(())
    }

    /// A failure in background work ends all writing: what was acknowledged is in the log, and reopening recovers it.
    pub(crate) fn guard<T>(&self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| {
            if !matches!(error, Error::Closed | Error::Busy { .. }) {
                self.committer.fail(error);
            }
        })
    }

    /// Makes a change that a caller asked for. One that is refused before anything is written leaves everything as it was, and
    /// the store writable. What background work asks for is never refused but by mistake, and then ends writing.
    pub(crate) fn log_and_apply(
        &self,
        edit: VersionEdit,
        install: impl FnOnce(&[(KeyspaceId, Arc<Version>)]),
    ) -> Result<()> {
        let installed = self.set.log_and_apply(edit, install);
        if self.set.has_failed() { self.guard(installed) } else { installed }
    }

    /// Removes tables that no reader needs any more.
    pub(crate) fn remove_obsolete(&self) {
        for number in self.set.reclaim() {
            let path = FileName::Table(number).path(&self.dir);
            match self.env.remove_file(&path) {
                Ok(()) => {
                    self.set.removed(number);
                    self.events.emit(&Event::TableRemoved { number });
                }
                // The file stays known as obsolete, and is removed when the store is next opened.
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let what = Error::io(&path, "remove", error).to_string();
                    self.events.emit(&Event::BackgroundError { what });
                }
                Err(_) => self.set.removed(number),
            }
        }
    }

    /// Removes segments of the log that the MANIFEST does not need.
    pub(crate) fn remove_old_segments(&self) {
        if self.read_only || self.health.check_open().is_err() {
            return;
        }
        // Held to the end, so that nobody begins to read, and notes which segments are needed, in between.
        let log_readers = std_lock(&self.log_readers);
        if *log_readers > 0 {
            return;
        }
        let oldest = self.set.oldest_wal();
        self.committer.forget_segments_before(oldest);
        let old = {
            let mut segments = std_lock(&self.committer.segments);
            let needed = segments.split_off(&oldest);
            std::mem::replace(&mut *segments, needed)
        };
        // Without the lock: a writer that leaves a segment takes it, and to remove a long file takes long.
        for number in old.into_keys() {
            let path = FileName::Wal(number).path(&self.dir);
            if let Err(error) = self.env.remove_file(&path) {
                if error.kind() != std::io::ErrorKind::NotFound {
                    let what = Error::io(&path, "remove", error).to_string();
                    self.events.emit(&Event::BackgroundError { what });
                }
            } else {
                self.events.emit(&Event::LogSegmentRemoved { number });
            }
        }
    }

    /// Ends background work, makes everything durable, and releases the directory. Later calls do nothing.
    pub(crate) fn close(&self) -> Result<()> {
        // Most of what is in no log is flushed before writers have to wait.
        let mut result = if self.health.check_writable().is_ok() { self.flush_unlogged() } else { Ok(()) };
        self.stop.store(true, Ordering::Release);
        for tree in self.all_trees() {
            tree.stop.store(true, Ordering::Release);
        }
        self.committer.stall.stop_background();
        self.committer.queue.stop();
        self.workers.wanting(|| {
            for thread in std::mem::take(&mut *std_lock(&self.threads)) {
                // The last handle may be dropped by a callback on one of these threads.
                if thread.thread().id() != std::thread::current().id() {
                    let _ = thread.join();
                }
            }
        });
        let _one = std_lock(&self.closing);
        if self.health.check_open().is_err() {
            return Ok(());
        }
        // Writers that are under way end first; those that come later find the store closed. Nobody writes to the log
        // once the directory is released.
        let pause = self.committer.pause();
        if self.health.check_writable().is_ok() {
            // What was written since has to be in tables too.
            result = result.and(self.flush_unlogged());
        }
        if self.health.check_writable().is_ok() {
            result = result.and(self.close_log());
        }
        if !self.read_only && self.health.check_writable().is_ok() {
            self.remove_obsolete();
        }
        {
            // Flushes and compactions on other threads end too; those that come later find the store closed.
            let trees = self.all_trees();
            let _idle: Vec<_> =
                trees.iter().map(|tree| (std_lock(&tree.compacting), std_lock(&tree.flushing))).collect();
            if !self.read_only {
                self.set.close();
            }
            self.health.close();
        }
        std_lock(&self.lock).take();
        drop(pause);
        self.committer.stall.progress();
        // With no lock held: a callback may do anything.
        self.committer.notify_done();
        result
    }

    /// Flushes the keyspaces that have no log.
    pub(crate) fn flush_unlogged(&self) -> Result<()> {
        let trees = self.all_trees();
        trees.iter().filter(|tree| !tree.options.log).try_for_each(|tree| self.flush_tree(tree))
    }

    /// Ends the log, and records in the MANIFEST where it ends: after that no part of it can be lost unnoticed.
    fn close_log(&self) -> Result<()> {
        self.committer.enter_prepared()?;
        let closed_wal = Some(self.committer.finish_log()?);
        self.set.log_and_apply(VersionEdit { closed_wal, ..VersionEdit::default() }, |_| ())
    }

    /// Starts the threads that an environment with threads wants.
    pub(crate) fn start_threads(self: &Arc<Self>) -> Result<()> {
        if self.workers.iter().next().is_none() {
            return Ok(());
        }
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| -> Result<()> {
            let committer = self.committer.clone();
            let thread = self
                .env
                .spawn(name, Box::new(move || background::supervise(&committer, work)))
                .map_err(|error| Error::io(&self.dir, "start a thread for", error))?;
            std_lock(&self.threads).push(thread);
            Ok(())
        };
        for worker in self.workers.iter().cloned() {
            let core = self.clone();
            let name = if worker.duty == Duty::Flush { "esker-flush" } else { "esker-background" };
            spawn(name, Box::new(move || background::run(&core, &worker)))?;
        }
        let committer = self.committer.clone();
        spawn("esker-sync", Box::new(move || committer.run_sync_thread()))
    }

    pub(crate) fn insert_tree(&self, tree: Arc<Tree>) {
        let mut trees = self.trees.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        trees.insert(tree.name().to_owned(), tree);
    }

    pub(crate) fn remove_tree(&self, name: &str) {
        let mut trees = self.trees.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        trees.remove(name);
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.dir)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}
