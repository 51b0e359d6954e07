//! [`Words`] and [`Order`]: a block of the tree, and the word that says how its slots are sorted.
//!
//! ```text
//!   word 0..13   slots: key head u32 : node (in a leaf) or block (above) u32, in the order of their arrival
//!   word 13      order: skip u8 : rank 12 u4 : ... : rank 1 u4 : rank 0 u4 : count u4   (from the high bits down)
//!   word 14      split: key head u32 : left block u32; zero while the block is not split
//!   word 15      bounds: upper node u32 : lower node u32; zero where there is no bound
//! ```
//!
//! `rank r` is the slot that comes r-th in key order. A slot is written once and then made part of the block by one
//! change of the order, so whoever loads the order has a sorted view of the block that does not change any more.
//!
//! All keys of a block begin with the same `skip` bytes, since its bounds do. The heads are the four bytes after
//! those, big endian, padded with zero bytes: if `head(a) < head(b)` then `a < b`, and keys that lie close together
//! have different heads all the same.

use crate::sync::AtomicU64;
use std::num::NonZeroU32;

/// The most slots of a block: what fits in two cache lines.
#[cfg(not(loom))]
pub(super) const FANOUT: usize = 13;
/// Small, so that a few entries make a tree of several levels.
#[cfg(loom)]
pub(super) const FANOUT: usize = 2;

/// The bytes of a block.
pub(super) const BLOCK_BYTES: usize = 128;
#[cfg(not(loom))]
const _: () = assert!(size_of::<Words>() == BLOCK_BYTES);

/// A block of an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block(NonZeroU32);

impl Block {
    /// The block at `index`, counted from zero.
    pub(super) fn at(index: u32) -> Block {
        Block(NonZeroU32::MIN.saturating_add(index))
    }

    /// The block that `word` says in its low half, if it says one.
    #[inline]
    pub(super) fn from_word(word: u64) -> Option<Block> {
        NonZeroU32::new(word as u32).map(Block)
    }

    /// The block as the low half of a word.
    #[inline]
    pub(super) fn word(self) -> u64 {
        u64::from(self.0.get())
    }

    /// Its place, counted from zero.
    #[inline]
    pub(super) fn index(self) -> usize {
        self.0.get() as usize - 1
    }

    /// The block after this one.
    #[inline]
    pub(super) fn following(self) -> Block {
        Block(self.0.saturating_add(1))
    }
}

/// The words of a block.
#[cfg_attr(not(loom), repr(C, align(128)))]
#[cfg_attr(loom, derive(Default))]
pub(super) struct Words {
    slots: [AtomicU64; FANOUT],
    pub(super) order: AtomicU64,
    pub(super) split: AtomicU64,
    pub(super) bounds: AtomicU64,
}

impl Words {
    /// The slot at `index`.
    #[inline]
    pub(super) fn slot(&self, index: usize) -> &AtomicU64 {
        &self.slots[index]
    }

    /// The slots that are in `order`, as they lie.
    #[inline]
    pub(super) fn slots(&self, order: Order) -> &[AtomicU64] {
        &self.slots[..order.count()]
    }
}

/// A key's head and what it leads to.
#[inline]
pub(super) fn link(head: u32, place: u64) -> u64 {
    u64::from(head) << 32 | place
}

/// The head of a link.
#[inline]
pub(super) fn link_head(link: u64) -> u32 {
    (link >> 32) as u32
}

/// The head of a key in a block that skips `skip` bytes.
#[inline]
pub(super) fn head(key: &[u8], skip: usize) -> u32 {
    let rest = key.get(skip..).unwrap_or_default();
    if let Some(first) = rest.first_chunk::<4>() {
        return u32::from_be_bytes(*first);
    }
    let mut bytes = [0; 4];
    bytes[..rest.len()].copy_from_slice(rest);
    u32::from_be_bytes(bytes)
}

/// How many bytes a block between these two keys skips.
pub(super) fn common(lower: &[u8], upper: &[u8]) -> usize {
    lower.iter().zip(upper).take(usize::from(u8::MAX)).take_while(|(a, b)| a == b).count()
}

/// See the head of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order(pub(super) u64);

impl Order {
    const RANKS: u64 = (1 << 56) - 1;

    /// Slots that are sorted as they lie.
    pub(super) fn sorted(count: usize, skip: usize) -> Order {
        let ranks = (0..count).fold(0, |ranks, i| ranks | (i as u64) << (4 + 4 * i));
        Order((skip as u64) << 56 | ranks | count as u64)
    }

    /// The number of slots.
    #[inline]
    pub(super) fn count(self) -> usize {
        (self.0 & 15) as usize
    }

    /// The bytes that all keys begin with.
    #[inline]
    pub(super) fn skip(self) -> usize {
        (self.0 >> 56) as usize
    }

    /// The slot at `rank`.
    #[inline]
    pub(super) fn slot(self, rank: usize) -> usize {
        (self.0 >> (4 + 4 * rank)) as usize & 15
    }

    /// With the next slot put at `rank`.
    #[inline]
    pub(super) fn with(self, rank: usize) -> Order {
        let shift = 4 + 4 * rank;
        let below = self.0 & ((1 << shift) - 1);
        let above = (self.0 & Self::RANKS & !((1 << shift) - 1)) << 4;
        let slot = (self.count() as u64) << shift;
        Order((self.0 & !Self::RANKS) | above | slot | (below + 1))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_order_keeps_what_was_put_into_it() {
        let mut order = Order::sorted(0, 200);
        let mut model: Vec<usize> = Vec::new();
        for (slot, rank) in [0, 0, 2, 1, 4, 0, 3, 7, 8, 2, 10, 5, 12].into_iter().enumerate() {
            order = order.with(rank);
            model.insert(rank, slot);
            assert_eq!((order.count(), order.skip()), (model.len(), 200));
            assert_eq!((0..model.len()).map(|rank| order.slot(rank)).collect::<Vec<_>>(), model);
        }
        assert_eq!(order.count(), FANOUT);
        let sorted = Order::sorted(FANOUT, 7);
        assert!((0..FANOUT).all(|rank| sorted.slot(rank) == rank) && sorted.skip() == 7);
    }

    #[test]
    fn heads_never_contradict_the_order() {
        let keys: [&[u8]; 7] =
            [b"pre", b"pre\0", b"prea", b"preaaaa", b"preaaaab", b"preaaab", b"pre\xff\xff\xff\xff\xff"];
        for a in keys {
            for b in keys {
                if head(a, 3) != head(b, 3) {
                    assert_eq!(head(a, 3).cmp(&head(b, 3)), a.cmp(b), "{a:?} {b:?}");
                }
            }
        }
        assert_eq!((common(b"abcd", b"abx"), common(b"", b"a"), common(&[7; 400], &[7; 300])), (2, 0, 255));
    }
}
