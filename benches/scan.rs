//! Iteration: whole scans both ways by cursor and by range, and seeks followed by ten entries.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use esker::Compression;
use esker_benches::{filled, ordered_key, shuffled};
use std::hint::black_box;

const ENTRIES: u64 = 500_000;

fn scan(c: &mut Criterion) {
    for (layout, compression) in [("uncompressed", Compression::None), ("lz4, cached", Compression::Lz4)] {
        let (_dir, db) = filled(ENTRIES, compression, true);
        assert_eq!(db.range(..).count() as u64, ENTRIES);
        let mut group = c.benchmark_group(format!("scan, {layout}"));
        group.throughput(Throughput::Elements(ENTRIES)).sample_size(20);
        group.bench_function("cursor, forwards", |b| {
            b.iter(|| {
                let mut cursor = db.cursor().expect("a cursor");
                let mut bytes = 0;
                let mut valid = cursor.seek_first().expect("a seek");
                while valid {
                    bytes += cursor.key().len() + cursor.value().len();
                    valid = cursor.next().expect("a step");
                }
                black_box(bytes)
            });
        });
        group.bench_function("cursor, backwards", |b| {
            b.iter(|| {
                let mut cursor = db.cursor().expect("a cursor");
                let mut bytes = 0;
                let mut valid = cursor.seek_last().expect("a seek");
                while valid {
                    bytes += cursor.key().len() + cursor.value().len();
                    valid = cursor.prev().expect("a step");
                }
                black_box(bytes)
            });
        });
        group.bench_function("range", |b| b.iter(|| black_box(db.range(..).count())));
        group.finish();

        let mut group = c.benchmark_group(format!("seek, {layout}"));
        let mut numbers = shuffled(ENTRIES);
        let mut cursor = db.cursor().expect("a cursor");
        group.bench_function("seek and 10 entries", |b| {
            b.iter(|| {
                let mut valid = cursor.seek(ordered_key(numbers.next().unwrap_or(0))).expect("a seek");
                let mut bytes = 0;
                for _ in 0..10 {
                    if !valid {
                        break;
                    }
                    bytes += cursor.value().len();
                    valid = cursor.next().expect("a step");
                }
                black_box(bytes)
            });
        });
        group.finish();
    }
}

criterion_group!(benches, scan);
criterion_main!(benches);
