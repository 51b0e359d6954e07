//! The workloads by name, and what each needs.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A workload. Unless something else is said, one thread, one operation at a time, of records chosen uniformly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Workload {
    /// Writes every record, in order.
    Fillseq,
    /// Writes every record once, in random order; then settles.
    Fillrandom,
    /// The same with two threads.
    Fillrandom2,
    /// The same in batches of 100.
    Fillbatch100,
    /// Writes random records again.
    Overwrite,
    /// Writes every record three times, in batches of 100; then settles.
    Overwrite3,
    /// Deletes every record once, in random order.
    Deleterandom,
    /// Gets random records.
    Readrandom,
    /// The same with two threads.
    Readrandom2,
    /// Gets keys that are not there, between those that are.
    Readmissing,
    /// Visits every record, forwards.
    Readseq,
    /// Visits every record, backwards.
    Readreverse,
    /// Visits 10 records from a random one on.
    Seekrandom10,
    /// Visits 100 records from a random one on.
    Seekrandom100,
    /// Gets random records while one more thread overwrites.
    Readwhilewriting,
    /// Writes random records, each on the device when it returns.
    Syncedputs,
    /// The same with eight threads.
    Syncedputs8,
    /// Half gets, half updates; zipfian.
    YcsbA,
    /// 95 % gets, 5 % updates; zipfian.
    YcsbB,
    /// Gets; zipfian.
    YcsbC,
    /// 95 % gets of the latest records, 5 % inserts.
    YcsbD,
    /// 95 % scans of up to 100 records, 5 % inserts; zipfian.
    YcsbE,
    /// Half gets, half gets followed by an update of the same record; zipfian.
    YcsbF,
    /// Opens a store that was killed with 40 MiB written that may be in its log only.
    Reopen,
    /// Writes as fast as it can, then at 70 % of that rate beside reads, second by second. Only if it is named.
    Longfill,
}

/// What a workload begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// An empty directory.
    Empty,
    /// A store of its own with every record.
    Copied,
    /// The store with every record, which it leaves as it is.
    Loaded,
    /// A store whose process was killed.
    Killed,
}

impl Workload {
    /// Those that are done if none is named.
    pub(crate) fn defaults() -> Vec<Workload> {
        Workload::value_variants()
            .iter()
            .copied()
            .filter(|workload| *workload != Workload::Longfill)
            .collect()
    }

    pub(crate) fn start(self) -> Start {
        use Workload as W;
        match self {
            W::Fillseq | W::Fillrandom | W::Fillrandom2 | W::Fillbatch100 | W::Overwrite3 => Start::Empty,
            W::Syncedputs | W::Syncedputs8 | W::Longfill => Start::Empty,
            W::Readrandom | W::Readrandom2 | W::Readmissing | W::Readseq | W::Readreverse => Start::Loaded,
            W::Seekrandom10 | W::Seekrandom100 | W::YcsbC => Start::Loaded,
            W::Reopen => Start::Killed,
            _ => Start::Copied,
        }
    }

    pub(crate) fn threads(self) -> u64 {
        match self {
            Workload::Fillrandom2 | Workload::Readrandom2 => 2,
            Workload::Syncedputs8 => 8,
            _ => 1,
        }
    }

    pub(crate) fn is_synced(self) -> bool {
        matches!(self, Workload::Syncedputs | Workload::Syncedputs8)
    }

    /// Whether it ends when the store has settled: then what it takes on disk, and what was written there, is known.
    pub(crate) fn settles(self) -> bool {
        matches!(self, Workload::Fillrandom | Workload::Overwrite3 | Workload::Longfill)
    }

    /// How many times it writes or deletes every record, if it does.
    pub(crate) fn writes_all(self) -> Option<u64> {
        use Workload as W;
        match self {
            W::Fillseq | W::Fillrandom | W::Fillrandom2 | W::Fillbatch100 | W::Deleterandom => Some(1),
            W::Overwrite3 => Some(3),
            _ => None,
        }
    }

    /// Whether it is over when its work is, and not after some time.
    pub(crate) fn is_whole(self) -> bool {
        self.settles() || matches!(self, Workload::Readseq | Workload::Readreverse | Workload::Reopen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::named::Named as _;

    #[test]
    fn what_only_reads_needs_no_copy_and_what_writes_has_its_own() {
        for workload in Workload::value_variants() {
            let name = workload.name();
            let reads = name.starts_with("read") && *workload != Workload::Readwhilewriting
                || name.starts_with("seek")
                || *workload == Workload::YcsbC;
            assert_eq!(workload.start() == Start::Loaded, reads && *workload != Workload::Reopen, "{name}");
        }
    }
}
