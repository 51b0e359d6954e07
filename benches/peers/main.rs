//! Runs the same workloads on Esker and on what people would pick instead.
//!
//! Each (peer, workload) has a process of its own, on a directory that is fresh, or a copy of a store that was filled once. Peers take
//! turns within each round, and the order of the turns changes from round to round. Everything that is read is checked.
//!
//! | part | what it is |
//! |---|---|
//! | [`peer`] | the stores, behind one trait |
//! | [`workload`] | the workloads by name, and what each begins with |
//! | [`work`] | doing one |
//! | [`child`] | the process that does one, and what it measures |
//! | [`campaign`] | rounds, directories, child processes |
//! | [`table`] | medians as Markdown |
//! | [`named`] | the names of what can be chosen |

mod campaign;
mod child;
mod named;
mod peer;
mod table;
mod work;
mod workload;

use campaign::{Campaign, Outcome};
use child::{be_killed, load, measure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use named::or_all;
use peer::{PeerName, Result, Setup};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use work::Scale;
use workload::Workload;

/// Run the same workloads on Esker and on what people would pick instead.
#[derive(Parser, Debug)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Run a campaign and print a table of medians.
    Run(Run),
    /// Do one thing with one store and end: what a campaign starts for each measurement.
    Child(Child),
}

#[derive(Args, Clone, Debug)]
struct Size {
    /// Records.
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(100..1_000_000_000_000))]
    keys: u64,
    /// Bytes of a value, half of them compressible.
    #[arg(long, value_name = "B", default_value_t = 100)]
    value_size: usize,
    /// The longest that a workload goes on, in seconds, if it has no end of its own.
    #[arg(long, value_name = "S", default_value_t = 20)]
    seconds: u64,
    /// MiB for blocks that were read.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    cache: usize,
    /// MiB for what was written and is in no table yet.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    write_buffer: usize,
}

impl Size {
    fn scale(&self) -> Scale {
        Scale { keys: self.keys, value_bytes: self.value_size, time: Duration::from_secs(self.seconds) }
    }
}

#[derive(Args, Debug)]
struct Run {
    #[command(flatten)]
    size: Size,
    /// Where the stores are. What is there is overwritten.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Rounds; the table shows medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Which stores. [default: all that were built in]
    #[arg(long, value_enum, value_delimiter = ',')]
    peers: Vec<PeerName>,
    /// Which workloads. [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    workloads: Vec<Workload>,
    /// Where every measurement goes, a line of JSON each.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Task {
    /// Fills a store with every record.
    Load,
    /// Writes to a store and ends without a word.
    Die,
    /// Does a workload, and prints what was measured.
    Measure,
}

#[derive(Args, Debug)]
struct Child {
    task: Task,
    peer: PeerName,
    workload: Workload,
    dir: PathBuf,
    #[command(flatten)]
    size: Size,
}

impl Child {
    fn run(&self) -> Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        let setup = Setup {
            cache: self.size.cache << 20,
            write_buffer: self.size.write_buffer << 20,
            synced: self.workload.is_synced() && self.task == Task::Measure,
        };
        let scale = self.size.scale();
        match self.task {
            Task::Load => load(self.peer, &self.dir, setup, scale),
            Task::Die => be_killed(self.peer, &self.dir, setup, scale),
            Task::Measure => {
                let measured = measure(self.peer, self.workload, &self.dir, setup, scale)?;
                println!("{}", serde_json::to_string(&measured)?);
                Ok(())
            }
        }
    }
}

fn main() -> ExitCode {
    let result = match Command::parse().action {
        Action::Run(run) => {
            let (peers, workloads) = (or_all(run.peers), or_all(run.workloads));
            let campaign = Campaign { size: run.size, dir: run.dir, peers, workloads };
            campaign.run(run.rounds, run.out.as_deref()).and_then(|Outcome { measured, failed }| {
                print!("{}", table::of(&measured));
                if failed == 0 { Ok(()) } else { Err(format!("{failed} measurements failed").into()) }
            })
        }
        Action::Child(child) => child.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("esker-peers: {error}");
            ExitCode::from(2)
        }
    }
}
