//! Range tombstones: an entry that deletes every key from a start (inclusive) to an end (exclusive).
//!
//! Tombstones overlap freely as they are written. To be searched they are cut into *fragments*: ranges that do not
//! overlap, each with all the sequence numbers that delete it, newest first.
//!
//! ```text
//!   written      [a ─────────── m)@9          fragments   [a ── f)   9
//!                      [f ─────────── z)@4                [f ── m)   9 4
//!                                                         [m ── z)   4
//! ```

use crate::SeqNo;
use std::collections::BTreeSet;

/// One range deletion.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RangeTombstone {
    /// The first key that is deleted.
    pub start: Vec<u8>,
    /// The first key after `start` that is not.
    pub end: Vec<u8>,
    /// When; it deletes entries with smaller sequence numbers.
    pub seqno: SeqNo,
}

/// A range that the same tombstones cover from end to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Inclusive.
    pub start: Vec<u8>,
    /// Exclusive.
    pub end: Vec<u8>,
    /// Never empty, strictly descending.
    pub seqnos: Vec<SeqNo>,
}

impl Fragment {
    /// The newest sequence number at or below `snapshot` that deletes this range.
    #[inline]
    pub fn newest(&self, snapshot: SeqNo) -> Option<SeqNo> {
        let i = self.seqnos.partition_point(|&s| s > snapshot);
        self.seqnos.get(i).copied()
    }
}

/// Range tombstones cut into fragments: ascending, not overlapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragments {
    fragments: Vec<Fragment>,
}

/// The part of the key space around a key in which the answer to "which tombstones cover it" is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// Inclusive; `None`: from the beginning.
    pub start: Option<&'a [u8]>,
    /// Exclusive; `None`: to the end.
    pub end: Option<&'a [u8]>,
    /// What covers it, if anything.
    pub fragment: Option<&'a Fragment>,
}

impl Fragments {
    /// Cuts tombstones, given in any order, into fragments. Empty or inverted ranges delete nothing and are left out.
    ///
    /// Takes O(n log n) for tombstones that overlap little; many that all overlap cost one sequence number for each
    /// pair of fragment and tombstone.
    pub fn new(tombstones: impl IntoIterator<Item = RangeTombstone>) -> Fragments {
        let mut sorted: Vec<RangeTombstone> = tombstones.into_iter().filter(|t| t.start < t.end).collect();
        sorted.sort_unstable();
        let mut bounds: Vec<&[u8]> =
            sorted.iter().flat_map(|t| [t.start.as_slice(), t.end.as_slice()]).collect();
        bounds.sort_unstable();
        bounds.dedup();
        let mut fragments: Vec<Fragment> = Vec::with_capacity(bounds.len());
        let mut active: BTreeSet<(SeqNo, &[u8])> = BTreeSet::new();
        let mut ends: BTreeSet<(&[u8], SeqNo)> = BTreeSet::new();
        let mut next = 0;
        for pair in bounds.windows(2) {
            let (start, end) = (pair[0], pair[1]);
            while let Some(&(at, seqno)) = ends.first().filter(|(at, _)| *at <= start) {
                ends.remove(&(at, seqno));
                active.remove(&(seqno, at));
            }
            while let Some(t) = sorted.get(next).filter(|t| t.start.as_slice() <= start) {
                active.insert((t.seqno, &t.end));
                ends.insert((&t.end, t.seqno));
                next += 1;
            }
            let mut seqnos: Vec<SeqNo> = active.iter().rev().map(|(s, _)| *s).collect();
            seqnos.dedup();
            if !seqnos.is_empty() {
                fragments.push(Fragment { start: start.to_vec(), end: end.to_vec(), seqnos });
            }
        }
        Fragments { fragments }
    }

    /// Whether nothing is deleted.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.fragments.is_empty()
    }

    /// The number of fragments.
    pub fn len(&self) -> usize {
        self.fragments.len()
    }

    /// The fragments, ascending.
    pub fn as_slice(&self) -> &[Fragment] {
        &self.fragments
    }

    /// One tombstone for each fragment and sequence number: by start, then newest first.
    pub fn iter(&self) -> impl Iterator<Item = RangeTombstone> + '_ {
        self.fragments.iter().flat_map(|f| {
            f.seqnos.iter().map(|&seqno| RangeTombstone { start: f.start.clone(), end: f.end.clone(), seqno })
        })
    }

    /// The newest sequence number at or below `snapshot` whose tombstone covers `user_key`.
    #[inline]
    pub fn covering(&self, user_key: &[u8], snapshot: SeqNo) -> Option<SeqNo> {
        if self.fragments.is_empty() {
            return None;
        }
        self.span_at(user_key).fragment?.newest(snapshot)
    }

    /// The largest range around `user_key` with one answer.
    pub fn span_at(&self, user_key: &[u8]) -> Span<'_> {
        let i = self.fragments.partition_point(|f| f.end.as_slice() <= user_key);
        match self.fragments.get(i) {
            Some(f) if f.start.as_slice() <= user_key => {
                Span { start: Some(&f.start), end: Some(&f.end), fragment: Some(f) }
            }
            after => Span {
                start: i.checked_sub(1).map(|before| self.fragments[before].end.as_slice()),
                end: after.map(|f| f.start.as_slice()),
                fragment: None,
            },
        }
    }

    /// The part of these fragments from `start` (inclusive) to `end` (exclusive); `None` is unbounded.
    pub fn clip(&self, start: Option<&[u8]>, end: Option<&[u8]>) -> Fragments {
        let fragments = self
            .fragments
            .iter()
            .filter_map(|f| {
                let from = start.map_or(f.start.as_slice(), |s| f.start.as_slice().max(s));
                let to = end.map_or(f.end.as_slice(), |e| f.end.as_slice().min(e));
                (from < to).then(|| Fragment {
                    start: from.to_vec(),
                    end: to.to_vec(),
                    seqnos: f.seqnos.clone(),
                })
            })
            .collect();
        Fragments { fragments }
    }
}

impl FromIterator<RangeTombstone> for Fragments {
    fn from_iter<I: IntoIterator<Item = RangeTombstone>>(tombstones: I) -> Fragments {
        Fragments::new(tombstones)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(start: &str, end: &str, seqno: SeqNo) -> RangeTombstone {
        RangeTombstone { start: start.into(), end: end.into(), seqno }
    }

    #[test]
    fn overlaps_are_cut() {
        let f = Fragments::new([t("f", "z", 4), t("a", "m", 9), t("q", "q", 7), t("y", "b", 8)]);
        let cut: Vec<_> = f.iter().collect();
        assert_eq!(cut, [t("a", "f", 9), t("f", "m", 9), t("f", "m", 4), t("m", "z", 4)]);
        assert_eq!(f.covering(b"g", 8), Some(4));
        assert_eq!(f.covering(b"g", 9), Some(9));
        assert_eq!(f.covering(b"z", 9), None);
        assert_eq!(f.covering(b"a", 3), None);
    }

    #[test]
    fn fragments_agree_with_the_tombstones() {
        // A small linear congruential generator keeps this test without dependencies.
        let mut state = 1u64;
        let mut random = |n: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % n
        };
        for _ in 0..200 {
            let tombstones: Vec<_> = (0..random(12))
                .map(|_| RangeTombstone {
                    start: vec![random(20) as u8],
                    end: vec![random(20) as u8],
                    seqno: random(8),
                })
                .collect();
            let f = Fragments::new(tombstones.clone());
            for pair in f.as_slice().windows(2) {
                assert!(pair[0].end <= pair[1].start);
            }
            for key in 0..22u8 {
                for snapshot in 0..9 {
                    let expected = tombstones
                        .iter()
                        .filter(|t| t.start[0] <= key && key < t.end[0] && t.seqno <= snapshot)
                        .map(|t| t.seqno)
                        .max();
                    assert_eq!(f.covering(&[key], snapshot), expected);
                }
                let span = f.span_at(&[key]);
                assert!(
                    span.start.is_none_or(|s| s <= &[key][..]) && span.end.is_none_or(|e| e > &[key][..])
                );
            }
            let clipped = f.clip(Some(&[5]), Some(&[9]));
            for key in 0..22u8 {
                let expected = if (5..9).contains(&key) { f.covering(&[key], 9) } else { None };
                assert_eq!(clipped.covering(&[key], 9), expected);
            }
        }
    }
}
