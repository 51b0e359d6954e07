//! Keyspaces that are dropped, and what else goes on.

use esker::testing::{CrashMode, SimEnv};
use esker::{Db, Durability, Error, KeyspaceOptions, WriteBatch};
use std::sync::{Arc, mpsc};

fn open(env: &SimEnv) -> Db {
    Db::builder().env(Arc::new(env.clone())).open("store").unwrap()
}

#[test]
fn a_drop_does_not_survive_what_was_written_before_it() {
    let env = SimEnv::new();
    let db = open(&env);
    let old = db.create_keyspace("old", KeyspaceOptions::new()).unwrap();
    let mut batch = WriteBatch::new();
    old.put_to(&mut batch, "k", "v");
    db.write(batch, Durability::Synced).unwrap();
    let mut moved = WriteBatch::new();
    moved.put("k", old.get("k").unwrap().unwrap());
    db.write(moved, Durability::Buffered).unwrap();
    db.drop_keyspace("old").unwrap();
    let db = open(&env.power_loss(CrashMode::LoseAll));
    assert_eq!(db.keyspaces(), ["default"]);
    assert_eq!(db.get("k").unwrap().as_deref(), Some(&b"v"[..]), "the value is in neither place");
}

/// The tables of an ingest are built when the keyspace is dropped: they are refused, and nobody else suffers.
#[test]
fn an_ingest_that_a_drop_overtakes_is_refused_and_leaves_nothing() {
    let env = SimEnv::new();
    let db = open(&env);
    let doomed = db.create_keyspace("doomed", KeyspaceOptions::new()).unwrap();
    let refused = doomed.ingest(|writer| {
        writer.put("k", "v")?;
        db.drop_keyspace("doomed")
    });
    assert!(matches!(refused, Err(Error::NoSuchKeyspace { .. })), "{refused:?}");
    db.put("still", "writable").unwrap();
    let left: Vec<_> = env.files().into_iter().filter(|(path, _)| path.contains(".sst")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn ingests_and_drops_on_threads_leave_the_store_writable() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    for round in 0..150u64 {
        let name = format!("k{round}");
        let keyspace = db.create_keyspace(&name, KeyspaceOptions::new()).unwrap();
        keyspace.put("flushed", "first").unwrap();
        let (go, wait) = mpsc::channel();
        let dropping = db.clone();
        let drops = std::thread::spawn(move || {
            wait.recv().unwrap();
            (0..round * 40).for_each(|_| std::hint::spin_loop());
            dropping.drop_keyspace(&name)
        });
        let ingested = keyspace.ingest(|writer| {
            writer.put("a", "b")?;
            go.send(()).unwrap();
            Ok(())
        });
        drops.join().unwrap().unwrap();
        assert!(matches!(ingested, Ok(1) | Err(Error::NoSuchKeyspace { .. })), "round {round}: {ingested:?}");
        db.put("still", round.to_string()).unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    assert!(db.verify().unwrap().is_intact());
}

/// Later ingests are above earlier ones: in sequence numbers as in runs, whatever threads they come from.
#[test]
fn ingests_at_once_are_in_one_order() {
    let dir = tempfile::tempdir().unwrap();
    let many = esker::CompactionStrategy::Leveled { l0_trigger: 1000, ratio: 4, table_bytes: 1 << 20 };
    let options = KeyspaceOptions::new().compaction(many);
    let db = Db::builder().keyspace_defaults(options).open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let db = &db;
            scope.spawn(move || {
                for i in 0..25 {
                    db.ingest(|writer| writer.put("k", format!("{thread}.{i}"))).unwrap();
                }
            });
        }
    });
    let view = db.view().unwrap();
    let mut order: Vec<(u64, u64)> =
        view.tables().iter().filter(|t| t.level == 0).map(|t| (t.number, t.seqno.unwrap())).collect();
    assert_eq!(order.len(), 100);
    let listed: Vec<u64> = order.iter().map(|(_, seqno)| *seqno).collect();
    assert!(listed.windows(2).all(|w| w[0] > w[1]), "runs, newest first, are not in the order of {listed:?}");
    order.sort_unstable();
    assert!(
        order.windows(2).all(|w| w[0].1 < w[1].1),
        "file numbers are not in the order of sequence numbers"
    );
}

/// What a dropped keyspace held in memory does not count towards a stall.
#[test]
fn dropped_memtables_are_not_counted() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::builder().memory_budget(1 << 20).open(dir.path()).unwrap();
    for round in 0..20 {
        let keyspace = db.create_keyspace("k", KeyspaceOptions::new()).unwrap();
        for i in 0..400u32 {
            keyspace.put(i.to_be_bytes(), [round; 500]).unwrap();
        }
        db.drop_keyspace("k").unwrap();
    }
    db.flush().unwrap();
    let stats = db.stats();
    assert_eq!(stats.sealed_bytes, 0, "{stats}");
    assert_eq!(stats.memtable_bytes, 0, "{stats}");
}

/// A batch that is refused after room was made for a part of it takes none.
#[test]
fn refused_batches_are_not_counted() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let gone = db.create_keyspace("gone", KeyspaceOptions::new()).unwrap();
    let unlogged = db.create_keyspace("unlogged", KeyspaceOptions::new().log(false)).unwrap();
    db.drop_keyspace("gone").unwrap();
    let before = db.stats().memtable_bytes;
    for _ in 0..50 {
        let mut batch = WriteBatch::new();
        batch.put("k", [1; 1000]);
        gone.put_to(&mut batch, "k", [1; 1000]);
        assert!(matches!(db.write(batch, Durability::Buffered), Err(Error::NoSuchKeyspace { .. })));
        for keys in [["a", "a"], ["a", "b"]] {
            let mut batch = WriteBatch::new();
            for key in keys {
                unlogged.put_to(&mut batch, key, [1; 1000]);
            }
            assert!(matches!(db.write(batch, Durability::Synced), Err(Error::Invalid { .. })));
        }
    }
    assert_eq!(db.stats().memtable_bytes, before);
}
