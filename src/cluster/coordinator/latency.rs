//! [`Latencies`]: how long each node takes to answer, as far as that matters for whom to ask and when to ask another.

use crate::id::NodeId;
use std::collections::BTreeMap;
use std::time::Duration;

/// The mean and deviation of the answers of a node, in microseconds, with the weights of TCP's round-trip estimator
/// (Jacobson and Karels, 1988).
#[derive(Clone, Copy, Debug)]
struct Estimate {
    mean: u64,
    deviation: u64,
}

/// How long each node takes to answer.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    of: BTreeMap<NodeId, Estimate>,
}

/// Another replica is asked after at least and at most this long.
const HEDGE_LEAST: u64 = 2_000;
const HEDGE_MOST: u64 = 100_000;
/// Assumed of a node that was never heard.
const UNKNOWN: u64 = 1_000;
/// A node whose answers do not come is taken to be no slower than this, so that it is tried again.
const SLOWEST: u64 = 2_000_000;

impl Latencies {
    /// An answer came after `took`.
    pub(crate) fn heard(&mut self, node: NodeId, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(SLOWEST);
        let estimate = self.of.entry(node).or_insert(Estimate { mean: took, deviation: took / 2 });
        let difference = took.abs_diff(estimate.mean);
        estimate.mean = (estimate.mean * 7 + took) / 8;
        estimate.deviation = (estimate.deviation * 3 + difference) / 4;
    }

    /// An answer is overdue: others are preferred until this node is heard again.
    pub(crate) fn overdue(&mut self, node: NodeId) {
        let estimate = self.of.entry(node).or_insert(Estimate { mean: UNKNOWN, deviation: UNKNOWN });
        estimate.mean = (estimate.mean * 2 + UNKNOWN).min(SLOWEST);
    }

    /// The mean in microseconds: what replicas are ordered by.
    pub(crate) fn mean(&self, node: NodeId) -> u64 {
        self.of.get(&node).map_or(UNKNOWN, |estimate| estimate.mean)
    }

    /// How long to wait for this node before another is asked as well: as long as some 95 of 100 answers take.
    pub(crate) fn patience(&self, node: NodeId) -> Duration {
        let micros = self.of.get(&node).map_or(HEDGE_LEAST * 5, |e| e.mean + 3 * e.deviation);
        Duration::from_micros(micros.clamp(HEDGE_LEAST, HEDGE_MOST))
    }
}
