//! Code that the store was given panics: on a background thread nobody would ever hear of it.

use esker::{
    CompactionFilter, Db, Durability, Error, Event, FilterDecision, KeyspaceOptions, WriteBatch, WriteOptions,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

/// Writes until that fails, as it must, and checks that reads go on and that nothing was lost.
fn writes_fail_and_reads_go_on(db: Db, dir: &std::path::Path, why: &str) {
    let mut written = 0u64;
    let error = loop {
        // Whatever flush and compaction do, writers either go on or are told: 64 MiB do not fit into the budget.
        assert!(written < 64 << 10, "nobody says that {why}");
        match db.put(written.to_be_bytes(), [7; 1 << 10]) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, Error::ReadOnly { reason } if reason.contains(why)), "{error}");
    assert!(matches!(db.flush(), Err(Error::ReadOnly { .. })));
    for i in 0..written {
        assert!(db.contains_key(i.to_be_bytes()).unwrap());
    }
    drop(db);
    let db = Db::open(dir).unwrap();
    assert_eq!(db.range(..).count() as u64, written);
    assert!(db.verify().unwrap().is_intact());
}

#[test]
fn a_listener_that_panics_ends_writing_and_not_reading() {
    let dir = tempfile::tempdir().unwrap();
    let once = AtomicBool::new(false);
    let listener = move |event: &Event| {
        let first = matches!(event, Event::FlushBegin { .. }) && !once.swap(true, Ordering::Relaxed);
        assert!(!first, "no time for this");
    };
    let db = Db::builder().memory_budget(1 << 20).listener(Arc::new(listener)).open(dir.path()).unwrap();
    writes_fail_and_reads_go_on(db, dir.path(), "a listener panicked: no time for this");
}

struct Fragile;

impl CompactionFilter for Fragile {
    fn name(&self) -> &str {
        "fragile"
    }

    fn filter(&self, _user_key: &[u8], _value: &[u8]) -> FilterDecision {
        panic!("not prepared for this");
    }
}

#[test]
fn a_filter_that_panics_in_the_background_ends_writing_and_not_reading() {
    let dir = tempfile::tempdir().unwrap();
    let options = KeyspaceOptions::new().filter(Arc::new(Fragile));
    let db = Db::builder().memory_budget(1 << 20).keyspace_defaults(options).open(dir.path()).unwrap();
    writes_fail_and_reads_go_on(db, dir.path(), "background work panicked: not prepared for this");
}

#[test]
fn a_callback_that_panics_harms_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let (tell, told) = mpsc::channel();
    let listener = move |event: &Event| {
        if let Event::BackgroundError { what } = event {
            tell.send(what.clone()).unwrap();
        }
    };
    let db = Db::builder().listener(Arc::new(listener)).open(dir.path()).unwrap();
    let submit = || {
        let mut batch = WriteBatch::new();
        batch.put("k", "v");
        db.submit(&batch, WriteOptions::new(Durability::Synced)).unwrap()
    };
    // One that is durable by then is called at once, on the thread that asks: there the panic is met.
    let mut caught = 0;
    while told.try_recv().is_err() {
        let commit = submit();
        let asked = std::panic::AssertUnwindSafe(|| commit.on_done(|_| panic!("a slip")));
        caught += usize::from(std::panic::catch_unwind(asked).is_err());
        assert!(caught < 10_000, "every write was durable before its callback was there");
        db.sync().unwrap();
        if let Ok(what) = told.try_recv() {
            assert_eq!(what, "the callback of a write panicked: a slip");
            break;
        }
    }
    // Those who come later are called, and written.
    let (done, wait) = mpsc::channel();
    submit().on_done(move |result| done.send(result).unwrap());
    wait.recv().unwrap().unwrap();
    db.put("after", "it").unwrap();
    db.close().unwrap();
}
