//! Heap allocations on the hot paths, counted: none for a buffered put, none for a get of a cached or mapped value.
//!
//! Counts are exact where time is not. The allocator counts what this thread allocates, so that background work does not
//! disturb it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use esker::{ByLevel, Compression, Db, KeyspaceOptions, TableIo};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // During the destruction of thread-local values there is nothing to count any more.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations this thread makes in `work`.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

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
