//! Doing a workload on a store: threads, operations, and the check of everything that is read.

use crate::peer::{Order, Peer, Result};
use crate::workload::Workload;
use esker_server::bench::choice::{Permutation, Random, Zipfian, mix};
use esker_server::bench::record::{KEY_LEN, fill_value, is_value_of, key, missing_key, number_of};
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
}

/// Pairs of a batch.
const BATCH: u64 = 100;
/// Operations between two looks at the clock for the time that is left.
const LOOK: u64 = 64;
/// Longer operations count as this long: ten minutes.
const LONGEST_NANOS: u64 = 600_000_000_000;
/// What the choices follow from.
const SEED: u64 = 42;

/// Does a workload.
pub(crate) fn work(peer: &dyn Peer, workload: Workload, scale: Scale) -> Result<Done> {
    if let Workload::Readseq | Workload::Readreverse = workload {
        return walk(peer, workload, scale);
    }
    let shared = Shared { stop: AtomicBool::new(false), next: AtomicU64::new(scale.keys) };
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
    let mut whole = Done {
        operations: 0,
        elapsed: began.elapsed(),
        latencies: latencies()?,
        user_bytes: 0,
        beside: None,
    };
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
        None if visited == scale.keys => {
            Ok(Done { operations: visited, elapsed, latencies: latencies()?, user_bytes: 0, beside: None })
        }
        wrong => Err(wrong.unwrap_or_else(|| format!("only {visited} records are there")).into()),
    }
}

pub(crate) fn latencies() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LONGEST_NANOS, 3)?)
}

struct Shared {
    stop: AtomicBool,
    /// The number of the next record that is inserted.
    next: AtomicU64,
}

struct Worker<'a> {
    peer: &'a dyn Peer,
    workload: Workload,
    scale: Scale,
    shared: &'a Shared,
    /// The operations of this thread, of those of all.
    first: u64,
    end: u64,
    random: Random,
    order: Permutation,
    zipfian: Zipfian,
    stamp: u64,
    value: Vec<u8>,
    /// Memory for a batch.
    batch: Vec<(Vec<u8>, Vec<u8>)>,
    user_bytes: u64,
}

impl<'a> Worker<'a> {
    fn new(
        peer: &'a dyn Peer,
        workload: Workload,
        scale: Scale,
        shared: &'a Shared,
        thread: u64,
        of: u64,
    ) -> Result<Worker<'a>> {
        if scale.keys < BATCH {
            return Err(format!("there must be {BATCH} records at least").into());
        }
        // What chooses at random goes on while there is time.
        let (first, end) = workload.writes_all().map_or((0, u64::MAX), |times| {
            let operations = times * scale.keys;
            (operations * thread / of, operations * (thread + 1) / of)
        });
        let seed = mix(SEED ^ mix(thread + 1000 * workload as u64));
        Ok(Worker {
            peer,
            workload,
            scale,
            shared,
            first,
            end,
            random: Random::new(seed),
            order: Permutation::new(scale.keys, SEED),
            zipfian: Zipfian::new(scale.keys),
            stamp: seed,
            value: Vec::new(),
            batch: Vec::new(),
            user_bytes: 0,
        })
    }

    fn run(mut self, until: Option<Instant>) -> Result<Done> {
        let began = Instant::now();
        let (mut latencies, mut operations, mut last) = (latencies()?, 0, began);
        let mut at = self.first;
        while at < self.end && !self.shared.stop.load(Ordering::Relaxed) {
            let done = match self.step(at) {
                Ok(done) => done,
                Err(error) => {
                    self.shared.stop.store(true, Ordering::Release);
                    return Err(error);
                }
            };
            at += done;
            operations += done;
            let now = Instant::now();
            latencies.saturating_record(u64::try_from((now - last).as_nanos()).unwrap_or(u64::MAX));
            last = now;
            if at.is_multiple_of(LOOK) && until.is_some_and(|until| now >= until) {
                break;
            }
        }
        let (elapsed, user_bytes) = (began.elapsed(), self.user_bytes);
        Ok(Done { operations, elapsed, latencies, user_bytes, beside: None })
    }

    /// Does operation `at`. Returns how many were done.
    fn step(&mut self, at: u64) -> Result<u64> {
        let keys = self.scale.keys;
        self.stamp = self.stamp.wrapping_add(1);
        match self.workload {
            Workload::Fillseq => self.put(at)?,
            Workload::Fillrandom | Workload::Fillrandom2 => self.put(self.order.at(at))?,
            Workload::Fillbatch100 | Workload::Overwrite3 => return self.put_batch(at),
            Workload::Overwrite | Workload::Syncedputs | Workload::Syncedputs8 => {
                let number = self.random.below(keys);
                self.put(number)?;
            }
            Workload::Deleterandom => {
                self.peer.delete(&key(self.order.at(at)))?;
                self.user_bytes += KEY_LEN as u64;
            }
            Workload::Readrandom | Workload::Readrandom2 | Workload::Readwhilewriting => {
                let number = self.random.below(keys);
                self.get(number)?;
            }
            Workload::Readmissing => {
                let number = self.random.below(keys);
                if self.peer.get(&missing_key(number), &mut |_| ())? {
                    return Err(
                        format!("a key behind record {number} was never written, and is there").into()
                    );
                }
            }
            Workload::Seekrandom10 => self.scan_from_anywhere(10)?,
            Workload::Seekrandom100 => self.scan_from_anywhere(100)?,
            _ => self.ycsb()?,
        }
        Ok(1)
    }

    fn ycsb(&mut self) -> Result<()> {
        let number = self.zipfian.scrambled(&mut self.random);
        match (self.workload, self.random.below(100)) {
            (Workload::YcsbD, 5..) => {
                let inserted = self.shared.next.load(Ordering::Acquire);
                let latest = self.zipfian.latest(&mut self.random, inserted);
                self.get(latest)
            }
            (Workload::YcsbE, 5..) => {
                let count = 1 + self.random.below(100);
                self.scan(number, count)
            }
            (Workload::YcsbD | Workload::YcsbE, _) => {
                let number = self.shared.next.fetch_add(1, Ordering::AcqRel);
                self.put(number)
            }
            (Workload::YcsbA, 50..) | (Workload::YcsbB, 95..) => self.put(number),
            (Workload::YcsbF, 50..) => {
                self.get(number)?;
                self.put(number)
            }
            _ => self.get(number),
        }
    }

    fn put(&mut self, number: u64) -> Result<()> {
        fill_value(number, self.stamp, self.scale.value_bytes, &mut self.value);
        let key = key(number);
        self.user_bytes += (key.len() + self.value.len()) as u64;
        self.peer.put(&key, &self.value)
    }

    /// Writes the records from place `at` on as one batch.
    fn put_batch(&mut self, at: u64) -> Result<u64> {
        let count = BATCH.min(self.end - at);
        self.batch.resize_with(count as usize, Default::default);
        for (at, (record, value)) in (at..).zip(&mut self.batch) {
            let number = self.order.at(at % self.scale.keys);
            fill_value(number, self.stamp, self.scale.value_bytes, value);
            record.clear();
            record.extend_from_slice(&key(number));
            self.user_bytes += (record.len() + value.len()) as u64;
        }
        self.peer.put_all(&self.batch)?;
        Ok(count)
    }

    fn get(&self, number: u64) -> Result<()> {
        let mut is_right = false;
        let found = self.peer.get(&key(number), &mut |value| is_right = is_value_of(number, value))?;
        match (found, is_right) {
            (true, true) => Ok(()),
            (true, false) => Err(format!("record {number} has a value that was never written to it").into()),
            (false, _) => Err(format!("record {number} was written, and is not there").into()),
        }
    }

    fn scan_from_anywhere(&mut self, count: u64) -> Result<()> {
        let number = self.random.below(self.scale.keys);
        self.scan(number, count)
    }

    /// Visits so many records from this one on. None may be missing.
    fn scan(&self, number: u64, count: u64) -> Result<()> {
        let (mut next, mut wrong) = (number, None);
        self.peer.scan(&key(number), Order::Forwards, &mut |key, value| {
            if number_of(key) != Some(next) || !is_value_of(next, value) {
                wrong = Some(next);
                return false;
            }
            next += 1;
            next < number + count
        })?;
        if wrong.is_none() && next < (number + count).min(self.scale.keys) {
            wrong = Some(next);
        }
        wrong.map_or(Ok(()), |number| {
            Err(format!("a scan missed record {number}, or found what was never written to it").into())
        })
    }
}
