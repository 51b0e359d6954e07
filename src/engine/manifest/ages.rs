//! [`Ages`]: how old entries are, told by their sequence numbers.
//!
//! A *sample* says that everything up to a sequence number was written by some time. Samples are taken where a keyspace with
//! a time to live looks at the clock anyway: when it flushes, when it ingests, when background work looks round. The
//! *horizon* is the largest sequence number whose sample is older than the time to live: everything up to it has expired.
//!
//! ```text
//!   sequence number  ──────────●──────────────●─────────●────────►
//!                             500            730       910
//!   written by               10:00          10:02     10:04
//!   with a time to live of one hour, at 11:03:  horizon 730
//! ```
//!
//! Older versions of a key have smaller sequence numbers, so whatever an expired entry hides has expired too.
//!
//! Invariants:
//! - Samples ascend in both numbers. A clock that goes back is taken to stand still, so it makes entries live longer and
//!   never shorter. A clock that jumps forward ages everything by as much.
//! - Leaving a sample out makes entries look younger, never older: that is what makes thinning, and losing samples, safe.

use esker_table::SeqNo;

/// Samples are thinned to about this many, and a few, for each time to live: entries live longer by one part in as many.
const PER_LIFE: u64 = 32;

/// Everything up to a sequence number was written by this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AgeSample {
    pub(crate) seqno: SeqNo,
    /// Milliseconds since 1970.
    pub(crate) millis: u64,
}

/// Samples of one keyspace, ascending. See the head of this file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ages(Vec<AgeSample>);

impl Ages {
    /// `None` if the samples do not ascend.
    pub(crate) fn from_samples(samples: Vec<AgeSample>) -> Option<Ages> {
        let ascend = |pair: &[AgeSample]| pair[0].seqno < pair[1].seqno && pair[0].millis <= pair[1].millis;
        samples.windows(2).all(ascend).then_some(Ages(samples))
    }

    pub(crate) fn samples(&self) -> &[AgeSample] {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The largest sequence number whose age is known; 0 if there is none.
    pub(crate) fn newest(&self) -> SeqNo {
        self.0.last().map_or(0, |sample| sample.seqno)
    }

    /// Everything up to this sequence number has lived for at least `ttl` milliseconds; 0 if nothing has.
    pub(crate) fn horizon(&self, now_millis: u64, ttl: u64) -> SeqNo {
        self.expired(now_millis, ttl).checked_sub(1).map_or(0, |last| self.0[last].seqno)
    }

    /// How many samples are older than `ttl`.
    fn expired(&self, now_millis: u64, ttl: u64) -> usize {
        self.0.partition_point(|sample| sample.millis.saturating_add(ttl) <= now_millis)
    }

    /// Notes that everything up to `seqno` has been written by now.
    pub(crate) fn note(&mut self, seqno: SeqNo, now_millis: u64, ttl: u64) {
        if seqno <= self.newest() {
            return;
        }
        let last = self.0.last().map_or(0, |sample| sample.millis);
        self.0.push(AgeSample { seqno, millis: now_millis.max(last) });
        self.thin(now_millis, ttl);
    }

    /// Of the expired samples only the newest says anything; of the others, one goes if its two neighbours are close enough
    /// together to do without it.
    fn thin(&mut self, now_millis: u64, ttl: u64) {
        let useless = self.expired(now_millis, ttl).saturating_sub(1);
        self.0.drain(..useless);
        let gap = (ttl / PER_LIFE).max(1);
        let mut kept: Vec<AgeSample> = Vec::with_capacity(self.0.len());
        for sample in self.0.drain(..) {
            while kept.len() >= 2 && sample.millis - kept[kept.len() - 2].millis < gap {
                kept.pop();
            }
            kept.push(sample);
        }
        self.0 = kept;
    }

    /// What is known of entries up to `seqno`: the part that may be recorded when they are durable and later ones are not.
    pub(crate) fn up_to(&self, seqno: SeqNo) -> Ages {
        Ages(self.0.iter().copied().take_while(|sample| sample.seqno <= seqno).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_follows_the_clock() {
        let mut ages = Ages::default();
        assert_eq!(ages.horizon(u64::MAX, 1), 0);
        ages.note(500, 1000, 320);
        ages.note(730, 1100, 320);
        ages.note(730, 1200, 320); // nothing was written since
        assert_eq!(ages.samples().len(), 2);
        for (now, expected) in [(0, 0), (1319, 0), (1320, 500), (1419, 500), (1420, 730), (9999, 730)] {
            assert_eq!(ages.horizon(now, 320), expected, "at {now}");
        }
        assert_eq!(ages.horizon(u64::MAX - 1, u64::MAX), 0, "a time to live without end");
    }

    #[test]
    fn a_clock_that_goes_back_expires_nothing_early() {
        let mut ages = Ages::default();
        ages.note(1, 5000, 100);
        ages.note(2, 1000, 100);
        assert_eq!(ages.horizon(1100, 100), 0);
        assert_eq!(ages.horizon(5099, 100), 0);
        assert_eq!(ages.horizon(5100, 100), 2);
    }

    /// A log of exact times, to hold the thinned samples against.
    #[test]
    fn thinned_samples_are_few_never_early_and_hardly_late() {
        for (ttl, step) in [(3200u64, 1u64), (3200, 7), (3200, 150), (3200, 4000), (20, 1), (1, 1)] {
            let gap = (ttl / PER_LIFE).max(1);
            let mut ages = Ages::default();
            for seqno in 1..=5000u64 {
                let now = 10_000 + seqno * step;
                ages.note(seqno, now, ttl);
                let horizon = ages.horizon(now, ttl);
                let exact = (now - 10_000).saturating_sub(ttl) / step;
                let late = (now - 10_000).saturating_sub(ttl + gap) / step;
                assert!(horizon <= exact, "ttl {ttl}, step {step}: {horizon} expired before {exact}");
                assert!(horizon >= late.saturating_sub(1), "ttl {ttl}, step {step}: {horizon} is late");
                assert!(
                    ages.samples().len() <= 2 * PER_LIFE as usize + 3,
                    "{} samples",
                    ages.samples().len()
                );
                assert_eq!(Ages::from_samples(ages.samples().to_vec()), Some(ages.clone()));
            }
        }
    }

    #[test]
    fn samples_stay_few_when_the_clock_stands() {
        let mut ages = Ages::default();
        for seqno in 1..1000 {
            ages.note(seqno, 77, 1);
        }
        assert!(ages.samples().len() <= 2);
        assert_eq!((ages.newest(), ages.horizon(78, 1)), (999, 999));
    }

    #[test]
    fn a_part_is_as_true_as_the_whole() {
        let mut ages = Ages::default();
        (1..=4).for_each(|i| ages.note(i * 10, i * 1000, 10_000));
        assert_eq!(ages.up_to(29).newest(), 20);
        assert_eq!(ages.up_to(9), Ages::default());
        let back = |a: u64, b: u64| {
            Ages::from_samples(vec![AgeSample { seqno: 5, millis: 5 }, AgeSample { seqno: a, millis: b }])
        };
        assert!(back(6, 5).is_some() && back(5, 6).is_none() && back(6, 4).is_none());
    }
}
