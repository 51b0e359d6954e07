//! What a power loss leaves of writes that were never synced: cut off and reported, or refused, as the user chose.

use esker::testing::{CrashMode, SimEnv};
use esker::{Db, Durability, Error, Recovery, WriteBatch};
use std::sync::Arc;

fn open(env: &SimEnv, recovery: Recovery) -> Result<Db, Error> {
    Db::builder().env(Arc::new(env.clone())).recovery(recovery).open("store")
}

#[test]
fn a_torn_tail_is_reported_or_refused() {
    let env = SimEnv::new();
    let db = open(&env, Recovery::default()).unwrap();
    let mut batch = WriteBatch::new();
    batch.put("synced", "value");
    db.write(batch, Durability::Synced).unwrap();
    for i in 0..6u32 {
        db.put(format!("buffered{i}"), vec![i as u8; 700]).unwrap();
    }
    let (mut whole, mut torn, mut with_records) = (0, 0, 0);
    for seed in 0..100 {
        let after = env.power_loss(CrashMode::Subset(seed));
        // Opening changes the disk, so each way of opening gets its own.
        let db = open(&after.kill(), Recovery::TolerateTornTail).unwrap();
        assert_eq!(db.get("synced").unwrap().unwrap(), b"value", "seed {seed}");
        let kept = (0..6).take_while(|i| db.contains_key(format!("buffered{i}")).unwrap()).count();
        assert_eq!(db.range(..).count(), 1 + kept, "seed {seed}: a write without those before it");
        let report = db.recovery();
        assert_eq!(db.verify().unwrap().torn, report.torn);
        match &report.torn[..] {
            [] => {
                whole += 1;
                let db = open(&after, Recovery::Absolute).unwrap();
                assert_eq!(db.range(..).count(), 1 + kept);
            }
            // The log's, and perhaps that of the seal behind the MANIFEST's last edit.
            tails => {
                torn += 1;
                for tail in tails {
                    with_records += usize::from(tail.records > 0);
                    let len = after.read_file(&tail.path).unwrap().len() as u64;
                    assert_eq!(tail.offset + tail.bytes, len, "seed {seed}");
                }
                let refused = open(&after, Recovery::Absolute).unwrap_err();
                assert!(
                    matches!(&refused, Error::Corruption { path, offset, .. }
                        if tails.iter().any(|tail| (path, *offset) == (&tail.path, tail.offset))),
                    "seed {seed}: {refused}"
                );
                // To refuse changes nothing: the other way is still open.
                drop(open(&after, Recovery::TolerateTornTail).unwrap());
                // And once it was taken, there is nothing left to refuse.
                let db = open(&after, Recovery::Absolute).unwrap();
                assert!(db.recovery().torn.is_empty());
                assert_eq!(db.range(..).count(), 1 + kept);
            }
        }
    }
    assert!(whole > 0 && torn > 0 && with_records > 0, "whole {whole}, torn {torn}, holes {with_records}");
}
