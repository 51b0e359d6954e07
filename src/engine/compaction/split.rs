//! [`Splitter`]: where one output table ends and the next begins.
//!
//! A cut is made before the first entry of a user key, never inside one:
//! - when the table has reached its size;
//! - where a table of the level below (a *grandparent*) begins, once the table has half its size: later merges then find
//!   borders in the same places and rewrite less at the edges;
//! - when the table meets so many bytes of grandparents that moving it down one day would be a large merge.

use crate::manifest::FileMeta;
use std::sync::Arc;

/// Says where to cut. Keys must come ascending.
#[derive(Debug)]
pub(crate) struct Splitter {
    grandparents: Vec<Arc<FileMeta>>,
    /// The first grandparent that does not end before the current key.
    at: usize,
    /// Bytes of grandparents that the current table has met.
    met: u64,
    table_bytes: u64,
    max_overlap_bytes: u64,
}

impl Splitter {
    /// `grandparents` ascend and do not overlap.
    pub(crate) fn new(
        grandparents: Vec<Arc<FileMeta>>,
        table_bytes: u64,
        max_overlap_bytes: u64,
    ) -> Splitter {
        Splitter { grandparents, at: 0, met: 0, table_bytes: table_bytes.max(1), max_overlap_bytes }
    }

    /// One table, however large.
    pub(crate) fn never() -> Splitter {
        Splitter::new(Vec::new(), u64::MAX, u64::MAX)
    }

    /// Whether to end the current table, of `size` bytes so far, before `user_key`. If it says yes, it takes the next
    /// table to begin there.
    pub(crate) fn cut_before(&mut self, user_key: &[u8], size: u64) -> bool {
        let mut crossed = false;
        while self.grandparents.get(self.at).is_some_and(|g| g.ends_before(user_key)) {
            self.met = self.met.saturating_add(self.grandparents[self.at].size);
            self.at += 1;
            crossed = true;
        }
        let cut = size >= self.table_bytes
            || (crossed && size >= self.table_bytes / 2)
            || self.met > self.max_overlap_bytes;
        if cut {
            self.met = 0;
        }
        cut && size > 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::picker::sketch::table;
    use super::*;

    #[test]
    fn size_alone() {
        let mut splitter = Splitter::new(Vec::new(), 100, u64::MAX);
        assert!(!splitter.cut_before(b"a", 0));
        assert!(!splitter.cut_before(b"b", 99));
        assert!(splitter.cut_before(b"c", 100));
        assert!(!Splitter::never().cut_before(b"c", u64::MAX - 1));
    }

    #[test]
    fn borders_below_attract_a_cut() {
        let below = vec![Arc::new(table(1, "a", "c")), Arc::new(table(2, "d", "f"))];
        let mut splitter = Splitter::new(below, 100, u64::MAX);
        assert!(!splitter.cut_before(b"b", 60));
        assert!(splitter.cut_before(b"cc", 60), "the first grandparent has ended");
        assert!(!splitter.cut_before(b"d", 10));
        assert!(!splitter.cut_before(b"g", 49), "too small for a cut at a border");
        assert!(!splitter.cut_before(b"h", 60), "the border has passed");
    }

    #[test]
    fn too_much_below_forces_a_cut() {
        let below = (0..10u64).map(|i| Arc::new(table(i, &format!("{i}a"), &format!("{i}b")))).collect();
        let mut splitter = Splitter::new(below, u64::MAX, 250);
        let cuts: Vec<u64> =
            (0..10u64).filter(|i| splitter.cut_before(format!("{i}c").as_bytes(), 1)).collect();
        assert_eq!(cuts, [2, 5, 8]);
    }
}
