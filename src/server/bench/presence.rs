//! [`Presence`]: which records must be there, so that a missing or a resurrected one is noticed.

use std::sync::atomic::{AtomicU64, Ordering};

/// A bit for each record: set once it has been written, cleared before it is deleted.
pub(crate) struct Presence {
    words: Vec<AtomicU64>,
}

impl Presence {
    /// Room for records below `capacity`; those below `present` are there.
    pub(crate) fn new(capacity: u64, present: u64) -> Presence {
        let words = (0..capacity.div_ceil(64))
            .map(|w| {
                AtomicU64::new(match present.saturating_sub(w * 64) {
                    0 => 0,
                    n @ 1..64 => (1 << n) - 1,
                    _ => u64::MAX,
                })
            })
            .collect();
        Presence { words }
    }

    fn place(&self, number: u64) -> Option<(&AtomicU64, u64)> {
        Some((self.words.get(usize::try_from(number / 64).ok()?)?, 1 << (number % 64)))
    }

    /// Whether the record must be there.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.place(number).is_some_and(|(word, bit)| word.load(Ordering::Acquire) & bit != 0)
    }

    /// The record has been written.
    pub(crate) fn set(&self, number: u64) {
        if let Some((word, bit)) = self.place(number) {
            word.fetch_or(bit, Ordering::AcqRel);
        }
    }

    /// The record is about to be deleted.
    pub(crate) fn clear(&self, number: u64) {
        if let Some((word, bit)) = self.place(number) {
            word.fetch_and(!bit, Ordering::AcqRel);
        }
    }

    /// How many records there must be.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        self.words.iter().map(|w| u64::from(w.load(Ordering::Acquire).count_ones())).sum()
    }

    /// The first record from `number` on that must be there.
    pub(crate) fn first_from(&self, number: u64) -> Option<u64> {
        let start = usize::try_from(number / 64).ok()?;
        for (i, word) in self.words.iter().enumerate().skip(start) {
            let mut bits = word.load(Ordering::Acquire);
            if i == start {
                bits &= u64::MAX << (number % 64);
            }
            if bits != 0 {
                return Some(i as u64 * 64 + u64::from(bits.trailing_zeros()));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_cleared_and_found() {
        for present in [0, 1, 63, 64, 65, 128, 200] {
            let presence = Presence::new(200, present);
            assert_eq!(presence.count(), present);
            assert!((0..300).all(|n| presence.has(n) == (n < present)), "{present}");
        }
        let presence = Presence::new(200, 100);
        presence.clear(0);
        presence.clear(64);
        presence.set(150);
        presence.set(1_000_000);
        assert_eq!(presence.count(), 99);
        assert_eq!(presence.first_from(0), Some(1));
        assert_eq!(presence.first_from(64), Some(65));
        assert_eq!(presence.first_from(100), Some(150));
        assert_eq!(presence.first_from(151), None);
        assert_eq!(presence.first_from(500), None);
    }
}
