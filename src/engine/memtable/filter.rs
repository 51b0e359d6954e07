//! [`Filter`]: which keys a memtable may have, so that a lookup of another key need not go down the tree.
//!
//! A Bloom filter whose bits for one key all lie in one word. A lookup that it answers touches a line or two of it, where the tree would
//! be one on each level, and those that a writer on another processor has changed have to be fetched from there.
//!
//! It consists of *parts*, each eight times as large as the one before, and a key goes to the first that is not full: so a memtable that
//! holds little touches little memory. A part is full at sixteen bits a key: it then takes one of a hundred keys that it does not have for one
//! that it may have. The last part is never full. Where entries take a hundred and fifty bytes it comes to ten bits a key and takes one of
//! thirty so, and more where entries are smaller.
//!
//! ```text
//!   words        ┌─ part 0 ─┬────── part 1 ──────┬─────── part 2 ─ ···
//!                │   512    │        4096        │ all others
//!                └──────────┴────────────────────┴────────────────────
//!   keys         up to 2048    up to 18432          the following
//!
//!   hash         place in a part u32 : unused u8 : bit 3 u6 : bit 2 u6 : bit 1 u6 : bit 0 u6      (from the high bits down)
//! ```
//!
//! A writer sets the bits, and says that a part is in use, before its insert returns, and so before the entry is published. Whoever has to
//! see the entry comes after that, and needs no order between the two.

use super::arena::Arena;
use crate::sync::{AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;

/// A word for so many bytes of capacity, which is twice of what a memtable is sealed at.
const BYTES_PER_WORD: usize = 2048;
/// The words of the first part: a page of memory.
const FIRST_WORDS: usize = 512;
/// How much larger a part is than the one before.
const GROWTH: usize = 8;
/// More parts than the largest memtable has.
const PARTS: usize = 8;
/// Bits a key at which a part is full.
const BITS_PER_KEY: u64 = 16;

/// The words of a memtable of this capacity.
pub(super) fn words_for(capacity: usize) -> usize {
    (capacity / BYTES_PER_WORD).max(1)
}

/// Some of the words.
#[derive(Clone, Copy, Default)]
struct Part {
    start: u32,
    len: u32,
}

/// See the head of this file.
pub(super) struct Filter {
    arena: Arc<Arena>,
    /// Those that have no words do not exist.
    parts: [Part; PARTS],
    /// The last part with keys.
    last: AtomicUsize,
}

impl Filter {
    /// A filter without keys, of all the words that the arena has for it.
    pub(super) fn new(arena: Arc<Arena>) -> Filter {
        let mut parts = [Part::default(); PARTS];
        let (mut start, mut len) = (0, FIRST_WORDS);
        for (i, part) in parts.iter_mut().enumerate() {
            let left = arena.filter_words() - start;
            // What would be less than the next part is in this one.
            let takes_all = i + 1 == PARTS || left < len + len * GROWTH;
            *part = Part { start: start as u32, len: if takes_all { left } else { len } as u32 };
            if takes_all {
                break;
            }
            (start, len) = (start + len, len * GROWTH);
        }
        Filter { arena, parts, last: AtomicUsize::new(0) }
    }

    /// Looks where a key goes that is to be added as number `number`, by its [`esker_table::key::filter_hash`].
    #[inline]
    pub(super) fn mark(&self, hash: u64, number: u64) -> Mark<'_> {
        let mut last = self.last.load(Ordering::Relaxed);
        while self.is_full(last, number) {
            last += 1;
            self.last.fetch_max(last, Ordering::Relaxed);
        }
        let word = self.word(last, hash);
        Mark { word, bits: bits_of(hash), seen: word.load(Ordering::Relaxed) }
    }

    /// Whether a key with this hash may have been added.
    #[inline]
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        let bits = bits_of(hash);
        (0..=self.last.load(Ordering::Relaxed))
            .any(|part| self.word(part, hash).load(Ordering::Relaxed) & bits == bits)
    }

    /// Whether so many keys are too many for this part and those before it, and there is another.
    #[inline]
    fn is_full(&self, part: usize, keys: u64) -> bool {
        let Part { start, len } = self.parts[part];
        keys > u64::from(start + len) * u64::from(u64::BITS) / BITS_PER_KEY
            && self.parts.get(part + 1).is_some_and(|next| next.len > 0)
    }

    #[inline]
    fn word(&self, part: usize, hash: u64) -> &AtomicU64 {
        let Part { start, len } = self.parts[part];
        self.arena.filter_word(start + (((hash >> 32) * u64::from(len)) >> 32) as u32)
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
        // To change a word takes it from whoever looks at it. Bits that were seen stay.
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

    fn hash(i: u64) -> u64 {
        filter_hash(&i.to_be_bytes())
    }

    fn filter(capacity: usize) -> Filter {
        Filter::new(Arc::new(Arena::new(capacity, 1, words_for(capacity))))
    }

    #[test]
    fn what_was_added_may_be_there_and_most_else_is_not() {
        for (capacity, parts) in [(1 << 20, 1), (4 << 20, 1), (16 << 20, 2), (128 << 20, 3)] {
            let filter = filter(capacity);
            // As many as there would be of a hundred bytes when the memtable is sealed.
            let entries = capacity as u64 / 2 / 164;
            for checked_at in [entries / 100, entries / 10, entries] {
                let before = filter.last.load(Ordering::Relaxed);
                (0..checked_at).for_each(|i| filter.mark(hash(i), i + 1).set());
                assert!(before <= filter.last.load(Ordering::Relaxed));
                assert!((0..checked_at).all(|i| filter.may_contain(hash(i))));
                let others = entries..entries + 100_000;
                let wrong = others.filter(|&i| filter.may_contain(hash(i))).count();
                assert!(wrong < 6_000, "{wrong} of 100,000 with {checked_at} in {capacity}");
            }
            assert_eq!(filter.last.load(Ordering::Relaxed) + 1, parts, "{capacity}");
        }
    }

    #[test]
    fn parts_follow_each_other_and_are_all_the_words() {
        for words in [1, 2, 511, 512, 4607, 4608, 5000, 37_375, 37_376, 8 << 20] {
            let filter = Filter::new(Arc::new(Arena::new(0, 1, words)));
            let mut end = 0;
            for part in filter.parts.iter().take_while(|part| part.len > 0) {
                assert_eq!(part.start, end);
                end += part.len;
            }
            assert_eq!(end as usize, words);
        }
    }

    #[test]
    fn few_keys_touch_little() {
        let filter = filter(1 << 30);
        (0..2048).for_each(|i| filter.mark(hash(i), i + 1).set());
        assert_eq!((filter.last.load(Ordering::Relaxed), filter.parts[0].len as usize), (0, FIRST_WORDS));
    }

    #[test]
    fn one_word_tells_no_lie() {
        let filter = filter(0);
        (0..1000).for_each(|i| filter.mark(hash(i), i + 1).set());
        assert!((0..1000).all(|i| filter.may_contain(hash(i))));
    }
}
