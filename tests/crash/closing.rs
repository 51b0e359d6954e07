//! Closing and opening again: what a close proves, what it proves when it fails, and what many of them leave behind.

use esker::testing::{CrashMode, Fault, SimEnv};
use esker::{Db, Durability, Error, KeyspaceOptions, MIN_MEMORY_BUDGET, WriteBatch, WriteOptions};
use std::sync::Arc;

fn open(env: &SimEnv) -> Result<Db, Error> {
    Db::builder()
        .env(Arc::new(env.clone()))
        .memory_budget(MIN_MEMORY_BUDGET)
        .segment_bytes(4096)
        .open("store")
}

fn put_synced(db: &Db, key: &str) {
    let mut batch = WriteBatch::new();
    batch.put(key, "value");
    db.write(batch, Durability::Synced).unwrap();
}

fn segments(env: &SimEnv) -> Vec<String> {
    env.files().into_iter().map(|(path, _)| path).filter(|path| path.ends_with(".wal")).collect()
}

#[test]
fn a_close_whose_syncs_fail_does_not_cost_the_store() {
    let probe = SimEnv::new();
    let db = open(&probe).unwrap();
    put_synced(&db, "first");
    let before = probe.calls();
    db.close().unwrap();
    for at in before..probe.calls() {
        let env = SimEnv::new();
        let db = open(&env).unwrap();
        put_synced(&db, "first");
        env.fail_at(at, Fault::FailedSync);
        let closed = db.close();
        env.clear_faults();
        let env = env.kill();
        let db = open(&env).unwrap_or_else(|e| panic!("call {at}, close {closed:?}: {e}"));
        put_synced(&db, "second");
        for mode in [CrashMode::LoseAll, CrashMode::KeepAll, CrashMode::Subset(at)] {
            let db = open(&env.power_loss(mode)).unwrap_or_else(|e| panic!("call {at}, {mode:?}: {e}"));
            assert!(
                db.contains_key("first").unwrap() && db.contains_key("second").unwrap(),
                "call {at}, {mode:?}"
            );
        }
    }
}

#[test]
fn a_store_that_is_opened_often_and_written_little_keeps_a_short_log() {
    for (writes, clean) in [(false, true), (false, false), (true, true), (true, false)] {
        let mut env = SimEnv::new();
        for round in 0..40 {
            let db = open(&env).unwrap();
            assert_eq!(
                db.range(..).count(),
                if writes { round } else { 0 },
                "writes {writes}, clean {clean}"
            );
            if writes {
                put_synced(&db, &format!("{round:02}"));
            }
            if clean {
                db.close().unwrap();
            } else {
                env = env.kill();
            }
            let left = segments(&env).len();
            assert!(left <= if writes { 10 } else { 2 }, "round {round}, writes {writes}: {left} segments");
        }
    }
}

#[test]
fn what_the_manifest_names_is_on_disk_whatever_was_flushed() {
    let env = SimEnv::new();
    let db = open(&env).unwrap();
    let other = db.create_keyspace("other", KeyspaceOptions::new()).unwrap();
    // Enough to be sealed at once, and synced.
    db.put("large", vec![1; MIN_MEMORY_BUDGET / 5]).unwrap();
    db.sync().unwrap();
    // The log goes on in a segment that is in memory only, and nothing that is left needs an older one.
    let mut batch = WriteBatch::new();
    other.put_to(&mut batch, "key", "value");
    let known = segments(&env);
    db.submit(&batch, WriteOptions::new(Durability::Synced)).unwrap();
    assert_eq!(segments(&env), known, "the next segment has no file yet");
    drop(other);
    db.drop_keyspace("other").unwrap();
    db.flush().unwrap();
    let db = open(&env.power_loss(CrashMode::LoseAll)).unwrap();
    assert_eq!(db.get("large").unwrap().unwrap().len(), MIN_MEMORY_BUDGET / 5);
}

/// Sets a bit in the header of the newest segment, as a newer version would.
#[test]
fn a_log_that_this_version_cannot_write_beside_is_read_and_not_written() {
    let env = SimEnv::new();
    let db = open(&env).unwrap();
    put_synced(&db, "key");
    db.close().unwrap();
    let newest = segments(&env).pop().unwrap();
    let mut bytes = env.read_file(&newest).unwrap();
    bytes[20] |= 1;
    let crc = esker_table::codec::checksum::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    env.write_file(&newest, &bytes).unwrap();
    let files = env.files();
    assert!(
        matches!(open(&env).unwrap_err(), Error::Unsupported { path, .. } if newest.ends_with(path.to_str().unwrap()))
    );
    assert_eq!(env.files(), files);
    let db = Db::builder().env(Arc::new(env.clone())).read_only(true).open("store").unwrap();
    assert_eq!(db.get("key").unwrap().unwrap(), b"value");
}
