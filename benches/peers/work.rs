//! Doing a workload on a store: its threads, and what comes of them.

use crate::latency::histogram;
use crate::pace::{Long, longfill};
use crate::peer::{Order, Peer, Result};
use crate::worker::{Shared, Worker};
use crate::workload::Workload;
use esker_server::bench::record::{is_value_of, key, number_of};
use hdrhistogram::Histogram;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// What the records are, and how long a workload may go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) keys: u64,
    pub(crate) value_bytes: usize,
    /// After so long a workload ends even if there is more to do, unless it [is whole](Workload::is_whole).
    pub(crate) time: Duration,
}

/// What was done.
#[derive(Debug)]
pub(crate) struct Done {
    /// Operations; of scans over everything, the pairs that were visited.
    pub(crate) operations: u64,
    pub(crate) elapsed: Duration,
    /// Nanoseconds of each operation; of batches, of each batch. Empty for scans over everything.
    pub(crate) latencies: Histogram<u64>,
    /// Bytes of keys and values that were written.
    pub(crate) user_bytes: u64,
    /// What a second thread wrote meanwhile, operations a second.
    pub(crate) beside: Option<f64>,
    /// What was done when it was no longer done as fast as it could be.
    pub(crate) long: Option<Long>,
}

impl Done {
    /// So many operations, none of which wrote.
    pub(crate) fn new(operations: u64, elapsed: Duration, latencies: Histogram<u64>) -> Done {
        Done { operations, elapsed, latencies, user_bytes: 0, beside: None, long: None }
    }
}

/// Does a workload.
pub(crate) fn work(peer: &dyn Peer, workload: Workload, scale: Scale) -> Result<Done> {
    match workload {
        Workload::Readseq | Workload::Readreverse => return walk(peer, workload, scale),
        Workload::Longfill => return longfill(peer, scale),
        _ => {}
    }
    let shared = Shared::new(scale);
    let began = Instant::now();
    let until = if workload.is_whole() { None } else { Some(began + scale.time) };
    let threads = workload.threads();
    let (parts, beside) = thread::scope(|scope| {
        let start = |workload, thread: u64, of: u64, until| {
            let worker = Worker::new(peer, workload, scale, &shared, thread, of);
            scope.spawn(move || worker.and_then(|worker| worker.run(until)))
        };
        let workers: Vec<_> = (0..threads).map(|thread| start(workload, thread, threads, until)).collect();
        let writer = (workload == Workload::Readwhilewriting)
            .then(|| start(Workload::Overwrite, 1, 1, Some(began + Duration::from_secs(1 << 30))));
        let join = |worker: thread::ScopedJoinHandle<'_, Result<Done>>| {
            worker.join().unwrap_or_else(|_| Err("a thread of the workload panicked".into()))
        };
        let parts: Vec<Result<Done>> = workers.into_iter().map(join).collect();
        shared.stop.store(true, Ordering::Release);
        (parts, writer.map(join))
    });
    let mut whole = Done::new(0, began.elapsed(), histogram()?);
    for part in parts {
        let part = part?;
        whole.operations += part.operations;
        whole.user_bytes += part.user_bytes;
        whole.latencies.add(part.latencies)?;
    }
    if let Some(beside) = beside.transpose()? {
        whole.beside = Some(beside.operations as f64 / beside.elapsed.as_secs_f64());
    }
    Ok(whole)
}

/// Visits every record in order.
fn walk(peer: &dyn Peer, workload: Workload, scale: Scale) -> Result<Done> {
    let backwards = workload == Workload::Readreverse;
    let (order, from) = match backwards {
        true => (Order::Backwards, scale.keys.saturating_sub(1)),
        false => (Order::Forwards, 0),
    };
    let (mut visited, mut wrong) = (0, None);
    let began = Instant::now();
    peer.scan(&key(from), order, &mut |key, value| {
        let expected = if backwards { from - visited } else { visited };
        if number_of(key) != Some(expected) || !is_value_of(expected, value) {
            wrong = Some(format!("record {expected} is not where it is to be, or not what was written"));
            return false;
        }
        visited += 1;
        visited < scale.keys
    })?;
    let elapsed = began.elapsed();
    match wrong {
        None if visited == scale.keys => Ok(Done::new(visited, elapsed, histogram()?)),
        wrong => Err(wrong.unwrap_or_else(|| format!("only {visited} records are there")).into()),
    }
}
