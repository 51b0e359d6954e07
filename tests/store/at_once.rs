//! Everything that changes what a store consists of, at once, on threads: writes, ingests, keyspaces that come and go, flushes,
//! compactions, verifications, checkpoints, and in the end the close.

use esker::{CompactionStrategy, Db, Durability, Error, Keyspace, KeyspaceOptions, WriteBatch};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long the threads go on before the store is closed under them.
const TIME: Duration = Duration::from_millis(1500);

/// Keyspaces that nobody drops, the last one without a log.
const KEPT: [&str; 3] = ["default", "logged", "unlogged"];

fn open(dir: &Path) -> Db {
    let small = CompactionStrategy::Leveled { l0_trigger: 3, ratio: 4, table_bytes: 64 << 10 };
    let options = KeyspaceOptions::new().compaction(small);
    Db::builder()
        .memory_budget(2 << 20)
        .segment_bytes(64 << 10)
        .keyspace_options("unlogged", options.clone().log(false))
        .keyspace_defaults(options)
        .open(dir)
        .unwrap()
}

/// Whether it was done. Nothing is in the way but the drop of a keyspace, or the close.
fn done<T>(result: Result<T, Error>, what: &str) -> Result<bool, Error> {
    match result {
        Ok(_) => Ok(true),
        Err(Error::NoSuchKeyspace { .. }) => Ok(false),
        Err(Error::Closed) => Err(Error::Closed),
        Err(error) => panic!("{what}: {error}"),
    }
}

/// Does it again and again until the store is closed. Returns how often.
fn until_closed(mut what: impl FnMut(u64) -> Result<(), Error>) -> u64 {
    let mut rounds = 0;
    while what(rounds).is_ok() {
        rounds += 1;
    }
    rounds
}

fn key(who: &str, i: u64) -> String {
    format!("{who}{:016x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn write(db: &Db, keyspace: &Keyspace, i: u64) -> Result<(), Error> {
    let mut batch = WriteBatch::new();
    keyspace.put_to(&mut batch, key("w", i), [i as u8; 300]);
    let synced = i.is_multiple_of(64) && keyspace.name() != "unlogged";
    done(db.write(batch, if synced { Durability::Synced } else { Durability::Buffered }), "write").map(drop)
}

fn ingest(keyspace: &Keyspace, who: &str, i: u64) -> Result<bool, Error> {
    done(
        keyspace
            .ingest(|writer| (0..3).try_for_each(|part| writer.put(format!("{}{part}", key(who, i)), ""))),
        "ingest",
    )
}

/// The keyspace that comes and goes, by its number.
fn passing(db: &Db, number: u64) -> Option<Keyspace> {
    db.keyspace(&format!("passing{number}")).ok()
}

fn check_copy(copy: &Path) {
    let db = open(copy);
    let report = db.verify().unwrap();
    assert!(report.is_intact(), "{}: {:?}", copy.display(), report.problems);
    for name in db.keyspaces() {
        db.keyspace(&name).unwrap().range(..).for_each(|entry| drop(entry.unwrap()));
    }
    db.close().unwrap();
    std::fs::remove_dir_all(copy).unwrap();
}

#[test]
fn whatever_goes_on_at_once_nothing_fails_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let db = open(&path);
    let options = || KeyspaceOptions::new();
    db.create_keyspace("logged", options()).unwrap();
    db.create_keyspace("unlogged", options().log(false)).unwrap();
    let current = AtomicU64::new(0);
    let (mut written, mut ingested) = ([0; KEPT.len()], [0; KEPT.len()]);
    std::thread::scope(|scope| {
        let (db, current, dir) = (&db, &current, dir.path());
        let keep = |name: &str| db.keyspace(name).unwrap();
        let writers = KEPT.map(|name| {
            let keyspace = keep(name);
            scope.spawn(move || until_closed(|i| write(db, &keyspace, i)))
        });
        let ingesters = KEPT.map(|name| {
            let keyspace = keep(name);
            scope.spawn(move || {
                until_closed(|i| {
                    std::thread::sleep(Duration::from_millis(3));
                    ingest(&keyspace, "i", i).map(drop)
                })
            })
        });
        let others = [
            scope.spawn(move || {
                until_closed(|i| {
                    let name = format!("passing{i}");
                    let keyspace = match db.create_keyspace(&name, KeyspaceOptions::new()) {
                        Ok(keyspace) => keyspace,
                        failed => return done(failed, "create").map(drop),
                    };
                    current.store(i, Ordering::Relaxed);
                    for j in 0..20 + i % 50 {
                        done(keyspace.put(key("p", j), [1; 500]), "put")?;
                    }
                    done(db.drop_keyspace(&name), "drop").map(drop)
                })
            }),
            scope.spawn(move || {
                until_closed(|i| {
                    let Some(keyspace) = passing(db, current.load(Ordering::Relaxed)) else {
                        std::thread::yield_now();
                        return db.sync();
                    };
                    ingest(&keyspace, "x", i)?;
                    done(keyspace.flush(), "flush of what is dropped")?;
                    done(keyspace.compact(..), "compaction of what is dropped").map(drop)
                })
            }),
            scope.spawn(move || {
                until_closed(|_| {
                    done(db.flush(), "flush")?;
                    done(db.compact(..), "compaction").map(drop)
                })
            }),
            scope.spawn(move || {
                until_closed(|_| {
                    let report = match db.verify() {
                        Ok(report) => report,
                        failed => return done(failed, "verify").map(drop),
                    };
                    assert!(report.is_intact(), "{:?}", report.problems);
                    Ok(())
                })
            }),
            scope.spawn(move || {
                until_closed(|i| {
                    let copy = dir.join(format!("copy{i}"));
                    done(db.checkpoint(&copy), "checkpoint")?;
                    check_copy(&copy);
                    Ok(())
                })
            }),
        ];
        let end = Instant::now() + TIME;
        while Instant::now() < end && !others.iter().any(|thread| thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(db.stats().read_only, None);
        db.clone().close().unwrap();
        written = writers.map(|thread| thread.join().unwrap());
        ingested = ingesters.map(|thread| thread.join().unwrap());
        let rounds = others.map(|thread| thread.join().unwrap());
        println!("{written:?} writes, {ingested:?} ingests; {rounds:?} of the others");
        assert!(rounds.iter().all(|&rounds| rounds > 0), "{rounds:?}");
    });
    drop(db);
    let db = open(&path);
    let report = db.verify().unwrap();
    assert!(report.is_intact(), "{:?}", report.problems);
    for (name, (written, ingested)) in KEPT.iter().zip(written.iter().zip(&ingested)) {
        let keyspace = db.keyspace(name).unwrap();
        for i in 0..*written {
            let value = keyspace.get(key("w", i)).unwrap();
            assert_eq!(value.as_deref(), Some(&[i as u8; 300][..]), "{name}: write {i} of {written} is lost");
        }
        for i in 0..*ingested {
            for part in 0..3 {
                let key = format!("{}{part}", key("i", i));
                assert!(keyspace.contains_key(key).unwrap(), "{name}: ingest {i} of {ingested} is lost");
            }
        }
    }
    db.put("still", "writable").unwrap();
    db.close().unwrap();
}
