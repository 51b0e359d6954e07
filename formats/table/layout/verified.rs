//! [`Verified`]: which blocks of an open table have had their checksum verified, one bit each.
//!
//! Invariant: a bit is set only after the checksum of its block was found right, and is never cleared while the table
//! is open. The bits order nothing else (a map never changes), so relaxed atomics suffice; two threads that meet
//! at an unverified block both verify it.

use std::sync::atomic::{AtomicU64, Ordering};

/// One bit for each block.
#[derive(Debug)]
pub struct Verified {
    words: Box<[AtomicU64]>,
}

impl Verified {
    /// No block of `blocks` is verified.
    pub fn new(blocks: usize) -> Verified {
        Verified { words: (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Whether the block is known to be intact. A number beyond the table's blocks never is.
    #[inline]
    pub fn get(&self, ordinal: u32) -> bool {
        let word = self.words.get(ordinal as usize / 64);
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (ordinal % 64) & 1 == 1)
    }

    /// Remembers that the block is intact.
    pub fn set(&self, ordinal: u32) {
        if let Some(word) = self.words.get(ordinal as usize / 64) {
            word.fetch_or(1 << (ordinal % 64), Ordering::Relaxed);
        }
    }

    /// The memory that the bits take, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.words.len() * size_of::<AtomicU64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_apart() {
        let verified = Verified::new(130);
        verified.set(64);
        verified.set(1000);
        let set: Vec<u32> = (0..2000).filter(|&i| verified.get(i)).collect();
        assert_eq!(set, [64]);
    }
}
