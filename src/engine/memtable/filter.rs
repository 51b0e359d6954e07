//! [`Filter`]: which keys a memtable may have, so that a lookup of another key need not go down the tree.
//!
//! A Bloom filter whose bits for one key all lie in one word, which is the one cache line that such a lookup touches; the tree would be
//! one on each level, and those that a writer on another processor has changed have to be fetched from there. Words are sized
//! for ten bits an entry of a hundred bytes, with which one key of thirty is taken for one that may be there, and more where
//! entries are smaller.
//!
//! ```text
//!   hash   word u32 : unused u8 : bit 3 u6 : bit 2 u6 : bit 1 u6 : bit 0 u6      (from the high bits down)
//!          word = (that × number of words) >> 32
//! ```
//!
//! A writer sets the bits before the entry is in the tree. So a reader that has to see the entry sees them too: what makes it see the
//! one happens after both.

use super::arena::Arena;
use crate::sync::{AtomicU64, Ordering};
use std::sync::Arc;

/// A word for so many bytes of capacity, which is twice of what a memtable is sealed at.
const BYTES_PER_WORD: usize = 2048;

/// The words of a memtable of this capacity.
pub(super) fn words_for(capacity: usize) -> usize {
    (capacity / BYTES_PER_WORD).max(1)
}

/// See the head of this file.
pub(super) struct Filter {
    arena: Arc<Arena>,
}

impl Filter {
    /// A filter without keys in an arena that has words for it.
    pub(super) fn new(arena: Arc<Arena>) -> Filter {
        Filter { arena }
    }

    /// Looks where a key goes that is to be added, by its [`esker_table::key::filter_hash`].
    #[inline]
    pub(super) fn mark(&self, hash: u64) -> Mark<'_> {
        let word = self.arena.filter_word(hash >> 32);
        Mark { word, bits: bits_of(hash), seen: word.load(Ordering::Relaxed) }
    }

    /// Whether a key with this hash may have been added.
    #[inline]
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        let bits = bits_of(hash);
        self.arena.filter_word(hash >> 32).load(Ordering::Relaxed) & bits == bits
    }
}

/// Where a key goes. To look there some time before the key is added has the line come while something else is done.
#[derive(Clone, Copy)]
pub(super) struct Mark<'a> {
    word: &'a AtomicU64,
    bits: u64,
    seen: u64,
}

impl Mark<'_> {
    /// Adds the key.
    #[inline]
    pub(super) fn set(self) {
        // To change a word takes it from whoever looks at it.
        if self.seen & self.bits != self.bits {
            self.word.fetch_or(self.bits, Ordering::Relaxed);
        }
    }
}

#[inline]
fn bits_of(hash: u64) -> u64 {
    let bit = |n: u32| 1 << (hash >> (6 * n) & 63);
    bit(0) | bit(1) | bit(2) | bit(3)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use esker_table::key::filter_hash;

    #[test]
    fn what_was_added_may_be_there_and_most_else_is_not() {
        let capacity = 4 << 20;
        let filter = Filter::new(Arc::new(Arena::new(capacity, 1, words_for(capacity))));
        let hash = |i: u32| filter_hash(&i.to_be_bytes());
        // As many as there would be of a hundred bytes when the memtable is sealed.
        let entries = (capacity / 2 / 156) as u32;
        (0..entries).for_each(|i| filter.mark(hash(i)).set());
        assert!((0..entries).all(|i| filter.may_contain(hash(i))));
        let wrong = (entries..entries + 100_000).filter(|&i| filter.may_contain(hash(i))).count();
        assert!((1_000..5_000).contains(&wrong), "{wrong} of 100,000");
    }
}
