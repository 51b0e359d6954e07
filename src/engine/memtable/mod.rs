//! The memtable room: writes that are in the log and not yet in a table.
//!
//! | part | what it is |
//! |---|---|
//! | [`Memtable`] | one keyspace's entries of one stretch of sequence numbers, in one arena |
//! | `arena` | the memory, and the nodes and blocks that lie in it |
//! | `tree`, `block` | the order of the entries |
//! | `filter` | which keys there may be |
//! | `tombstones` | the range deletions |
//! | [`Cut`] | some of them, in a form that can be searched |
//! | [`MemtableCursor`] | iteration, both ways |
//!
//! Any number of threads insert and read at the same time. Readers never wait; writers wait for each other only while
//! one of them splits a block of the tree, which takes less than a microsecond, or, in the order of their publication, while
//! one of them merges runs of range deletions. An entry is seen by every
//! lookup that begins after its insert has returned. A memtable never gives memory back and never grows: writers
//! reserve room before they write to the log, and when there is none the memtable is sealed.

mod arena;
mod block;
mod cursor;
mod cut;
mod filter;
mod tombstones;
mod tree;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use cursor::MemtableCursor;
pub(crate) use cut::{Cut, Part};

use crate::sync::{Apart, AtomicU64, AtomicUsize, Ordering};
use arena::Arena;
use esker_table::reader::Found;
use esker_table::{Kind, LookupKey, SeqNo, Trailer};
use filter::Filter;
use std::sync::Arc;
use tombstones::Tombstones;
use tree::Tree;

/// The largest capacity of a memtable (an arena counts its 4-byte units in 32 bits, and needs some room beyond).
const MAX_CAPACITY: usize = if usize::BITS > 32 { 15 << 30 } else { 512 << 20 };

/// The bytes to reckon with for an entry: those that it takes itself, and a share of what orders the entries.
pub(crate) fn entry_bound(key_len: usize, value_len: usize) -> usize {
    arena::node_bytes(true, key_len, value_len) + tree::ENTRY_SHARE
}

/// One keyspace's entries of one stretch of sequence numbers. See the head of this file.
pub(crate) struct Memtable {
    arena: Arc<Arena>,
    tree: Tree,
    filter: Filter,
    tombstones: Tombstones,
    written: Apart<Written>,
    /// The bytes and nodes that the arena held before the first entry.
    empty: (usize, u64),
    /// The bytes that its entries may take.
    capacity: usize,
}

/// What each write changes.
struct Written {
    /// Bytes promised to writers that are not done.
    promised: AtomicUsize,
    max_seqno: AtomicU64,
}

impl Memtable {
    /// An empty memtable whose entries' [`entry_bound`]s may sum up to `capacity`. The memory is taken from the
    /// operating system as it is filled.
    pub(crate) fn new(capacity: usize) -> Memtable {
        let capacity = capacity.min(MAX_CAPACITY);
        let arena = Arena::new(capacity, tree::blocks_for(capacity), filter::words_for(capacity));
        let arena = Arc::new(arena);
        let (tree, filter) = (Tree::new(arena.clone()), Filter::new(arena.clone()));
        let tombstones = Tombstones::new(arena.clone());
        let empty = (arena.used() + tree.used(), arena.nodes());
        let written = Apart(Written { promised: AtomicUsize::new(0), max_seqno: AtomicU64::new(0) });
        Memtable { arena, tree, filter, tombstones, written, empty, capacity }
    }

    /// Whether the system has address space for a memtable of this capacity.
    ///
    /// # Errors
    /// What the system says against it.
    #[cfg(not(loom))]
    pub(crate) fn try_capacity(capacity: usize) -> std::io::Result<()> {
        let capacity = capacity.min(MAX_CAPACITY);
        Arena::try_map(capacity, tree::blocks_for(capacity), filter::words_for(capacity))
    }

    /// Promises room for entries whose [`entry_bound`]s sum up to `bound`, until [`release`](Self::release) is called
    /// with the same number after they were inserted (or given up). `false` if there is none: the memtable is full.
    pub(crate) fn try_reserve(&self, bound: usize) -> bool {
        // What is promised is counted before what is used is read: another writer's entries are then seen in the one
        // or in the other, and while it inserts in both.
        let promised = self.written.0.promised.fetch_add(bound, Ordering::AcqRel).saturating_add(bound);
        if self.bytes_used().saturating_add(promised) <= self.capacity {
            return true;
        }
        self.written.0.promised.fetch_sub(bound, Ordering::AcqRel);
        false
    }

    /// Ends a promise.
    pub(crate) fn release(&self, bound: usize) {
        self.written.0.promised.fetch_sub(bound, Ordering::AcqRel);
    }

    /// The bytes promised to writers that are not done; zero when nobody is inserting.
    #[cfg(test)]
    pub(crate) fn promised(&self) -> usize {
        self.written.0.promised.load(Ordering::Acquire)
    }

    /// Adds an entry for which room is reserved. Of a range deletion the key is the start and the value the end.
    #[inline]
    pub(crate) fn insert(&self, user_key: &[u8], trailer: Trailer, value: &[u8]) {
        if trailer.kind_number() == Kind::RangeDelete as u8 {
            self.tombstones.insert(user_key, trailer.seqno(), value);
        } else {
            self.tree.insert(user_key, trailer, value, &self.filter);
        }
        self.written.0.max_seqno.fetch_max(trailer.seqno(), Ordering::Relaxed);
    }

    /// The newest entry of the key that the lookup's snapshot can see, a delete among them. Range deletions are not
    /// applied. The value shares the memtable's memory.
    #[inline]
    pub(crate) fn get(&self, key: &LookupKey<'_>) -> Option<Found> {
        if !self.filter.may_contain(key.hash) {
            return None;
        }
        let node = self.tree.find(key.user_key, key.trailer())?;
        Some(Found { trailer: self.arena.trailer(node), value: self.arena.value_slice(node) })
    }

    /// The newest sequence number at or below `snapshot` whose range deletion covers the key.
    #[inline]
    pub(crate) fn covering_tombstone(&self, user_key: &[u8], snapshot: SeqNo) -> Option<SeqNo> {
        self.tombstones.covering(user_key, snapshot)
    }

    /// About how many entries, range deletions apart, have keys from `from` up to `to`; right within a factor of some three, for large numbers.
    pub(crate) fn entries_between(&self, from: &[u8], to: &[u8]) -> u64 {
        let share = (self.tree.share_before(to) - self.tree.share_before(from)).max(0.0);
        (share * self.entries().saturating_sub(self.tombstones.count()) as f64) as u64
    }

    /// The range deletions that a reader at `snapshot` sees, for a scan.
    pub(crate) fn cuts(&self, snapshot: SeqNo) -> Vec<Arc<Cut>> {
        self.tombstones.cuts(snapshot)
    }

    /// All range deletions: start, end and sequence number.
    pub(crate) fn range_deletes(&self) -> impl Iterator<Item = (&[u8], &[u8], SeqNo)> + '_ {
        self.tombstones.ranges()
    }

    /// A cursor over the entries other than range deletions, standing nowhere.
    pub(crate) fn cursor(self: &Arc<Self>) -> MemtableCursor {
        MemtableCursor::new(self.clone())
    }

    /// The bytes that its entries take, with their order.
    #[inline]
    pub(crate) fn bytes_used(&self) -> usize {
        self.arena.used() + self.tree.used() + self.tombstones.bytes() - self.empty.0
    }

    /// The number of entries, range deletions among them.
    pub(crate) fn entries(&self) -> u64 {
        self.arena.nodes() - self.empty.1
    }

    /// Whether nothing was inserted.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries() == 0
    }

    /// The newest sequence number of its entries; zero if there are none.
    pub(crate) fn max_seqno(&self) -> SeqNo {
        self.written.0.max_seqno.load(Ordering::Relaxed)
    }
}
