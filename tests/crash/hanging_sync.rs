//! A device that takes for ever to make data durable: whoever asked for it waits, readers do not.

use esker::testing::{CrashMode, Fault, SimEnv};
use esker::{Background, Db, Durability, WriteBatch, WriteOptions};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

/// After this long a reader counts as waiting. Far longer than reading a few keys can take.
const FOR_EVER: Duration = Duration::from_secs(60);

fn store(background: Background) -> (SimEnv, Db) {
    let env = SimEnv::new().with_background(background);
    let db = Db::builder().env(Arc::new(env.clone())).open("store").unwrap();
    for i in 0..200u32 {
        db.put(i.to_be_bytes(), [7; 100]).unwrap();
        if i == 100 {
            db.flush().unwrap();
        }
    }
    (env, db)
}

/// Everything a reader does, on a thread of its own: `false` if it does not come to an end.
fn reads_go_on(db: &Db) -> bool {
    let (done, wait) = channel();
    let db = db.clone();
    std::thread::spawn(move || {
        for i in [5u32, 150] {
            assert_eq!(db.get(i.to_be_bytes()).unwrap().unwrap(), [7u8; 100]);
        }
        assert!(!db.contains_key("nothing").unwrap());
        let snapshot = db.snapshot();
        assert_eq!(snapshot.range(..150u32.to_be_bytes()).count(), 150);
        assert_eq!(db.range(..150u32.to_be_bytes()).rev().count(), 150);
        let mut cursor = db.cursor().unwrap();
        assert!(cursor.seek(7u32.to_be_bytes()).unwrap());
        assert!(db.view().unwrap().seqno() >= 200);
        done.send(()).unwrap();
    });
    wait.recv_timeout(FOR_EVER).is_ok()
}

#[test]
fn no_reader_waits_for_the_sync_of_a_write() {
    for background in [Background::Stepped, Background::Threads] {
        let (env, db) = store(background);
        let held = env.hold_syncs();
        let writer = db.clone();
        let writing = std::thread::spawn(move || {
            let mut batch = WriteBatch::new();
            batch.put("synced", "value");
            writer.write(batch, Durability::Synced)
        });
        held.wait_for(1);
        assert!(reads_go_on(&db), "{background:?}");
        assert!(!writing.is_finished());
        drop(held);
        writing.join().unwrap().unwrap();
        assert_eq!(db.get("synced").unwrap().unwrap(), b"value");
    }
}

#[test]
fn no_reader_waits_for_the_syncs_of_flush_and_compaction() {
    for background in [Background::Stepped, Background::Threads] {
        for compact in [false, true] {
            let (env, db) = store(background);
            let held = env.hold_syncs();
            let worker = db.clone();
            let working =
                std::thread::spawn(move || if compact { worker.compact(..) } else { worker.flush() });
            held.wait_for(1);
            assert!(reads_go_on(&db), "{background:?}, compact {compact}");
            drop(held);
            working.join().unwrap().unwrap();
            assert!(reads_go_on(&db));
        }
    }
}

#[test]
fn a_buffered_write_does_not_wait_for_the_sync_of_another() {
    let (env, db) = store(Background::Stepped);
    let held = env.hold_syncs();
    let writer = db.clone();
    let writing = std::thread::spawn(move || {
        let mut batch = WriteBatch::new();
        batch.put("synced", "value");
        writer.write(batch, Durability::Synced)
    });
    held.wait_for(1);
    let (done, wait) = channel();
    let buffered = db.clone();
    std::thread::spawn(move || done.send(buffered.put("buffered", "value")).unwrap());
    wait.recv_timeout(FOR_EVER).expect("a buffered write waits for a sync").unwrap();
    assert_eq!(db.get("buffered").unwrap().unwrap(), b"value");
    drop(held);
    writing.join().unwrap().unwrap();
}

#[test]
fn no_submitted_write_waits_for_a_sync_not_even_where_a_segment_ends() {
    let env = SimEnv::new().with_background(Background::Threads);
    let builder = Db::builder().env(Arc::new(env.clone())).segment_bytes(4096);
    let db = builder.open("store").unwrap();
    let held = env.hold_syncs();
    let (done, wait) = channel();
    let writer = db.clone();
    std::thread::spawn(move || {
        let mut commits = Vec::new();
        for i in 0..100u32 {
            for durability in [Durability::Buffered, Durability::Synced] {
                let mut batch = WriteBatch::new();
                batch.put(i.to_be_bytes(), [durability as u8; 500]);
                commits.push(writer.submit(&batch, WriteOptions::new(durability)).unwrap());
            }
        }
        done.send(commits).unwrap();
    });
    let commits = wait.recv_timeout(FOR_EVER).expect("a submitted write waits for a sync");
    held.wait_for(1);
    assert_eq!(db.range(..).count(), 100);
    let waiting = commits.iter().filter(|commit| commit.poll().is_none()).count();
    assert!(waiting >= 100, "{waiting} of 200 writes wait");
    let (told, telling) = channel();
    drop(held);
    for commit in commits {
        let told = told.clone();
        commit.on_done(move |result| told.send(result.is_ok()).unwrap());
    }
    for _ in 0..200 {
        assert!(telling.recv_timeout(FOR_EVER).expect("every write is told"));
    }
}

#[test]
fn the_last_handle_may_go_in_a_callback() {
    for fails in [false, true] {
        let env = SimEnv::new().with_background(Background::Threads);
        let open = || Db::builder().env(Arc::new(env.clone())).open("store");
        let db = open().unwrap();
        let mut batch = WriteBatch::new();
        batch.put("k", "v");
        if fails {
            env.fail_from(env.calls(), Fault::Io);
        }
        let commit = db.submit(&batch, WriteOptions::new(Durability::Synced)).unwrap();
        let ((alone, go), (done, wait)) = (channel(), channel());
        let last = db.clone();
        // Registered from a thread of its own, since the callback may be called at once.
        std::thread::spawn(move || {
            commit.on_done(move |result| {
                go.recv().unwrap();
                drop(last);
                done.send(result.is_ok()).unwrap();
            });
        });
        drop(db);
        alone.send(()).unwrap();
        assert_eq!(wait.recv_timeout(FOR_EVER).expect("closing in a callback comes to an end"), !fails);
        if !fails {
            assert_eq!(open().unwrap().get("k").unwrap().unwrap(), "v");
        }
    }
}

#[test]
fn a_callback_may_write_also_while_the_store_is_closed_or_given_tables() {
    for how in ["close", "ingest", "drop"] {
        let env = SimEnv::new().with_background(Background::Threads);
        let db = Db::builder().env(Arc::new(env.clone())).open("store").unwrap();
        db.create_keyspace("other", Default::default()).unwrap();
        let held = env.hold_syncs();
        let mut batch = WriteBatch::new();
        batch.put("k", "v");
        let commit = db.submit(&batch, WriteOptions::new(Durability::Synced)).unwrap();
        let (done, wait) = channel();
        let chained = db.clone();
        commit.on_done(move |result| {
            result.unwrap();
            let again = chained.submit(&batch, WriteOptions::new(Durability::Synced));
            done.send(again.is_ok()).unwrap();
        });
        let (ended, end) = channel();
        let worker = db.clone();
        std::thread::spawn(move || {
            let result = match how {
                "close" => worker.close(),
                "ingest" => worker.ingest(|writer| writer.put("z", "z")).map(|_| ()),
                _ => worker.drop_keyspace("other"),
            };
            ended.send(result.is_ok()).unwrap();
        });
        drop(held);
        assert!(end.recv_timeout(FOR_EVER).expect("it comes to an end"), "{how}");
        let wrote = wait.recv_timeout(FOR_EVER).expect("the callback is called");
        assert!(wrote || how == "close", "{how}");
    }
}

#[test]
fn whoever_hands_a_submitted_write_over_its_callback_is_called() {
    let env = SimEnv::new().with_background(Background::Stepped);
    let db = Db::builder().env(Arc::new(env.clone())).segment_bytes(4096).open("store").unwrap();
    let (done, told) = channel();
    for i in 0..100u32 {
        let mut batch = WriteBatch::new();
        batch.put(i.to_be_bytes(), [7; 500]);
        let commit = db.submit(&batch, WriteOptions::new(Durability::Buffered)).unwrap();
        let done = done.clone();
        commit.on_done(move |result| done.send(result.is_ok()).unwrap());
        db.put("between", "").unwrap();
        while db.step_background().unwrap() {}
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [true], "write {i}");
    }
}

#[test]
fn deferred_writes_become_durable_together_once_the_last_is_asked_for() {
    let env = SimEnv::new().with_background(Background::Stepped);
    let db = Db::builder().env(Arc::new(env.clone())).open("store").unwrap();
    for durability in [Durability::Buffered, Durability::Synced] {
        let left = || {
            let is_synced = durability == Durability::Synced;
            let env = if is_synced { env.power_loss(CrashMode::LoseAll) } else { env.kill() };
            let db = Db::builder().env(Arc::new(env)).open("store").unwrap();
            db.range(..).filter(|entry| entry.as_ref().unwrap().1 == format!("{durability:?}")).count()
        };
        let options = WriteOptions::new(durability).deferred(true);
        let mut commits: Vec<_> = (0..100u32)
            .map(|i| {
                let mut batch = WriteBatch::new();
                batch.put(i.to_be_bytes(), format!("{durability:?}"));
                db.submit(&batch, options).unwrap()
            })
            .collect();
        assert!(!db.step_background().unwrap(), "nobody asked");
        assert_eq!((db.range(..).count(), left()), (100, 0));
        let (done, told) = channel();
        let last = commits.pop().unwrap();
        last.on_done(move |result| done.send(result.is_ok()).unwrap());
        let syncs = db.stats().fsyncs;
        while db.step_background().unwrap() {}
        assert!(told.try_recv().unwrap());
        assert!(commits.iter().all(|commit| matches!(commit.poll(), Some(Ok(())))));
        assert_eq!((left(), db.stats().fsyncs - syncs), (100, u64::from(durability == Durability::Synced)));
    }
}

#[test]
fn deferred_writes_are_there_after_a_sync_or_a_close() {
    for closes in [false, true] {
        let env = SimEnv::new();
        let db = Db::builder().env(Arc::new(env.clone())).open("store").unwrap();
        let mut batch = WriteBatch::new();
        batch.put("k", "v");
        drop(db.submit(&batch, WriteOptions::new(Durability::Synced).deferred(true)).unwrap());
        if closes {
            db.close().unwrap()
        } else {
            db.sync().unwrap()
        }
        let env = env.power_loss(CrashMode::LoseAll);
        let db = Db::builder().env(Arc::new(env)).open("store").unwrap();
        assert_eq!(db.get("k").unwrap().unwrap(), "v", "closes: {closes}");
    }
}

#[test]
fn two_may_close_at_once() {
    for round in 0..200 {
        let env = SimEnv::new().with_background(Background::Threads);
        let open = || Db::builder().env(Arc::new(env.clone())).open("store");
        let db = open().unwrap();
        db.put("k", "v").unwrap();
        let closers: Vec<_> = (0..3)
            .map(|_| {
                let db = db.clone();
                std::thread::spawn(move || db.close())
            })
            .collect();
        closers.into_iter().for_each(|closer| closer.join().unwrap().unwrap());
        assert_eq!(open().unwrap().get("k").unwrap().unwrap(), "v", "round {round}");
    }
}
