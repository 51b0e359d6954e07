//! Reading back what was written; cuts and flips of every kind.

use super::super::edit::{KeyspaceEdit, KeyspaceRecord};
use super::*;
use crate::fs::LocalEnv;
use std::fs;

fn keyspace(id: u32, name: &str) -> VersionEdit {
    let record = KeyspaceRecord { name: name.into(), log: true, ..KeyspaceRecord::default() };
    VersionEdit {
        next_keyspace: Some(id + 1),
        keyspaces: vec![KeyspaceEdit { id, record: Some(record), ..KeyspaceEdit::default() }],
        ..VersionEdit::default()
    }
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.state.keyspaces.values().map(|k| k.record.name.as_str()).collect()
}

fn read(dir: &Path, recovery: Recovery) -> Result<Loaded> {
    load(&LocalEnv, dir, recovery, &Arc::default())
}

/// A MANIFEST with a snapshot and two edits, and where each edit's record begins.
fn three(dir: &Path) -> (PathBuf, Vec<u64>) {
    let mut manifest = Manifest::create(&LocalEnv, dir, 1, 0, &keyspace(0, "a")).unwrap();
    let mut starts = vec![HEADER_LEN as u64];
    for (id, name) in [(1, "b"), (2, "c")] {
        starts.push(manifest.len());
        manifest.append(&keyspace(id, name)).unwrap();
    }
    starts.push(manifest.len());
    (manifest.path.clone(), starts)
}

#[test]
fn what_is_written_is_read_and_a_new_one_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _) = three(dir.path());
    let loaded = read(dir.path(), Recovery::Absolute).unwrap();
    assert_eq!((names(&loaded), loaded.number, loaded.end), (vec!["a", "b", "c"], 1, End::Clean));
    let mut next = Manifest::create(&LocalEnv, dir.path(), 9, 1, &loaded.state.snapshot()).unwrap();
    next.append(&keyspace(3, "d")).unwrap();
    let loaded = read(dir.path(), Recovery::Absolute).unwrap();
    assert_eq!((names(&loaded), loaded.number), (vec!["a", "b", "c", "d"], 9));
}

/// Where the seal begins that ends here: checksum, tag, a length of 0, and where it begins itself.
fn seal_before(end: u64) -> u64 {
    (0..end).rev().find(|&at| at + 9 + esker_table::codec::varint::len(at) as u64 == end).unwrap()
}

#[test]
fn a_cut_leaves_a_prefix_or_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (path, starts) = three(dir.path());
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let survivors = starts[1..].iter().filter(|&&end| seal_before(end) <= cut as u64).count();
        match read(dir.path(), Recovery::TolerateTornTail) {
            Ok(loaded) => assert_eq!(names(&loaded), ["a", "b", "c"][..survivors], "cut at {cut}"),
            Err(error) => assert!(survivors == 0 && error.is_corruption(), "cut at {cut}: {error}"),
        }
    }
}

#[test]
fn a_flip_in_what_was_synced_is_corruption() {
    let dir = tempfile::tempdir().unwrap();
    let (path, starts) = three(dir.path());
    let whole = fs::read(&path).unwrap();
    let last_seal = seal_before(starts[3]) as usize;
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 0x10;
        fs::write(&path, &bad).unwrap();
        match read(dir.path(), Recovery::TolerateTornTail) {
            // The last seal is the only thing that may be lost.
            Ok(loaded) => assert!(at >= last_seal && names(&loaded).len() == 3, "flip at {at}"),
            Err(error) => assert!(
                at < last_seal && (error.is_corruption() || matches!(error, Error::Unsupported { .. })),
                "flip at {at}: {error}"
            ),
        }
        assert!(read(dir.path(), Recovery::Absolute).is_err(), "flip at {at}");
    }
}

#[test]
fn a_damaged_current_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    three(dir.path());
    let path = FileName::Current.path(dir.path());
    let whole = fs::read(&path).unwrap();
    assert_eq!(decode_current(&whole), Some(1));
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert!(read(dir.path(), Recovery::TolerateTornTail).unwrap_err().is_corruption(), "flip at {at}");
        fs::write(&path, &whole[..at]).unwrap();
        assert!(read(dir.path(), Recovery::TolerateTornTail).unwrap_err().is_corruption(), "cut at {at}");
    }
}

#[test]
fn what_is_missing_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let read = || read(dir.path(), Recovery::TolerateTornTail).unwrap_err();
    assert!(matches!(read(), Error::NoStore { .. }));
    let (path, _) = three(dir.path());
    fs::remove_file(FileName::Current.path(dir.path())).unwrap();
    // The remains of a creation are no store, but a segment of the log is part of one.
    assert!(matches!(read(), Error::NoStore { .. }));
    fs::write(FileName::Wal(2).path(dir.path()), "").unwrap();
    assert!(matches!(read(), Error::MissingFile { path, .. } if path.ends_with("CURRENT")));
    fs::write(FileName::Current.path(dir.path()), encode_current(1)).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(matches!(read(), Error::MissingFile { path, .. } if path.ends_with("MANIFEST-000001")));
}

#[test]
fn an_edit_that_breaks_an_invariant_is_corruption_at_its_offset() {
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = Manifest::create(&LocalEnv, dir.path(), 1, 0, &keyspace(0, "a")).unwrap();
    let at = manifest.len();
    manifest.append(&keyspace(1, "a")).unwrap();
    match read(dir.path(), Recovery::TolerateTornTail).unwrap_err() {
        Error::Corruption { offset, what, .. } => {
            assert_eq!(offset, at);
            assert!(what.contains("two keyspaces"), "{what}");
        }
        other => panic!("{other}"),
    }
}
