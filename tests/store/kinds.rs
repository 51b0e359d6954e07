//! Keyspaces that a layer above makes by a rule: options chosen by name, recorded kinds, and waiting for others' writes.

use esker::testing::{CrashMode, SimEnv};
use esker::{Db, Durability, Error, Fold, Folded, KeyspaceOptions, Shadow};
use std::sync::Arc;

struct First;

impl Fold for First {
    fn name(&self) -> &str {
        "first"
    }

    fn fold(&self, shadow: &Shadow<'_>) -> Folded {
        shadow.older.map_or(Folded::Newer, |older| Folded::Value(older.to_vec()))
    }
}

fn first() -> KeyspaceOptions {
    KeyspaceOptions::new().fold(Arc::new(First)).kind("first")
}

fn by_rule(name: &str) -> Option<KeyspaceOptions> {
    name.ends_with(".first").then(first)
}

#[test]
fn options_are_chosen_by_name_where_none_are_given() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    for name in ["a.first", "b.first"] {
        db.create_keyspace(name, first()).unwrap();
    }
    db.create_keyspace("other", KeyspaceOptions::new().block_bytes(512)).unwrap();
    db.close().unwrap();
    let refused = Db::open(dir.path()).unwrap_err();
    assert!(matches!(refused, Error::Invalid { option: "keyspace_options", .. }), "{refused}");

    let own = first().block_bytes(1024);
    let builder = Db::builder().keyspace_options_by(by_rule).keyspace_options("b.first", own);
    let db = builder.open(dir.path()).unwrap();
    let sizes = ["a.first", "b.first", "other"].map(|name| db.keyspace(name).unwrap().options().block_bytes);
    assert_eq!(sizes, [4096, 1024, 4096]);
    let keyspace = db.keyspace("a.first").unwrap();
    for value in ["1", "2", "3"] {
        keyspace.put("k", value).unwrap();
    }
    keyspace.compact(..).unwrap();
    assert_eq!(keyspace.get("k").unwrap().unwrap(), "1");
    db.close().unwrap();

    let bad = |name: &str| by_rule(name).map(|options| options.block_bytes(1));
    let refused = Db::builder().keyspace_options_by(bad).open(dir.path()).unwrap_err();
    assert!(matches!(refused, Error::Invalid { option: "block_bytes", .. }), "{refused}");
}

#[test]
fn a_kind_is_what_was_recorded_whatever_is_given_later() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.create_keyspace("k", KeyspaceOptions::new().kind("ledger")).unwrap();
    let refused = db.create_keyspace("l", KeyspaceOptions::new().kind("x".repeat(256))).unwrap_err();
    assert!(matches!(refused, Error::Invalid { option: "kind", .. }), "{refused}");
    db.close().unwrap();
    let db = Db::builder().keyspace_options("k", KeyspaceOptions::new().kind("?")).open(dir.path()).unwrap();
    let keyspace = db.keyspace("k").unwrap();
    assert_eq!((keyspace.kind(), keyspace.options().kind.as_str(), db.kind()), ("ledger", "ledger", ""));
}

#[test]
fn a_barrier_covers_what_others_wrote_before() {
    let env = SimEnv::new();
    let db = Db::builder().env(Arc::new(env.clone())).open("db").unwrap();
    assert!(matches!(db.barrier(Durability::Synced).unwrap().poll(), Some(Ok(()))), "there is nothing yet");
    db.put("k", "buffered").unwrap();
    assert!(matches!(db.barrier(Durability::Buffered).unwrap().poll(), Some(Ok(()))));
    let barrier = db.barrier(Durability::Synced).unwrap();
    assert!(barrier.poll().is_none(), "nobody has synced it");
    let lost = Db::builder().env(Arc::new(env.power_loss(CrashMode::LoseAll))).open("db").unwrap();
    assert_eq!(lost.get("k").unwrap(), None);
    while db.step_background().unwrap() {}
    assert!(matches!(barrier.poll(), Some(Ok(()))), "a step does what a barrier waits for");
    let kept = Db::builder().env(Arc::new(env.power_loss(CrashMode::LoseAll))).open("db").unwrap();
    assert_eq!(kept.get("k").unwrap().unwrap(), "buffered");
}
