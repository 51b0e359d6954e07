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
    /// What made writes late. What was measured earlier does not say.
    #[serde(default)]
    pub(crate) slow: Option<Slow>,
}

/// Writes that were done, or given up, more than 50 ms after they were due, and where the time went from when their thread last had
/// nothing due to when it had nothing due again. Times are those of all such episodes together; `None` is what nobody says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Slow {
    pub(crate) writes: u64,
    pub(crate) episodes: u64,
    /// The longest episode.
    pub(crate) longest_ms: f64,
    /// The store made the thread wait for work in the background.
    pub(crate) stalled_ms: Option<f64>,
    /// The thread could have run, and had no processor.
    pub(crate) waiting_for_processor_ms: Option<f64>,
    /// It ran.
    pub(crate) on_processor_ms: Option<f64>,
    /// Meanwhile the machine's host took so much from all processors together. Some of it may be counted as time in which the thread ran.
    pub(crate) stolen_ms: Option<f64>,
    /// What is left: it waited for the log, for locks or for what was read from files, or for what is `None` above.
    pub(crate) other_ms: f64,
}

impl Measured {
    /// All operations, also those that are not in the rate.
    pub(crate) fn all_operations(&self) -> u64 {
        let paced =
            self.paced.as_ref().map_or(0, |paced| paced.writes.done - paced.missed + paced.reads.done);
        self.operations + paced
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn what_was_measured_before_slow_writes_were_told_is_read() {
        let paced = example::measured().into_iter().find_map(|one| one.paced).unwrap();
        assert!(paced.slow.is_some());
        let mut json = serde_json::to_value(&paced).unwrap();
        assert_eq!(serde_json::from_value::<Paced>(json.clone()).unwrap(), paced);
        json.as_object_mut().unwrap().remove("slow").unwrap();
        assert_eq!(serde_json::from_value::<Paced>(json).unwrap(), Paced { slow: None, ..paced });
    }
}
