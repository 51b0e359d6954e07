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
use std::collections::BTreeMap;

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
    /// Every sequence number is kept: n tombstones that all overlap are cut into fragments with n² numbers. Where it is
    /// known who reads, [`seen_by`](Fragments::seen_by) keeps less.
    pub fn new(tombstones: impl IntoIterator<Item = RangeTombstone>) -> Fragments {
        let tombstones: Vec<RangeTombstone> = tombstones.into_iter().collect();
        cut(tombstones.iter().map(|t| (t.start.as_slice(), t.end.as_slice(), t.seqno)), &[], false)
    }

    /// Cuts ranges (start, end, sequence number), given in any order, and keeps only the numbers that some reader can tell
    /// from an older one. Readers see everything up to one of `readers`, which are ascending, or up to some number above the
    /// last of them. Neighbours that are left with the same numbers become one fragment.
    ///
    /// Takes O(n log n) time for each of the readers, and never more memory than there are tombstones and readers' numbers.
    pub fn seen_by<'a>(
        ranges: impl IntoIterator<Item = (&'a [u8], &'a [u8], SeqNo)>,
        readers: &[SeqNo],
    ) -> Fragments {
        cut(ranges, readers, true)
    }

    /// Takes fragments as they are; `None` if they are not ascending without overlap, or one is empty or has no numbers or
    /// numbers that do not descend.
    pub fn from_sorted(fragments: Vec<Fragment>) -> Option<Fragments> {
        let whole =
            |f: &Fragment| f.start < f.end && !f.seqnos.is_empty() && f.seqnos.is_sorted_by(|a, b| a > b);
        let sorted = fragments.iter().all(whole) && fragments.is_sorted_by(|a, b| a.end <= b.start);
        sorted.then_some(Fragments { fragments })
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

    /// As [`iter`](Fragments::iter), as start, end and sequence number.
    pub fn ranges(&self) -> impl Iterator<Item = (&[u8], &[u8], SeqNo)> + '_ {
        self.fragments
            .iter()
            .flat_map(|f| f.seqnos.iter().map(|&seqno| (f.start.as_slice(), f.end.as_slice(), seqno)))
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

    /// The same ranges with those of their numbers that `keep` returns, newest first; ranges for which it returns none are
    /// left out.
    pub fn thinned(&self, mut keep: impl FnMut(&Fragment) -> Vec<SeqNo>) -> Fragments {
        let thin = |f: &Fragment| {
            let seqnos = keep(f);
            (!seqnos.is_empty()).then(|| Fragment { start: f.start.clone(), end: f.end.clone(), seqnos })
        };
        Fragments { fragments: self.fragments.iter().filter_map(thin).collect() }
    }

    /// The part of these fragments from `start` (inclusive) to `end` (exclusive); `None` is unbounded.
    pub fn clip(&self, start: Option<&[u8]>, end: Option<&[u8]>) -> Fragments {
        let from = start.map_or(0, |start| self.fragments.partition_point(|f| f.end.as_slice() <= start));
        let meeting =
            self.fragments[from..].iter().take_while(|f| end.is_none_or(|end| f.start.as_slice() < end));
        let mut fragments: Vec<Fragment> = meeting.cloned().collect();
        if let (Some(start), Some(first)) = (start, fragments.first_mut())
            && first.start.as_slice() < start
        {
            first.start = start.to_vec();
        }
        if let (Some(end), Some(last)) = (end, fragments.last_mut())
            && last.end.as_slice() > end
        {
            last.end = end.to_vec();
        }
        // Inverted bounds hold nothing.
        fragments.retain(|f| f.start < f.end);
        Fragments { fragments }
    }
}

/// Sweeps over the ranges from left to right. With `join`, neighbours with the same numbers become one.
fn cut<'a>(
    ranges: impl IntoIterator<Item = (&'a [u8], &'a [u8], SeqNo)>,
    readers: &[SeqNo],
    join: bool,
) -> Fragments {
    let mut sides: Vec<(&[u8], bool, SeqNo)> = Vec::new();
    for (start, end, seqno) in ranges.into_iter().filter(|(start, end, _)| start < end) {
        sides.extend([(start, true, seqno), (end, false, seqno)]);
    }
    sides.sort_unstable_by_key(|side| side.0);
    let mut fragments: Vec<Fragment> = Vec::new();
    // The numbers of the ranges that the sweep is in, and how many ranges have them.
    let mut active: BTreeMap<SeqNo, usize> = BTreeMap::new();
    let mut at = 0;
    while let Some(&(start, ..)) = sides.get(at) {
        while let Some(&(_, begins, seqno)) = sides.get(at).filter(|side| side.0 == start) {
            at += 1;
            let count = active.entry(seqno).or_default();
            // A range that ends here has begun before, so that the count is not zero.
            *count = if begins { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                active.remove(&seqno);
            }
        }
        let Some(&(end, ..)) = sides.get(at).filter(|_| !active.is_empty()) else { continue };
        let seqnos = told_apart(&active, readers);
        match fragments.last_mut().filter(|last| join && last.end == start && last.seqnos == seqnos) {
            Some(last) => {
                last.end.clear();
                last.end.extend_from_slice(end);
            }
            None => fragments.push(Fragment { start: start.to_vec(), end: end.to_vec(), seqnos }),
        }
    }
    Fragments { fragments }
}

/// The numbers that readers can tell from older ones, newest first.
fn told_apart(active: &BTreeMap<SeqNo, usize>, readers: &[SeqNo]) -> Vec<SeqNo> {
    let mut seqnos = Vec::new();
    let mut unseen = Some(SeqNo::MAX);
    while let Some((&seqno, _)) = unseen.and_then(|most| active.range(..=most).next_back()) {
        seqnos.push(seqno);
        // The newest reader that does not see this one.
        unseen = if readers.last().is_none_or(|&last| last < seqno) {
            seqno.checked_sub(1)
        } else {
            readers[..readers.partition_point(|&reader| reader < seqno)].last().copied()
        };
    }
    seqnos
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
    fn nested_tombstones_keep_what_their_readers_tell_apart() {
        let n = 50_000u32;
        let keys: Vec<[u8; 4]> = (0..=n).map(u32::to_be_bytes).collect();
        let nested = || (1..=n as usize).map(|i| (&keys[0][..], &keys[i][..], i as SeqNo));
        let numbers = |readers: &[SeqNo]| Fragments::seen_by(nested(), readers).ranges().count();
        assert_eq!(numbers(&[u64::from(n)]), 1);
        // In front, each of three readers sees another one; in the middle two, and behind one.
        assert_eq!(numbers(&[1000, 30_000, u64::from(n)]), 3 + 2 + 1);
        let from_each = (1..=n as usize).map(|i| (&keys[i - 1][..], &keys[n as usize][..], i as SeqNo));
        assert_eq!(Fragments::seen_by(from_each, &[u64::from(n)]).ranges().count(), n as usize);
    }

    #[test]
    fn what_is_not_sorted_is_not_taken() {
        let f = |start: &str, end: &str, seqnos: &[SeqNo]| Fragment {
            start: start.into(),
            end: end.into(),
            seqnos: seqnos.to_vec(),
        };
        assert!(Fragments::from_sorted(vec![f("a", "c", &[4, 2]), f("c", "d", &[9])]).is_some());
        for wrong in [
            vec![f("a", "c", &[2, 4])],
            vec![f("a", "c", &[4, 4])],
            vec![f("a", "c", &[])],
            vec![f("c", "c", &[1])],
            vec![f("a", "c", &[1]), f("b", "d", &[2])],
            vec![f("c", "d", &[1]), f("a", "b", &[2])],
        ] {
            assert_eq!(Fragments::from_sorted(wrong), None);
        }
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
            let readers: Vec<SeqNo> = (0..7).filter(|_| random(3) == 0).collect();
            let least = Fragments::seen_by(f.ranges(), &readers);
            for pair in least.as_slice().windows(2) {
                assert!(
                    pair[0].end < pair[1].start
                        || pair[0].end == pair[1].start && pair[0].seqnos != pair[1].seqnos
                );
            }
            let above = readers.last().copied().unwrap_or(0)..9;
            for snapshot in readers.iter().copied().chain(above) {
                for key in 0..22u8 {
                    assert_eq!(least.covering(&[key], snapshot), f.covering(&[key], snapshot));
                }
            }
            assert_eq!(Fragments::from_sorted(f.as_slice().to_vec()), Some(f.clone()));
            assert!(f.clip(Some(&[9]), Some(&[5])).is_empty());
            let clipped = f.clip(Some(&[5]), Some(&[9]));
            for key in 0..22u8 {
                let expected = if (5..9).contains(&key) { f.covering(&[key], 9) } else { None };
                assert_eq!(clipped.covering(&[key], 9), expected);
            }
        }
    }
}
