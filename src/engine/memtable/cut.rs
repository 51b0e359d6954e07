//! [`Cut`]: some range deletions of a memtable, cut so that every reader is answered fast.
//!
//! The starts and ends of the ranges, in order, cut the key space into *parts*. Over the parts stands a complete binary
//! tree, and each range is noted at the few nodes of it that make up the range exactly, two on each level at most. What
//! deletes a part is noted at the nodes from the part's leaf up to the root.
//!
//! ```text
//!                     ┌───────────── 1 ─────────────┐
//!              ┌───── 2 ─────┐               ┌───── 3 ─────┐
//!           ┌─ 4 ─┐       ┌─ 5 ─┐         ┌─ 6 ─┐       ┌─ 7 ─┐        [a ── k)@7   at 2
//!           8     9      10    11        12    13      14    15        [a ── h)@9   at 4 and 10
//!         [a ─ c)[c ─ f)[f ─ h)[h ─ k)  [k ─ p) ...                    [c ── p)@3   at 9, 5 and 12
//! ```
//!
//! So n ranges take O(n log n) memory however they overlap, where a list for each part of what deletes it would take n².
//! Keys are not copied: a bound is a node of the arena.

use super::arena::{Arena, Node};
use esker_table::SeqNo;
use esker_table::key::head;
use std::cmp::Reverse;
use std::sync::Arc;

/// See the head of this file.
pub(crate) struct Cut {
    arena: Arc<Arena>,
    /// Ascending, without repetition. Part `i` lies between bounds `i` and `i + 1`.
    bounds: Vec<Bound>,
    /// The leaves of the tree, a power of two: the parts, and some that nothing covers.
    leaves: usize,
    /// Where the numbers of each node begin in `seqnos`, and at the end how many there are.
    offsets: Vec<u32>,
    /// By node, newest first.
    seqnos: Vec<SeqNo>,
    oldest: SeqNo,
    newest: SeqNo,
}

/// A key: the start of a range deletion or its end.
#[derive(Clone, Copy)]
struct Bound {
    node: Node,
    is_end: bool,
}

/// A part of the key space in which what deletes a key is the same.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// Inclusive; `None`: from the beginning.
    pub(crate) start: Option<&'a [u8]>,
    /// Exclusive; `None`: to the end.
    pub(crate) end: Option<&'a [u8]>,
    /// The newest number that the reader sees.
    pub(crate) seqno: Option<SeqNo>,
}

impl Cut {
    /// Cuts range deletions, in any order. Fewer than 2^25, so that all that is noted can be counted in 32 bits.
    pub(super) fn new(arena: &Arc<Arena>, nodes: impl Iterator<Item = Node>) -> Cut {
        let seqno = |node: Node| arena.trailer(node).seqno();
        let mut ranges: Vec<Node> = nodes.filter(|&node| arena.key(node) < arena.value(node)).collect();
        ranges.sort_unstable_by_key(|&node| Reverse(seqno(node)));
        let mut sides: Vec<(u64, u32, Bound)> = Vec::with_capacity(2 * ranges.len());
        for (&node, i) in ranges.iter().zip(0u32..) {
            sides.push((head(arena.key(node)), i, Bound { node, is_end: false }));
            sides.push((head(arena.value(node)), i, Bound { node, is_end: true }));
        }
        sides.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.2.key(arena).cmp(b.2.key(arena))));
        let mut bounds: Vec<Bound> = Vec::with_capacity(sides.len());
        let mut places = vec![[0; 2]; ranges.len()];
        for (_, i, bound) in sides {
            if bounds.last().is_none_or(|last| last.key(arena) != bound.key(arena)) {
                bounds.push(bound);
            }
            places[i as usize][usize::from(bound.is_end)] = bounds.len() - 1;
        }
        bounds.shrink_to_fit();

        let leaves = bounds.len().saturating_sub(1).next_power_of_two();
        let mut offsets = vec![0; 2 * leaves + 1];
        for &[from, to] in &places {
            for_nodes(leaves, from, to, |node| offsets[node + 1] += 1);
        }
        for node in 0..2 * leaves {
            offsets[node + 1] += offsets[node];
        }
        let mut next: Vec<u32> = offsets.clone();
        let mut seqnos = vec![0; offsets[2 * leaves] as usize];
        for (&range, &[from, to]) in ranges.iter().zip(&places) {
            for_nodes(leaves, from, to, |node| {
                seqnos[next[node] as usize] = seqno(range);
                next[node] += 1;
            });
        }
        let newest = ranges.first().map_or(0, |&node| seqno(node));
        let oldest = ranges.last().map_or(SeqNo::MAX, |&node| seqno(node));
        Cut { arena: arena.clone(), bounds, leaves, offsets, seqnos, oldest, newest }
    }

    /// Whether it deletes nothing that a reader at `snapshot` sees.
    pub(super) fn is_hidden_from(&self, snapshot: SeqNo) -> bool {
        snapshot < self.oldest
    }

    /// No range is newer.
    pub(super) fn newest(&self) -> SeqNo {
        self.newest
    }

    /// The heap memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.bounds) + size_of_val(&*self.offsets) + size_of_val(&*self.seqnos)
    }

    /// The newest sequence number at or below `snapshot` that deletes the key.
    pub(super) fn covering(&self, user_key: &[u8], snapshot: SeqNo) -> Option<SeqNo> {
        self.newest_at(self.part_of(user_key)?, snapshot)
    }

    /// The part that a key lies in, for a reader at `snapshot`.
    pub(crate) fn part(&self, user_key: &[u8], snapshot: SeqNo) -> Part<'_> {
        let after = self.bounds_to(user_key);
        let part = after.checked_sub(1);
        Part {
            start: part.map(|part| self.bound(part)),
            end: (after < self.bounds.len()).then(|| self.bound(after)),
            seqno: part.and_then(|part| self.newest_at(part, snapshot)),
        }
    }

    /// The parts from that of `user_key` on, which a number of at least `seqno` (and at most `snapshot`) deletes: where the
    /// first part lies that is not among them. It is no further than the last bound.
    pub(crate) fn reach_end(&self, user_key: &[u8], seqno: SeqNo, snapshot: SeqNo) -> Option<&[u8]> {
        let from = self.part_of(user_key)?;
        let bare =
            self.first_bare(1, 0..self.leaves, from, &|node| self.newest_of(node, snapshot) >= Some(seqno));
        Some(self.bound(bare.unwrap_or(self.leaves).min(self.bounds.len() - 1)))
    }

    /// As [`reach_end`](Cut::reach_end), towards the beginning: where the last of the parts begins.
    pub(crate) fn reach_start(&self, user_key: &[u8], seqno: SeqNo, snapshot: SeqNo) -> Option<&[u8]> {
        let from = self.part_of(user_key)?;
        let bare =
            self.last_bare(1, 0..self.leaves, from, &|node| self.newest_of(node, snapshot) >= Some(seqno));
        Some(self.bound(bare.map_or(0, |bare| (bare + 1).min(from))))
    }

    fn bound(&self, i: usize) -> &[u8] {
        self.bounds[i].key(&self.arena)
    }

    /// How many bounds do not lie after a key.
    fn bounds_to(&self, user_key: &[u8]) -> usize {
        self.bounds.partition_point(|bound| bound.key(&self.arena) <= user_key)
    }

    /// The number of the part that a key lies in, if it does not lie before all of them. The last bound begins one that
    /// nothing deletes.
    fn part_of(&self, user_key: &[u8]) -> Option<usize> {
        self.bounds_to(user_key).checked_sub(1)
    }

    /// The newest number at or below `snapshot` that is noted at a node.
    fn newest_of(&self, node: usize, snapshot: SeqNo) -> Option<SeqNo> {
        let noted = &self.seqnos[self.offsets[node] as usize..self.offsets[node + 1] as usize];
        match noted.first() {
            Some(&seqno) if seqno > snapshot => {
                noted.get(noted.partition_point(|&seqno| seqno > snapshot)).copied()
            }
            newest => newest.copied(),
        }
    }

    /// The newest number at or below `snapshot` that deletes a part.
    fn newest_at(&self, part: usize, snapshot: SeqNo) -> Option<SeqNo> {
        if part >= self.leaves {
            return None;
        }
        let mut node = part + self.leaves;
        let mut newest = None;
        while node > 0 {
            newest = newest.max(self.newest_of(node, snapshot));
            node /= 2;
        }
        newest
    }

    /// The first leaf at or after `from` that neither `covers` nor any node above it does, among those of `node`.
    fn first_bare(
        &self,
        node: usize,
        of: std::ops::Range<usize>,
        from: usize,
        covers: &impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if of.end <= from || covers(node) {
            return None;
        }
        if of.len() == 1 {
            return Some(of.start);
        }
        let middle = of.start + of.len() / 2;
        self.first_bare(2 * node, of.start..middle, from, covers)
            .or_else(|| self.first_bare(2 * node + 1, middle..of.end, from, covers))
    }

    /// The last such leaf at or before `from`.
    fn last_bare(
        &self,
        node: usize,
        of: std::ops::Range<usize>,
        from: usize,
        covers: &impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if of.start > from || covers(node) {
            return None;
        }
        if of.len() == 1 {
            return Some(of.start);
        }
        let middle = of.start + of.len() / 2;
        self.last_bare(2 * node + 1, middle..of.end, from, covers)
            .or_else(|| self.last_bare(2 * node, of.start..middle, from, covers))
    }
}

impl Bound {
    fn key(self, arena: &Arena) -> &[u8] {
        if self.is_end { arena.value(self.node) } else { arena.key(self.node) }
    }
}

/// The nodes that make up the leaves from `from` to `to` (exclusive).
fn for_nodes(leaves: usize, from: usize, to: usize, mut f: impl FnMut(usize)) {
    let (mut from, mut to) = (from + leaves, to + leaves);
    while from < to {
        if from % 2 == 1 {
            f(from);
            from += 1;
        }
        if to % 2 == 1 {
            to -= 1;
            f(to);
        }
        (from, to) = (from / 2, to / 2);
    }
}
