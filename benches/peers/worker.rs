//! [`Worker`]: what one thread of a workload does, with the check of everything that it reads.

use crate::latency::{histogram, nanos};
use crate::peer::{Order, Peer, Result};
use crate::work::{Done, Scale};
use crate::workload::Workload;
use esker_server::bench::choice::{Permutation, Random, Zipfian, mix};
use esker_server::bench::record::{KEY_LEN, fill_value, is_value_of, key, missing_key, number_of};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Pairs of a batch.
const BATCH: u64 = 100;
/// Operations between two looks at the clock for the time that is left.
pub(crate) const LOOK: u64 = 64;
/// What the choices follow from.
const SEED: u64 = 42;

/// What the threads of a workload share.
pub(crate) struct Shared {
    /// Whether they are to end.
    pub(crate) stop: AtomicBool,
    /// The number of the next record that is inserted.
    next: AtomicU64,
}

impl Shared {
    pub(crate) fn new(scale: Scale) -> Shared {
        Shared { stop: AtomicBool::new(false), next: AtomicU64::new(scale.keys) }
    }
}

/// One thread of a workload.
pub(crate) struct Worker<'a> {
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
    /// Bytes of keys and values that it has written.
    pub(crate) user_bytes: u64,
}

impl<'a> Worker<'a> {
    /// Thread `thread` of `of`.
    pub(crate) fn new(
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

    /// Does its operations, or as many as there is time for.
    pub(crate) fn run(mut self, until: Option<Instant>) -> Result<Done> {
        let began = Instant::now();
        let (mut latencies, mut operations, mut last) = (histogram()?, 0, began);
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
            latencies.saturating_record(nanos(now - last));
            last = now;
            if at.is_multiple_of(LOOK) && until.is_some_and(|until| now >= until) {
                break;
            }
        }
        let done = Done::new(operations, began.elapsed(), latencies);
        Ok(Done { user_bytes: self.user_bytes, ..done })
    }

    /// Does operation `at`. Returns how many were done.
    fn step(&mut self, at: u64) -> Result<u64> {
        let keys = self.scale.keys;
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

    /// Writes the record at place `at` of a random order, which begins again when every record was written.
    pub(crate) fn put_at(&mut self, at: u64) -> Result<()> {
        self.put(self.order.at(at % self.scale.keys))
    }

    /// Writes one of the first records of that order again.
    pub(crate) fn put_among(&mut self, first: u64) -> Result<()> {
        let at = self.random.below(first);
        self.put_at(at)
    }

    /// Gets one of the first records of that order.
    pub(crate) fn get_among(&mut self, first: u64) -> Result<()> {
        let at = self.random.below(first);
        self.get(self.order.at(at))
    }

    fn put(&mut self, number: u64) -> Result<()> {
        self.stamp = self.stamp.wrapping_add(1);
        fill_value(number, self.stamp, self.scale.value_bytes, &mut self.value);
        let key = key(number);
        self.user_bytes += (key.len() + self.value.len()) as u64;
        self.peer.put(&key, &self.value)
    }

    /// Writes the records from place `at` on as one batch.
    fn put_batch(&mut self, at: u64) -> Result<u64> {
        let count = BATCH.min(self.end - at);
        self.stamp = self.stamp.wrapping_add(1);
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
