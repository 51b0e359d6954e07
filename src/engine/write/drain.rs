//! [`Drain`]: how quickly background work brings out of the way what was written to a keyspace.

use crate::sync::std_lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes of memtables a second, of late; 0 before the first was measured.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    flushes: AtomicU64,
    merges: AtomicU64,
    measured: Mutex<Measured>,
}

#[derive(Debug, Default)]
struct Measured {
    flushes: Share,
    merges: Share,
    /// Bytes of memtables to bytes of tables.
    expansion: Share,
    /// How long merges took since something last left L0, those within L0 too.
    merging: f64,
}

/// What one thing is of another, where the latest counts most and what is small counts little.
#[derive(Debug, Default)]
struct Share {
    one: f64,
    other: f64,
}

impl Share {
    fn note(&mut self, one: f64, other: f64) {
        (self.one, self.other) = (self.one * 0.75 + one, self.other * 0.75 + other);
    }

    /// 0 if nothing was noted.
    fn ratio(&self) -> f64 {
        self.one / self.other.max(1e-6)
    }
}

impl Drain {
    /// How quickly memtables are flushed.
    pub(crate) fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Relaxed)
    }

    /// How quickly what was flushed leaves L0.
    pub(crate) fn merges(&self) -> u64 {
        self.merges.load(Ordering::Relaxed)
    }

    /// Notes that so many bytes of memtables became so many of tables.
    pub(crate) fn note_flush(&self, memtables: u64, tables: u64, took: Duration) {
        let mut measured = std_lock(&self.measured);
        measured.flushes.note(memtables as f64, took.as_secs_f64());
        self.flushes.store(measured.flushes.ratio() as u64, Ordering::Relaxed);
        // What left nothing behind says nothing of how much tables take.
        if tables > 0 {
            measured.expansion.note(memtables as f64, tables as f64);
        }
    }

    /// Notes a merge that took so many bytes out of L0.
    pub(crate) fn note_merge(&self, from_l0: u64, took: Duration) {
        let mut measured = std_lock(&self.measured);
        measured.merging += took.as_secs_f64();
        if from_l0 > 0 {
            let took = std::mem::take(&mut measured.merging);
            let memtables = from_l0 as f64 * measured.expansion.ratio().max(1.0);
            measured.merges.note(memtables, took);
            self.merges.store(measured.merges.ratio() as u64, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_l0_pays_for_the_merges_before() {
        let drain = Drain::default();
        let second = Duration::from_secs(1);
        drain.note_flush(3000, 1000, second);
        assert_eq!((drain.flushes(), drain.merges()), (3000, 0));
        drain.note_merge(0, second);
        assert_eq!(drain.merges(), 0);
        drain.note_merge(2000, 2 * second);
        assert_eq!(drain.merges(), 2000);
        drain.note_merge(4000, second);
        assert_eq!(drain.merges(), (6000 * 3 / 4 + 12000) * 100 / (3 * 75 + 100));
    }

    #[test]
    fn what_is_small_counts_little() {
        let drain = Drain::default();
        drain.note_flush(50_000_000, 25_000_000, Duration::from_millis(500));
        drain.note_flush(10_000, 10, Duration::from_millis(20));
        assert!((80_000_000..110_000_000).contains(&drain.flushes()), "{}", drain.flushes());
        drain.note_merge(1_000_000, Duration::from_millis(20));
        assert!((99_000_000..101_000_000).contains(&drain.merges()), "{}", drain.merges());
        drain.note_flush(40_000_000, 0, Duration::from_millis(400));
        drain.note_merge(1_000_000, Duration::from_millis(20));
        assert!((99_000_000..101_000_000).contains(&drain.merges()), "{}", drain.merges());
    }
}
