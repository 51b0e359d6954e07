//! Time to live on the simulated clock: flushes, compactions, restarts and power losses under each strategy.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use esker::testing::{CrashMode, SimEnv};
use esker::{
    Builder, CompactionStrategy, Db, Durability, Error, Fold, Folded, KeyspaceOptions, Shadow, WriteBatch,
};
use std::sync::Arc;
use std::time::Duration;

const STORE: &str = "/store";
const TTL: Duration = Duration::from_secs(3200);
/// Nothing expires later than the time to live and this.
const LATE: Duration = Duration::from_secs(101);

fn strategies() -> [CompactionStrategy; 3] {
    [
        CompactionStrategy::Leveled { l0_trigger: 2, ratio: 3, table_bytes: 4096 },
        CompactionStrategy::tiered(),
        CompactionStrategy::Fifo { max_bytes: u64::MAX },
    ]
}

fn builder(env: &SimEnv, options: KeyspaceOptions) -> Builder {
    Db::builder().env(Arc::new(env.clone())).keyspace_defaults(options)
}

fn open(env: &SimEnv, strategy: CompactionStrategy) -> Db {
    builder(env, KeyspaceOptions::new().compaction(strategy).ttl(TTL)).open(STORE).unwrap()
}

/// Background work, until there is none.
fn settle(db: &Db) {
    for _ in 0..1000 {
        if !db.step_background().unwrap() {
            return;
        }
    }
    panic!("background work does not come to rest");
}

fn tables(env: &SimEnv) -> usize {
    env.files().iter().filter(|(name, _)| name.ends_with(".sst")).count()
}

fn get(db: &Db, key: &str) -> Option<String> {
    db.get(key).unwrap().map(|v| String::from_utf8(v.to_vec()).unwrap())
}

#[test]
fn what_is_old_goes_without_a_write_and_what_is_younger_stays() {
    for strategy in strategies() {
        let env = SimEnv::new();
        let db = open(&env, strategy);
        for i in 0..500 {
            db.put(format!("key{i:03}"), "old").unwrap();
        }
        db.flush().unwrap();
        settle(&db);
        env.advance(TTL / 2);
        for i in 0..50 {
            db.put(format!("key{i:03}"), "new").unwrap();
        }
        db.flush().unwrap();
        settle(&db);
        env.advance(TTL / 2 - Duration::from_millis(1));
        db.compact(..).unwrap();
        assert_eq!(db.range(..).count(), 500, "{strategy:?}: nothing goes early");
        env.advance(LATE);
        db.compact(..).unwrap();
        assert_eq!(db.range(..).count(), 50, "{strategy:?}");
        assert_eq!(get(&db, "key007").as_deref(), Some("new"));
        env.advance(TTL);
        settle(&db);
        assert_eq!(
            (db.range(..).count(), tables(&env)),
            (0, 0),
            "{strategy:?}: no call but the background's"
        );
    }
}

#[test]
fn entries_expire_that_were_never_flushed() {
    for strategy in strategies() {
        let env = SimEnv::new();
        let db = open(&env, strategy);
        db.put("a", "in the memtable").unwrap();
        settle(&db);
        assert_eq!(tables(&env), 0);
        env.advance(TTL - Duration::from_millis(1));
        settle(&db);
        assert_eq!((db.range(..).count(), tables(&env)), (1, 0));
        env.advance(Duration::from_millis(1));
        settle(&db);
        assert_eq!((db.range(..).count(), tables(&env)), (0, 0), "{strategy:?}");
    }
}

#[test]
fn no_older_version_comes_back() {
    for strategy in strategies() {
        let env = SimEnv::new();
        let db = open(&env, strategy);
        let mut written = Vec::new();
        // Versions and deletes of the same keys, spread over the levels.
        for version in 0..12u64 {
            for i in 0..200u64 {
                let key = format!("key{:03}", (i * 7 + version * 13) % 300);
                if (i + version) % 5 == 0 {
                    db.delete(&key).unwrap();
                    written.push((key, None));
                } else {
                    db.put(&key, version.to_string()).unwrap();
                    written.push((key, Some(version.to_string())));
                }
            }
            db.flush().unwrap();
            if version % 3 == 0 {
                settle(&db);
            }
            env.advance(TTL / 8);
        }
        let newest: std::collections::BTreeMap<_, _> = written.into_iter().collect();
        for _ in 0..20 {
            settle(&db);
            for (key, value) in &newest {
                let seen = get(&db, key);
                assert!(seen.is_none() || seen == *value, "{strategy:?}, {key}: {seen:?}, newest {value:?}");
            }
            env.advance(TTL / 16);
        }
        assert_eq!(tables(&env), 0, "{strategy:?}");
    }
}

#[test]
fn ages_survive_restarts_and_power_losses() {
    for strategy in strategies() {
        let mut env = SimEnv::new();
        let mut db = open(&env, strategy);
        db.put("a", "1").unwrap();
        db.flush().unwrap();
        // Each opening begins a MANIFEST with a snapshot of the state.
        for part in 0..8 {
            env.advance(TTL / 8);
            if part % 2 == 0 {
                db.close().unwrap();
            } else {
                drop(db);
                env = env.power_loss(CrashMode::LoseAll);
            }
            db = open(&env, strategy);
            assert_eq!(db.range(..).count(), 1, "{strategy:?}");
        }
        settle(&db);
        assert_eq!((db.range(..).count(), tables(&env)), (0, 0), "{strategy:?}");
    }
}

#[test]
fn a_number_that_a_power_loss_took_back_is_not_old_already() {
    let env = SimEnv::new();
    let db = open(&env, CompactionStrategy::default());
    let mut durable = WriteBatch::new();
    durable.put("a", "durable");
    db.write(durable, Durability::Synced).unwrap();
    db.flush().unwrap();
    for i in 0..100 {
        db.put(format!("b{i}"), "lost").unwrap();
    }
    settle(&db);
    env.advance(TTL / 2);
    let env = env.power_loss(CrashMode::LoseAll);
    drop(db);
    let db = open(&env, CompactionStrategy::default());
    assert_eq!(db.range(..).count(), 1);
    for i in 0..100 {
        db.put(format!("c{i}"), "kept").unwrap();
    }
    db.flush().unwrap();
    env.advance(TTL / 2);
    db.compact(..).unwrap();
    settle(&db);
    assert_eq!(db.range(..).count(), 100);
}

#[test]
fn ingested_entries_expire() {
    for strategy in strategies() {
        let env = SimEnv::new();
        let db = open(&env, strategy);
        db.ingest(|writer| (0..100u32).try_for_each(|i| writer.put(i.to_be_bytes(), "v"))).unwrap();
        env.advance(TTL - Duration::from_millis(1));
        settle(&db);
        assert_eq!(db.range(..).count(), 100, "{strategy:?}");
        env.advance(Duration::from_millis(1));
        settle(&db);
        assert_eq!((db.range(..).count(), tables(&env)), (0, 0), "{strategy:?}");
    }
}

#[test]
fn tables_from_before_the_time_to_live_count_from_the_opening() {
    let env = SimEnv::new();
    let db = builder(&env, KeyspaceOptions::new()).open(STORE).unwrap();
    db.put("a", "1").unwrap();
    db.flush().unwrap();
    db.close().unwrap();
    env.advance(TTL * 10);
    let mut db = open(&env, CompactionStrategy::default());
    for _ in 0..2 {
        settle(&db);
        assert_eq!(db.range(..).count(), 1);
        db.close().unwrap();
        env.advance(TTL / 2);
        // The age that was recorded at the first opening counts at the next ones.
        db = open(&env, CompactionStrategy::default());
    }
    settle(&db);
    assert_eq!(db.range(..).count(), 0);
}

#[test]
fn a_snapshot_keeps_nothing_alive() {
    let env = SimEnv::new();
    let db = open(&env, CompactionStrategy::default());
    db.put("a", "1").unwrap();
    db.flush().unwrap();
    let snapshot = db.snapshot();
    env.advance(TTL);
    db.put("b", "1").unwrap();
    db.compact(..).unwrap();
    assert_eq!(snapshot.get("a").unwrap(), None);
    assert_eq!(db.range(..).count(), 1);
}

struct Newest;

impl Fold for Newest {
    fn name(&self) -> &str {
        "newest"
    }

    fn fold(&self, _: &Shadow<'_>) -> Folded {
        Folded::Newer
    }
}

#[test]
fn what_cannot_work_is_refused() {
    let env = SimEnv::new();
    let db = open(&env, CompactionStrategy::default());
    for options in [
        KeyspaceOptions::new().ttl(TTL).fold(Arc::new(Newest)),
        KeyspaceOptions::new().ttl(Duration::ZERO),
        KeyspaceOptions::new().ttl(Duration::from_micros(999)),
    ] {
        let refused = db.create_keyspace("other", options);
        assert!(matches!(refused, Err(Error::Invalid { option: "ttl", .. })), "{refused:?}");
    }
    db.create_keyspace("other", KeyspaceOptions::new().ttl(Duration::MAX)).unwrap();
}
