//! Damage: any byte of any file flipped, any file cut anywhere, any file gone. A store answers right, or with an error
//! that names the file; it never panics and never answers wrong.
//!
//! `ESKER_CORRUPTION_FULL=1` tries every byte of every file; otherwise every byte of the small ones and a part of the
//! others.

#![allow(clippy::unwrap_used, reason = "what cannot go on has failed")]

mod live;
mod unsynced;

use esker::testing::SimEnv;
use esker::{
    ByLevel, CompactionStrategy, Db, Durability, Error, KeyspaceOptions, Slice, TableIo, WriteBatch,
};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

const STORE: &str = "store";

/// Files up to this length are tried byte for byte.
const SMALL: u64 = 1500;

/// Of larger ones, one byte in so many.
const STRIDE: u64 = 13;

/// Keyspace, key and value.
type Content = BTreeMap<(String, Vec<u8>), Vec<u8>>;

fn open(env: &SimEnv, table_io: TableIo) -> Result<Db, Error> {
    let options = KeyspaceOptions::new()
        .block_bytes(256)
        .filter_bits(ByLevel::all(10))
        .compaction(CompactionStrategy::Leveled { l0_trigger: 8, ratio: 4, table_bytes: 4096 });
    Db::builder()
        .env(Arc::new(env.clone()))
        .table_io(table_io)
        .create_if_missing(false)
        .keyspace_defaults(options)
        .open(STORE)
}

/// A store with tables at two levels, of two keyspaces, with deletes of both kinds, and records in two segments of the
/// log; and its content.
fn store() -> (SimEnv, Content) {
    let env = SimEnv::new();
    let db = Db::builder().env(Arc::new(env.clone())).open(STORE).unwrap();
    db.create_keyspace("other", KeyspaceOptions::new()).unwrap();
    db.close().unwrap();
    let db = open(&env, TableIo::Mmap).unwrap();
    let mut content = Content::new();
    let mut put = |db: &Db, name: &str, from: u32, count: u32, value: &str| {
        let keyspace = db.keyspace(name).unwrap();
        let mut batch = WriteBatch::new();
        for i in from..from + count {
            let (key, value) = (format!("key{i:03}"), format!("{value}{i}"));
            keyspace.put_to(&mut batch, &key, &value);
            content.insert((name.to_owned(), key.into_bytes()), value.into_bytes());
        }
        db.write(batch, Durability::Synced).unwrap();
    };
    put(&db, "default", 0, 60, "first");
    put(&db, "other", 0, 40, "other");
    db.flush().unwrap();
    db.compact(..).unwrap();
    put(&db, "default", 30, 60, "second");
    let mut deletes = WriteBatch::new();
    deletes.delete("key001").delete_range("key010", "key020");
    db.write(deletes, Durability::Synced).unwrap();
    db.flush().unwrap();
    while db.step_background().unwrap() {}
    put(&db, "other", 200, 5, "logged");
    db.close().unwrap();
    let db = open(&env, TableIo::Mmap).unwrap();
    put(&db, "default", 100, 5, "logged");
    put(&db, "other", 100, 5, "logged");
    db.close().unwrap();
    content.retain(|(name, key), _| {
        let deleted = key == b"key001" || (key.as_slice() >= b"key010" && key.as_slice() < b"key020");
        name != "default" || !deleted
    });
    (env, content)
}

/// A store that was opened three times and never flushed: all it has is in the log.
fn unflushed() -> (SimEnv, Content) {
    let env = SimEnv::new();
    let mut content = Content::new();
    for session in 0..3 {
        let db = Db::builder().env(Arc::new(env.clone())).open(STORE).unwrap();
        if session == 0 {
            db.create_keyspace("other", KeyspaceOptions::new()).unwrap();
        }
        for name in ["default", "other"] {
            let (key, value) = (format!("key{session:03}"), format!("{name}{session}"));
            let mut batch = WriteBatch::new();
            db.keyspace(name).unwrap().put_to(&mut batch, &key, &value);
            db.write(batch, Durability::Synced).unwrap();
            content.insert((name.to_owned(), key.into_bytes()), value.into_bytes());
        }
        db.close().unwrap();
    }
    (env, content)
}

/// Everything that can be read, by every way of reading; or the first error.
fn read_all(db: &Db) -> Result<Content, Error> {
    let mut content = Content::new();
    let pair = |name: &str, (key, value): (Slice, Slice)| ((name.to_owned(), key.to_vec()), value.to_vec());
    for name in ["default", "other"] {
        let keyspace = db.keyspace(name)?;
        for entry in keyspace.range(..) {
            content.extend([pair(name, entry?)]);
        }
        let mut backwards = Content::new();
        for entry in keyspace.range(..).rev() {
            backwards.extend([pair(name, entry?)]);
        }
        let forwards: Vec<_> = content.iter().filter(|((n, _), _)| n == name).collect();
        assert!(backwards.iter().eq(forwards), "forwards and backwards differ");
        for i in 0..220 {
            let key = format!("key{i:03}").into_bytes();
            let value = keyspace.get(&key)?;
            let scanned = content.get(&(name.to_owned(), key));
            assert_eq!(value.as_deref(), scanned.map(Vec::as_slice), "get and scan differ at {i}");
        }
    }
    Ok(content)
}

/// What came of one damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Right,
    RefusedAtOpen,
    RefusedAtRead,
}

/// Whether this error is a good answer to damage in `file`, the first byte of which is `at`.
fn names(error: &Error, file: &str, at: u64) -> bool {
    match error {
        // In a log the place is told too: where the record or the header begins that is damaged.
        Error::Corruption { path, offset, .. }
            if file.ends_with(path.to_str().unwrap_or("?")) && !file.ends_with(".sst") =>
        {
            *offset <= at
        }
        Error::Corruption { path, .. }
        | Error::MissingFile { path, .. }
        | Error::Unsupported { path, .. } => {
            // What CURRENT says when damaged may name another file, which is then missing.
            file.ends_with("CURRENT") || file.ends_with(path.to_str().unwrap_or("?"))
        }
        // Without CURRENT and MANIFEST there may be no store to be seen.
        Error::NoStore { .. } => file.ends_with("CURRENT"),
        _ => false,
    }
}

/// Opens and reads a damaged store. The content is right or the damage is told, in the newest segment of the log too: after
/// a clean close its length is known.
fn judge(
    env: &SimEnv,
    table_io: TableIo,
    (file, at): (&str, u64),
    content: &Content,
) -> Result<Outcome, String> {
    let attempt = catch_unwind(AssertUnwindSafe(|| match open(env, table_io) {
        Ok(db) => (Outcome::RefusedAtRead, read_all(&db).and_then(|c| db.verify().map(|_| c))),
        Err(error) => (Outcome::RefusedAtOpen, Err(error)),
    }));
    match attempt {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Err(format!("a panic: {}", text.unwrap_or_default()))
        }
        Ok((_, Ok(found))) if found == *content => Ok(Outcome::Right),
        Ok((_, Ok(_))) => Err("a wrong answer".to_owned()),
        Ok((outcome, Err(error))) if names(&error, file, at) => Ok(outcome),
        Ok((_, Err(error))) => Err(format!("the error does not name the file and the place: {error}")),
    }
}

/// Tries a damage at many places of every file.
fn sweep(what: &str, damage: impl Fn(&SimEnv, &str, u64) + Sync) {
    let (env, content) = store();
    let full = std::env::var_os("ESKER_CORRUPTION_FULL").is_some();
    let files: Vec<(String, u64)> =
        env.files().into_iter().filter(|(path, _)| !path.ends_with("LOCK")).collect();
    let newest = files.iter().map(|(path, _)| path).rfind(|path| path.ends_with(".wal")).cloned();
    let newest = newest.expect("there is a log");
    let (mut tried, mut outcomes, mut findings) = (0, BTreeMap::new(), Vec::new());
    for (file, len) in &files {
        let stride = if *len <= SMALL || full { 1 } else { STRIDE };
        let mut at = 0;
        while at < *len {
            for table_io in [TableIo::Mmap, TableIo::Pread] {
                let damaged = env.kill();
                damage(&damaged, file, at);
                match judge(&damaged, table_io, (file, at), &content) {
                    Ok(outcome) if outcome != Outcome::RefusedAtOpen && *file == newest => {
                        findings.push(format!("{file} {what} at {at}: nobody says so"));
                    }
                    Ok(outcome) => *outcomes.entry(outcome).or_insert(0) += 1,
                    Err(finding) => findings.push(format!("{file} {what} at {at}, {table_io:?}: {finding}")),
                }
                tried += 1;
            }
            at += stride;
        }
    }
    println!("{what}: {} files, {tried} damages tried, {outcomes:?}", files.len());
    assert!(
        findings.is_empty(),
        "{} findings:\n{}",
        findings.len(),
        findings[..findings.len().min(20)].join("\n")
    );
}

#[test]
fn every_flipped_byte() {
    sweep("flipped", |env, file, at| env.flip(file, at, 1 << (at % 8)).unwrap());
}

#[test]
fn every_cut() {
    sweep("cut", |env, file, at| {
        let content = env.read_file(file).unwrap();
        env.write_file(file, &content[..at as usize]).unwrap();
    });
}

#[test]
fn every_file_gone() {
    use esker::Env;
    for (env, content) in [store(), unflushed()] {
        for (file, _) in env.files().into_iter().filter(|(path, _)| !path.ends_with("LOCK")) {
            let damaged = env.kill();
            damaged.remove_file(file.as_ref()).unwrap();
            judge(&damaged, TableIo::Mmap, (&file, 0), &content)
                .unwrap_or_else(|finding| panic!("{file} gone: {finding}"));
        }
    }
}
