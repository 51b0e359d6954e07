//! The log goes on in another segment, which background work prepares: whatever call is the last, and whatever call fails, nothing is
//! lost that was acknowledged.

use esker::testing::{CrashMode, Fault, SimEnv};
use esker::{Db, Durability, Error, MIN_MEMORY_BUDGET, WriteBatch};
use std::sync::Arc;

const WRITES: u32 = 150;

fn open(env: &SimEnv, read_only: bool) -> Result<Db, Error> {
    let builder = Db::builder().env(Arc::new(env.clone())).memory_budget(MIN_MEMORY_BUDGET);
    builder.segment_bytes(4096).read_only(read_only).open("store")
}

fn segments(env: &SimEnv) -> usize {
    env.files().iter().filter(|(path, _)| path.ends_with(".wal")).count()
}

/// How many writes were acknowledged, and up to which one they are on the device.
#[derive(Clone, Copy, Debug, Default)]
struct Acknowledged {
    all: u32,
    synced: u32,
    /// Segments that were begun by background work.
    tended: usize,
}

/// How many writes there are to one that is synced: several in a segment, and several segments without one.
const SELDOM: [u32; 2] = [16, 110];

/// Writes through several segments, with a step of background work after each write.
fn write(env: &SimEnv, db: &Db, seldom: u32) -> Acknowledged {
    let mut done = Acknowledged::default();
    for i in 0..WRITES {
        let durability = if i % seldom == seldom - 1 { Durability::Synced } else { Durability::Buffered };
        let mut batch = WriteBatch::new();
        batch.put(i.to_be_bytes(), [7; 100]);
        if db.write(batch, durability).is_err() {
            break;
        }
        done.all = i + 1;
        if durability == Durability::Synced {
            done.synced = i + 1;
        }
        let before = segments(env);
        if db.step_background().is_err() {
            break;
        }
        done.tended += usize::from(segments(env) > before);
    }
    done
}

/// Opens what is left, reads it and goes on. At least `least` of the writes are there, and none without those before it.
fn check(env: &SimEnv, least: u32, what: &str) {
    for read_only in [true, false] {
        let db =
            open(env, read_only).unwrap_or_else(|error| panic!("{what}, read-only {read_only}: {error}"));
        let keys: Vec<u32> = db
            .range(..)
            .map(|entry| u32::from_be_bytes(entry.unwrap().0.as_ref().try_into().unwrap()))
            .collect();
        assert_eq!(keys, (0..keys.len() as u32).collect::<Vec<_>>(), "{what}: not a prefix");
        assert!(keys.len() as u32 >= least, "{what}: {} of {least} are there", keys.len());
        if !read_only {
            write(env, &db, SELDOM[0]);
            assert_eq!(db.range(..).count(), WRITES as usize, "{what}: it does not go on");
        }
    }
}

fn calls(seldom: u32) -> std::ops::Range<u64> {
    let probe = SimEnv::new();
    let db = open(&probe, false).unwrap();
    let before = probe.calls();
    let done = write(&probe, &db, seldom);
    assert_eq!(done.all, WRITES);
    assert!(done.tended >= 4, "background work began {} segments", done.tended);
    before..probe.calls()
}

#[test]
fn a_process_that_ends_anywhere_loses_nothing() {
    for (at, seldom) in SELDOM.into_iter().flat_map(|seldom| calls(seldom).map(move |at| (at, seldom))) {
        let env = SimEnv::new();
        let db = open(&env, false).unwrap();
        env.fail_at(at, Fault::Stop);
        let done = write(&env, &db, seldom);
        check(&env.kill(), done.all, &format!("killed at call {at}"));
        let subsets = [at, at + 1000, at + 2000].map(CrashMode::Subset);
        for mode in [CrashMode::LoseAll, CrashMode::KeepAll].into_iter().chain(subsets) {
            check(&env.power_loss(mode), done.synced, &format!("power lost at call {at}, {mode:?}"));
        }
    }
}

#[test]
fn a_call_that_fails_anywhere_loses_nothing() {
    let faults = [Fault::Io, Fault::FailedSync, Fault::NoSpace];
    for (seldom, fault) in SELDOM.into_iter().flat_map(|seldom| faults.map(|fault| (seldom, fault))) {
        for at in calls(seldom) {
            let env = SimEnv::new();
            let db = open(&env, false).unwrap();
            env.fail_at(at, fault);
            let done = write(&env, &db, seldom);
            env.clear_faults();
            check(&env.kill(), done.all, &format!("{fault:?} at call {at}"));
            let mode = CrashMode::Subset(at);
            check(&env.power_loss(mode), done.synced, &format!("{fault:?} at call {at}, {mode:?}"));
        }
    }
}

#[test]
fn what_one_sync_made_durable_in_several_segments_is_no_torn_tail() {
    let env = SimEnv::new();
    let db = open(&env, false).unwrap();
    for i in 0..WRITES {
        let mut batch = WriteBatch::new();
        batch.put(i.to_be_bytes(), [7; 100]);
        let durability = if i == WRITES - 1 { Durability::Synced } else { Durability::Buffered };
        db.write(batch, durability).unwrap();
    }
    let files = env.files().into_iter().map(|(path, _)| path.trim_start_matches('/').to_owned());
    let mut segments: Vec<String> = files.filter(|path| path.ends_with(".wal")).collect();
    segments.sort_unstable();
    let (_, full) = segments.split_last().unwrap();
    assert!(full.len() >= 3, "{segments:?}");
    let env = env.kill();
    for path in full {
        env.flip(path, 1000, 1).unwrap();
        let error = open(&env, false).unwrap_err();
        assert!(error.is_corruption() && error.to_string().contains(path), "{error}");
        env.flip(path, 1000, 1).unwrap();
    }
    assert_eq!(open(&env, false).unwrap().range(..).count(), WRITES as usize);
}
