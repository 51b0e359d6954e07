//! A keyspace in `chunked` beside one in `block`, in one store.

#![allow(clippy::unwrap_used, reason = "what cannot go on has failed")]

use esker::{Builder, ByLevel, Db, Error, KeyspaceOptions};
use esker_table::TableFormat;
use std::path::Path;
use std::sync::Arc;
use third_party_format::{Chunked, ID, NAME};

fn options() -> KeyspaceOptions {
    KeyspaceOptions::new().format(ByLevel::all(NAME.to_owned()))
}

fn builder() -> Builder {
    Db::builder().table_format(Arc::new(Chunked)).keyspace_options("ours", options())
}

fn key(i: u32) -> String {
    format!("key{i:05}")
}

/// How many of the store's tables are of the format, and how many of another.
fn tables(dir: &Path) -> (usize, usize) {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let tables: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "sst")).collect();
    let recognized = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        Chunked.recognizes(&bytes[bytes.len() - 64..])
    };
    let ours = tables.iter().filter(|path| recognized(path)).count();
    (ours, tables.len() - ours)
}

/// Writes the same into both keyspaces: keys, a range delete, keys on top of it.
fn fill(dir: &Path) {
    let db = builder().open(dir).unwrap();
    let ours = db.create_keyspace("ours", options()).unwrap();
    let theirs = db.create_keyspace("theirs", KeyspaceOptions::new()).unwrap();
    for keyspace in [&ours, &theirs] {
        (0..5000).for_each(|i| keyspace.put(key(i), format!("value of {i}")).unwrap());
        keyspace.flush().unwrap();
        keyspace.delete_range(key(1000)..key(2000)).unwrap();
        (1500..1600).for_each(|i| keyspace.put(key(i), "again").unwrap());
        keyspace.delete(key(7)).unwrap();
        keyspace.flush().unwrap();
    }
    db.close().unwrap();
}

/// Holds both keyspaces against what was written.
fn check(db: &Db) {
    let (ours, theirs) = (db.keyspace("ours").unwrap(), db.keyspace("theirs").unwrap());
    for keyspace in [&ours, &theirs] {
        for i in 0..5000 {
            let expected = match i {
                7 => None,
                1500..1600 => Some("again".to_owned()),
                1000..2000 => None,
                _ => Some(format!("value of {i}")),
            };
            let found = keyspace.get(key(i)).unwrap();
            assert_eq!(found.as_deref(), expected.as_deref().map(str::as_bytes), "{}", key(i));
        }
    }
    let pairs = |range: esker::Range| range.map(Result::unwrap);
    assert_eq!(pairs(ours.range(..)).count(), 4099);
    assert!(pairs(ours.range(..)).eq(pairs(theirs.range(..))));
    assert!(pairs(ours.range(..)).rev().eq(pairs(theirs.range(..)).rev()));
}

#[test]
fn two_formats_in_one_store() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    assert_eq!(tables(dir.path()), (2, 2));
    let db = builder().open(dir.path()).unwrap();
    check(&db);
    let verified = db.verify().unwrap();
    assert!(verified.problems.is_empty() && verified.tables == 4, "{verified:?}");
    let ours = db.keyspace("ours").unwrap();
    ours.compact(..).unwrap();
    check(&db);
    db.close().unwrap();
    let db = builder().read_only(true).open(dir.path()).unwrap();
    check(&db);
}

#[test]
fn a_choice_that_changes_is_carried_out_by_compaction() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let db = Db::builder().table_format(Arc::new(Chunked)).open(dir.path()).unwrap();
    check(&db);
    db.keyspace("ours").unwrap().compact(..).unwrap();
    check(&db);
    db.close().unwrap();
    Db::open(dir.path()).unwrap().close().unwrap();
    assert_eq!(tables(dir.path()).0, 0);
}

#[test]
fn a_format_that_is_not_registered_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let before = std::fs::read_dir(dir.path()).unwrap().count();
    let error = Db::open(dir.path()).expect_err("it cannot read its tables");
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains(&ID.to_string()), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), before);
    check(&builder().open(dir.path()).unwrap());
    let unknown = Db::builder().keyspace_options("ours", options()).open(dir.path()).unwrap_err();
    assert!(matches!(unknown, Error::Invalid { .. }) && unknown.to_string().contains(NAME), "{unknown}");
}

#[test]
fn damage_is_named_with_file_and_offset() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let files = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut tables: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "sst")).collect();
    tables.sort();
    let mut bytes = std::fs::read(&tables[0]).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&tables[0], bytes).unwrap();
    let db = builder().open(dir.path()).unwrap();
    let error = db.keyspace("ours").unwrap().get(key(3)).unwrap_err();
    assert!(matches!(&error, Error::Corruption { path, offset: 0, .. } if *path == tables[0]), "{error}");
    assert_eq!(db.verify().unwrap().problems.len(), 1);
}
