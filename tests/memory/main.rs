//! Memory, counted: what a compaction holds at its peak does not grow with the level that it rewrites, what range deletes
//! take not with how much they overlap, and what a message takes not with the lengths that it claims.
//!
//! The allocator counts the bytes that the whole process holds, since compactions run on a thread of the store. That is why
//! this test has a process of its own. Mapped tables are the page cache's, not the heap's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use esker::{CompactionStrategy, Db, KeyspaceOptions, TableIo};
use esker_cluster::message::encoding::testing::{KINDS, envelope};
use esker_cluster::message::encoding::{decode, encode};
use esker_table::codec::checksum::crc32c;
use esker_tests::bytes::Random;
use esker_tests::counting::{Counting, held};
use std::sync::Mutex;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The bytes are those of the whole process: one test at a time.
static COUNTING: Mutex<()> = Mutex::new(());

/// Spreads `i` over the key space.
fn key(i: u64) -> [u8; 8] {
    i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
}

const TABLE_BYTES: u64 = 256 << 10;

/// What rewriting a level takes.
#[derive(Debug)]
struct Rewritten {
    /// Tables of the level.
    tables: u64,
    /// The most bytes that the compaction held, beyond those that were held when it began and those that the block cache
    /// took on, which have their own bound.
    held: u64,
}

/// Merges one table of 10,000 pairs with the whole of a level of `pairs` pairs.
fn rewrite(pairs: u64, table_io: TableIo) -> Rewritten {
    let dir = tempfile::tempdir().unwrap();
    let strategy = CompactionStrategy::Leveled { l0_trigger: 1000, ratio: 10, table_bytes: TABLE_BYTES };
    let db = Db::builder()
        .memory_budget(16 << 20)
        .table_io(table_io)
        .keyspace_defaults(KeyspaceOptions::new().compaction(strategy))
        .open(dir.path())
        .unwrap();
    for i in 0..pairs {
        db.put(key(i), [i as u8; 100]).unwrap();
    }
    db.compact(..).unwrap();
    for i in (0..pairs).step_by(pairs as usize / 10_000) {
        db.put(key(i), [1 + i as u8; 100]).unwrap();
    }
    db.flush().unwrap();
    let before = db.stats();
    assert_eq!(before.keyspaces[0].levels[0].tables, 1, "one table is to be merged into the level");
    let level = before.keyspaces[0].levels.last().unwrap();
    let held = held(|| db.compact(..).unwrap()) as u64;
    let after = db.stats();
    let written = after.compaction_bytes - before.compaction_bytes;
    assert!(written > level.bytes * 9 / 10, "{written} bytes written, the level has {}", level.bytes);
    let cached = after.cache_bytes.saturating_sub(before.cache_bytes);
    Rewritten { tables: level.tables, held: held - cached }
}

#[test]
fn the_memory_of_a_compaction_does_not_grow_with_its_level() {
    let _alone = COUNTING.lock().unwrap();
    for table_io in [TableIo::Mmap, TableIo::Pread] {
        let small = rewrite(40_000, table_io);
        let large = rewrite(640_000, table_io);
        println!("{table_io:?}: {small:?}, {large:?}");
        assert!(large.tables >= 10 * small.tables);
        // The lists of the level's tables grow by some hundred bytes for each table of a quarter of a mebibyte.
        let lists = (large.tables - small.tables) * 2048;
        assert!(large.held < small.held + small.held / 2 + lists, "{small:?} against {large:?}");
    }
}

/// Trims a queue, as a log is purged: each range delete begins where all the others do and ends behind them.
#[test]
fn nested_range_deletes_take_memory_by_their_number_alone() {
    let _alone = COUNTING.lock().unwrap();
    let n = 100_000u32;
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let mut half = None;
    let written = held(|| {
        for i in 0..n {
            if i % 100 == 0 {
                db.put(i.to_be_bytes(), "job").unwrap();
            }
            db.delete_range(..=i.to_be_bytes()).unwrap();
            if i == n / 2 {
                half = Some(db.snapshot());
            }
        }
        db.put(n.to_be_bytes(), "the last job").unwrap();
    });
    let half = half.unwrap();
    assert_eq!(db.stats().keyspaces[0].sealed_memtables, 0, "all of them are in one memtable");
    let read = |place: &str| {
        let held = held(|| {
            let (first, _) = db.range(..).next().unwrap().unwrap();
            assert_eq!(*first, n.to_be_bytes(), "{place}");
            assert_eq!(db.range(..).rev().count(), 1, "{place}");
            assert_eq!(db.get((n / 2).to_be_bytes()).unwrap(), None, "{place}");
            assert_eq!(db.get(n.to_be_bytes()).unwrap().unwrap(), "the last job", "{place}");
            assert_eq!(half.range(..).count(), 0, "{place}");
        });
        assert!(held < 256 << 10, "{held} bytes held by reads of a few keys, {place}");
        held
    };
    let in_memory = read("in the memtable");
    let flushed = held(|| db.flush().unwrap());
    let in_table = read("in a table");
    println!("written {written}, flushed {flushed}, read {in_memory} and {in_table}");
    // The runs of 100,000 ranges while they are merged; the sides of 100,000 ranges while they are cut.
    assert!(written < n as usize * 400, "{written} bytes held by writing");
    assert!(flushed < n as usize * 400, "{flushed} bytes held by flushing");
    let table = db.stats().keyspaces[0].levels[0].range_deletes;
    assert_eq!(table, 3, "in the first half readers tell two apart, in the second there is one");
    drop(half);

    // One beside the other, among newer entries, so that a scan steps through all of them.
    for i in 0..n / 4 {
        db.put(i.to_be_bytes(), "job").unwrap();
    }
    for i in 0..n / 4 {
        db.delete_range(i.to_be_bytes()..(i + 1).to_be_bytes()).unwrap();
    }
    db.put(7u32.to_be_bytes(), "late").unwrap();
    assert_eq!(db.range(..).count(), 2);
    assert_eq!(db.range(..).rev().count(), 2);
}

/// Bytes with their checksum behind them.
fn sealed(mut message: Vec<u8>) -> Vec<u8> {
    let crc = crc32c(&message);
    message.extend_from_slice(&crc.to_le_bytes());
    message
}

/// The message of this kind that belongs to a seed, without its checksum.
fn message(kind: u64, seed: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&envelope(kind, seed), &mut bytes);
    bytes.truncate(bytes.len() - 4);
    bytes
}

#[test]
fn reading_a_message_takes_a_small_multiple_of_its_bytes() {
    let _alone = COUNTING.lock().unwrap();
    // The densest message there is: records of three bytes, each with an empty key and an empty set.
    let mut dense = message(KINDS - 1, 0);
    dense.truncate(6);
    dense.extend_from_slice(&[0; 16 + 8 + 1 + 3]);
    dense.extend_from_slice(&[0x80, 0x80, 4]);
    dense.extend_from_slice(&[0; 65_536 * 3 + 3]);
    let dense = sealed(dense);
    let taken = held(|| assert!(decode(&dense).is_ok()));
    println!("{taken} bytes for a page of {}", dense.len());
    assert!(taken < 40 * dense.len());
    let mut random = Random::new(5);
    let mut most = 0;
    for kind in 0..KINDS {
        for round in 0..400 {
            let mut changed = message(kind, round % 20);
            // Behind the header, so that lengths and counts are reached.
            let at = 30 + random.below(changed.len() - 30);
            let lie = [&b"\xff\xff\xff\xff\x0f"[..], b"\xff\xff\xff\x1f", b"\xff\xff\x03", b"\xff\x07"]
                [random.below(4)];
            changed.splice(at..at + random.below(2), lie.iter().copied());
            let changed = sealed(changed);
            let taken = held(|| drop(decode(&changed)));
            assert!(taken < 64 * changed.len() + 1024, "{taken} bytes for {} of kind {kind}", changed.len());
            most = most.max(taken);
        }
    }
    println!("{most} bytes for a message that lies, at most");
}
