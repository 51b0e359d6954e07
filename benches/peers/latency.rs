//! [`Quantiles`]: the latencies of one kind of operation, in microseconds.

use crate::peer::Result;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longer operations count as this long: ten minutes.
const LONGEST_NANOS: u64 = 600_000_000_000;

/// An empty histogram of nanoseconds.
pub(crate) fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LONGEST_NANOS, 3)?)
}

pub(crate) fn nanos(latency: Duration) -> u64 {
    u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX)
}

/// What so many operations took. All is 0 if there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    pub(crate) done: u64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) p9999_us: f64,
    pub(crate) max_us: f64,
}

impl Quantiles {
    pub(crate) fn of(latencies: &Histogram<u64>) -> Quantiles {
        let micros = |nanos: u64| nanos as f64 / 1000.0;
        let at = |quantile| micros(latencies.value_at_quantile(quantile));
        Quantiles {
            done: latencies.len(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            p9999_us: at(0.9999),
            max_us: micros(latencies.max()),
        }
    }
}
