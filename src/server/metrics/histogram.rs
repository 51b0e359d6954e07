//! [`Histogram`]: how long things took, in buckets that double.

use super::Counter;
use std::time::Duration;

/// Upper bounds of the buckets, in microseconds: 16 µs to 8 s, and one for everything longer.
pub(crate) const BOUNDS: [u64; 20] = {
    let mut bounds = [16; 20];
    let mut i = 1;
    while i < bounds.len() {
        bounds[i] = bounds[i - 1] * 2;
        i += 1;
    }
    bounds
};

/// How long things took.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [Counter; BOUNDS.len() + 1],
    micros: Counter,
}

impl Histogram {
    /// Counts `times` things that took so long each.
    pub(crate) fn observe(&self, took: Duration, times: u64) {
        let micros = took.as_micros() as u64;
        let place = BOUNDS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get(place) {
            bucket.add(times);
        }
        self.micros.add(micros.saturating_mul(times));
    }

    /// How many took at most each bound, in microseconds; the last one is all of them.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let mut sum = 0;
        let bounds = BOUNDS.iter().copied().map(Some).chain([None]);
        bounds.zip(&self.buckets).map(move |(bound, bucket)| {
            sum += bucket.get();
            (bound, sum)
        })
    }

    /// How long all of them took together.
    pub(crate) fn micros(&self) -> u64 {
        self.micros.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(16), 2);
        histogram.observe(Duration::from_micros(17), 1);
        histogram.observe(Duration::from_secs(100), 1);
        let counts: Vec<_> = histogram.cumulative().collect();
        assert_eq!((counts[0], counts[1]), ((Some(16), 2), (Some(32), 3)));
        assert_eq!(counts[19], (Some(16 << 19), 3));
        assert_eq!(counts[20], (None, 4));
        assert_eq!(histogram.micros(), 49 + 100_000_000);
    }
}
