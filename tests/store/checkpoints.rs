//! Checkpoints: what stands in their way, and what they must not do without.

use esker::testing::SimEnv;
use esker::{Db, Env, Error, KeyspaceOptions};
use std::path::Path;
use std::sync::Arc;

#[test]
fn what_a_crash_left_of_a_checkpoint_is_replaced_and_a_strangers_directory_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("store")).unwrap();
    db.put("k", "v").unwrap();
    let (copy, tmp) = (dir.path().join("copy"), dir.path().join("copy.tmp"));
    std::fs::create_dir(&tmp).unwrap();
    std::fs::write(tmp.join("000001.wal"), "half").unwrap();
    std::fs::write(tmp.join("thesis.txt"), "all of it").unwrap();
    let refused = db.checkpoint(&copy).unwrap_err();
    assert!(
        matches!(&refused, Error::NotEmpty { path, what } if *path == tmp && what.contains("thesis.txt"))
    );
    assert_eq!(std::fs::read(tmp.join("thesis.txt")).unwrap(), b"all of it");
    assert!(!copy.exists());

    std::fs::remove_file(tmp.join("thesis.txt")).unwrap();
    db.checkpoint(&copy).unwrap();
    assert!(!tmp.exists());
    assert!(Db::open(&copy).unwrap().contains_key("k").unwrap());
}

#[test]
fn a_segment_that_is_missing_is_no_checkpoint_without_it() {
    let env = SimEnv::new();
    let open = || Db::builder().env(Arc::new(env.clone())).segment_bytes(1 << 12).open("store").unwrap();
    let wals = |env: &SimEnv| {
        let mut wals: Vec<String> = env.files().into_iter().map(|(path, _)| path).collect();
        wals.retain(|path| path.starts_with("/store/") && path.ends_with(".wal"));
        wals
    };
    for missing in 0..3 {
        let db = open();
        for i in 0..40u32 {
            db.put(i.to_be_bytes(), [1; 400]).unwrap();
        }
        let wals = wals(&env);
        assert!(wals.len() > 3, "{wals:?}");
        let lost = &wals[[0, 1, wals.len() - 1][missing]];
        let rename = |from: &str, to: &str| env.rename(Path::new(from), Path::new(to)).unwrap();
        rename(lost, "store/away");
        let error = db.checkpoint("copy").unwrap_err();
        assert!(
            matches!(&error, Error::MissingFile { path, .. } if lost.ends_with(path.to_str().unwrap())),
            "{error}"
        );
        rename("store/away", lost);
        // The store itself is none the worse.
        db.put("after", "it").unwrap();
        db.checkpoint(format!("copy{missing}")).unwrap();
    }
}

#[test]
fn writes_to_a_keyspace_without_a_log_while_the_store_is_closed_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let late: Arc<std::sync::Mutex<Option<esker::Keyspace>>> = Arc::default();
    let writer = late.clone();
    // The keyspace has been flushed once when this is heard; the write comes after that, and before writers must wait.
    let listener = move |event: &esker::Event| {
        let writer = match event {
            esker::Event::FlushEnd { .. } => writer.lock().unwrap().take(),
            _ => None,
        };
        if let Some(keyspace) = writer {
            let write = move || keyspace.put("late", "v").unwrap();
            std::thread::spawn(write).join().unwrap();
        }
    };
    let open = |db: esker::Builder| db.open(dir.path()).unwrap();
    let db = open(Db::builder().listener(Arc::new(listener)));
    let keyspace = db.create_keyspace("unlogged", KeyspaceOptions::new().log(false)).unwrap();
    keyspace.put("early", "v").unwrap();
    *late.lock().unwrap() = Some(keyspace.clone());
    db.close().unwrap();
    let db = open(Db::builder());
    let keyspace = db.keyspace("unlogged").unwrap();
    assert!(keyspace.contains_key("early").unwrap());
    assert!(keyspace.contains_key("late").unwrap(), "an acknowledged write was lost by a clean close");
}
