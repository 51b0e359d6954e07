//! [`LevelView`]: a sorted run as readers see it: slots, and the heads of their smallest and largest keys side by side.
//!
//! Keys often begin alike, all over a run. So the heads are those of what follows the prefix that all these keys
//! share, and a search compares the prefix once. A lookup asks every run of L0, where it compares two heads and then asks
//! a filter.

use super::table_cache::{TableCache, TableSlot};
use crate::manifest::{FileMeta, SortedRun};
use esker_table::key;
use std::sync::Arc;

/// Tables that do not overlap, ascending.
#[derive(Debug)]
pub(crate) struct LevelView {
    slots: Vec<Arc<TableSlot>>,
    /// What all the smallest and largest keys begin with.
    prefix: Prefix,
    /// The head of each table's largest key without the prefix: most searches end here, in a few cache lines.
    largest_heads: Vec<u64>,
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
        let prefix = Prefix::new(match (slots.first(), slots.last()) {
            (Some(first), Some(last)) => {
                let (a, b) = (&first.meta().smallest, &last.meta().largest);
                let shared = a.iter().zip(b).take_while(|(a, b)| a == b).count();
                a[..shared].to_vec()
            }
            _ => Vec::new(),
        });
        let skip = prefix.bytes.len();
        let largest_heads = slots.iter().map(|s| key::head(&s.meta().largest[skip..])).collect();
        let smallest_heads = slots.iter().map(|s| key::head(&s.meta().smallest[skip..])).collect();
        let with_tombstones = (0..slots.len()).filter(|&i| slots[i].meta().range_tombstones > 0).collect();
        let min_seqno = slots.iter().map(|s| s.meta().min_seqno).min().unwrap_or(0);
        let entries = slots.iter().map(|s| s.meta().entries).sum();
        LevelView { slots, prefix, largest_heads, smallest_heads, with_tombstones, min_seqno, entries }
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
        let Some(rest) = self.prefix.strip(user_key) else {
            // A key that is a part of the prefix lies before all that begin with it.
            return if user_key < &self.prefix.bytes[..] { 0 } else { self.slots.len() };
        };
        self.first_not_before_rest(user_key, key::head(rest))
    }

    /// The same of a key that begins with the prefix and goes on with this head.
    #[inline]
    fn first_not_before_rest(&self, user_key: &[u8], head: u64) -> usize {
        let from = self.largest_heads.partition_point(|&h| h < head);
        if self.largest_heads.get(from).is_none_or(|&h| h > head) {
            return from;
        }
        let equal = self.largest_heads[from..].partition_point(|&h| h == head);
        from + self.slots[from..from + equal].partition_point(|s| s.meta().ends_before(user_key))
    }

    /// The table whose bounds include `user_key`.
    #[inline]
    pub(crate) fn find(&self, user_key: &[u8]) -> Option<&Arc<TableSlot>> {
        // A key that does not begin as all the bounds do lies outside of them.
        let head = key::head(self.prefix.strip(user_key)?);
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

/// What keys begin with.
#[derive(Debug)]
struct Prefix {
    bytes: Vec<u8>,
    /// The head, and which of its bits are there.
    head: u64,
    mask: u64,
}

impl Prefix {
    fn new(bytes: Vec<u8>) -> Prefix {
        let missing = 8 * 8usize.saturating_sub(bytes.len()) as u32;
        Prefix { head: key::head(&bytes), mask: u64::MAX.checked_shl(missing).unwrap_or(0), bytes }
    }

    /// What follows the prefix in a key that begins with it. Makes no call if the prefix has up to sixteen bytes, and the key has eight.
    #[inline]
    fn strip<'a>(&self, key: &'a [u8]) -> Option<&'a [u8]> {
        let (front, rest) = key.split_at_checked(self.bytes.len())?;
        let begins = (key::head(key) ^ self.head) & self.mask == 0
            && match front.len() {
                0..=8 => true,
                9..=16 => front.last_chunk::<8>() == self.bytes.last_chunk::<8>(),
                _ => front == &self.bytes[..],
            };
        begins.then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_stripped_from_keys_that_begin_with_it() {
        for len in 0..=20usize {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8 * 7).collect();
            let prefix = Prefix::new(bytes.clone());
            let check =
                |key: &[u8]| assert_eq!(prefix.strip(key), key.strip_prefix(&bytes[..]), "{len} {key:?}");
            for tail in [&b""[..], b"\0", b"tail", b"a longer tail"] {
                let key = [&bytes, tail].concat();
                for cut in 0..=key.len() {
                    check(&key[..cut]);
                }
                for at in 0..key.len() {
                    for other in [0, key[at] ^ 1, 0xff] {
                        let mut key = key.clone();
                        key[at] = other;
                        check(&key);
                    }
                }
            }
        }
    }
}
