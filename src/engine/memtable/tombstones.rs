//! [`Tombstones`]: the range deletions of a memtable.
//!
//! A range deletion is a node of the arena, pushed on a stack: its key is the start of the range, its value the end.
//! To be searched, the older ones are [`Cut`], in *runs*; only the youngest few are looked at one by one. Writers build
//! the runs, readers never do, so that range deletions, lookups and scans may alternate at will.
//!
//! ```text
//!   top ─► t9 ─► t8 ─► t7 ─► t6 ─► t5 ─► t4 ─► t3 ─► t2 ─► t1 ─► t0 ─► end
//!          ╰── loose ─╯│    ╰ run of 2 ╯│    ╰───── run of 5 ─────╯
//!                      the youngest tombstone of each run
//! ```
//!
//! Invariants:
//! - The runs cover the stack from some tombstone down to its end, each exactly once. A reader takes the runs first
//!   and the top after, so that going down from the top it always meets the youngest run's first tombstone.
//! - A run is merged with the one before it when it has grown to a size like it, which keeps the runs few and the work
//!   for a tombstone logarithmic; only what is longer than [`LONGEST`] stays as it is, so that no writer is busy for long.
//! - The runs' memory is linear in the number of tombstones, but for a logarithm, and counts as the memtable's.

use super::arena::{Arena, Node};
use super::cut::Cut;
use crate::pin::Pinned;
use crate::sync::{AtomicUsize, Mutex, Ordering, try_lock};
use esker_table::{Kind, SeqNo, Trailer};
use std::sync::Arc;

/// How many loose tombstones make a run.
#[cfg(not(loom))]
const RUN: usize = 16;
#[cfg(loom)]
const RUN: usize = 1;

/// A run of more tombstones is not merged any more.
const LONGEST: usize = 1 << 18;

/// See the head of this file.
pub(super) struct Tombstones {
    arena: Arc<Arena>,
    /// Not a tombstone: its link leads to the youngest.
    top: Node,
    runs: Pinned<Vec<Run>>,
    /// How many tombstones were pushed, and how many of them are in runs. The difference is only a hint.
    pushed: AtomicUsize,
    covered: AtomicUsize,
    /// The bytes of the runs.
    bytes: AtomicUsize,
    /// Held by the writer that builds runs.
    building: Mutex<()>,
}

#[derive(Clone)]
struct Run {
    youngest: Node,
    count: usize,
    cut: Arc<Cut>,
}

impl Tombstones {
    pub(super) fn new(arena: Arc<Arena>) -> Tombstones {
        let top = arena.node(true, b"", Trailer::FIRST, b"");
        Tombstones {
            arena,
            top,
            runs: Pinned::new(Arc::new(Vec::new())),
            pushed: AtomicUsize::new(0),
            covered: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            building: Mutex::new(()),
        }
    }

    fn youngest(&self) -> Option<Node> {
        self.arena.next(self.top)
    }

    /// Whether there are none.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.youngest().is_none()
    }

    /// How many there are, about: one that is just being inserted may be missing.
    pub(super) fn count(&self) -> u64 {
        self.pushed.load(Ordering::Relaxed) as u64
    }

    /// Deletes every key from `start` to `end` (exclusive).
    pub(super) fn insert(&self, start: &[u8], seqno: SeqNo, end: &[u8]) {
        let node = self.arena.node(true, start, Trailer::new(seqno, Kind::RangeDelete), end);
        loop {
            let younger = self.youngest();
            self.arena.set_next(node, younger);
            if self.arena.exchange_next(self.top, younger, node) {
                break;
            }
        }
        let pushed = self.pushed.fetch_add(1, Ordering::Relaxed) + 1;
        if pushed.saturating_sub(self.covered.load(Ordering::Relaxed)) >= RUN {
            self.build();
        }
    }

    /// The `count` tombstones from `youngest` downwards.
    fn walk(&self, youngest: Option<Node>, count: usize) -> impl Iterator<Item = Node> + '_ {
        std::iter::successors(youngest, |&node| self.arena.next(node)).take(count)
    }

    /// Makes a run of the loose tombstones, unless another writer is at it; and then of those that others left meanwhile.
    #[cold]
    fn build(&self) {
        while self.build_run() {}
    }

    /// Makes one run, if there are enough loose tombstones and nobody else is at it. Returns whether there was one to make.
    fn build_run(&self) -> bool {
        let Some(_guard) = try_lock(&self.building) else { return false };
        let mut runs = Vec::clone(&self.runs.load());
        let top = self.youngest();
        let Some(youngest) = top else { return false };
        let covered = runs.last().map(|run| run.youngest);
        let mut count = self.walk(top, usize::MAX).take_while(|&node| Some(node) != covered).count();
        if count < RUN {
            return false;
        }

        while let Some(before) = runs.pop_if(|run| run.count <= (2 * count).min(LONGEST)) {
            count += before.count;
        }
        let cut = Arc::new(Cut::new(&self.arena, self.walk(top, count)));
        runs.push(Run { youngest, count, cut });
        let covered = runs.iter().map(|run| run.count).sum();
        self.bytes.store(runs.iter().map(|run| run.cut.bytes()).sum(), Ordering::Relaxed);
        self.runs.store(Arc::new(runs));
        self.covered.store(covered, Ordering::Relaxed);
        true
    }

    /// The bytes that order the tombstones.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Those that are in no run yet, if these are the runs.
    fn loose(&self, runs: &[Run]) -> impl Iterator<Item = Node> + '_ {
        let covered = runs.last().map(|run| run.youngest);
        self.walk(self.youngest(), usize::MAX).take_while(move |&node| Some(node) != covered)
    }

    /// The newest sequence number at or below `snapshot` that deletes `user_key`.
    #[inline]
    pub(super) fn covering(&self, user_key: &[u8], snapshot: SeqNo) -> Option<SeqNo> {
        if self.is_empty() {
            return None;
        }
        self.search(user_key, snapshot)
    }

    fn search(&self, user_key: &[u8], snapshot: SeqNo) -> Option<SeqNo> {
        let runs = self.runs.load();
        let mut newest = None;
        for node in self.loose(&runs) {
            let seqno = self.arena.trailer(node).seqno();
            if seqno <= snapshot
                && newest < Some(seqno)
                && self.arena.key(node) <= user_key
                && user_key < self.arena.value(node)
            {
                newest = Some(seqno);
            }
        }
        for run in runs.iter().rev() {
            if newest < Some(run.cut.newest().min(snapshot)) {
                newest = newest.max(run.cut.covering(user_key, snapshot));
            }
        }
        newest
    }

    /// For a scan: all tombstones that a reader at `snapshot` sees, cut. The few loose ones are cut for this scan alone.
    pub(super) fn cuts(&self, snapshot: SeqNo) -> Vec<Arc<Cut>> {
        let runs = self.runs.load();
        let mut loose =
            self.loose(&runs).filter(|&node| self.arena.trailer(node).seqno() <= snapshot).peekable();
        let loose = loose.peek().is_some().then(|| Arc::new(Cut::new(&self.arena, loose)));
        let seen = runs.iter().rev().filter(|run| !run.cut.is_hidden_from(snapshot));
        loose.into_iter().chain(seen.map(|run| run.cut.clone())).collect()
    }

    /// All tombstones: start, end and sequence number.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (&[u8], &[u8], SeqNo)> + '_ {
        self.walk(self.youngest(), usize::MAX)
            .map(|node| (self.arena.key(node), self.arena.value(node), self.arena.trailer(node).seqno()))
    }
}
