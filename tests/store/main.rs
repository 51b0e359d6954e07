//! The store through its public API on real files: what a user meets that no other suite asks.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod at_once;
mod checkpoints;
mod drops;
mod features;
mod kinds;
mod panics;
mod room;
mod standing;

use esker::{
    ByLevel, Commit, CompactionStrategy, Compression, Cursor, Db, Durability, Error, Event, Keyspace,
    KeyspaceOptions, Range, ReadOptions, Slice, Snapshot, TableIo, View, WriteBatch, WriteOptions,
};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

fn key(i: u64) -> [u8; 8] {
    i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
}

#[test]
fn everything_goes_from_thread_to_thread() {
    fn check<T: Send + Sync>() {}
    check::<Db>();
    check::<Keyspace>();
    check::<Snapshot>();
    check::<View>();
    check::<Slice>();
    check::<Error>();
    check::<WriteBatch>();
    check::<Commit>();
    fn moves<T: Send + 'static>() {}
    moves::<Cursor>();
    moves::<Range>();
}

#[test]
fn readers_writers_flushes_and_compactions_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = KeyspaceOptions::new().compaction(CompactionStrategy::Leveled {
        l0_trigger: 2,
        ratio: 4,
        table_bytes: 64 << 10,
    });
    let db = Db::builder().memory_budget(2 << 20).keyspace_defaults(options).open(dir.path()).unwrap();
    let done = AtomicBool::new(false);
    let rounds = 30u64;
    let keys = 2000u64;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // Every round is one batch, so that a reader sees one round and no mixture.
                while !done.load(Ordering::Relaxed) {
                    let snapshot = db.snapshot();
                    let mut seen = None;
                    let mut count = 0;
                    for entry in snapshot.range(..) {
                        let (_, value) = entry.unwrap();
                        let round = u64::from_be_bytes(value[..8].try_into().unwrap());
                        assert_eq!(*seen.get_or_insert(round), round, "two rounds in one snapshot");
                        count += 1;
                    }
                    assert!(count == 0 || count == keys, "{count} keys in a snapshot");
                    let i = count % keys;
                    let got =
                        snapshot.get(key(i)).unwrap().map(|v| u64::from_be_bytes(v[..8].try_into().unwrap()));
                    assert_eq!(got, seen);
                }
            });
        }
        scope.spawn(|| {
            for round in 0..rounds {
                let mut batch = WriteBatch::new();
                for i in 0..keys {
                    let mut value = [0; 64];
                    value[..8].copy_from_slice(&round.to_be_bytes());
                    batch.put(key(i), value);
                }
                db.write(batch, Durability::Buffered).unwrap();
                if round % 5 == 0 {
                    db.flush().unwrap();
                }
            }
            done.store(true, Ordering::Relaxed);
        });
    });
    assert_eq!(db.range(..).count() as u64, keys);
    assert!(db.verify().unwrap().is_intact());
    db.close().unwrap();
}

#[test]
fn many_writers_share_their_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let before = db.stats().fsyncs;
    let (threads, puts) = (8u64, 50u64);
    std::thread::scope(|scope| {
        for t in 0..threads {
            let db = &db;
            scope.spawn(move || {
                for i in 0..puts {
                    db.put_with(key(t * puts + i), "v", WriteOptions::new(Durability::Synced)).unwrap();
                }
            });
        }
    });
    let syncs = db.stats().fsyncs - before;
    println!("{syncs} syncs for {} synced puts by {threads} threads", threads * puts);
    assert!(syncs <= threads * puts, "never more than one sync a put");
    assert_eq!(db.range(..).count() as u64, threads * puts);
}

#[test]
fn a_submitted_write_is_visible_at_once_and_durable_later() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let (told, hears) = mpsc::channel();
    let mut last = 0;
    for i in 0..100u64 {
        let mut batch = WriteBatch::new();
        batch.put(key(i), "v");
        let commit = db.submit(&batch, WriteOptions::new(Durability::Synced)).unwrap();
        assert!(db.contains_key(key(i)).unwrap());
        assert!(commit.seqno() > last);
        last = commit.seqno();
        let told = told.clone();
        commit.on_done(move |result| told.send((i, result.is_ok())).unwrap());
    }
    drop(told);
    let mut heard: Vec<_> = hears.iter().collect();
    heard.sort_unstable();
    assert_eq!(heard, (0..100).map(|i| (i, true)).collect::<Vec<_>>());
    let commit = db.submit(&WriteBatch::new(), WriteOptions::new(Durability::Synced)).unwrap();
    assert!(matches!(commit.poll(), Some(Ok(()))));
}

#[test]
fn a_submitted_write_that_the_log_cannot_take_is_visible_and_its_handle_says_the_rest() {
    use esker::testing::{Fault, SimEnv};
    for durability in [Durability::Buffered, Durability::Synced] {
        let env = SimEnv::new();
        let db = Db::builder().env(Arc::new(env.clone())).open("store").unwrap();
        env.fail_from(env.calls(), Fault::NoSpace);
        let mut batch = WriteBatch::new();
        batch.put("key", "value");
        let commit = db.submit(&batch, WriteOptions::new(durability)).unwrap();
        assert_eq!(db.get("key").unwrap().unwrap(), "value");
        assert!(commit.wait().is_err());
        assert!(matches!(commit.poll(), Some(Err(_))), "{durability:?}");
        assert!(db.submit(&batch, WriteOptions::new(durability)).is_err(), "what is refused is not visible");
    }
}

#[test]
fn handles_outlive_each_other_and_a_closed_store_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    assert!(matches!(Db::open(dir.path()), Err(Error::Locked { .. })));
    let names = db.create_keyspace("names", KeyspaceOptions::new()).unwrap();
    assert!(matches!(db.create_keyspace("names", KeyspaceOptions::new()), Err(Error::KeyspaceExists { .. })));
    names.put("a", "1").unwrap();
    let value = names.get("a").unwrap().unwrap();
    drop(db);
    names.put("b", "2").unwrap();
    let db = {
        let again = names.clone();
        drop(names);
        assert!(matches!(Db::open(dir.path()), Err(Error::Locked { .. })), "a keyspace keeps the store open");
        drop(again);
        Db::open(dir.path()).unwrap()
    };
    assert_eq!(value, b"1");
    assert_eq!(db.keyspaces(), ["default", "names"]);
    let other = db.clone();
    db.close().unwrap();
    assert!(matches!(other.get("a"), Err(Error::Closed)));
    assert!(matches!(other.put("a", ""), Err(Error::Closed)));
    assert!(matches!(other.range(..).next(), Some(Err(Error::Closed))));
    assert!(Db::open(dir.path()).is_ok());
}

#[test]
fn a_dropped_keyspace_is_gone_at_once_and_its_files_follow() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::builder().memory_budget(4 << 20).open(dir.path()).unwrap();
    let big = db.create_keyspace("big", KeyspaceOptions::new()).unwrap();
    for i in 0..20_000u64 {
        big.put(key(i), [0; 100]).unwrap();
    }
    big.flush().unwrap();
    let tables = || {
        std::fs::read_dir(dir.path())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "sst"))
            .count()
    };
    assert!(tables() > 0);
    let reader = big.range(..);
    db.drop_keyspace("big").unwrap();
    assert!(matches!(big.get(key(1)), Err(Error::NoSuchKeyspace { .. })));
    assert!(matches!(big.put(key(1), ""), Err(Error::NoSuchKeyspace { .. })));
    assert_eq!(reader.count(), 20_000, "a reader that is under way goes on");
    db.close().unwrap();
    let db = Db::open(dir.path()).unwrap();
    assert_eq!(tables(), 0);
    assert!(db.keyspace("big").is_err());
    let again = db.create_keyspace("big", KeyspaceOptions::new()).unwrap();
    assert_eq!(again.range(..).count(), 0);
}

#[test]
fn a_read_only_store_sees_the_log_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    {
        let db = Db::open(dir.path()).unwrap();
        db.put("flushed", "1").unwrap();
        db.flush().unwrap();
        db.put("logged", "2").unwrap();
    }
    let listing = || {
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|e| {
                let e = e.unwrap();
                (e.file_name(), e.metadata().unwrap().len())
            })
            .collect();
        names.sort();
        names
    };
    let before = listing();
    {
        let db = Db::builder().read_only(true).open(dir.path()).unwrap();
        let also = Db::builder().read_only(true).open(dir.path()).unwrap();
        assert_eq!(also.range(..).count(), 2);
        assert_eq!(db.get("logged").unwrap().as_deref(), Some(b"2".as_slice()));
        assert!(matches!(db.put("x", ""), Err(Error::ReadOnly { .. })));
        assert!(matches!(db.flush(), Err(Error::ReadOnly { .. })));
        assert!(matches!(Db::open(dir.path()), Err(Error::Locked { .. })));
    }
    assert_eq!(listing(), before);
    let nowhere = Db::builder().read_only(true).open(dir.path().join("nowhere"));
    assert!(matches!(nowhere, Err(Error::NoStore { .. })));
}

#[test]
fn listeners_hear_of_flushes_and_compactions() {
    let dir = tempfile::tempdir().unwrap();
    let heard: Arc<Mutex<Vec<Event>>> = Arc::default();
    let (flushes, keeps) = (Arc::new(AtomicUsize::new(0)), heard.clone());
    let counts = flushes.clone();
    let listener = move |event: &Event| {
        if let Event::FlushEnd { tables, bytes, .. } = event {
            assert!(*tables > 0 && *bytes > 0);
            counts.fetch_add(1, Ordering::Relaxed);
        }
        keeps.lock().unwrap().push(event.clone());
    };
    let db = Db::builder().listener(Arc::new(listener)).open(dir.path()).unwrap();
    db.put("a", "1").unwrap();
    db.compact(..).unwrap();
    db.close().unwrap();
    assert_eq!(flushes.load(Ordering::Relaxed), 1);
    let heard = heard.lock().unwrap();
    assert!(heard.iter().any(|e| matches!(e, Event::CompactionEnd { .. })), "{heard:?}");
}

#[test]
fn a_keyspace_without_a_log_is_kept_by_a_clean_close() {
    let dir = tempfile::tempdir().unwrap();
    {
        let db = Db::open(dir.path()).unwrap();
        let bulk = db.create_keyspace("bulk", KeyspaceOptions::new().log(false)).unwrap();
        bulk.put("a", "1").unwrap();
        let synced = bulk.put_with("b", "2", WriteOptions::new(Durability::Synced));
        assert!(matches!(synced, Err(Error::Invalid { option: "durability", .. })));
        bulk.flush().unwrap();
        bulk.put("c", "3").unwrap();
    }
    let db = Db::open(dir.path()).unwrap();
    let bulk = db.keyspace("bulk").unwrap();
    assert!(bulk.contains_key("a").unwrap());
    assert!(bulk.contains_key("c").unwrap());
}

#[test]
fn an_idle_keyspace_does_not_keep_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::builder().memory_budget(2 << 20).segment_bytes(64 << 10).open(dir.path()).unwrap();
    let idle = db.create_keyspace("idle", KeyspaceOptions::new()).unwrap();
    idle.put("once", "written").unwrap();
    for i in 0..100_000u64 {
        db.put(key(i), [1; 100]).unwrap();
    }
    db.flush().unwrap();
    let wal_bytes: u64 = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap())
        .filter(|e| e.path().extension().is_some_and(|x| x == "wal"))
        .map(|e| e.metadata().unwrap().len())
        .sum();
    println!("{wal_bytes} bytes of log are kept");
    assert!(wal_bytes < 6 << 20, "{wal_bytes} bytes of log are kept for one idle key");
    assert!(idle.contains_key("once").unwrap());
}

#[test]
fn options_that_cannot_work_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |builder: esker::Builder, name: &str| {
        let error = builder.open(dir.path()).unwrap_err();
        assert!(matches!(&error, Error::Invalid { option, .. } if *option == name), "{error}");
    };
    refused(Db::builder().memory_budget(10), "memory_budget");
    refused(Db::builder().segment_bytes(1), "segment_bytes");
    refused(Db::builder().background_threads(0), "background_threads");
    refused(Db::builder().keyspace_defaults(KeyspaceOptions::new().block_bytes(3)), "block_bytes");
    let format = KeyspaceOptions::new().format(ByLevel::all("parchment".to_owned()));
    refused(Db::builder().keyspace_defaults(format), "table_format");
    let db = Db::open(dir.path()).unwrap();
    assert!(db.create_keyspace("", KeyspaceOptions::new()).is_err());
    let zstd = KeyspaceOptions::new().compression(ByLevel::levels([Compression::None, Compression::Zstd(3)]));
    assert!(db.create_keyspace("z", zstd).is_ok());
    let other_dir = tempfile::tempdir().unwrap();
    let other = Db::open(other_dir.path()).unwrap();
    let strange = other.snapshot();
    assert!(matches!(db.get_with("k", &ReadOptions::new().snapshot(&strange)), Err(Error::Invalid { .. })));
    let mut batch = WriteBatch::new();
    other.put_to(&mut batch, "k", "v");
    assert!(matches!(db.write(batch, Durability::Buffered), Err(Error::Invalid { .. })));
}

#[test]
fn a_range_over_a_million_deleted_keys_is_short() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::builder().table_io(TableIo::Pread).open(dir.path()).unwrap();
    let n = 1_000_000u64;
    db.ingest(|writer| (0..n).try_for_each(|i| writer.put(i.to_be_bytes(), "v"))).unwrap();
    db.delete_range(10u64.to_be_bytes()..(n - 10).to_be_bytes()).unwrap();
    let before = db.stats();
    assert_eq!(db.range(..).count(), 20);
    assert_eq!(db.range(..).rev().count(), 20);
    let after = db.stats();
    let blocks = (after.cache_hits + after.cache_misses) - (before.cache_hits + before.cache_misses);
    println!("{blocks} cached blocks read");
    assert!(blocks <= 16, "{blocks} blocks read for 20 entries");
    db.compact(..).unwrap();
    assert_eq!(db.range(..).count(), 20);
    let stats = db.stats();
    assert_eq!(stats.keyspaces[0].entries, 20, "what was deleted is gone");
}

#[test]
fn a_range_delete_over_much_of_a_memtable_does_not_share_it() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let n = 100_000u64;
    let key = |i: u64| i.to_be_bytes();
    for i in 0..n {
        db.put(key(i), "value").unwrap();
    }
    // Small ranges stay where the entries are.
    for i in 0..10 {
        db.delete_range(key(i * 1000)..key(i * 1000 + 500)).unwrap();
    }
    let together = db.stats().memtable_bytes;
    assert!(together > n * 13);
    db.delete_range(key(10)..key(n - 10)).unwrap();
    assert!(db.stats().memtable_bytes < together / 100, "a scan can jump over a sealed memtable's entries");
    db.put(key(n / 2), "new").unwrap();
    assert_eq!(db.range(..).count(), 11);
    assert_eq!(db.range(..).rev().count(), 11);
    assert_eq!(db.get(key(n / 2)).unwrap().unwrap(), "new");
}

#[test]
fn everything_goes_to_other_threads() {
    fn both<T: Send + Sync>() {}
    both::<(Db, esker::Keyspace, esker::Builder, KeyspaceOptions, WriteBatch)>();
    both::<(esker::WriteOptions, ReadOptions, esker::Commit, esker::Snapshot, esker::View)>();
    both::<(esker::Cursor, esker::Range, esker::Unflushed, esker::Slice, Error)>();
    both::<(esker::Stats, esker::VerifyReport, esker::RepairReport, esker::Event)>();
}
