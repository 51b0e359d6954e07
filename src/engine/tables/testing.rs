//! What tests of this room and those above need: tables in files in memory, and what fills them.

mod files;
mod tiny;

pub(crate) use files::TestFiles;
pub(crate) use tiny::{TINY, TinyFormat};

use crate::fs::Env;
use crate::manifest::{FileGuard, FileMeta, Reclaim};
use esker_table::{Fragments, RangeTombstone, SeqNo, TableFormat, Trailer, WriteOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A deterministic generator (xorshift).
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Entries of a table to be: `(user key, trailer, value)`, ascending.
pub(crate) type Entries = Vec<(Vec<u8>, Trailer, Vec<u8>)>;

/// Writes a table and says what the MANIFEST would. Tombstones may come in any order.
pub(crate) fn build_table(
    files: &TestFiles,
    dir: &Path,
    number: u64,
    format: &dyn TableFormat,
    entries: &Entries,
    tombstones: Vec<RangeTombstone>,
) -> FileMeta {
    let mut bytes = Vec::new();
    let options = WriteOptions::default().with_block_size(256);
    let mut writer = format.writer(Box::new(&mut bytes), &options).unwrap();
    for (key, trailer, value) in entries {
        writer.add(key, *trailer, value).unwrap();
    }
    for tombstone in Fragments::new(tombstones).iter() {
        writer.add_range_tombstone(&tombstone).unwrap();
    }
    let summary = writer.finish(Vec::new()).unwrap();
    let size = bytes.len() as u64;
    assert_eq!(summary.file_size, size);
    files.put(crate::fs::filename::FileName::Table(number).path(dir), bytes);
    let p = summary.properties;
    FileMeta {
        number,
        format: format.id(),
        size,
        smallest: p.smallest,
        largest: p.largest,
        largest_exclusive: p.largest_exclusive,
        clipped: false,
        min_seqno: p.min_seqno,
        max_seqno: p.max_seqno,
        seqno_override: None,
        entries: p.entries,
        deletes: p.deletes,
        range_tombstones: p.range_tombstones,
        created_millis: 0,
        own: true,
        kept_tombstones: Vec::new(),
        kept_collected: Vec::new(),
        guard: FileGuard::new(number, Arc::new(Reclaim::default())),
    }
}

/// A store's tables without a store.
pub(crate) struct TestTables {
    pub(crate) files: Arc<TestFiles>,
    pub(crate) cache: super::TableCache,
    pub(crate) dir: PathBuf,
    next: AtomicU64,
}

impl TestTables {
    pub(crate) fn new(formats: Vec<Arc<dyn TableFormat>>) -> TestTables {
        let files = Arc::new(TestFiles::default());
        files.fail(false);
        let metrics = Arc::new(crate::metrics::Metrics::default());
        let mut registry = super::FormatRegistry::empty();
        for format in formats {
            registry.register(format).unwrap();
        }
        let blocks = Arc::new(super::CachedBlocks::new(1 << 20, 256, metrics.clone()));
        let dir = PathBuf::from("/store");
        let env: Arc<dyn Env> = files.clone();
        let io = crate::options::TableIo::Mmap;
        let cache = super::TableCache::new(env, &dir, io, Arc::new(registry), blocks, metrics);
        TestTables { files, cache, dir, next: AtomicU64::new(1) }
    }

    pub(crate) fn build(&self, entries: &Entries, tombstones: Vec<RangeTombstone>) -> FileMeta {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let formats: Vec<_> = self.cache.formats().iter().cloned().collect();
        let format = &formats[number as usize % formats.len()];
        let mut meta = build_table(&self.files, &self.dir, number, &**format, entries, tombstones);
        // Some are read by position and through the cache.
        meta.own = !number.is_multiple_of(3);
        meta
    }
}

/// A put.
pub(crate) fn entry(key: &str, seqno: SeqNo, value: &str) -> (Vec<u8>, Trailer, Vec<u8>) {
    (key.into(), Trailer::new(seqno, esker_table::Kind::Put), value.into())
}
