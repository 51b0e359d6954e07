//! [`Measured`]: what one measurement found, as a line of JSON has it.

use crate::latency::Quantiles;
use crate::peer::PeerName;
use crate::series::Second;
use crate::workload::Workload;
use serde::{Deserialize, Serialize};

/// What was measured of one workload on one peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) peer: PeerName,
    pub(crate) workload: Workload,
    pub(crate) keys: u64,
    pub(crate) value_bytes: usize,
    /// What the process might take of memory, with the files that the system remembered for it.
    pub(crate) memory_limit_mib: Option<u64>,
    pub(crate) operations: u64,
    pub(crate) seconds: f64,
    pub(crate) ops_per_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) p9999_us: f64,
    pub(crate) max_us: f64,
    /// Whether it ended when its time was over, with records left that it would have written.
    pub(crate) cut_short: bool,
    /// What a store that was killed kept of what had been written, from 0 to 1.
    pub(crate) kept: Option<f64>,
    /// Seconds until it had settled, after the work.
    pub(crate) settle_s: Option<f64>,
    /// Operations a second of the thread that wrote beside it.
    pub(crate) beside_ops_per_s: Option<f64>,
    /// The most memory that was resident and of no file, from when the store was open to when it had settled.
    pub(crate) peak_anon_bytes: Option<u64>,
    /// What its directory takes.
    pub(crate) disk_bytes: u64,
    /// Bytes that files were made to hold, those included that were removed before they went to the device, for each byte of
    /// keys and values that was written.
    pub(crate) write_amp: Option<f64>,
    /// Processor time of the work and the settling.
    pub(crate) cpu_s: Option<f64>,
    /// Bytes that came from the device for the work and the settling.
    pub(crate) device_read_bytes: Option<u64>,
    /// Bytes that the work and the settling made files hold.
    pub(crate) device_written_bytes: Option<u64>,
    /// Files synced by the work, if the store says.
    pub(crate) syncs: Option<u64>,
    /// What `longfill` did when it no longer was as fast as it could be.
    pub(crate) paced: Option<Paced>,
    /// What `longfill` did second by second.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) series: Vec<Second>,
}

/// Writes that came at their times, beside a thread that read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Paced {
    /// How many writes a second were due.
    pub(crate) due_per_s: f64,
    pub(crate) seconds: f64,
    /// From when each write was due. Those that were not done when the time was over count with what they had waited by then.
    pub(crate) writes: Quantiles,
    /// Writes that were due and not done when the time was over.
    pub(crate) missed: u64,
    /// Reads beside the writes.
    pub(crate) reads: Quantiles,
    /// The same reads after the store had settled.
    pub(crate) idle_reads: Quantiles,
}

impl Measured {
    /// All operations, also those that are not in the rate.
    pub(crate) fn all_operations(&self) -> u64 {
        let paced =
            self.paced.as_ref().map_or(0, |paced| paced.writes.done - paced.missed + paced.reads.done);
        self.operations + paced
    }
}
