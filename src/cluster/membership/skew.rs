//! [`Skew`]: how far another node's clock is from this one's.
//!
//! A message that was sent at their time t and arrives at our time u says that the clocks differ by t - u plus the time on
//! the way. The way is unknown, but of several messages the fastest is the nearest to the truth, and the way is what makes
//! equal clocks look apart: so of the last few differences the one nearest to zero counts.

const SAMPLES: usize = 8;

/// The last few differences of two clocks.
#[derive(Clone, Debug, Default)]
pub(super) struct Skew {
    samples: [i64; SAMPLES],
    taken: usize,
}

impl Skew {
    /// Notes a message that was sent at `theirs` and has arrived at `ours`.
    pub(super) fn note(&mut self, theirs: u64, ours: u64) {
        let difference = i128::from(theirs) - i128::from(ours);
        let bounded = difference.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        self.samples[self.taken % SAMPLES] = bounded;
        self.taken += 1;
    }

    /// Their clock minus ours, in milliseconds.
    pub(super) fn ms(&self) -> Option<i64> {
        let known = &self.samples[..self.taken.min(SAMPLES)];
        known.iter().copied().min_by_key(|sample| sample.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_message_counts_and_old_ones_leave() {
        let mut skew = Skew::default();
        assert_eq!(skew.ms(), None);
        for delay in [40, 5, 300] {
            skew.note(10_000, 10_000 + delay);
        }
        assert_eq!(skew.ms(), Some(-5));
        for _ in 0..SAMPLES {
            skew.note(3_610_000, 10_000);
        }
        assert_eq!(skew.ms(), Some(3_600_000));
        skew.note(u64::MAX, 0);
        skew.note(0, u64::MAX);
        assert_eq!(skew.ms(), Some(3_600_000));
    }
}
