//! Background work: the worker's loop, and what compaction does to the store.

use super::core::Core;
use super::workers::Worker;
use crate::compaction::limiter;
use crate::compaction::{self, Context, JobContext, ManualPlan, Pick, Reason};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::fs::{Standing, at_full_weight};
use crate::manifest::{FileMeta, VersionEdit};
use crate::read::Bounds;
use crate::sync::std_lock;
use crate::write::commit::Committer;
use crate::write::stall::Duty;
use crate::write::tree::Tree;
use esker_table::Fragments;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::TryLockError;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the worker looks for work that no write announces: entries that grow too old, files whose last reader
/// went.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How much threads stand back, as a niceness, for those that read and write: with half of their weight for flushes, which a writer may
/// have to wait for, and a quarter for merges, which nobody waits for. At the same weight as a writer a flush makes it late by itself.
/// With much less, memtables wait for flushes and L0 grows until writers wait for merges.
const FLUSHES: u8 = 3;
const MERGES: u8 = 6;

/// How long a flush or merge that nobody waits for is content with what others leave of the processors, which may be next to nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the body of a thread. However it ends, nobody goes on waiting for what it does not do any more: a panic, of a
/// hook most likely, ends all writing.
pub(crate) fn supervise(committer: &Committer, body: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
        committer.fail(&Error::panicked("background work", &*panic));
    }
    committer.stall.progress();
    committer.notify_done();
}

/// The body of a background thread.
pub(crate) fn run(core: &Arc<Core>, worker: &Worker) {
    let Worker { duty, standing } = worker;
    // Writers wait for the flushes of one that does everything, and these for its merges.
    let spare_time = match duty {
        Duty::All => None,
        Duty::Flush | Duty::Compaction => {
            core.env.lower_priority(if *duty == Duty::Flush { FLUSHES } else { MERGES });
            core.env.spare_time()
        }
    };
    standing.is_mine(spare_time);
    while core.committer.stall.wait_work(*duty, LOOK_EVERY) {
        loop {
            if core.stop.load(Ordering::Acquire) {
                return;
            }
            let done = match duty {
                Duty::All => core.step(),
                Duty::Flush => core.flush_step(Some(standing)),
                Duty::Compaction => core.compact_step(Some(standing)),
            };
            match done {
                Ok(true) => {}
                Ok(false) => break,
                // The failure has made the store read-only and was reported.
                Err(_) => return,
            }
        }
    }
}

impl Core {
    /// What flush and compaction of this keyspace work with. `between` is called now and then by long jobs.
    pub(crate) fn job_context<'a>(
        &'a self,
        tree: &'a Tree,
        between: Option<&'a dyn Fn() -> Result<()>>,
        standing: Option<&'a Arc<Standing>>,
    ) -> JobContext<'a> {
        // In this order: a snapshot that is not in the list yet sees everything that is visible now.
        let visible = self.committer.visible();
        let snapshots = self.snapshots.all();
        JobContext {
            env: &self.env,
            dir: &self.dir,
            registry: &self.registry,
            tables: &self.tables,
            set: &self.set,
            keyspace: tree.id,
            record: &tree.record,
            options: &tree.options,
            snapshots,
            visible,
            now_millis: self.env.now_millis(),
            horizon: self.horizon(tree),
            stop: &tree.stop,
            between,
            standing,
        }
    }

    /// Whether background work is so far behind that writers are about to be slowed down for it.
    pub(crate) fn is_pressed(&self) -> bool {
        self.all_trees().iter().any(|tree| limiter::is_pressed(&tree.backlog(), &tree.limits))
    }

    /// Brings this thread forward when what it does, which began then, has had to wait for others for long.
    pub(crate) fn want_in_time(&self, standing: Option<&Arc<Standing>>, began: Duration) {
        if let Some(standing) = standing.filter(|standing| standing.is_back())
            && self.env.monotonic().saturating_sub(began) > PATIENCE
        {
            standing.want();
        }
    }

    /// Calls `pick` with what a picker may know about this keyspace.
    fn with_pick_context<T>(&self, tree: &Tree, pick: impl FnOnce(&Context<'_>) -> T) -> T {
        let snapshots = self.snapshots.all();
        let tombstones = |meta: &Arc<FileMeta>| -> Option<Arc<Fragments>> {
            self.tables.slot(meta).table().ok()?.fragments().ok()?.cloned()
        };
        pick(&Context {
            options: &tree.options,
            is_filling: tree.is_filling(self.env.monotonic()),
            horizon: self.horizon(tree),
            snapshots: &snapshots,
            tombstones: &tombstones,
        })
    }

    /// Does the compaction that is wanted most, if one is wanted. Returns whether there was one.
    pub(crate) fn compact_once(&self, standing: Option<&Arc<Standing>>) -> Result<bool> {
        let mut wanted: Vec<(f64, Arc<Tree>)> = Vec::new();
        for tree in self.all_trees() {
            let version = tree.version();
            if let Some(pick) = self.with_pick_context(&tree, |context| compaction::pick(&version, context)) {
                wanted.push((pick.score, tree));
            }
        }
        wanted.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (_, tree) in wanted {
            // Somebody who compacts this keyspace by hand goes first.
            let _one = match tree.compacting.try_lock() {
                Ok(guard) => guard,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            if tree.is_dropped() {
                continue;
            }
            let version = tree.version();
            let Some(pick) = self.with_pick_context(&tree, |context| compaction::pick(&version, context))
            else {
                continue;
            };
            match self.run_pick(&tree, &pick, standing) {
                Ok(()) => return Ok(true),
                // The store is being closed, or the keyspace dropped.
                Err(Error::Closed) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Merges the tables of a range down to the bottom.
    pub(crate) fn compact_range(&self, tree: &Arc<Tree>, bounds: &Bounds) -> Result<()> {
        let _one = self.workers.wanting(|| std_lock(&tree.compacting));
        let owned = |key: Option<&[u8]>| key.map(<[u8]>::to_vec);
        let mut plan =
            ManualPlan::new(owned(bounds.lower()), owned(bounds.upper()), self.set.new_file_number());
        loop {
            self.health.check_writable()?;
            let version = tree.version();
            let Some(pick) = self.with_pick_context(tree, |context| plan.next(&version, context)) else {
                return Ok(());
            };
            self.run_pick(tree, &pick, None)?;
        }
    }

    /// Runs a compaction and installs what it did.
    fn run_pick(&self, tree: &Arc<Tree>, pick: &Pick, standing: Option<&Arc<Standing>>) -> Result<()> {
        let began = self.env.monotonic();
        let keyspace = tree.name();
        self.events.emit(&Event::CompactionBegin {
            keyspace: keyspace.to_owned(),
            output_level: pick.choice.output_level(),
            tables: pick.choice.tables().count(),
            bytes: pick.choice.tables().map(|t| t.size).sum(),
            reason: pick.reason.words(),
        });
        let between = || -> Result<()> {
            if self.committer.wants_care.load(Ordering::Relaxed) {
                // With locks that every writer takes.
                at_full_weight(|| self.committer.tend_log())?;
            }
            if !self.workers.flushes_are_apart() && self.committer.stall.sealed_bytes() > 0 {
                self.flush_pending(None)?;
            }
            self.want_in_time(standing, began);
            Ok(())
        };
        if let Some(standing) = standing {
            standing.begin();
        }
        let standing = standing.filter(|_| !self.is_pressed());
        let context = self.job_context(tree, Some(&between), standing);
        let done = self.guard(compaction::run(&context, &pick.choice))?;
        let (tables, report) = (done.edit.added.len(), done.report);
        let edit = VersionEdit { keyspaces: vec![done.edit], ..VersionEdit::default() };
        let installed = self.set.log_and_apply(edit, |versions| {
            for (_, version) in versions {
                tree.install(version.clone(), 0);
            }
        });
        self.guard(installed)?;
        self.choose_way();
        let took = self.env.monotonic().saturating_sub(began);
        let metrics = &self.metrics.write;
        metrics.compactions.add(1);
        metrics.compaction_bytes.add(report.bytes_written);
        metrics.compaction_read_bytes.add(report.bytes_read);
        metrics.fsyncs.add(tables as u64 + 1);
        if report.bytes_read > 0 && pick.reason != Reason::Manual {
            tree.drain.note_merge(pick.choice.bytes_out_of_l0(), took);
        }
        self.remove_obsolete();
        self.committer.stall.progress();
        self.events.emit(&Event::CompactionEnd {
            keyspace: keyspace.to_owned(),
            output_level: pick.choice.output_level(),
            tables,
            bytes: report.bytes_written,
            blocks_copied: report.blocks_copied,
            entries_read: report.fate.read,
            took,
        });
        Ok(())
    }
}
