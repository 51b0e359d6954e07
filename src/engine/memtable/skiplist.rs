//! [`SkipList`]: the ordered index of a memtable.
//!
//! Nodes are linked in ascending internal order at level 0; a quarter of them at level 1 too, a quarter of those at
//! level 2, and so on. Nodes are added and never moved or removed, so readers need no protection from writers.
//!
//! ```text
//!   level 2   root ─────────────────────────► d@7 ─────────────────────────► end
//!   level 1   root ────────► b@9 ───────────► d@7 ────────► f@3 ───────────► end
//!   level 0   root ─► a@4 ─► b@9 ─► b@2 ────► d@7 ─► e@8 ─► f@3 ─► f@1 ────► end
//! ```
//!
//! Each link carries the first four bytes of the key that it leads to, so that most steps of a search compare two
//! numbers and never touch the node that they do not go to.
//!
//! Invariants:
//! - Every level is sorted, and each level's nodes are among those of the level below. A node is linked from level 0
//!   upwards, each time by a compare-and-exchange on the one link that leads past its place, so that no insert can be
//!   lost; a reader that meets a node at some level has met its bytes.
//! - A node that a writer has linked at level 0 is found by every search that begins after; the higher levels only
//!   make it faster.
//! - `ends` is a hint: for each level some node of that level which was the last one when it was linked.

use super::arena::{Arena, Link, MAX_HEIGHT, Node};
use crate::sync::{AtomicUsize, Ordering};
use esker_table::{Trailer, key::compare};
use std::sync::Arc;

/// See the head of this file.
pub(super) struct SkipList {
    arena: Arc<Arena>,
    /// Not an entry: its links lead to the first node of each level.
    root: Node,
    /// Not an entry: its links lead to what may be the last node of each level.
    ends: Node,
    /// The number of levels that may hold nodes. Behind by moments; then a search begins a level too low.
    levels: AtomicUsize,
}

/// The first four bytes of a key as a big-endian number, padded with zero bytes.
#[inline]
fn link_head(user_key: &[u8]) -> u32 {
    (esker_table::key::head(user_key) >> 32) as u32
}

/// The height of an entry's tower: a function of its trailer, which is the entry's alone, so that equal histories
/// make equal lists.
#[inline]
fn height(trailer: Trailer) -> usize {
    // The finalizer of SplitMix64: its output bits are as good as random for consecutive inputs.
    let mut z = trailer.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (1 + z.trailing_zeros() as usize / 2).min(MAX_HEIGHT)
}

impl SkipList {
    /// An empty list in `arena`.
    pub(super) fn new(arena: Arc<Arena>) -> SkipList {
        let root = arena.node(MAX_HEIGHT, b"", Trailer::FIRST, b"");
        let ends = arena.node(MAX_HEIGHT, b"", Trailer::FIRST, b"");
        for level in 0..MAX_HEIGHT {
            arena.set_next(root, level, Link::END);
            arena.set_next(ends, level, Link::END);
        }
        SkipList { arena, root, ends, levels: AtomicUsize::new(1) }
    }

    /// Adds an entry. No entry with this key and trailer may be there.
    #[inline]
    pub(super) fn insert(&self, user_key: &[u8], trailer: Trailer, value: &[u8]) {
        self.insert_with_height(user_key, trailer, value, height(trailer));
    }

    pub(super) fn insert_with_height(&self, key: &[u8], trailer: Trailer, value: &[u8], height: usize) {
        let node = self.arena.node(height, key, trailer, value);
        let link = Link::new(link_head(key), node);
        // For each level of the tower, the node before the entry's place and the link that leads past it.
        let mut places = [(self.root, Link::END); MAX_HEIGHT];
        if !self.find_at_end(key, trailer, &mut places[..height]) {
            self.search(key, trailer, |level, before, next| {
                if level < height {
                    places[level] = (before, next);
                }
            });
        }
        for (level, (mut before, mut next)) in places.into_iter().enumerate().take(height) {
            loop {
                self.arena.set_next(node, level, next);
                if self.arena.exchange_next(before, level, next, link) {
                    break;
                }
                // Another writer was here. Its node may lie on either side of this one.
                (before, next) = self.walk(before, level, key, trailer, Link::END);
            }
            if next.node().is_none() {
                self.arena.set_next(self.ends, level, link);
            }
        }
        if height > self.levels.load(Ordering::Relaxed) {
            self.levels.fetch_max(height, Ordering::Relaxed);
        }
    }

    /// Finds the place of an entry that sorts after all others, which is what ascending keys always do.
    #[inline]
    fn find_at_end(&self, key: &[u8], trailer: Trailer, places: &mut [(Node, Link)]) -> bool {
        for (level, place) in places.iter_mut().enumerate() {
            let last = self.arena.next(self.ends, level);
            let Some(node) = last.node() else {
                // Nothing was linked here yet: the place is after the root, unless the hint is behind.
                continue;
            };
            if last.head() > link_head(key)
                || self.arena.next(node, level).node().is_some()
                || !compare(self.arena.key(node), self.arena.trailer(node), key, trailer).is_lt()
            {
                return false;
            }
            *place = (node, Link::END);
        }
        true
    }

    /// Walks along one level from `before`, which sorts before the key: to the last node that does, and the link
    /// from there. `beyond` is a link that is known to lead past the key.
    #[inline(always)]
    fn walk(
        &self,
        mut before: Node,
        level: usize,
        key: &[u8],
        trailer: Trailer,
        beyond: Link,
    ) -> (Node, Link) {
        let head = link_head(key);
        loop {
            let next = self.arena.next(before, level);
            // Comparing heads first: the end has the greatest, so `None` is met only among equals.
            if next.head() > head || next == beyond {
                return (before, next);
            }
            let Some(node) = next.node() else { return (before, next) };
            if next.head() == head
                && !compare(self.arena.key(node), self.arena.trailer(node), key, trailer).is_lt()
            {
                return (before, next);
            }
            before = node;
        }
    }

    /// Goes down to the place of `(key, trailer)`, telling at each level which node lies before it and which link
    /// leads past. Returns the place at level 0.
    #[inline(always)]
    fn search(&self, key: &[u8], trailer: Trailer, mut at: impl FnMut(usize, Node, Link)) -> (Node, Link) {
        let mut place = (self.root, Link::END);
        for level in (0..self.levels.load(Ordering::Relaxed)).rev() {
            place = self.walk(place.0, level, key, trailer, place.1);
            at(level, place.0, place.1);
        }
        place
    }

    /// The first node at or after `(key, trailer)`.
    #[inline]
    pub(super) fn seek(&self, key: &[u8], trailer: Trailer) -> Option<Node> {
        self.search(key, trailer, |_, _, _| {}).1.node()
    }

    /// The first node at or after `(key, trailer)` if it has this very key.
    #[inline]
    pub(super) fn find(&self, key: &[u8], trailer: Trailer) -> Option<Node> {
        let next = self.search(key, trailer, |_, _, _| {}).1;
        if next.head() != link_head(key) {
            return None;
        }
        next.node().filter(|&node| self.arena.key(node) == key)
    }

    /// The last node before `(key, trailer)`.
    #[inline]
    pub(super) fn seek_before(&self, key: &[u8], trailer: Trailer) -> Option<Node> {
        let before = self.search(key, trailer, |_, _, _| {}).0;
        (before != self.root).then_some(before)
    }

    /// The first node.
    pub(super) fn first(&self) -> Option<Node> {
        self.arena.next(self.root, 0).node()
    }

    /// The last node.
    pub(super) fn last(&self) -> Option<Node> {
        let mut last = self.root;
        for level in (0..self.levels.load(Ordering::Relaxed)).rev() {
            while let Some(node) = self.arena.next(last, level).node() {
                last = node;
            }
        }
        (last != self.root).then_some(last)
    }

    /// The node after `node`.
    #[inline]
    pub(super) fn next(&self, node: Node) -> Option<Node> {
        self.arena.next(node, 0).node()
    }
}
