//! [`Tombstones`]: the range deletions of a memtable.
//!
//! A range deletion is a node of the arena, pushed on a stack: its key is the start of the range, its value the end.
//! To be searched, the older ones are cut into [`Fragments`], in *runs*; only the youngest few are looked at one by
//! one. Writers build the runs, readers never do, so that range deletions and lookups may alternate at will.
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
//!   for a tombstone logarithmic; unless the two overlap so much that their fragments would fill the memory (n ranges
//!   that all overlap are cut into fragments with n² numbers): then the older one stays as it is for good.

use super::arena::{Arena, Node};
use crate::pin::Pinned;
use crate::sync::{AtomicUsize, Mutex, Ordering, lock};
use esker_table::{Fragments, Kind, RangeTombstone, SeqNo, Trailer};
use std::sync::Arc;

/// How many loose tombstones make a run.
#[cfg(not(loom))]
const RUN: usize = 16;
#[cfg(loom)]
const RUN: usize = 1;

/// How many sequence numbers the fragments of a run may hold for each of its tombstones.
const DENSITY: usize = 16;

/// See the head of this file.
pub(super) struct Tombstones {
    arena: Arc<Arena>,
    /// Not a tombstone: its link leads to the youngest.
    top: Node,
    runs: Pinned<Vec<Run>>,
    /// How many tombstones were pushed, and how many of them are in runs. The difference is only a hint.
    pushed: AtomicUsize,
    covered: AtomicUsize,
    /// Held by the writer that builds runs.
    building: Mutex<()>,
    /// All tombstones in fragments, as of some top.
    whole: Mutex<(Option<Node>, Arc<Fragments>)>,
}

#[derive(Clone)]
struct Run {
    youngest: Node,
    count: usize,
    newest: SeqNo,
    /// Whether it overlaps so much that it is not merged any more.
    closed: bool,
    fragments: Arc<Fragments>,
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
            building: Mutex::new(()),
            whole: Mutex::new((None, Arc::default())),
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

    fn fragment(&self, youngest: Option<Node>, count: usize) -> Fragments {
        Fragments::new(self.walk(youngest, count).map(|node| RangeTombstone {
            start: self.arena.key(node).to_vec(),
            end: self.arena.value(node).to_vec(),
            seqno: self.arena.trailer(node).seqno(),
        }))
    }

    /// How many sequence numbers the fragments of these tombstones hold.
    fn weight(&self, youngest: Option<Node>, count: usize) -> usize {
        let mut bounds: Vec<(&[u8], isize)> = Vec::with_capacity(2 * count);
        for node in self.walk(youngest, count) {
            let (start, end) = (self.arena.key(node), self.arena.value(node));
            if start < end {
                bounds.extend([(start, 1), (end, -1)]);
            }
        }
        bounds.sort_unstable();
        let (mut weight, mut covering) = (0, 0);
        for (i, &(at, change)) in bounds.iter().enumerate() {
            covering += change;
            if bounds.get(i + 1).is_some_and(|&(next, _)| next != at) {
                weight += covering as usize;
            }
        }
        weight
    }

    /// Makes a run of the loose tombstones, unless another writer is at it.
    #[cold]
    fn build(&self) {
        let Ok(_guard) = self.building.try_lock() else { return };
        let mut runs = Vec::clone(&self.runs.load());
        let top = self.youngest();
        let Some(youngest) = top else { return };
        let covered = runs.last().map(|run| run.youngest);
        let mut count = self.walk(top, usize::MAX).take_while(|&node| Some(node) != covered).count();
        if count < RUN {
            return;
        }

        while let Some(before) = runs.last_mut().filter(|run| !run.closed && run.count <= 2 * count) {
            let both = before.count + count;
            if self.weight(top, both) > DENSITY * both + 1024 {
                before.closed = true;
                break;
            }
            count = both;
            runs.pop();
        }
        let newest = self.walk(top, count).map(|node| self.arena.trailer(node).seqno()).max();
        let fragments = Arc::new(self.fragment(top, count));

        runs.push(Run { youngest, count, newest: newest.unwrap_or(0), closed: false, fragments });
        let covered = runs.iter().map(|run| run.count).sum();
        self.runs.store(Arc::new(runs));
        self.covered.store(covered, Ordering::Relaxed);
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
        let covered = runs.last().map(|run| run.youngest);
        let mut newest = None;
        for node in self.walk(self.youngest(), usize::MAX).take_while(|&node| Some(node) != covered) {
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
            if newest < Some(run.newest.min(snapshot)) {
                newest = newest.max(run.fragments.covering(user_key, snapshot));
            }
        }
        newest
    }

    /// All tombstones. Cut anew when some were added since the last call.
    pub(super) fn fragments(&self) -> Arc<Fragments> {
        let top = self.youngest();
        let mut whole = lock(&self.whole);
        if whole.0 != top {
            *whole = (top, Arc::new(self.fragment(top, usize::MAX)));
        }
        whole.1.clone()
    }
}
