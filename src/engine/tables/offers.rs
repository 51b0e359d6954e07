//! [`Offers`]: which blocks the cache was offered lately.
//!
//! Where mapped files are read by position, since memory is too small for them, a block that was read lies in the system's cache as
//! well, and to hold it a second time takes memory from that. Where lookups go everywhere, hardly any block is asked for again soon, and the memory is better the
//! system's. Where some blocks are asked for again and again, the cache holds them without the rest of their pages, and without a system
//! call. So a block gets in when it is offered a second time.
//!
//! What was offered is remembered as a mark of sixteen bits in a table where each block has one place, and who comes later takes
//! it: so offers of long ago are forgotten. One block in 65,535 is taken for the one before it.

use std::sync::atomic::{AtomicU16, Ordering};

/// A place for so many bytes of the cache, about half as many as it holds blocks. The more there are, the more blocks that nobody will ask for
/// a third time get in.
const BYTES: u64 = 4096;

/// Places there may be.
const PLACES: std::ops::RangeInclusive<u64> = 1 << 12..=1 << 24;

/// Which blocks were offered lately, by their hashes.
pub(super) struct Offers {
    /// The mark of the block that was offered last of those that have this place; 0 if there was none.
    marks: Box<[AtomicU16]>,
}

impl Offers {
    /// Remembers about half as many blocks as a cache of `bytes` bytes holds.
    pub(super) fn new(bytes: u64) -> Offers {
        let places = (bytes / BYTES).clamp(*PLACES.start(), *PLACES.end()).next_power_of_two();
        Offers { marks: (0..places).map(|_| AtomicU16::new(0)).collect() }
    }

    /// Takes note of an offer. Returns whether the block was offered lately.
    pub(super) fn again(&self, hash: u64) -> bool {
        let mark = ((hash >> 48) as u16).max(1);
        let place = &self.marks[hash as usize & (self.marks.len() - 1)];
        // Between two threads an offer may get lost.
        let is_again = place.load(Ordering::Relaxed) == mark;
        if !is_again {
            place.store(mark, Ordering::Relaxed);
        }
        is_again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_is_offered_again_is_known_until_it_is_forgotten() {
        let offers = Offers::new(0);
        let hash = |block: u64| block.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let known = |blocks: std::ops::Range<u64>| blocks.filter(|block| offers.again(hash(*block))).count();
        assert_eq!(known(0..100), 0);
        assert!(known(0..100) > 80);
        assert!(known(1000..100_000) < 100, "others are not taken for them");
        assert!(known(0..100) < 5, "they are forgotten");
    }
}
