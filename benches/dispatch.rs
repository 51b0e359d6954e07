//! What dynamic dispatch over the table contract costs: point lookups through `dyn TableReader` against the concrete
//! type, and scans in which a dynamic call brings a run of entries against scans in which it brings one.
//! The last group weighs the in-block hash index against the search on key heads, which settles its default.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use esker_format_block::{BlockFormat, BlockTable};
use esker_table::key::{Kind, MAX_SEQNO};
use esker_table::{
    BlockSource, LookupKey, ReadOptions, Run, TableCursor, TableFormat, TableReader, Trailer, WriteOptions,
};
use std::hint::black_box;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ENTRIES: u64 = 100_000;

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().map_err(|_| io::ErrorKind::Other)?.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn key(i: u64) -> Vec<u8> {
    // Keys that do not ascend in sequence: the index's separators and the blocks' heads see real distances.
    let mut key = b"user".to_vec();
    key.extend_from_slice(&i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key.extend_from_slice(&(i as u32).to_be_bytes());
    key
}

fn table(format: BlockFormat, options: &WriteOptions) -> (Arc<BlockTable>, usize) {
    let mut keys: Vec<Vec<u8>> = (0..ENTRIES).map(key).collect();
    keys.sort();
    let out = Shared::default();
    let mut writer = format.writer(Box::new(out.clone()), options).expect("the options are supported");
    for (i, key) in (1..).zip(&keys) {
        writer.add(key, Trailer::new(i, Kind::Put), &[i as u8; 100]).expect("keys ascend");
    }
    writer.finish(Vec::new()).expect("memory does not fail");
    let bytes = std::mem::take(&mut *out.0.lock().expect("no holder panics"));
    let len = bytes.len();
    (format.open_table(BlockSource::from_memory(bytes)).expect("the table is intact"), len)
}

fn probes() -> Vec<Vec<u8>> {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % ENTRIES
    };
    (0..4096).map(|_| key(random())).collect()
}

#[inline(never)]
fn get<R: TableReader + ?Sized>(reader: &R, key: &[u8]) -> usize {
    let found = reader.get(&LookupKey::new(key, MAX_SEQNO), &ReadOptions::default());
    found.ok().flatten().map_or(0, |found| found.value.len())
}

fn lookups(c: &mut Criterion) {
    let (concrete, _) = table(BlockFormat::new(), &WriteOptions::default());
    let dynamic: Arc<dyn TableReader> = concrete.clone();
    let probes = probes();
    let mut group = c.benchmark_group("dispatch/get");
    let mut i = 0;
    group.bench_function("static", |b| {
        b.iter(|| {
            i = (i + 1) % probes.len();
            get(&*concrete, black_box(&probes[i]))
        })
    });
    group.bench_function("dynamic", |b| {
        b.iter(|| {
            i = (i + 1) % probes.len();
            get(&*black_box(&dynamic).clone(), black_box(&probes[i]))
        })
    });
    group.finish();
}

/// The interface that the contract does not have: a dynamic call or three for each entry.
trait EntryCursor {
    fn next(&mut self) -> bool;
    fn key(&self) -> &[u8];
    fn trailer(&self) -> Trailer;
    fn value(&self) -> &[u8];
}

struct Entries {
    cursor: Box<dyn TableCursor>,
    run: Run,
    /// The number of the run's entries that were stepped over, the current one included.
    stepped: usize,
    want: usize,
}

impl EntryCursor for Entries {
    #[inline]
    fn next(&mut self) -> bool {
        if self.stepped == self.run.len() {
            self.stepped = 0;
            if self.cursor.next(&mut self.run, self.want).is_err() || self.run.is_empty() {
                return false;
            }
        }
        self.stepped += 1;
        true
    }

    #[inline]
    fn key(&self) -> &[u8] {
        self.run.key(self.stepped - 1)
    }

    #[inline]
    fn trailer(&self) -> Trailer {
        self.run.trailer(self.stepped - 1)
    }

    #[inline]
    fn value(&self) -> &[u8] {
        self.run.value(self.stepped - 1)
    }
}

fn entries(table: &Arc<BlockTable>, want: usize) -> Entries {
    let (mut cursor, mut run) = (table.clone().cursor(&ReadOptions::default()), Run::new());
    cursor.first(&mut run, want).expect("the table is intact");
    Entries { cursor, run, stepped: 0, want }
}

#[inline(never)]
fn sum<C: EntryCursor + ?Sized>(cursor: &mut C) -> u64 {
    let mut sum = 0u64;
    while cursor.next() {
        sum = sum
            .wrapping_add(cursor.trailer().0)
            .wrapping_add(cursor.key().len() as u64)
            .wrapping_add(u64::from(cursor.value()[0]));
    }
    sum
}

fn scans(c: &mut Criterion) {
    let (table, _) = table(BlockFormat::new(), &WriteOptions::default());
    let mut group = c.benchmark_group("dispatch/scan");
    group.throughput(Throughput::Elements(ENTRIES));
    for want in [1usize, 8, 32, 256] {
        group.bench_with_input(BenchmarkId::new("runs of at most", want), &want, |b, &want| {
            b.iter(|| sum(&mut entries(&table, want)))
        });
    }
    group.bench_function("a dynamic call for each part of each entry", |b| {
        b.iter(|| {
            let mut cursor: Box<dyn EntryCursor> = black_box(Box::new(entries(&table, 256)));
            sum(&mut *cursor)
        })
    });
    group.finish();
}

/// Point lookups that hit, with and without the hash index, over block sizes; the tables' lengths go to standard error.
fn searches(c: &mut Criterion) {
    let probes = probes();
    let mut group = c.benchmark_group("search");
    for block_size in [1024, 4096, 16_384] {
        for hash_index in [false, true] {
            let options = WriteOptions::default().with_block_size(block_size);
            let (table, len) = table(BlockFormat::new().with_hash_index(hash_index), &options);
            let name = if hash_index { "hash index" } else { "heads" };
            eprintln!("blocks of {block_size} with {name}: {len} bytes");
            let mut i = 0;
            group.bench_with_input(BenchmarkId::new(name, block_size), &table, |b, table| {
                b.iter(|| {
                    i = (i + 1) % probes.len();
                    get(&**table, black_box(&probes[i]))
                })
            });
        }
    }
    group.finish();
}

fn briefly() -> Criterion {
    Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group!(name = benches; config = briefly(); targets = lookups, scans, searches);
criterion_main!(benches);
