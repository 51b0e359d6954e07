//! [`LevelView`]: a sorted run as readers see it: slots, and the heads of their smallest and largest keys side by side.
//!
//! Keys often begin alike, all over a run. So the heads are those of what follows the prefix that all these keys
//! share, and a search compares the prefix once. A lookup asks each run of L0 where the key may be, and so compares heads alone.

use super::table_cache::{TableCache, TableSlot};
use crate::manifest::{FileMeta, SortedRun};
use esker_table::key;
use std::sync::Arc;

/// Tables that do not overlap, ascending.
#[derive(Debug)]
pub(crate) struct LevelView {
    slots: Vec<Arc<TableSlot>>,
    /// What all the smallest and largest keys begin with.
    prefix: Vec<u8>,
    /// The head of each table's largest key without the prefix: most searches end here, in a few cache lines.
    heads: Vec<u64>,
    /// The same of the smallest keys.
    smallest_heads: Vec<u64>,
    /// The tables that have range tombstones, ascending.
    with_tombstones: Vec<usize>,
    min_seqno: u64,
    entries: u64,
}

impl LevelView {
    /// The tables of a sorted run.
    pub(crate) fn new(run: &SortedRun, cache: &TableCache) -> LevelView {
        LevelView::of(run.tables.iter(), cache)
    }

    /// These tables, which must be ascending and not overlap.
    pub(crate) fn of<'a>(tables: impl Iterator<Item = &'a Arc<FileMeta>>, cache: &TableCache) -> LevelView {
        let slots: Vec<_> = tables.map(|meta| cache.slot(meta)).collect();
        let prefix = match (slots.first(), slots.last()) {
            (Some(first), Some(last)) => {
                let (a, b) = (&first.meta().smallest, &last.meta().largest);
                let shared = a.iter().zip(b).take_while(|(a, b)| a == b).count();
                a[..shared].to_vec()
            }
            _ => Vec::new(),
        };
        let heads = slots.iter().map(|s| key::head(&s.meta().largest[prefix.len()..])).collect();
        let smallest_heads = slots.iter().map(|s| key::head(&s.meta().smallest[prefix.len()..])).collect();
        let with_tombstones = (0..slots.len()).filter(|&i| slots[i].meta().range_tombstones > 0).collect();
        let min_seqno = slots.iter().map(|s| s.meta().min_seqno).min().unwrap_or(0);
        let entries = slots.iter().map(|s| s.meta().entries).sum();
        LevelView { slots, prefix, heads, smallest_heads, with_tombstones, min_seqno, entries }
    }

    /// The number of tables.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slot of table `i`.
    #[inline]
    pub(crate) fn slot(&self, i: usize) -> &Arc<TableSlot> {
        &self.slots[i]
    }

    /// All the slots.
    pub(crate) fn slots(&self) -> &[Arc<TableSlot>] {
        &self.slots
    }

    /// What the MANIFEST says of table `i`.
    #[inline]
    pub(crate) fn meta(&self, i: usize) -> &FileMeta {
        self.slots[i].meta()
    }

    /// The smallest sequence number in any of the tables.
    pub(crate) fn min_seqno(&self) -> u64 {
        self.min_seqno
    }

    /// The entries of all the tables together.
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// The indexes of the tables that have range tombstones, ascending.
    pub(crate) fn with_tombstones(&self) -> &[usize] {
        &self.with_tombstones
    }

    /// The index of the first table that does not end before `user_key`.
    #[inline]
    pub(crate) fn first_not_before(&self, user_key: &[u8]) -> usize {
        let Some(rest) = without_prefix(user_key, &self.prefix) else {
            // A key that is a part of the prefix lies before all that begin with it.
            return if user_key < &self.prefix[..] { 0 } else { self.slots.len() };
        };
        self.first_not_before_rest(user_key, key::head(rest))
    }

    /// The same of a key that begins with the prefix and goes on with this head.
    #[inline]
    fn first_not_before_rest(&self, user_key: &[u8], head: u64) -> usize {
        let from = self.heads.partition_point(|&h| h < head);
        if self.heads.get(from).is_none_or(|&h| h > head) {
            return from;
        }
        let equal = self.heads[from..].partition_point(|&h| h == head);
        from + self.slots[from..from + equal].partition_point(|s| s.meta().ends_before(user_key))
    }

    /// The table whose bounds include `user_key`.
    #[inline]
    pub(crate) fn find(&self, user_key: &[u8]) -> Option<&Arc<TableSlot>> {
        // A key that does not begin as all the bounds do lies outside of them.
        let head = key::head(without_prefix(user_key, &self.prefix)?);
        let i = self.first_not_before_rest(user_key, head);
        let (slot, smallest) = (self.slots.get(i)?, *self.smallest_heads.get(i)?);
        let begins = smallest < head || (smallest == head && slot.meta().smallest.as_slice() <= user_key);
        begins.then_some(slot)
    }

    /// Whether any table meets the range from `start` (inclusive) to `end` (exclusive).
    pub(crate) fn overlaps(&self, start: Option<&[u8]>, end: Option<&[u8]>) -> bool {
        let i = start.map_or(0, |s| self.first_not_before(s));
        self.slots.get(i).is_some_and(|s| s.meta().overlaps(start, end))
    }
}

/// What follows the prefix in a key that begins with it. Compares prefixes of up to 16 bytes without a call.
#[inline]
fn without_prefix<'a>(key: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (front, rest) = key.split_at_checked(prefix.len())?;
    let begins = match (front.first_chunk::<8>(), prefix.first_chunk::<8>()) {
        (Some(a), Some(b)) if front.len() <= 16 => {
            a == b && front.last_chunk::<8>() == prefix.last_chunk::<8>()
        }
        (Some(_), Some(_)) => front == prefix,
        _ => key::head(front) == key::head(prefix),
    };
    begins.then_some(rest)
}
