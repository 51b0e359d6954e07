//! Nothing acknowledged is lost: a scripted workload is stopped, or made to fail, at every call to the file system.
//!
//! The file system is simulated and background work is stepped, so that call number n is the same call every time. What
//! holds after every crash: every write that was promised to survive is there, and the store is in the state after some
//! number of whole writes in commit order; keyspaces and checkpoints are there as promised; no file is left behind or
//! missing; compaction brings nothing back; a further crash, in the middle of recovery too, changes nothing of this.
//!
//! - `ESKER_CRASH_FULL=1` tries everything with everything: some minutes for each script.
//! - `ESKER_CRASH_SEED=n` takes another script.
//! - `ESKER_CRASH_AT=n` tries call n alone and prints the calls before it.

#![allow(clippy::unwrap_used, reason = "what cannot go on has failed")]

mod check;
mod closing;
mod flushing;
mod hanging_sync;
mod rotation;
mod script;
mod torn_tail;

use check::{Depth, Finding, check_content, check_recovery};
use esker::testing::{Call, CrashMode, Fault, SimEnv};
use esker::{Durability, Error, TableIo};
use script::{Dice, Op, STORE, Session, Step, open, script};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The script's seeds: all of them under `ESKER_CRASH_FULL`, the first otherwise.
const SEEDS: [u64; 3] = [1, 2, 3];

fn seeds() -> Vec<u64> {
    match std::env::var("ESKER_CRASH_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None if full() => SEEDS.to_vec(),
        None => SEEDS[..1].to_vec(),
    }
}

/// Findings to print before giving up.
const ENOUGH: usize = 10;

fn full() -> bool {
    std::env::var_os("ESKER_CRASH_FULL").is_some()
}

fn only_at() -> Option<u64> {
    std::env::var("ESKER_CRASH_AT").ok()?.parse().ok()
}

/// A script, and how its store reads tables.
struct Scenario {
    seed: u64,
    table_io: TableIo,
    steps: Vec<Step>,
    /// The calls of a run without any fault.
    calls: Vec<Call>,
}

impl Scenario {
    fn new(seed: u64, table_io: TableIo) -> Scenario {
        let steps = script(seed);
        let env = SimEnv::new();
        env.start_trace();
        let mut session = Session::new(&env, table_io);
        session.run(&steps).unwrap();
        let calls = env.trace();
        let progress = session.progress.clone();
        check_content(session.db.as_ref().unwrap(), &progress, progress.commits.len()).unwrap();
        drop(session);
        check_recovery(&env.kill(), table_io, &progress, progress.acked, Depth::Compacted).unwrap();
        let copies = esker::Env::read_dir(&env, "disk".as_ref()).unwrap();
        let left = copies.iter().find(|name| name.ends_with(".tmp"));
        assert!(left.is_none() && copies.len() >= 3, "copies are finished: {copies:?}");
        Scenario { seed, table_io, steps, calls }
    }

    fn all() -> Vec<Scenario> {
        let table_io = |seed| if seed % 2 == 1 { TableIo::Mmap } else { TableIo::Pread };
        seeds().into_iter().map(|seed| Scenario::new(seed, table_io(seed))).collect()
    }

    /// Tries every call on all processors, and fails with what was found.
    fn sweep(&self, what: &str, each: impl Fn(&Call, &Count) -> Result<(), Finding> + Sync) {
        let count = Count::default();
        let next = AtomicU64::new(0);
        let findings = Mutex::new(Vec::new());
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(call) = self.calls.get(index as usize) else { return };
                        if only_at().is_some_and(|at| at != index) {
                            continue;
                        }
                        let result = catch_unwind(AssertUnwindSafe(|| each(call, &count)))
                            .unwrap_or_else(|_| Err("a panic".to_owned()));
                        if let Err(finding) = result {
                            let mut findings = findings.lock().unwrap();
                            findings.push(format!("seed {} call {call}: {finding}", self.seed));
                            if findings.len() >= ENOUGH {
                                next.store(u64::MAX / 2, Ordering::Relaxed);
                            }
                        }
                    }
                });
            }
        });
        let findings = findings.into_inner().unwrap();
        println!(
            "{what}: seed {}, {} calls, {} crash points tried, {} findings",
            self.seed,
            self.calls.len(),
            count.0.load(Ordering::Relaxed),
            findings.len()
        );
        if let Some(at) = only_at() {
            let at = at as usize;
            for call in &self.calls[at.saturating_sub(40)..=at.min(self.calls.len() - 1)] {
                println!("{call}");
            }
        }
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    }

    /// Runs the script with a fault at a call, to its end or its first error.
    fn run_with<'a>(&self, env: &'a SimEnv, call: &Call, fault: Fault) -> (Session<'a>, Result<(), Error>) {
        env.fail_at(call.number, fault);
        let mut session = Session::new(env, self.table_io);
        let result = session.run(&self.steps);
        (session, result)
    }
}

#[derive(Default)]
struct Count(AtomicU64);

impl Count {
    fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The four things that a power loss can do, with seeds that differ from call to call.
fn modes(call: &Call) -> [CrashMode; 4] {
    let seed = call.number;
    [CrashMode::LoseAll, CrashMode::KeepAll, CrashMode::Subset(seed), CrashMode::TornLast(seed)]
}

#[test]
fn power_loss_at_every_call() {
    for scenario in Scenario::all() {
        scenario.sweep("power loss at every call", |call, count| {
            let env = SimEnv::new();
            let (session, result) = scenario.run_with(&env, call, Fault::Stop);
            let progress = session.progress.clone();
            drop(session);
            if result.is_ok() && env.faults_fired() == 0 {
                return Err("the run is not like the one before: the call was not made".to_owned());
            }
            for (i, mode) in (0u64..).zip(modes(call)) {
                count.one();
                let after = env.power_loss(mode);
                let depth = Depth::of(full() || (call.number + i) % 2 == 0, call.number);
                let found = check_recovery(&after, scenario.table_io, &progress, progress.durable, depth);
                let recovered = found.map_err(|finding| format!("{mode:?}: {finding}"))?;
                second_crash(&scenario, &env, call, mode, recovered.calls, &progress, count)?;
            }
            count.one();
            let depth = Depth::of(full() || call.number % 2 == 0, call.number / 2);
            check_recovery(&env.kill(), scenario.table_io, &progress, progress.acked, depth)
                .map_err(|finding| format!("process killed: {finding}"))?;
            Ok(())
        });
    }
}

/// Crashes again while the store recovers from a crash: at every call, or at one that depends on the first.
fn second_crash(
    scenario: &Scenario,
    env: &SimEnv,
    first: &Call,
    mode: CrashMode,
    calls: u64,
    progress: &script::Progress,
    count: &Count,
) -> Result<(), Finding> {
    let mut dice = Dice::new(first.number * 4 + 1);
    let chosen: Vec<u64> = if full() { (0..calls).collect() } else { vec![dice.below(calls)] };
    for at in chosen {
        count.one();
        let recovering = env.power_loss(mode);
        recovering.fail_at(at, Fault::Stop);
        drop(open(&recovering, STORE, scenario.table_io));
        let second = modes(first)[dice.below(4) as usize];
        let after = recovering.power_loss(second);
        let depth = Depth::of(dice.below(8) == 0, at);
        check_recovery(&after, scenario.table_io, progress, progress.durable, depth).map_err(|finding| {
            format!("{mode:?}, then {second:?} at call {at} of the recovery: {finding}")
        })?;
    }
    Ok(())
}

#[test]
fn failure_of_every_call() {
    for scenario in Scenario::all() {
        scenario.sweep("failure of every call", |call, count| {
            for fault in [Fault::Io, Fault::NoSpace, Fault::FailedSync] {
                if fault.meets(call.op) {
                    count.one();
                    failure(&scenario, call, fault).map_err(|finding| format!("{fault:?}: {finding}"))?;
                }
            }
            Ok(())
        });
    }
}

/// A disk that is full, or a device that is gone, from some call on until the store is opened again.
#[test]
fn failure_of_every_call_from_one_on() {
    for scenario in Scenario::all() {
        scenario.sweep("failure of every call from one on", |call, count| {
            for fault in [Fault::Io, Fault::NoSpace] {
                if !fault.meets(call.op) || !(full() || call.number % 3 == 0) {
                    continue;
                }
                count.one();
                let env = SimEnv::new();
                env.fail_from(call.number, fault);
                let mut session = Session::new(&env, scenario.table_io);
                let result = session.run(&scenario.steps);
                let progress = session.progress.clone();
                if let Err(error) = result {
                    typed(&error)?;
                }
                if fault == Fault::NoSpace
                    && let Some(db) = &session.db
                {
                    check_content(db, &progress, progress.acked).map_err(|f| format!("disk full: {f}"))?;
                }
                drop(session);
                let depth = Depth::of(full() || call.number % 2 == 0, call.number / 2);
                check_recovery(&env.kill(), scenario.table_io, &progress, progress.acked, depth)
                    .map_err(|finding| format!("{fault:?} from here on, then opened again: {finding}"))?;
            }
            Ok(())
        });
    }
}

fn failure(scenario: &Scenario, call: &Call, fault: Fault) -> Result<(), Finding> {
    let env = SimEnv::new();
    let (mut session, result) = scenario.run_with(&env, call, fault);
    if let Err(error) = result {
        typed(&error)?;
        if let Some(db) = session.db.clone() {
            // Reads go on.
            let acked = session.progress.acked;
            let seen =
                check_content(&db, &session.progress, acked).map_err(|f| format!("after {error}: {f}"))?;
            // Writing is refused with the reason, or works.
            let stamp = format!("after {error}").into_bytes();
            let after = vec![(0, Op::Put(b"after failure".to_vec(), stamp.clone()))];
            let mut batch = esker::WriteBatch::new();
            batch.put("after failure", stamp);
            match db.write(batch, Durability::Synced) {
                Ok(()) => {
                    // The failure concerned one call alone, and what is seen now is what it did.
                    session.progress.commits.truncate(seen);
                    session.progress.commits.push(after);
                    session.progress.acked = session.progress.commits.len();
                    session.progress.durable = session.progress.commits.len();
                }
                Err(Error::ReadOnly { .. }) => {}
                Err(other) => {
                    session.progress.commits.push(after);
                    typed(&other)?;
                }
            }
            let acked = session.progress.acked;
            check_content(&db, &session.progress, acked).map_err(|f| format!("after {error}, again: {f}"))?;
        }
    } else if let Some(db) = &session.db {
        let total = session.progress.commits.len();
        check_content(db, &session.progress, total).map_err(|f| format!("nobody was told, but {f}"))?;
    }
    let progress = session.progress.clone();
    drop(session);
    env.clear_faults();
    check_recovery(&env.kill(), scenario.table_io, &progress, progress.acked, Depth::Compacted)
        .map_err(|finding| format!("opened again: {finding}"))?;
    let mode = modes(call)[(call.number % 4) as usize];
    check_recovery(&env.power_loss(mode), scenario.table_io, &progress, progress.durable, Depth::Compacted)
        .map_err(|finding| format!("opened again after {mode:?}: {finding}"))?;
    Ok(())
}

/// A failure of the device is reported as one.
fn typed(error: &Error) -> Result<(), Finding> {
    match error {
        Error::Io { .. } | Error::ReadOnly { .. } => Ok(()),
        other => Err(format!("the failure is reported as: {other}")),
    }
}
