//! Heap allocations on the hot paths, counted: none for a buffered put, none for a get of a cached or mapped value, none for
//! a step of a cursor that has its buffers.
//!
//! Counts are exact where time is not. The allocator counts what this thread allocates, so that background work does not
//! disturb it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use esker::{ByLevel, Compression, Db, KeyspaceOptions, TableIo};
use esker_tests::counting::{Counting, allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn key(i: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key[8..].copy_from_slice(&i.to_be_bytes());
    key
}

const PUTS: u64 = 10_000;

#[test]
fn a_buffered_put_allocates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::builder().memory_budget(256 << 20).open(dir.path()).unwrap();
    let value = [7; 100];
    // The log's two buffers grow to their size first.
    for i in 0..100 {
        db.put(key(i), value).unwrap();
    }
    let made = allocations(|| {
        for i in 100..100 + PUTS {
            db.put(key(i), value).unwrap();
        }
    });
    println!("{made} allocations in {PUTS} puts of 100 bytes");
    assert_eq!(made, 0);
}

#[test]
fn a_get_from_the_memtable_allocates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    for i in 0..PUTS {
        db.put(key(i), [7; 100]).unwrap();
    }
    assert_eq!(gets(&db), 0);
}

/// The allocations of a second round of gets, when everything has been touched.
fn gets(db: &Db) -> u64 {
    let round = || {
        for i in 0..PUTS {
            assert_eq!(db.get(key(i)).unwrap().unwrap().len(), 100);
            assert!(db.get(key(i + PUTS)).unwrap().is_none());
        }
    };
    round();
    let made = allocations(round);
    println!("{made} allocations in {} gets", 2 * PUTS);
    made
}

fn gets_from_tables(compression: Compression, table_io: TableIo) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let options = KeyspaceOptions::new().compression(ByLevel::all(compression));
    let db = Db::builder().keyspace_defaults(options).table_io(table_io).open(dir.path()).unwrap();
    for i in 0..PUTS {
        db.put(key(i), [7; 100]).unwrap();
    }
    db.compact(..).unwrap();
    gets(&db)
}

#[test]
fn a_get_from_a_mapped_block_allocates_nothing() {
    assert_eq!(gets_from_tables(Compression::None, TableIo::Mmap), 0);
}

#[test]
fn a_get_from_a_cached_block_allocates_nothing() {
    assert_eq!(gets_from_tables(Compression::Lz4, TableIo::Mmap), 0);
    assert_eq!(gets_from_tables(Compression::None, TableIo::Pread), 0);
}

/// A store whose entries lie in a table, some of them overwritten and deleted in the memtable.
fn mixed(compression: Compression, table_io: TableIo) -> (tempfile::TempDir, Db) {
    let dir = tempfile::tempdir().unwrap();
    let options = KeyspaceOptions::new().compression(ByLevel::all(compression));
    let db = Db::builder().keyspace_defaults(options).table_io(table_io).open(dir.path()).unwrap();
    for i in 0..PUTS {
        db.put(key(i), [7; 100]).unwrap();
    }
    db.compact(..).unwrap();
    for i in (0..PUTS).step_by(10) {
        db.put(key(i), [8; 100]).unwrap();
        db.delete(key(i + 1)).unwrap();
    }
    (dir, db)
}

#[test]
fn a_cursor_that_has_its_buffers_allocates_nothing() {
    for (compression, table_io) in [
        (Compression::None, TableIo::Mmap),
        (Compression::Lz4, TableIo::Mmap),
        (Compression::None, TableIo::Pread),
    ] {
        let (_dir, db) = mixed(compression, table_io);
        let mut cursor = db.cursor().unwrap();
        let mut round = || {
            assert!(cursor.seek_first().unwrap());
            let mut steps = 1;
            while cursor.next().unwrap() {
                steps += 1;
            }
            assert!(cursor.seek_last().unwrap());
            while cursor.prev().unwrap() {
                steps += 1;
            }
            for i in 0..PUTS / 10 {
                assert!(cursor.seek(key(i * 10)).unwrap() && cursor.value()[0] == 8);
                cursor.next().unwrap();
                cursor.prev().unwrap();
                steps += 3;
            }
            assert_eq!(steps, 2 * (PUTS - PUTS / 10) - 1 + 3 * (PUTS / 10));
        };
        round();
        let made = allocations(round);
        println!("{made} allocations by a cursor, {compression:?}, {table_io:?}");
        // A long scan leaves the cache alone, and brings each block that a map does not lend into memory of its own.
        let is_lent = (compression, table_io) == (Compression::None, TableIo::Mmap);
        let most = if is_lent { 0 } else { 2 * PUTS / 25 };
        assert!(made <= most, "{made} allocations for {PUTS} pairs, {compression:?}, {table_io:?}");
    }
}

#[test]
fn a_range_allocates_for_many_pairs_at_once() {
    let (_dir, db) = mixed(Compression::None, TableIo::Mmap);
    assert_eq!(db.range(..).count() as u64, PUTS - PUTS / 10);
    for reverse in [false, true] {
        let made = allocations(|| {
            let bytes =
                |item: esker::Result<(esker::Slice, esker::Slice)>| item.map(|(k, v)| k.len() + v.len());
            let range = db.range(..);
            let total: usize = if reverse {
                range.rev().map(|item| bytes(item).unwrap()).sum()
            } else {
                range.map(|item| bytes(item).unwrap()).sum()
            };
            assert_eq!(total as u64, (PUTS - PUTS / 10) * 116);
        });
        println!("{made} allocations by a range, reverse {reverse}");
        assert!(made < PUTS / 8, "{made} allocations for {PUTS} pairs, reverse {reverse}");
    }
}
