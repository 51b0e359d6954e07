//! Many seeds, on as many threads as there are processors: each schedule is one thread's alone.

use crate::ending::{Ended, run};
use crate::history::Violation;
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
    pub(crate) events: u64,
    /// The seeds that failed, with what was wrong.
    pub(crate) failing: BTreeMap<u64, Vec<Violation>>,
    pub(crate) per_minute: f64,
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
pub(crate) fn run_seed(plan: Plan) -> (Vec<Violation>, u64) {
    let ended: Result<Ended, _> = catch_unwind(AssertUnwindSafe(|| run(plan, Keep::Nothing)));
    match ended {
        Ok(ended) => (ended.violations, ended.events),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let what =
                text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned();
            (vec![Violation { checker: "nothing panics", what }], 0)
        }
    }
}

/// Runs `count` seeds from `first` on.
pub(crate) fn run_many(first: u64, count: u64, plan_of: impl Fn(u64) -> Plan + Sync) -> Report {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, done, events) = (AtomicU64::new(first), AtomicU64::new(0), AtomicU64::new(0));
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
                    events.fetch_add(happened, Ordering::Relaxed);
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
        events: events.into_inner(),
        failing: failing.into_inner().unwrap(),
        per_minute: schedules as f64 * 60.0 / began.elapsed().as_secs_f64().max(0.001),
    }
}
