//! [`Command`]: what can be asked for on the command line.

use crate::header::Settings;
use crate::peer::{PeerName, Result};
use crate::work::Scale;
use crate::workload::Workload;
use clap::{Args, Parser, Subcommand, ValueEnum};
use esker_server::bench::record::KEY_LEN;
use std::path::PathBuf;
use std::time::Duration;

/// Run the same workloads on Esker and on what people would pick instead.
#[derive(Parser, Debug)]
pub(crate) struct Command {
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Action {
    /// Run a campaign and print tables of medians.
    Run(Run),
    /// Print the tables of what was measured before, or was when a campaign was cut short.
    Table(Table),
    /// Draw what was measured before.
    Plot(Plot),
    /// Do one thing with one store and end: what a campaign starts for each measurement.
    Child(Child),
}

/// Fewer records do not fill a batch.
const FEWEST: u64 = 100;

#[derive(Args, Clone, Debug)]
pub(crate) struct Size {
    /// Records.
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(FEWEST..1_000_000_000_000))]
    pub(crate) keys: u64,
    /// The longest that a workload goes on, in seconds, if it has no end of its own.
    #[arg(long, value_name = "S", default_value_t = 20)]
    pub(crate) seconds: u64,
    /// MiB for blocks that were read.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub(crate) cache: usize,
    /// MiB for what was written and is in no table yet.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    pub(crate) write_buffer: usize,
    /// MiB that a process with a store may take, with what the system remembers of files for it. Files are forgotten before a
    /// workload begins. Takes control groups and, in most places, root. [default: no limit]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..1 << 30))]
    pub(crate) memory_limit: Option<u64>,
}

impl Size {
    pub(crate) fn scale(&self, value_bytes: usize) -> Scale {
        Scale { keys: self.keys, value_bytes, time: Duration::from_secs(self.seconds) }
    }

    /// With so many records of another size that all together take as much.
    pub(crate) fn with_values(&self, first: usize, value_size: usize) -> Size {
        let record = |value_size: usize| KEY_LEN as u128 + value_size as u128;
        let keys = u128::from(self.keys) * record(first) / record(value_size);
        Size { keys: u64::try_from(keys).unwrap_or(u64::MAX).max(FEWEST), ..self.clone() }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) size: Size,
    /// Bytes of a value, half of them compressible. Of several, each has a campaign of its own; with those after the first there are
    /// keys * (16 + first) / (16 + B) records, which take as much.
    #[arg(long, value_name = "B", value_delimiter = ',', default_value = "100")]
    pub(crate) value_size: Vec<usize>,
    /// Where the stores are. What is there is overwritten.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Rounds; the table shows medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Which stores. [default: all that were built in]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) peers: Vec<PeerName>,
    /// Which workloads. [default: all but longfill]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) workloads: Vec<Workload>,
    /// Where every measurement goes, a line of JSON each.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

impl Run {
    /// The stores that were chosen.
    ///
    /// # Errors
    /// If one of them was not built in.
    pub(crate) fn peers(&self) -> Result<Vec<PeerName>> {
        match self.peers.iter().find(|peer| !peer.is_built()) {
            Some(peer) => Err(peer.not_built()),
            None if self.peers.is_empty() => Ok(PeerName::built()),
            None => Ok(self.peers.clone()),
        }
    }

    pub(crate) fn workloads(&self) -> Vec<Workload> {
        if self.workloads.is_empty() { Workload::defaults() } else { self.workloads.clone() }
    }

    pub(crate) fn settings(&self) -> Settings {
        let Size { keys, seconds, cache, write_buffer, memory_limit } = self.size;
        Settings {
            keys,
            value_bytes: self.value_size.clone(),
            seconds,
            cache_mib: cache,
            write_buffer_mib: write_buffer,
            memory_limit_mib: memory_limit,
            rounds: self.rounds,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Table {
    /// What `run` wrote to its --out. What several have of the same is taken for rounds of one campaign.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Plot {
    /// What `run` wrote to its --out. What several have of the same is taken for rounds of one campaign.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Where the plots go: throughput.svg, latency.svg and, if there is longfill, over-time.svg.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Task {
    /// Fills a store with every record.
    Load,
    /// Writes to a store and ends without a word.
    Die,
    /// Does a workload, and prints what was measured.
    Measure,
}

#[derive(Args, Debug)]
pub(crate) struct Child {
    pub(crate) task: Task,
    pub(crate) peer: PeerName,
    pub(crate) workload: Workload,
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) size: Size,
    /// Bytes of a value, half of them compressible.
    #[arg(long, value_name = "B", default_value_t = 100)]
    pub(crate) value_size: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: &[&str]) -> Run {
        let all = ["esker-peers", "run", "--dir", "stores"].iter().chain(arguments);
        match Command::try_parse_from(all).unwrap().action {
            Action::Run(run) => run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn there_are_fewer_records_the_larger_they_are() {
        let run = run(&["--value-size", "100,1024", "--value-size", "10240", "--keys", "1000000"]);
        assert_eq!(run.value_size, [100, 1024, 10240]);
        let keys: Vec<u64> =
            run.value_size.iter().map(|size| run.size.with_values(run.value_size[0], *size).keys).collect();
        assert_eq!(keys, [1_000_000, 111_538, 11_310]);
        assert_eq!(run.size.with_values(100, 1 << 40).keys, FEWEST);
    }

    #[test]
    fn longfill_is_chosen_by_name() {
        assert_eq!(run(&[]).value_size, [100]);
        assert!(!run(&[]).workloads().contains(&Workload::Longfill));
        assert_eq!(run(&["--workloads", "longfill"]).workloads(), [Workload::Longfill]);
        assert!(run(&[]).peers().unwrap().contains(&PeerName::Esker));
    }
}
