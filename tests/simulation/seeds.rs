//! Many seeds, on as many threads as there are processors: each schedule is one thread's alone.

use crate::ending::{Ended, run};
use crate::history::{Acknowledged, History, Outcome, Violation};
use crate::plan::Plan;
use crate::trace::Keep;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What many seeds gave.
pub(crate) struct Report {
    pub(crate) schedules: u64,
    pub(crate) tally: Tally,
    /// The seeds that failed, with what was wrong.
    pub(crate) failing: BTreeMap<u64, Vec<Violation>>,
    pub(crate) per_minute: f64,
}

/// How much happened, so that a run in which nothing did is seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) events: u64,
    pub(crate) faults: u64,
    pub(crate) reads: u64,
    pub(crate) acknowledged: u64,
    pub(crate) rejected: u64,
    pub(crate) unknown: u64,
    /// Reads that were refused or not answered.
    pub(crate) failed_reads: u64,
}

impl Tally {
    fn of(ended: &Ended) -> Tally {
        let History { writes, reads, .. } = &ended.history;
        let count = |is_it: fn(&Outcome<Acknowledged>) -> bool| {
            writes.values().filter(|write| is_it(&write.outcome)).count() as u64
        };
        let found = reads.iter().filter(|read| read.found().is_some()).count() as u64;
        Tally {
            events: ended.events,
            faults: ended.faults,
            reads: found,
            acknowledged: count(|outcome| matches!(outcome, Outcome::Done(_))),
            rejected: count(|outcome| matches!(outcome, Outcome::Refused(_))),
            unknown: count(|outcome| matches!(outcome, Outcome::Unknown(_))),
            failed_reads: reads.len() as u64 - found,
        }
    }

    fn add(&mut self, other: Tally) {
        self.events += other.events;
        self.faults += other.faults;
        self.reads += other.reads;
        self.acknowledged += other.acknowledged;
        self.rejected += other.rejected;
        self.unknown += other.unknown;
        self.failed_reads += other.failed_reads;
    }
}

/// A number from the environment.
pub(crate) fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("`{name}={text}`: give a number"),
    }
}

/// Runs a schedule; a panic in it is a violation like another.
pub(crate) fn run_seed(plan: Plan) -> (Vec<Violation>, Tally) {
    let ended: Result<Ended, _> = catch_unwind(AssertUnwindSafe(|| run(plan, Keep::Nothing)));
    match ended {
        Ok(ended) => {
            let tally = Tally::of(&ended);
            (ended.violations, tally)
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let what =
                text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned();
            (vec![Violation { checker: "nothing panics", what }], Tally::default())
        }
    }
}

/// Runs `count` seeds from `first` on.
pub(crate) fn run_many(first: u64, count: u64, plan_of: impl Fn(u64) -> Plan + Sync) -> Report {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, done) = (AtomicU64::new(first), AtomicU64::new(0));
    let tally = Mutex::new(Tally::default());
    let failing = Mutex::new(BTreeMap::new());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        break;
                    }
                    let (violations, happened) = run_seed(plan_of(seed));
                    done.fetch_add(1, Ordering::Relaxed);
                    tally.lock().unwrap().add(happened);
                    if !violations.is_empty() {
                        failing.lock().unwrap().insert(seed, violations);
                    }
                }
            });
        }
    });
    let schedules = done.into_inner();
    Report {
        schedules,
        tally: tally.into_inner().unwrap(),
        failing: failing.into_inner().unwrap(),
        per_minute: schedules as f64 * 60.0 / began.elapsed().as_secs_f64().max(0.001),
    }
}
