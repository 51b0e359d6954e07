//! [`Metrics`]: what the rooms of the engine count, one group of counters for each room.
//!
//! Counting is relaxed and spread over a few cache lines, so that two threads that read at once do not pass one line to
//! and fro. A reading is the sum; it may miss what is being counted at that moment, and never goes back.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How many lines a counter is spread over.
const STRIPES: usize = 4;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe(AtomicU64);

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    stripes: [Stripe; STRIPES],
}

impl Counter {
    /// Adds `n`. Adding nothing touches nothing.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        if n != 0 {
            self.stripes[stripe()].0.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// The sum so far.
    pub(crate) fn get(&self) -> u64 {
        self.stripes.iter().map(|s| s.0.load(Ordering::Relaxed)).sum()
    }
}

/// The stripe of this thread: threads take them in turn.
#[inline]
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    MINE.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
        }
        mine.get()
    })
}

/// All the counters of one store.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) read: ReadMetrics,
    pub(crate) write: WriteMetrics,
}

/// What the read path counts.
#[derive(Debug, Default)]
pub(crate) struct ReadMetrics {
    /// Point lookups.
    pub(crate) gets: Counter,
    /// Point lookups that found a value.
    pub(crate) hits: Counter,
    /// Tables that point lookups asked.
    pub(crate) table_probes: Counter,
    /// Tables that did not have the key.
    pub(crate) table_misses: Counter,
    /// Tables among those whose filter said so, before any block was read.
    pub(crate) filter_negatives: Counter,
    /// Blocks that were found in the block cache.
    pub(crate) cache_hits: Counter,
    /// Blocks that were not.
    pub(crate) cache_misses: Counter,
    /// Tables opened.
    pub(crate) tables_opened: Counter,
    /// Cursors and ranges made.
    pub(crate) cursors: Counter,
    /// Cursors and ranges positioned anew.
    pub(crate) seeks: Counter,
}

/// What the write path and the background count.
#[derive(Debug, Default)]
pub(crate) struct WriteMetrics {
    /// Operations.
    pub(crate) writes: Counter,
    /// Bytes of keys and values, with their framing.
    pub(crate) user_bytes: Counter,
    /// Bytes written to the log.
    pub(crate) wal_bytes: Counter,
    /// Calls that wrote to the log.
    pub(crate) wal_writes: Counter,
    /// Syncs of files.
    pub(crate) fsyncs: Counter,
    pub(crate) flushes: Counter,
    /// Bytes of tables written by flushes.
    pub(crate) flush_bytes: Counter,
    pub(crate) compactions: Counter,
    /// Bytes of tables written by compactions.
    pub(crate) compaction_bytes: Counter,
    /// Bytes of tables that went into compactions.
    pub(crate) compaction_read_bytes: Counter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_threads() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| (0..1000).for_each(|_| counter.add(2)));
            }
        });
        assert_eq!(counter.get(), 12_000);
    }
}
