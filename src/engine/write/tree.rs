//! [`Tree`]: one keyspace of an open store: its memtables, its version, and what readers read.

use super::drain::Drain;
use super::log::Lsn;
use crate::compaction::limiter::{Backlog, Limits};
use crate::compaction::picker;
use crate::manifest::{Ages, KeyspaceId, KeyspaceRecord, Version};
use crate::memtable::{Memtable, entry_bound};
use crate::options::KeyspaceOptions;
use crate::pin::Pinned;
use crate::read::ReadState;
use crate::sync::{Mutex, lock};
use crate::tables::TableCache;
use esker_table::SeqNo;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// A memtable that takes no more writes and waits to be flushed.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub(crate) mem: Arc<Memtable>,
    /// Every entry of the keyspace up to here is in this memtable, an older one or a table.
    pub(crate) seqno: SeqNo,
    /// The end of the log when it was sealed.
    pub(crate) lsn: Lsn,
    /// The first segment that holds a record of it; `None` if none does.
    pub(crate) first_segment: Option<u64>,
    /// What it counted as while it was active.
    pub(crate) bytes: usize,
}

struct Layers {
    mem: Arc<Memtable>,
    /// Oldest first.
    sealed: VecDeque<Sealed>,
    version: Arc<Version>,
}

/// One keyspace of an open store.
///
/// `layers` is the truth, changed by sealing (under the commit lock) and by installing a version (under the MANIFEST's
/// lock). After each change a new [`ReadState`] is pinned for readers, who never take the lock.
pub(crate) struct Tree {
    pub(crate) id: KeyspaceId,
    pub(crate) record: KeyspaceRecord,
    pub(crate) options: KeyspaceOptions,
    cache: TableCache,
    layers: Mutex<Layers>,
    read: Pinned<ReadState>,
    /// Held while memtables of this keyspace are flushed.
    pub(crate) flushing: std::sync::Mutex<()>,
    /// Held while tables of this keyspace are compacted.
    pub(crate) compacting: std::sync::Mutex<()>,
    pub(crate) dropped: AtomicBool,
    /// Makes a compaction of this keyspace end early.
    pub(crate) stop: AtomicBool,
    /// How old entries are, those in memtables included. The MANIFEST knows it of those in tables. Empty without a time
    /// to live.
    pub(crate) ages: std::sync::Mutex<Ages>,
    pub(crate) limits: Limits,
    /// How fast background work lately was here.
    pub(crate) drain: Drain,
    l0_runs: AtomicUsize,
    /// Their running average over flushes and merges, in parts of [`AVERAGED`].
    l0_average: AtomicU64,
    debt: AtomicU64,
    /// When a memtable was last sealed because it was full, in milliseconds of the environment's time; one more, so that 0 is never.
    filled_at: AtomicU64,
}

/// The average of L0's runs counts in so many parts of a run.
const AVERAGED: u64 = 256;

/// For so long after a memtable was full the keyspace counts as being filled.
const FILLING: Duration = Duration::from_secs(3);

impl Tree {
    pub(crate) fn new(
        id: KeyspaceId,
        record: KeyspaceRecord,
        options: KeyspaceOptions,
        cache: TableCache,
        mem: Arc<Memtable>,
        version: Arc<Version>,
        ages: Ages,
    ) -> Tree {
        let read = Arc::new(ReadState::new(mem.clone(), Vec::new(), version.clone(), &cache));
        let tree = Tree {
            limits: Limits::of(&options.compaction),
            id,
            record,
            options,
            cache,
            layers: Mutex::new(Layers { mem, sealed: VecDeque::new(), version: version.clone() }),
            read: Pinned::new(read),
            flushing: std::sync::Mutex::new(()),
            compacting: std::sync::Mutex::new(()),
            dropped: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            ages: std::sync::Mutex::new(ages),
            drain: Drain::default(),
            l0_runs: AtomicUsize::new(0),
            l0_average: AtomicU64::new(version.levels[0].runs.len() as u64 * AVERAGED),
            debt: AtomicU64::new(0),
            filled_at: AtomicU64::new(0),
        };
        tree.note_backlog(&version);
        tree
    }

    /// What readers read now. Never blocks.
    #[inline]
    pub(crate) fn read_state(&self) -> Arc<ReadState> {
        self.read.load()
    }

    pub(crate) fn name(&self) -> &str {
        &self.record.name
    }

    pub(crate) fn memtable(&self) -> Arc<Memtable> {
        lock(&self.layers).mem.clone()
    }

    pub(crate) fn version(&self) -> Arc<Version> {
        lock(&self.layers).version.clone()
    }

    /// What compaction has before it.
    #[inline]
    pub(crate) fn backlog(&self) -> Backlog {
        Backlog {
            l0_runs: self.l0_runs.load(Ordering::Relaxed) as u64,
            l0_average: self.l0_average.load(Ordering::Relaxed) / AVERAGED,
            debt: self.debt.load(Ordering::Relaxed),
        }
    }

    fn note_backlog(&self, version: &Version) {
        let runs = version.levels[0].runs.len();
        self.l0_runs.store(runs, Ordering::Relaxed);
        let before = self.l0_average.load(Ordering::Relaxed);
        self.l0_average.store(before - before / 8 + runs as u64 * AVERAGED / 8, Ordering::Relaxed);
        self.debt.store(picker::debt(version, &self.options.compaction), Ordering::Relaxed);
    }

    /// Notes that a memtable is full, at this time of the environment.
    pub(crate) fn note_filled(&self, now: Duration) {
        self.filled_at.store(now.as_millis() as u64 + 1, Ordering::Relaxed);
    }

    /// Whether a memtable was full not long ago.
    pub(crate) fn is_filling(&self, now: Duration) -> bool {
        match self.filled_at.load(Ordering::Relaxed) {
            0 => false,
            at => (now.as_millis() as u64 + 1).saturating_sub(at) < FILLING.as_millis() as u64,
        }
    }

    /// Lets go of everything that a dropped keyspace held; readers that are under way keep what they pinned.
    pub(crate) fn forget_contents(&self) {
        let mut layers = lock(&self.layers);
        layers.mem = Arc::new(Memtable::new(entry_bound(0, 0)));
        layers.sealed.clear();
        layers.version = Arc::default();
        self.note_backlog(&layers.version);
        let empty = ReadState::new(layers.mem.clone(), Vec::new(), layers.version.clone(), &self.cache);
        self.read.store(Arc::new(empty));
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    /// Puts `fresh` in the place of the active memtable, which is `sealed`.
    pub(crate) fn seal(&self, sealed: Sealed, fresh: Arc<Memtable>) {
        let mut layers = lock(&self.layers);
        layers.mem = fresh;
        layers.sealed.push_back(sealed);
        self.publish_memtables(&layers);
    }

    fn publish_memtables(&self, layers: &Layers) {
        let sealed = layers.sealed.iter().rev().map(|s| s.mem.clone()).collect();
        self.read.store(Arc::new(self.read.load().with_memtables(layers.mem.clone(), sealed)));
    }

    /// The memtables that wait to be flushed, oldest first.
    pub(crate) fn sealed(&self) -> Vec<Sealed> {
        lock(&self.layers).sealed.iter().cloned().collect()
    }

    pub(crate) fn has_sealed(&self) -> bool {
        !lock(&self.layers).sealed.is_empty()
    }

    /// The oldest segment that a sealed memtable needs, apart from the `skip` oldest ones.
    pub(crate) fn oldest_sealed_segment(&self, skip: usize) -> Option<u64> {
        lock(&self.layers).sealed.iter().skip(skip).filter_map(|s| s.first_segment).min()
    }

    /// Makes `version` the one that readers see, in which the `flushed` oldest sealed memtables are tables.
    pub(crate) fn install(&self, version: Arc<Version>, flushed: usize) {
        let mut layers = lock(&self.layers);
        layers.sealed.drain(..flushed);
        layers.version = version.clone();
        self.note_backlog(&version);
        let sealed = layers.sealed.iter().rev().map(|s| s.mem.clone()).collect();
        self.read.store(Arc::new(ReadState::new(layers.mem.clone(), sealed, version, &self.cache)));
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyspace")
            .field("id", &self.id)
            .field("name", &self.record.name)
            .finish_non_exhaustive()
    }
}
