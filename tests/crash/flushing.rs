//! What a flush makes durable beside its table: what other keyspaces have in the log, and nothing where they have nothing.

use esker::testing::{CrashMode, SimEnv};
use esker::{DEFAULT_KEYSPACE_NAME, Db, KeyspaceOptions, WriteBatch};
use std::sync::Arc;

fn open(env: &SimEnv) -> Db {
    Db::builder().env(Arc::new(env.clone())).open("store").unwrap()
}

/// Bytes of the log that a power loss may take.
fn unsynced_log(env: &SimEnv) -> u64 {
    let logs = env.files().into_iter().filter(|(path, _)| path.ends_with(".wal"));
    logs.map(|(path, _)| env.unsynced_bytes(path).unwrap()).sum()
}

#[test]
fn the_log_is_synced_for_what_other_keyspaces_have_in_it_and_for_nothing_else() {
    for shared in [false, true] {
        let env = SimEnv::new();
        let db = open(&env);
        let default = db.keyspace(DEFAULT_KEYSPACE_NAME).unwrap();
        let other = db.create_keyspace("other", KeyspaceOptions::new()).unwrap();
        if shared {
            let mut batch = WriteBatch::new();
            other.put_to(&mut batch, "half", "of a batch");
            default.put_to(&mut batch, "half", "of a batch");
            db.write(batch, esker::Durability::Buffered).unwrap();
        }
        for i in 0..50u32 {
            db.put(i.to_be_bytes(), [7; 100]).unwrap();
        }
        let before = unsynced_log(&env);
        assert!(before > 5000, "{before}");
        default.flush().unwrap();
        let after = unsynced_log(&env);
        assert_eq!(after, if shared { 0 } else { before }, "shared: {shared}");
        for mode in [CrashMode::LoseAll, CrashMode::KeepAll, CrashMode::Subset(1), CrashMode::Subset(2)] {
            let db = open(&env.power_loss(mode));
            let halves = [DEFAULT_KEYSPACE_NAME, "other"].map(|name| {
                let keyspace = db.keyspace(name).unwrap();
                keyspace.contains_key("half").unwrap()
            });
            assert_eq!(halves, [shared; 2], "{mode:?}");
            assert_eq!(db.range(..).count(), 50 + usize::from(shared), "{mode:?}");
        }
    }
}
