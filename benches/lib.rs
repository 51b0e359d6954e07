//! What the benches share: keys, values and stores.

use esker::{ByLevel, Compression, Db, KeyspaceOptions};
use tempfile::TempDir;

/// The length of a value in bytes.
pub const VALUE_LEN: usize = 100;

/// A key of 16 bytes; numbers next to each other give keys far from each other.
pub fn scattered_key(i: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key[8..].copy_from_slice(&i.to_be_bytes());
    key
}

/// A key of 16 bytes in the order of the numbers.
pub fn ordered_key(i: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[8..].copy_from_slice(&i.to_be_bytes());
    key
}

/// A value that compresses to about a half.
pub fn value(i: u64) -> [u8; VALUE_LEN] {
    let mut value = [0; VALUE_LEN];
    let mut state = i | 1;
    for piece in value[..VALUE_LEN / 2].chunks_mut(8) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        piece.copy_from_slice(&state.to_be_bytes()[..piece.len()]);
    }
    value
}

/// Numbers below `n` in an order that looks like none, the same in every run.
pub fn shuffled(n: u64) -> impl Iterator<Item = u64> {
    let step = 7_919;
    (0..).map(move |i: u64| i.wrapping_mul(step) % n)
}

/// A store in a temporary directory, with `entries` entries, all in tables at the bottom.
///
/// # Panics
/// If the store cannot be made.
pub fn filled(entries: u64, compression: Compression, cache: bool) -> (TempDir, Db) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let options = KeyspaceOptions::new().compression(ByLevel::all(compression));
    let budget = if cache { 1 << 30 } else { 4 << 20 };
    let db = Db::builder()
        .memory_budget(budget)
        .keyspace_defaults(options)
        .open(dir.path())
        .expect("an empty directory takes a store");
    db.ingest(|writer| (0..entries).try_for_each(|i| writer.put(ordered_key(i), value(i))))
        .expect("sorted keys");
    db.compact(..).expect("a writable store");
    (dir, db)
}

/// A store in a temporary directory, empty, with a large budget.
///
/// # Panics
/// If the store cannot be made.
pub fn empty() -> (TempDir, Db) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let db =
        Db::builder().memory_budget(512 << 20).open(dir.path()).expect("an empty directory takes a store");
    (dir, db)
}
