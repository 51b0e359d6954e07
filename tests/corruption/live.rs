//! Damage to a store that is in use: verification finds it, and finds none where there is none.

use super::STORE;
use esker::testing::{Header, SimEnv, frame};
use esker::{Db, Durability, Error, MIN_MEMORY_BUDGET, WriteBatch};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn small(env: &SimEnv) -> Db {
    Db::builder().env(Arc::new(env.clone())).segment_bytes(4096).open(STORE).unwrap()
}

#[test]
fn a_flipped_byte_of_the_log_or_the_manifest_is_found_while_the_store_is_open() {
    let env = SimEnv::new();
    let db = small(&env);
    for i in 0..60u32 {
        let mut batch = WriteBatch::new();
        batch.put(i.to_be_bytes(), [7; 100]);
        db.write(batch, Durability::Synced).unwrap();
    }
    assert!(db.verify().unwrap().is_intact());
    let files: Vec<(String, u64)> = env.files().into_iter().filter(|(_, len)| *len > 0).collect();
    assert!(files.iter().filter(|(path, _)| path.ends_with(".wal")).count() > 1, "{files:?}");
    for (path, _) in &files {
        // Room behind the records of a log is no part of it.
        let whole = env.read_file(path).unwrap();
        let len = whole.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        for at in [1, 70, len / 2, len - 5, len - 1].into_iter().filter(|at| *at < len) {
            env.flip(path, at, 4).unwrap();
            let report = db.verify().unwrap();
            let told = report.problems.iter().any(|problem| match problem {
                Error::Corruption { path: file, offset, .. } => {
                    path.ends_with(file.to_str().unwrap()) && *offset <= at
                }
                // CURRENT may now name another file.
                Error::MissingFile { .. } => path.ends_with("CURRENT"),
                _ => false,
            });
            assert!(told, "{path} flipped at {at} of {len}: {report}");
            env.flip(path, at, 4).unwrap();
        }
        // Also what is gone without a trace of damage.
        env.write_file(path, &whole[..len as usize - 1]).unwrap();
        assert!(!db.verify().unwrap().is_intact(), "{path} cut");
        env.write_file(path, &whole).unwrap();
    }
    assert!(db.verify().unwrap().is_intact());
}

#[test]
fn nothing_is_missing_while_the_log_moves_on() {
    let dir = tempfile::tempdir().unwrap();
    let open = Db::builder().memory_budget(MIN_MEMORY_BUDGET).segment_bytes(1 << 16).open(dir.path());
    let db = open.unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut i = 0u64;
            while !done.load(Ordering::Relaxed) {
                db.put((i % 5000).to_be_bytes(), [1; 500]).unwrap();
                i += 1;
            }
        });
        let reports: Vec<_> = (0..40).map(|_| db.verify()).collect();
        done.store(true, Ordering::Relaxed);
        for report in reports {
            let report = report.unwrap();
            assert!(report.is_intact(), "{report}");
        }
    });
}

#[test]
fn a_record_that_is_no_batch_is_told_with_its_place() {
    let env = SimEnv::new();
    let db = small(&env);
    let env = env.kill();
    drop(db);
    let wal = env.files().into_iter().map(|(path, _)| path).find(|path| path.ends_with(".wal")).unwrap();
    let number = wal.rsplit('/').next().and_then(|name| name[..6].parse().ok()).unwrap();
    let header = Header { wal: true, number, previous: 0, previous_end: 0 };
    env.write_file(&wal, &frame(header, &[b"", b"no batch"], true)).unwrap();
    let error = Db::builder().env(Arc::new(env)).open(STORE).unwrap_err();
    assert!(
        matches!(&error, Error::Corruption { path, offset: 74, .. } if wal.ends_with(path.to_str().unwrap())),
        "{error}"
    );
}
