//! Runs workloads: threads, time, and what is reported of each.

use super::presence::Presence;
use super::process::{self, Memory, MemoryWatch};
use super::workload::{Records, Trouble, Worker, Workload};
use crate::cli::{Failure, disk_bytes, say, steps};
use crate::pairs::size::human_size;
use esker::{Db, Durability, Keyspace, WriteOptions};
use hdrhistogram::Histogram;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) num: u64,
    pub(crate) value_size: usize,
    pub(crate) threads: u64,
    pub(crate) seed: u64,
    pub(crate) durability: Durability,
}

/// Runs workloads on one store.
pub(crate) struct Runner<'a> {
    db: Db,
    records: Records,
    plan: Plan,
    dir: &'a Path,
}

/// Latencies in nanoseconds, to three figures.
type Latencies = Histogram<u64>;

/// Longer operations count as this long: an hour.
const LONGEST_NANOS: u64 = 3_600_000_000_000;

/// An empty histogram. It cannot be had only for parameters out of its range, which these are not.
fn latencies() -> Result<Latencies, Failure> {
    Histogram::new_with_bounds(1, LONGEST_NANOS, 3)
        .map_err(|e| Failure::new(format!("the latency histogram cannot be set up: {e}")))
}

/// What is reported of a workload.
#[derive(Debug)]
pub(crate) struct Report {
    workload: Workload,
    threads: u64,
    seconds: f64,
    latencies: Latencies,
    peak: Option<Memory>,
    disk_bytes: u64,
    write_amp: Option<f64>,
    cpu: Option<Duration>,
}

/// Nobody could read a workload that failed.
pub(crate) enum Stopped {
    /// What was read is not what was written.
    Wrong(String),
    /// It could not go on.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Stopped {
    fn from(failure: E) -> Stopped {
        Stopped::Failed(failure.into())
    }
}

impl<'a> Runner<'a> {
    /// A runner on this store for these workloads.
    pub(crate) fn new(
        db: Db,
        keyspace: Keyspace,
        dir: &'a Path,
        plan: Plan,
        workloads: &[Workload],
    ) -> Result<Runner<'a>, Failure> {
        let marked = Records::marked(&keyspace)?;
        let inserting = workloads.iter().filter(|w| w.inserts()).count() as u64;
        let capacity = plan.num.max(marked) + inserting * plan.num;
        let records = Records {
            keyspace,
            write: WriteOptions::new(plan.durability),
            value_size: plan.value_size,
            seed: plan.seed,
            num: plan.num,
            present: Presence::new(capacity, marked),
            absent: Presence::new(capacity, 0),
            next_insert: AtomicU64::new(plan.num.max(marked)),
            user_bytes: AtomicU64::new(0),
        };
        Ok(Runner { db, records, plan, dir })
    }

    /// Runs one workload; before it, what it needs is written.
    pub(crate) fn run(&self, workload: Workload) -> Result<Report, Stopped> {
        if workload.needs_records()
            && Records::marked(&self.records.keyspace)? < self.plan.num
            && !self.was_filled()
        {
            say(format_args!("esker: {} needs records: filling in order first", workload.name()));
            self.measured(Workload::FillSeq)?;
            self.records.mark(self.plan.num)?;
            self.db.flush()?;
        }
        if workload == Workload::DeleteRandom {
            self.records.mark(0)?;
        }
        let report = self.measured(workload)?;
        if !workload.needs_records() {
            self.records.mark(self.plan.num.max(Records::marked(&self.records.keyspace)?))?;
        }
        Ok(report)
    }

    /// Whether this run has written or deleted records, so that it knows what is there.
    fn was_filled(&self) -> bool {
        self.records.user_bytes.load(Ordering::Relaxed) > 0
    }

    /// Closes the store.
    pub(crate) fn close(self) -> Result<(), Failure> {
        Ok(self.db.close()?)
    }

    fn measured(&self, workload: Workload) -> Result<Report, Stopped> {
        let written_before = self.device_bytes();
        let user_before = self.records.user_bytes.load(Ordering::Relaxed);
        let cpu_before = process::cpu();
        let watch = MemoryWatch::start();
        let (latencies, elapsed) = self.threads(workload)?;
        let peak = watch.finish();
        let cpu = process::cpu().zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
        let user = self.records.user_bytes.load(Ordering::Relaxed) - user_before;
        let written = self.device_bytes().saturating_sub(written_before);
        Ok(Report {
            workload,
            threads: self.plan.threads,
            seconds: elapsed.as_secs_f64(),
            latencies,
            peak,
            disk_bytes: disk_bytes(self.dir),
            write_amp: (user > 0).then(|| written as f64 / user as f64),
            cpu,
        })
    }

    /// Bytes written to the device since the store was opened: log, flushes and compactions.
    fn device_bytes(&self) -> u64 {
        let stats = self.db.stats();
        stats.wal_bytes + stats.flush_bytes + stats.compaction_bytes
    }

    fn threads(&self, workload: Workload) -> Result<(Latencies, Duration), Stopped> {
        let (threads, num) = (self.plan.threads, self.plan.num);
        let stop = AtomicBool::new(false);
        let bar = steps(&workload.name(), num);
        let background = u64::from(workload == Workload::ReadWhileWriting);
        let barrier = Barrier::new(usize::try_from(threads + background + 1).unwrap_or(usize::MAX));
        let results = thread::scope(|scope| {
            let unseen = indicatif::ProgressBar::hidden();
            let work = |thread: u64, workload: Workload, of: u64, count: u64, bar: indicatif::ProgressBar| {
                let (stop, barrier, records) = (&stop, &barrier, &self.records);
                scope.spawn(move || {
                    let worker = Worker::new(records, workload, thread, of, count);
                    barrier.wait();
                    let result = worker.map_err(Stopped::from_trouble).and_then(|w| drive(w, stop, &bar));
                    if result.is_err() {
                        stop.store(true, Ordering::Release);
                    }
                    result
                })
            };
            let foreground: Vec<_> =
                (0..threads).map(|t| work(t, workload, threads, num, bar.clone())).collect();
            // Overwrites until those who read have finished.
            let writer = (background > 0).then(|| work(0, Workload::Overwrite, 1, u64::MAX, unseen));
            barrier.wait();
            let began = Instant::now();
            let mut results: Vec<_> = foreground.into_iter().map(thread::ScopedJoinHandle::join).collect();
            let elapsed = began.elapsed();
            stop.store(true, Ordering::Release);
            // What the writer measured is not part of the report; whether it failed is.
            if let Some(Err(failed)) =
                writer.map(thread::ScopedJoinHandle::join).transpose().unwrap_or_default()
            {
                results.push(Ok(Err(failed)));
            }
            (results, elapsed)
        });
        bar.finish_and_clear();
        let mut all = latencies()?;
        for result in results.0 {
            let part = result.map_err(|_| Failure::new("a thread of the workload panicked"))??;
            all.add(part).map_err(|e| Failure::new(format!("latencies cannot be added up: {e}")))?;
        }
        Ok((all, results.1))
    }
}

impl Stopped {
    fn from_trouble(trouble: Trouble) -> Stopped {
        match trouble {
            Trouble::Error(error) => Stopped::Failed(error.into()),
            Trouble::Wrong(what) => Stopped::Wrong(what),
        }
    }
}

/// Operations between two looks at the progress bar.
const BAR_STEP: u64 = 4096;

fn drive(
    mut worker: Worker<'_>,
    stop: &AtomicBool,
    bar: &indicatif::ProgressBar,
) -> Result<Latencies, Stopped> {
    let mut latencies = latencies()?;
    let mut last = Instant::now();
    for i in 0..worker.count() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if !worker.step(i).map_err(Stopped::from_trouble)? {
            break;
        }
        let now = Instant::now();
        latencies.saturating_record(u64::try_from((now - last).as_nanos()).unwrap_or(u64::MAX));
        last = now;
        if i % BAR_STEP == BAR_STEP - 1 {
            bar.inc(BAR_STEP);
        }
    }
    Ok(latencies)
}

impl Report {
    fn micros(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1000.0
    }

    fn ops_per_s(&self) -> f64 {
        self.latencies.len() as f64 / self.seconds.max(1e-9)
    }

    /// One object. What cannot be known is null.
    pub(crate) fn json(&self) -> serde_json::Value {
        let round = |x: f64| (x * 1000.0).round() / 1000.0;
        serde_json::json!({
            "workload": self.workload.name(),
            "num": self.latencies.len(),
            "threads": self.threads,
            "seconds": round(self.seconds),
            "ops_per_s": round(self.ops_per_s()),
            "p50_us": round(self.micros(0.50)),
            "p99_us": round(self.micros(0.99)),
            "p999_us": round(self.micros(0.999)),
            "max_us": round(self.latencies.max() as f64 / 1000.0),
            "peak_anon_bytes": self.peak.map(|p| p.anon),
            "peak_rss_bytes": self.peak.map(|p| p.rss),
            "disk_bytes": self.disk_bytes,
            "write_amp": self.write_amp.map(round),
            "cpu_s": self.cpu.map(|c| round(c.as_secs_f64())),
        })
    }

    /// The heading of [`Report::row`].
    pub(crate) fn heading() -> String {
        format!(
            "{:<17}{:>11}{:>9}{:>13}{:>10}{:>10}{:>10}{:>11}{:>11}{:>11}{:>11}{:>7}{:>8}",
            "workload",
            "num",
            "s",
            "ops/s",
            "p50 us",
            "p99 us",
            "p999 us",
            "max us",
            "anon",
            "rss",
            "disk",
            "w-amp",
            "cpu s"
        )
    }

    /// One line of a table.
    pub(crate) fn row(&self) -> String {
        let size = |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), human_size);
        format!(
            "{:<17}{:>11}{:>9.2}{:>13.0}{:>10.2}{:>10.2}{:>10.2}{:>11.1}{:>11}{:>11}{:>11}{:>7}{:>8}",
            self.workload.name(),
            self.latencies.len(),
            self.seconds,
            self.ops_per_s(),
            self.micros(0.50),
            self.micros(0.99),
            self.micros(0.999),
            self.latencies.max() as f64 / 1000.0,
            size(self.peak.map(|p| p.anon)),
            size(self.peak.map(|p| p.rss)),
            human_size(self.disk_bytes),
            self.write_amp.map_or_else(|| "-".to_owned(), |a| format!("{a:.2}")),
            self.cpu.map_or_else(|| "?".to_owned(), |c| format!("{:.2}", c.as_secs_f64())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_keep_three_figures_from_nanoseconds_to_an_hour() {
        let mut latencies = latencies().unwrap_or_else(|_| panic!("no histogram"));
        for nanos in [80, 5_000, 1_234_000, 2_500_000_000, u64::MAX] {
            latencies.saturating_record(nanos);
            let (max, expected) = (latencies.max() as f64, nanos.min(LONGEST_NANOS) as f64);
            assert!((max / expected - 1.0).abs() < 0.001, "{max} for {nanos}");
        }
        assert_eq!(latencies.len(), 5);
    }
}
