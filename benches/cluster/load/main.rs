//! `cluster-load`: the same load on a cluster of Esker, by gRPC or by the protocol of Redis, and on one of etcd.
//!
//! A closed loop: so many connections, spread evenly over the members, with so many requests outstanding on each; as one is
//! answered the next is sent. Keys are drawn evenly from a key space. Reads are those that see every acknowledged write:
//! linearizable ones of etcd, QUORUM ones of Esker; writes are on the devices of a majority in both. One line is printed, its
//! fields divided by tabs: operations a second, p50, p99, p99.9 in microseconds, failures.

mod caller;
mod pipeline;

use caller::{Caller, System};
use clap::Parser;
use hdrhistogram::Histogram;
use pipeline::Pipeline;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is done to keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Operation {
    /// Every key of the space once, in order.
    Fill,
    /// Writes of any key.
    Put,
    /// Reads of any key.
    Get,
}

/// The load.
#[derive(Clone, Debug, Parser)]
#[command(about = "Put load on a cluster, and say how fast it answers")]
struct Load {
    /// Whose protocol is spoken.
    #[arg(long)]
    system: System,
    /// What is done.
    #[arg(long)]
    operation: Operation,
    /// Addresses of members, HOST:PORT, divided by commas.
    #[arg(long, value_delimiter = ',', required = true)]
    at: Vec<String>,
    /// Connections, spread over the members.
    #[arg(long, default_value_t = 12)]
    connections: usize,
    /// Requests outstanding on each connection.
    #[arg(long, default_value_t = 16)]
    outstanding: usize,
    /// How long it is measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How long it runs before that.
    #[arg(long, default_value_t = 2)]
    warm: u64,
    /// Keys of the key space.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 100)]
    value: usize,
}

/// What one caller saw.
struct Seen {
    micros: Histogram<u64>,
    failures: u64,
    failure: Option<String>,
}

impl Seen {
    fn new() -> Result<Seen, Failure> {
        Ok(Seen { micros: Histogram::new_with_bounds(1, 60_000_000, 3)?, failures: 0, failure: None })
    }

    fn answered(&mut self, run: &Run, took: Duration, done: Result<(), String>) {
        if let Err(failure) = done {
            self.failures += 1;
            self.failure = Some(failure);
        } else if run.is_measured() {
            self.micros.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }
}

/// The run of one caller: keys come from it, and it ends when there are none or the time is over.
struct Run {
    load: Load,
    begun: Instant,
    next: AtomicU64,
}

impl Run {
    fn key(&self, random: &mut u64) -> Option<u64> {
        if self.load.operation == Operation::Fill {
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            return (next < self.load.keys).then_some(next);
        }
        let end = Duration::from_secs(self.load.warm + self.load.seconds);
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.begun.elapsed() < end).then_some((*random >> 20) % self.load.keys)
    }

    fn is_measured(&self) -> bool {
        self.load.operation == Operation::Fill || self.begun.elapsed() >= Duration::from_secs(self.load.warm)
    }

    async fn call(self: Arc<Run>, mut caller: Caller, number: u64) -> Result<Seen, Failure> {
        let mut seen = Seen::new()?;
        let mut random = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1;
        let value = vec![b'v'; self.load.value];
        while let Some(key) = self.key(&mut random) {
            let key = format!("key:{key:012}").into_bytes();
            let at = Instant::now();
            let done = match self.load.operation {
                Operation::Get => caller.get(key).await,
                Operation::Fill | Operation::Put => caller.put(key, value.clone()).await,
            };
            seen.answered(&self, at.elapsed(), done);
        }
        Ok(seen)
    }
}

async fn run(load: Load) -> Result<(), Failure> {
    let (mut callers, mut pipelines) = (Vec::new(), Vec::new());
    for connection in 0..load.connections {
        let address = &load.at[connection % load.at.len()];
        if let System::EskerResp = load.system {
            pipelines.push(Pipeline::connect(address).await?);
        } else {
            let caller = Caller::connect(load.system, address).await?;
            callers.extend(std::iter::repeat_n(caller, load.outstanding));
        }
    }
    let run = Arc::new(Run { load: load.clone(), begun: Instant::now(), next: AtomicU64::new(0) });
    let mut tasks = Vec::new();
    for (number, caller) in callers.into_iter().enumerate() {
        tasks.push(tokio::spawn(run.clone().call(caller, number as u64)));
    }
    for (number, pipeline) in pipelines.into_iter().enumerate() {
        tasks.push(tokio::spawn(pipeline.call(run.clone(), number as u64)));
    }
    let mut all = Seen::new()?;
    for task in tasks {
        let seen = task.await??;
        all.micros.add(seen.micros)?;
        all.failures += seen.failures;
        all.failure = all.failure.or(seen.failure);
    }
    let measured = match load.operation {
        Operation::Fill => run.begun.elapsed().as_secs_f64(),
        Operation::Put | Operation::Get => load.seconds as f64,
    };
    let quantile = |q| all.micros.value_at_quantile(q);
    println!(
        "{:.0}\t{}\t{}\t{}\t{}",
        all.micros.len() as f64 / measured,
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        all.failures
    );
    if let Some(failure) = all.failure {
        eprintln!("{} requests failed, one of them so: {failure}", all.failures);
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let load = Load::parse();
    // One thread: of a machine that is shared with the members, as little as possible is taken.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(load))
}
