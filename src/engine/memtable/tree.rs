//! [`Tree`]: the ordered index of a memtable.
//!
//! A tree of blocks. A leaf's slots lead to entries, those of a block above to blocks of the level below, each headed
//! by the lower bound of what it leads to:
//!
//! ```text
//!   level 1                 ┌ ─∞ │ f@3 │ m@7 ┐
//!                             │      │     ╰──────────────────╮
//!   level 0   ┌ a@4 │ b@9 │ b@2 ┐  ┌ f@3 │ f@1 │ h@8 ┐  ┌ m@7 │ p@5 ┐
//!             bounds  ─∞ .. f@3       f@3 .. m@7           m@7 .. ∞
//! ```
//!
//! Slots carry the head of the key that they lead to (see `block`), so that a search compares numbers that lie
//! together and hardly ever touches an entry that it is not looking for.
//!
//! Entries are added to a leaf without a lock: claim the next slot, then put it into the order; who finds a slot
//! claimed and not yet in the order helps. A full block never changes again but in one way: it is *split*. Two new
//! blocks share out its slots and one more, and its `split` word leads to them (the left one, the right one follows
//! it). Then the parent learns of them, which may split it too. One thread splits at a time, under a lock, and only
//! it changes blocks above the leaves.
//!
//! Invariants:
//! - A block's bounds never change, and all that it holds lies between them, the lower one included. A bound is an
//!   entry, and it is in the block that it bounds from below (or in one that this was split into).
//! - From any block that once covered a key, split words lead to the leaf that covers it now. So a search that comes
//!   from a parent which has not yet learnt of a split goes one step further and nothing else.
//! - Searches are for the place *before* which everything is less than the key: they go to the blocks whose lower
//!   bound is less. The entry before the place is then in the leaf (or there is none), and the entry after it is in
//!   the leaf or is the leaf's upper bound: no search ever has to look into a neighbour.
//! - A parent learns of both halves at once, though it takes two steps: first the right half gets a slot, which changes
//!   the order, then the left half replaces the block that was split. Whoever takes a slot looks whether the order is
//!   still the same; without this a search could come to a left half from an order that does not know the right one.
//!   (A full parent is not changed at all: its own halves have both.)
//! - Reading takes no lock, and looks at a block at most as often again as there are slots. Adding waits only for a
//!   thread that splits.

use super::arena::{Arena, Node};
use super::block::{BLOCK_BYTES, Block, FANOUT, Order, Words, common, head, link, link_head};
use super::filter::Filter;
use crate::sync::{Apart, AtomicU64, Mutex, Ordering, lock};
use esker_table::Trailer;
use esker_table::key::{compare, filter_hash};
use std::ops::Range;
use std::sync::Arc;

/// The half of a slot that says what it leads to.
const PLACE: u64 = u32::MAX as u64;

/// More levels than any arena has room for.
const LEVELS: usize = 16;

/// The blocks that `bytes` of entries and blocks can come to need.
///
/// A split makes two blocks and one for a new root at times; between two splits in the same place a leaf takes in at
/// least half of a block's fanout, so there are at most 0.34 blocks to an entry, all levels together. Blocks count among the bytes,
/// those too that were split. So most of them there are where nothing else is: leaves that are full, of the smallest entries in
/// ascending order, and then one batch that adds an entry to each: that is a block for each 107 bytes.
pub(super) fn blocks_for(bytes: usize) -> usize {
    bytes / 80 + 64
}

/// The bytes of blocks to reckon with for an entry.
pub(super) const ENTRY_SHARE: usize = 48;

/// See the head of this file.
pub(super) struct Tree {
    arena: Arc<Arena>,
    /// The level of the root in the high half, the root in the low half.
    root: AtomicU64,
    /// The leaf without an upper bound, or one that was that.
    last_leaf: AtomicU64,
    /// The number of blocks in use, which only the thread that splits changes.
    blocks: Apart<AtomicU64>,
    splitting: Mutex<()>,
}

/// What lies around a key: a leaf as it was when it was looked at, and how many of its entries are less.
#[derive(Clone, Copy)]
pub(super) struct Place {
    leaf: Block,
    order: Order,
    rank: usize,
}

/// A key that is looked for.
#[derive(Clone, Copy)]
struct Target<'a> {
    key: &'a [u8],
    trailer: Trailer,
}

impl Tree {
    /// An empty tree in `arena`.
    pub(super) fn new(arena: Arc<Arena>) -> Tree {
        // Zeros are an empty leaf without bounds.
        let [root, last_leaf] = [Block::at(0).word(); 2].map(AtomicU64::new);
        Tree { arena, root, last_leaf, blocks: Apart(AtomicU64::new(1)), splitting: Mutex::new(()) }
    }

    /// The bytes of its blocks.
    #[inline]
    pub(super) fn used(&self) -> usize {
        self.blocks.0.load(Ordering::Acquire) as usize * BLOCK_BYTES
    }

    #[inline]
    fn node_is_less(&self, node: Node, target: Target<'_>) -> bool {
        compare(self.arena.key(node), self.arena.trailer(node), target.key, target.trailer).is_lt()
    }

    /// Whether what the slot leads to sorts before the target, which has the same head.
    fn tied_is_less(&self, slot: u64, level: usize, target: Target<'_>) -> bool {
        let node = if level == 0 { Node::from_word(slot) } else { self.lower_bound(slot) };
        // A block without a lower bound comes before everything.
        node.is_none_or(|node| self.node_is_less(node, target))
    }

    /// The lower bound of the block that a slot leads to.
    fn lower_bound(&self, slot: u64) -> Option<Node> {
        let block = Block::from_word(slot)?;
        Node::from_word(self.arena.block(block).bounds.load(Ordering::Relaxed))
    }

    /// How many of the slots in `order` sort before the target.
    #[inline]
    fn rank(&self, words: &Words, order: Order, level: usize, target: Target<'_>) -> usize {
        let wanted = head(target.key, order.skip());
        let (mut less, mut tied) = (0, 0);
        for slot in words.slots(order) {
            let head = link_head(slot.load(Ordering::Relaxed));
            less += usize::from(head < wanted);
            tied += usize::from(head == wanted);
        }
        // Those with the same head lie together in the order.
        let mut end = less + tied;
        while less < end {
            let middle = less.midpoint(end);
            let slot = words.slot(order.slot(middle)).load(Ordering::Acquire);
            if self.tied_is_less(slot, level, target) {
                less = middle + 1;
            } else {
                end = middle;
            }
        }
        less
    }

    /// The half of a split block that covers the target.
    #[inline]
    fn half(&self, words: &Words, split: u64, target: Target<'_>) -> Option<Block> {
        let left = Block::from_word(split)?;
        let order = Order(words.order.load(Ordering::Acquire));
        let (middle, wanted) = (link_head(split), head(target.key, order.skip()));
        let right = left.following();
        let go_right = middle < wanted || (middle == wanted && self.tied_is_less(right.word(), 1, target));
        Some(if go_right { right } else { left })
    }

    /// What the slot at `rank` leads to; `None` if the block has changed since the order was loaded.
    #[inline]
    fn below(&self, words: &Words, order: Order, rank: usize) -> Option<u64> {
        let slot = words.slot(order.slot(rank)).load(Ordering::Acquire);
        // If the slot was replaced, then loading it has made the order visible that came before.
        (words.order.load(Ordering::Relaxed) == order.0).then_some(slot)
    }

    /// Goes down to the leaf around the target, telling for each block above it the rank of the slot taken.
    #[inline(always)]
    fn descend(&self, target: Target<'_>, mut above: impl FnMut(usize, Block, usize)) -> Place {
        let root = self.root.load(Ordering::Acquire);
        let (mut level, mut at) = ((root >> 32) as usize, root);
        loop {
            let Some(block) = Block::from_word(at) else { unreachable!("slots in use lead somewhere") };
            let words = self.arena.block(block);
            let split = words.split.load(Ordering::Acquire);
            if let Some(half) = self.half(words, split, target) {
                at = half.word();
                continue;
            }
            let order = Order(words.order.load(Ordering::Acquire));
            let rank = self.rank(words, order, level, target);
            if level == 0 {
                return Place { leaf: block, order, rank };
            }
            // The first slot is headed by the block's own lower bound, which is less.
            let rank = rank.saturating_sub(1);
            if let Some(below) = self.below(words, order, rank) {
                above(level, block, rank);
                at = below;
                level -= 1;
            }
        }
    }

    /// The place of `(key, trailer)`.
    #[inline]
    pub(super) fn place(&self, key: &[u8], trailer: Trailer) -> Place {
        self.descend(Target { key, trailer }, |_, _, _| {})
    }

    /// About which share of the entries lies before the key, between zero and one: blocks count as equally full.
    pub(super) fn share_before(&self, key: &[u8]) -> f64 {
        let mut path = [(0, 1); LEVELS];
        let place = self.descend(Target { key, trailer: Trailer(u64::MAX) }, |level, block, rank| {
            let order = Order(self.arena.block(block).order.load(Ordering::Relaxed));
            path[level] = (rank, order.count());
        });
        path[0] = (place.rank, place.order.count());
        // Levels above the root are ranks 0 of 1, which change nothing.
        let share = |below: f64, &(rank, count): &(usize, usize)| (rank as f64 + below) / count.max(1) as f64;
        path.iter().fold(0.0, share).clamp(0.0, 1.0)
    }

    /// The place right after an entry.
    #[inline]
    pub(super) fn place_after(&self, node: Node) -> Place {
        // The next smaller trailer is the next greater internal key. No entry has trailer zero.
        let trailer = Trailer(self.arena.trailer(node).0.saturating_sub(1));
        self.place(self.arena.key(node), trailer)
    }

    /// The place after everything.
    pub(super) fn end(&self) -> Place {
        let root = self.root.load(Ordering::Acquire);
        let (mut level, mut at) = ((root >> 32) as usize, root);
        loop {
            let Some(block) = Block::from_word(at) else { unreachable!("slots in use lead somewhere") };
            let words = self.arena.block(block);
            if let Some(left) = Block::from_word(words.split.load(Ordering::Acquire)) {
                at = left.following().word();
                continue;
            }
            let order = Order(words.order.load(Ordering::Acquire));
            if level == 0 {
                return Place { leaf: block, order, rank: order.count() };
            }
            if let Some(below) = self.below(words, order, order.count() - 1) {
                at = below;
                level -= 1;
            }
        }
    }

    /// The entry after the place.
    #[inline]
    pub(super) fn after(&self, place: Place) -> Option<Node> {
        let words = self.arena.block(place.leaf);
        if place.rank < place.order.count() {
            return Node::from_word(words.slot(place.order.slot(place.rank)).load(Ordering::Acquire));
        }
        Node::from_word(words.bounds.load(Ordering::Relaxed) >> 32)
    }

    /// Has what lies after the place come from memory all at once, up to the first entry of the next leaf. Entries were added at different
    /// times, and so lie far apart.
    #[inline]
    pub(super) fn prefetch_after(&self, place: Place) {
        self.prefetch(place, place.rank..place.order.count());
        let bounds = self.arena.block(place.leaf).bounds.load(Ordering::Relaxed);
        if let Some(next) = Node::from_word(bounds >> 32) {
            self.arena.prefetch(next);
        }
    }

    /// Has what lies before the place in its leaf come from memory all at once.
    #[inline]
    pub(super) fn prefetch_before(&self, place: Place) {
        self.prefetch(place, 0..place.rank);
    }

    #[inline]
    fn prefetch(&self, place: Place, ranks: Range<usize>) {
        let words = self.arena.block(place.leaf);
        for rank in ranks {
            if let Some(node) = Node::from_word(words.slot(place.order.slot(rank)).load(Ordering::Acquire)) {
                self.arena.prefetch(node);
            }
        }
    }

    /// The place one entry further, if it is in the same leaf.
    #[inline]
    pub(super) fn further(&self, place: Place) -> Option<Place> {
        (place.rank < place.order.count()).then_some(Place { rank: place.rank + 1, ..place })
    }

    /// The place one entry back, if that entry is in the same leaf.
    #[inline]
    pub(super) fn back(&self, place: Place) -> Option<Place> {
        Some(Place { rank: place.rank.checked_sub(1)?, ..place })
    }

    /// The first entry at or after `(key, trailer)` if it has this very key.
    #[inline]
    pub(super) fn find(&self, key: &[u8], trailer: Trailer) -> Option<Node> {
        let place = self.place(key, trailer);
        if place.rank < place.order.count() {
            let slot =
                self.arena.block(place.leaf).slot(place.order.slot(place.rank)).load(Ordering::Acquire);
            if link_head(slot) != head(key, place.order.skip()) {
                return None;
            }
            return Node::from_word(slot).filter(|&node| self.arena.key(node) == key);
        }
        self.after(place).filter(|&node| self.arena.key(node) == key)
    }

    /// Adds an entry, and its key to the filter. No entry with this key and trailer may be there.
    #[inline]
    pub(super) fn insert(&self, key: &[u8], trailer: Trailer, value: &[u8], filter: &Filter) {
        let node = self.arena.node(false, key, trailer, value);
        // The word of the filter comes from memory while the tree is searched, and is changed where the slots are: each such change waits
        // for all that was written before. It has to be before the insert returns.
        let mark = filter.mark(filter_hash(key), self.arena.nodes());
        let target = Target { key, trailer };
        let mut place = self.place_for(target);
        mark.set();
        while !self.add(place, node, target) && !self.add_by_splitting(node, target) {
            place = self.place_for(target);
        }
    }

    /// The place of an entry that is to be added.
    #[inline]
    fn place_for(&self, target: Target<'_>) -> Place {
        self.place_at_end(target).unwrap_or_else(|| self.descend(target, |_, _, _| {}))
    }

    /// The place of a target that is greater than everything, as ascending keys always are.
    #[inline]
    fn place_at_end(&self, target: Target<'_>) -> Option<Place> {
        let leaf = Block::from_word(self.last_leaf.load(Ordering::Acquire))?;
        let words = self.arena.block(leaf);
        if words.split.load(Ordering::Acquire) != 0 {
            return None;
        }
        let order = Order(words.order.load(Ordering::Acquire));
        let rank = order.count();
        let last = words.slot(order.slot(rank.checked_sub(1)?)).load(Ordering::Acquire);
        let wanted = head(target.key, order.skip());
        let is_less =
            link_head(last) < wanted || (link_head(last) == wanted && self.tied_is_less(last, 0, target));
        is_less.then_some(Place { leaf, order, rank })
    }

    /// Adds an entry to a leaf that covers it, if there is a free slot.
    #[inline]
    fn add(&self, place: Place, node: Node, target: Target<'_>) -> bool {
        let words = self.arena.block(place.leaf);
        let mut order = place.order;
        let link = link(head(target.key, order.skip()), node.word());
        let mut rank = Some(place.rank);
        loop {
            let count = order.count();
            if count == FANOUT {
                return false;
            }
            match words.slot(count).compare_exchange(0, link, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    self.put_in_order(words, order, rank, target);
                    return true;
                }
                // Another thread claimed this slot: see that it gets into the order, and take the next one.
                Err(other) => {
                    if let Some(node) = Node::from_word(other) {
                        let (key, trailer) = (self.arena.key(node), self.arena.trailer(node));
                        self.put_in_order(words, order, None, Target { key, trailer });
                    }
                    order = Order(words.order.load(Ordering::Acquire));
                    rank = None;
                }
            }
        }
    }

    /// Puts the first slot that is not in `order` there. Its key is the target, which belongs at `rank` if that is
    /// known. When this fails, another thread has done it.
    #[inline]
    fn put_in_order(&self, words: &Words, order: Order, rank: Option<usize>, target: Target<'_>) {
        let rank = rank.unwrap_or_else(|| self.rank(words, order, 0, target));
        let with = order.with(rank);
        // Nothing but this step can follow `order`, so what is there now is at least `with`.
        let _ = words.order.compare_exchange(order.0, with.0, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Adds an entry to a full leaf, unless another thread has split it in the meantime.
    #[cold]
    fn add_by_splitting(&self, node: Node, target: Target<'_>) -> bool {
        let _guard = lock(&self.splitting);
        let mut path = [(Block::at(0), 0); LEVELS];
        let place = self.descend(target, |level, block, rank| path[level] = (block, rank));
        if place.order.count() < FANOUT {
            return false;
        }
        let root_level = (self.root.load(Ordering::Relaxed) >> 32) as usize;
        let mut left = self.split(place.leaf, 0, place.rank, node.word(), None);
        for (level, &(parent, rank)) in path.iter().enumerate().take(root_level + 1).skip(1) {
            let words = self.arena.block(parent);
            let order = Order(words.order.load(Ordering::Relaxed));
            let right = left.following().word();
            if order.count() == FANOUT {
                left = self.split(parent, level, rank + 1, right, Some(left));
                continue;
            }
            let head = self.slot_head(right, level, order.skip());
            words.slot(order.count()).store(link(head, right), Ordering::Release);
            words.order.store(order.with(rank + 1).0, Ordering::Release);
            // The left half has the lower bound, and so the place, of the block that was split.
            let slot = words.slot(order.slot(rank));
            let head = link_head(slot.load(Ordering::Relaxed));
            slot.store(link(head, left.word()), Ordering::Release);
            return true;
        }
        self.grow(root_level + 1, left);
        true
    }

    /// Puts a root above the halves of the old one.
    fn grow(&self, level: usize, left: Block) {
        let root = self.new_blocks(1);
        let right = left.following();
        let slots = [left.word(), link(self.slot_head(right.word(), level, 0), right.word())];
        self.fill(root, level, &slots, 0, (None, None));
        self.root.store((level as u64) << 32 | root.word(), Ordering::Release);
    }

    /// Takes blocks that lie together.
    fn new_blocks(&self, count: u64) -> Block {
        let first = self.blocks.0.load(Ordering::Relaxed);
        self.blocks.0.store(first + count, Ordering::Release);
        Block::at(first as u32)
    }

    /// Shares out the slots of a full block, and `added`, which belongs at `rank`, to two new ones, and leads there.
    /// What comes before `added` is replaced if `replaced` says so. Returns the left one.
    fn split(&self, block: Block, level: usize, rank: usize, added: u64, replaced: Option<Block>) -> Block {
        let words = self.arena.block(block);
        let order = Order(words.order.load(Ordering::Acquire));
        let skip = order.skip();
        let mut slots = [0; FANOUT + 1];
        for (i, slot) in slots.iter_mut().enumerate() {
            *slot = match i.cmp(&rank) {
                std::cmp::Ordering::Less => words.slot(order.slot(i)).load(Ordering::Acquire),
                std::cmp::Ordering::Equal => link(self.slot_head(added, level, skip), added),
                std::cmp::Ordering::Greater => words.slot(order.slot(i - 1)).load(Ordering::Acquire),
            };
        }
        if let Some(left) = replaced {
            slots[rank - 1] = slots[rank - 1] & !PLACE | left.word();
        }
        let bounds = words.bounds.load(Ordering::Relaxed);
        let (lower, upper) = (Node::from_word(bounds), Node::from_word(bounds >> 32));
        // Keys that come in ascending (descending) order fill the left (right) half and never come back to it.
        let cut = match (lower, upper) {
            (_, None) if rank == FANOUT => FANOUT,
            (None, _) if rank == 0 => 1,
            _ => slots.len() / 2,
        };
        let middle = if level == 0 { Node::from_word(slots[cut]) } else { self.lower_bound(slots[cut]) };
        let left = self.new_blocks(2);
        let right = left.following();
        self.fill(left, level, &slots[..cut], skip, (lower, middle));
        self.fill(right, level, &slots[cut..], skip, (middle, upper));
        words.split.store(link(link_head(slots[cut]), left.word()), Ordering::Release);
        if level == 0 && upper.is_none() {
            self.last_leaf.store(right.word(), Ordering::Release);
        }
        left
    }

    /// Writes a block that nobody knows yet. Its slots are given in order, with the heads that they have in a block
    /// that skips `skip` bytes.
    fn fill(
        &self,
        block: Block,
        level: usize,
        slots: &[u64],
        skip: usize,
        bounds: (Option<Node>, Option<Node>),
    ) {
        let words = self.arena.block(block);
        let skips = match bounds {
            (Some(lower), Some(upper)) => common(self.arena.key(lower), self.arena.key(upper)),
            _ => 0,
        };
        for (i, &slot) in slots.iter().enumerate() {
            // Between narrower bounds the keys have more in common, but seldom.
            let slot =
                if skips == skip { slot } else { link(self.slot_head(slot, level, skips), slot & PLACE) };
            words.slot(i).store(slot, Ordering::Relaxed);
        }
        words.order.store(Order::sorted(slots.len(), skips).0, Ordering::Relaxed);
        let [lower, upper] = [bounds.0, bounds.1].map(|node| node.map_or(0, Node::word));
        words.bounds.store(upper << 32 | lower, Ordering::Relaxed);
    }

    /// The head of what a slot leads to.
    fn slot_head(&self, slot: u64, level: usize, skip: usize) -> u32 {
        let node = if level == 0 { Node::from_word(slot) } else { self.lower_bound(slot) };
        node.map_or(0, |node| head(self.arena.key(node), skip))
    }
}
