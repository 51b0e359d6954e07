//! Room that the store gives back, on the device and in memory, and what a scan leaves to others.

use esker::testing::{CrashMode, SimEnv};
use esker::{ByLevel, Db, Durability, KeyspaceOptions, WriteBatch};
use std::path::Path;
use std::sync::Arc;

const PAIRS: u32 = 40_000;

fn log_bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let logs = files.filter(|file| file.path().extension().is_some_and(|ext| ext == "wal"));
    logs.map(|file| file.metadata().unwrap().len()).sum()
}

fn fill(db: &Db) {
    for i in 0..PAIRS {
        db.put(i.to_be_bytes(), [b'.'; 100]).unwrap();
    }
}

#[test]
fn what_a_flush_has_put_into_tables_leaves_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::builder().memory_budget(64 << 20).open(dir.path()).unwrap();
    fill(&db);
    assert!(log_bytes(dir.path()) > 4 << 20);
    db.flush().unwrap();
    assert!(log_bytes(dir.path()) < 1 << 20, "{} bytes of log are left", log_bytes(dir.path()));
    // The segment that the store went on in takes writes as the one before did.
    let mut batch = WriteBatch::new();
    batch.put("after", "the flush");
    db.write(batch, Durability::Synced).unwrap();
    drop(db);
    let db = Db::open(dir.path()).unwrap();
    assert_eq!(db.get("after").unwrap().unwrap(), b"the flush");
    assert_eq!(db.range(..).count(), PAIRS as usize + 1);
}

#[test]
fn a_keyspace_that_was_not_flushed_keeps_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::builder().memory_budget(64 << 20).open(dir.path()).unwrap();
    let other = db.create_keyspace("other", KeyspaceOptions::new()).unwrap();
    fill(&db);
    other.put("kept", "in the log").unwrap();
    db.keyspace("default").unwrap().flush().unwrap();
    assert!(log_bytes(dir.path()) > 4 << 20);
    // As after a kill: nothing is flushed by a clean close.
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let db = Db::open(copy.path()).unwrap();
    assert_eq!(db.keyspace("other").unwrap().get("kept").unwrap().unwrap(), b"in the log");
}

#[test]
fn memory_that_memtables_do_not_take_is_for_blocks() {
    let budget = 28 << 20;
    // The simulated environment leaves background work to be stepped.
    let env = Arc::new(SimEnv::new());
    let db = Db::builder().env(env).memory_budget(budget).open("store").unwrap();
    let capacity = || db.stats().cache_capacity as usize;
    // Three quarters, less what the active memtables may take.
    let memtable = budget / 7;
    let most = budget / 4 * 3 - memtable;
    assert_eq!(capacity(), most);
    let mut i = 0u32;
    while db.stats().sealed_bytes == 0 {
        db.put(i.to_be_bytes(), [b'.'; 100]).unwrap();
        i += 1;
    }
    assert!(db.step_background().unwrap(), "a memtable is there to be flushed");
    assert_eq!(capacity(), most - memtable, "it takes its memory from the cache");
    while db.step_background().unwrap() {}
    assert_eq!(capacity(), most, "and gives it back");
}

#[test]
fn a_long_scan_leaves_the_cache_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::builder().memory_budget(64 << 20).open(dir.path()).unwrap();
    fill(&db);
    db.compact(..).unwrap();
    assert_eq!(db.range(..).count(), PAIRS as usize);
    let after_scan = db.stats().cache_bytes;
    // The beginning of the scan is kept; it could have ended there.
    assert!(after_scan < 512 << 10, "a scan left {after_scan} bytes in the cache");
    for i in (0..PAIRS).step_by(7) {
        assert!(db.get(i.to_be_bytes()).unwrap().is_some());
    }
    let after_gets = db.stats().cache_bytes;
    assert!(after_gets > 4 << 20, "lookups left {after_gets} bytes in the cache");
}

#[test]
fn a_keyspace_of_plain_tables_answers_and_needs_no_cache() {
    let dir = tempfile::tempdir().unwrap();
    let options = KeyspaceOptions::new().format(ByLevel::all("plain".to_owned()));
    let db = Db::builder().keyspace_defaults(options).open(dir.path()).unwrap();
    fill(&db);
    db.delete(7u32.to_be_bytes()).unwrap();
    db.compact(..).unwrap();
    assert_eq!(db.get(6u32.to_be_bytes()).unwrap().unwrap(), [b'.'; 100]);
    assert!(db.get(7u32.to_be_bytes()).unwrap().is_none());
    assert!(db.get("elsewhere").unwrap().is_none());
    assert_eq!(db.range(..).count(), PAIRS as usize - 1);
    assert_eq!(db.range(..).rev().count(), PAIRS as usize - 1);
    assert_eq!(db.stats().cache_bytes, 0);
    db.verify().unwrap();
}

#[test]
fn room_behind_a_segment_that_was_left_is_taken_back_by_background_work() {
    let env = SimEnv::new();
    let db = Db::builder().env(Arc::new(env.clone())).segment_bytes(1 << 14).open("store").unwrap();
    let longest = || {
        let mut logs = env.files().into_iter().filter(|(path, _)| path.ends_with(".wal")).collect::<Vec<_>>();
        logs.sort();
        // The last is the one that is written, which has its room.
        logs.pop();
        logs.iter().map(|(_, len)| *len).max()
    };
    let put = |i: u32| {
        let mut batch = WriteBatch::new();
        batch.put(i.to_be_bytes(), [b'.'; 1000]);
        db.write(batch, Durability::Synced).unwrap();
    };
    let mut i = 0;
    while longest().is_none() {
        put(i);
        i += 1;
    }
    let with_room = longest().unwrap();
    db.checkpoint("copy").unwrap();
    let copied = env.files().into_iter().find(|(path, _)| path == "/copy/000002.wal").unwrap().1;
    assert!(copied < with_room, "room was copied");
    db.step_background().unwrap();
    assert_eq!(longest(), Some(copied));
    assert!(longest().unwrap() < with_room, "{with_room} bytes are left");
    // Of a kilobyte each, and some bytes more: what is not room is there as it was.
    assert!(longest().unwrap() > u64::from(i - 1) * 1000);
    drop(db);
    for dir in ["store", "copy"] {
        let db = Db::builder().env(Arc::new(env.clone())).open(dir).unwrap();
        assert_eq!(db.range(..).count(), i as usize, "{dir}");
    }
}

#[test]
fn a_store_that_dies_before_room_was_taken_back_has_what_was_written() {
    let losses = [CrashMode::LoseAll, CrashMode::KeepAll, CrashMode::Subset(7), CrashMode::TornLast(7)];
    for loss in losses.map(Some).into_iter().chain([None]) {
        let env = SimEnv::new();
        let open = |env: &SimEnv| {
            Db::builder().env(Arc::new(env.clone())).segment_bytes(1 << 14).open("store").unwrap()
        };
        let db = open(&env);
        for i in 0..60u32 {
            let mut batch = WriteBatch::new();
            batch.put(i.to_be_bytes(), [b'.'; 1000]);
            db.write(batch, Durability::Synced).unwrap();
        }
        let logs = env.files().into_iter().filter(|(path, _)| path.ends_with(".wal"));
        let with_room = logs.filter(|(_, len)| *len > 1 << 14).count();
        assert!(with_room > 2, "only {with_room} segments have room");
        let after = loss.map_or_else(|| env.kill(), |mode| env.power_loss(mode));
        let db = open(&after);
        assert_eq!(db.range(..).count(), 60);
    }
}

#[test]
fn a_writer_takes_room_back_where_background_work_is_far_behind() {
    let env = SimEnv::new();
    let db = Db::builder().env(Arc::new(env.clone())).segment_bytes(1 << 12).open("store").unwrap();
    let logs = || env.files().into_iter().filter(|(path, _)| path.ends_with(".wal")).collect::<Vec<_>>();
    let oldest = || logs().into_iter().min().unwrap().1;
    // Sixty-four may wait, one is written, and nothing is stepped.
    let fill = |segments: usize| {
        while logs().len() < segments {
            let mut batch = WriteBatch::new();
            batch.put("key", [b'.'; 1000]);
            db.write(batch, Durability::Synced).unwrap();
        }
    };
    fill(65);
    let with_room = oldest();
    fill(66);
    assert!(oldest() < with_room, "{with_room} bytes are left");
}
