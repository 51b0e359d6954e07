//! `esker bench`: measures a store under named workloads.

use super::failure::{Ended, Failure, Outcome};
use super::output::{Output, say};
use super::store::{DurabilityChoice, KeyspaceName, Layout, Location};
use crate::bench::run::{Plan, Report, Runner, Stopped};
use crate::bench::workload::Workload;
use clap::Args;

/// Measure workloads, one after the other. Each checks what it reads; exit status 1 if that is not what was written.
///
/// Workloads work on the keyspace `bench`, which is created where needed, and leave every other one alone. Those that read
/// fill it first if it is not.
#[derive(Args, Debug)]
pub(crate) struct Bench {
    #[command(flatten)]
    location: Location,
    #[command(flatten)]
    layout: Layout,
    /// Records to choose from, and operations of each workload, all threads together.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..1_000_000_000_000))]
    num: u64,
    /// Bytes of a value, half of them compressible.
    #[arg(long, value_name = "B", default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=64 << 20))]
    value_size: u32,
    /// Threads that share the operations.
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// What every random choice follows from.
    #[arg(long, value_name = "S", default_value_t = 42)]
    seed: u64,
    /// What a write has survived when it is acknowledged.
    #[arg(long, value_enum, default_value_t)]
    durability: DurabilityChoice,
    /// Print an object a workload.
    #[arg(long)]
    json: bool,
    /// What to run, in this order.
    #[arg(required = true, value_enum, value_delimiter = ',')]
    workloads: Vec<Workload>,
}

/// Where the records lie: measuring must not cost anybody's data.
const KEYSPACE: &str = "bench";

impl Bench {
    pub(crate) fn run(&self) -> Ended {
        let keyspace = KeyspaceName { keyspace: KEYSPACE.to_owned() };
        let (db, keyspace) = self.layout.open_keyspace(&self.location, &keyspace, true)?;
        let plan = Plan {
            num: self.num,
            value_size: self.value_size as usize,
            threads: u64::from(self.threads),
            seed: self.seed,
            durability: self.durability.into(),
        };
        let runner = Runner::new(db, keyspace, &self.location.db, plan, &self.workloads)?;
        for (i, workload) in self.workloads.iter().enumerate() {
            let report = match runner.run(*workload) {
                Ok(report) => report,
                Err(Stopped::Wrong(what)) => {
                    say(format_args!(
                        "esker: {}: {what}; run `esker verify` to see whether a file is damaged",
                        workload.name()
                    ));
                    return Ok(Outcome::Negative);
                }
                Err(Stopped::Failed(Failure::Said(what))) => {
                    return Err(Failure::new(format!("{}: {what}", workload.name())));
                }
                Err(Stopped::Failed(failure)) => return Err(failure),
            };
            // Locked only while it is written: workloads say things of their own.
            let mut out = Output::new();
            if self.json {
                out.line(report.json().to_string())?;
            } else {
                if i == 0 {
                    out.line(Report::heading())?;
                }
                out.line(report.row())?;
            }
            out.finish()?;
        }
        runner.close()?;
        Ok(Outcome::Done)
    }
}
