//! What is shown of each kind of file, and what of a damaged one.

use super::*;
use crate::fs::simulated::SimEnv;
use crate::manifest::{KeyspaceEdit, KeyspaceRecord, VersionSet};
use crate::record::append_record;
use crate::wal::Segment;
use crate::write::batch::PayloadHeader;
use esker_format_block::BlockFormat;
use esker_table::{RangeTombstone, Trailer, WriteOptions};

fn show(env: &SimEnv, path: &str, entries: bool) -> (String, Result<()>) {
    let mut lines = Vec::new();
    let options = InspectOptions::new().entries(entries);
    let result = inspect_in(env, Path::new(path), &options, &mut |said| lines.push(said.to_string()));
    (lines.join("\n"), result)
}

fn expect(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{text}\n\nshould contain\n{part}");
    }
}

fn store() -> SimEnv {
    let env = SimEnv::new();
    env.create_dir_all(Path::new("store")).unwrap();
    let record = KeyspaceRecord { name: "users".into(), log: true, ..KeyspaceRecord::default() };
    let first = VersionEdit {
        next_keyspace: Some(1),
        keyspaces: vec![KeyspaceEdit { record: Some(record), ..KeyspaceEdit::default() }],
        ..VersionEdit::default()
    };
    let set = VersionSet::create(Arc::new(env.clone()), Path::new("store"), first).unwrap();
    let edit = VersionEdit { last_seqno: Some(77), ..VersionEdit::default() };
    set.log_and_apply(edit, |_| ()).unwrap();
    env
}

#[test]
fn a_manifest_and_current() {
    let env = store();
    let (text, result) = show(&env, "store/CURRENT", false);
    result.unwrap();
    expect(&text, &["MANIFEST-000001 is in force"]);
    let (text, result) = show(&env, "store/MANIFEST-000001", false);
    result.unwrap();
    expect(&text, &["MANIFEST 1", "2 edits", "last sequence number 77", "keyspace 0 \"users\": 0 tables"]);
    assert!(!text.contains("record name"));
    let (text, result) = show(&env, "store/MANIFEST-000001", true);
    result.unwrap();
    expect(&text, &["keyspace 0: record name \"users\"", "last sequence number 77"]);
    env.flip("store/MANIFEST-000001", 70, 1).unwrap();
    let (text, result) = show(&env, "store/MANIFEST-000001", true);
    assert!(matches!(result, Err(Error::Corruption { offset: 64, .. })), "{result:?}");
    expect(&text, &["bytes that are no record", "last sequence number 77"]);
    env.flip("store/CURRENT", 3, 1).unwrap();
    assert!(show(&env, "store/CURRENT", false).1.unwrap_err().is_corruption());
}

#[test]
fn a_segment() {
    let env = store();
    let segment = Segment::create(&env, Path::new("store"), 7, 5).unwrap();
    let mut starts = Vec::new();
    for (seqno, key) in [(10u64, "a\x01"), (12, "b")] {
        let mut payload = PayloadHeader::new(seqno, 2).bytes().to_vec();
        payload.extend([1, 0, key.len() as u8]);
        payload.extend(key.bytes());
        payload.extend([1, b'v', 15, 3, 1, b'x', 1, b'z']);
        let mut record = Vec::new();
        starts.push(segment.len());
        append_record(&mut record, 7, segment.len(), segment.len(), &[&payload]);
        segment.append(&record).unwrap();
    }
    let (text, result) = show(&env, "store/000007.wal", true);
    result.unwrap();
    expect(
        &text,
        &[
            "segment 7, follows segment 5",
            "batch of 2, seqnos 10..=11",
            "10 keyspace 0: put \"a\\x01\" = \"v\"",
            "11 keyspace 3: delete \"x\"..\"z\"",
            "2 batches, 4 operations",
        ],
    );
    let (text, _) = show(&env, "store/000007.wal", false);
    assert!(!text.contains("put"));
    env.flip("store/000007.wal", starts[0] + 15, 8).unwrap();
    let (text, result) = show(&env, "store/000007.wal", false);
    assert!(matches!(result, Err(Error::Corruption { offset: 64, .. })));
    expect(&text, &["no record", "1 batches, 2 operations"]);
}

#[test]
fn a_table() {
    let env = store();
    let mut bytes = Vec::new();
    let mut writer = BlockFormat::new().writer(Box::new(&mut bytes), &WriteOptions::default()).unwrap();
    writer.add(b"k", Trailer::new(9, Kind::Put), b"value\n").unwrap();
    writer.add(b"l", Trailer::new(8, Kind::Delete), b"").unwrap();
    let tombstone = RangeTombstone { start: b"p".to_vec(), end: b"q".to_vec(), seqno: 7 };
    writer.add_range_tombstone(&tombstone).unwrap();
    let record = KeyspaceRecord { name: "users".into(), log: true, ..KeyspaceRecord::default() };
    writer.finish(vec![manifest::Stamp::encode(4, &record), ("digest".to_owned(), vec![1, 2, 3])]).unwrap();
    env.write_file("store/000009.sst", &bytes).unwrap();
    let (text, result) = show(&env, "store/000009.sst", true);
    result.unwrap();
    expect(
        &text,
        &[
            "table of format block (1)",
            "2 entries, 1 deletes, 1 range tombstones, keys \"k\"..\"q\", seqnos 7..=9",
            "written for keyspace 4 \"users\"",
            "collected \"digest\": 3 bytes",
            "9 put \"k\" = \"value\\n\"",
            "8 delete \"l\"",
            "7 delete \"p\"..\"q\"",
        ],
    );
    env.flip("store/000009.sst", 3, 1).unwrap();
    assert!(show(&env, "store/000009.sst", false).1.unwrap_err().is_corruption());
    env.write_file("store/notes", b"hello").unwrap();
    assert!(matches!(show(&env, "store/notes", false).1, Err(Error::Unsupported { .. })));
    env.write_file("store/empty", b"").unwrap();
    assert!(matches!(show(&env, "store/empty", false).1, Err(Error::Unsupported { .. })));
}
