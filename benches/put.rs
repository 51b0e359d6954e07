//! Puts of 16-byte keys and 100-byte values: one, two and eight threads, buffered and synced.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use esker::{Durability, WriteBatch, WriteOptions};
use esker_benches::{empty, scattered_key, value};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn put(c: &mut Criterion) {
    let mut group = c.benchmark_group("put");
    group.throughput(Throughput::Elements(1)).measurement_time(Duration::from_secs(5));
    for (name, durability) in [("buffered", Durability::Buffered), ("synced", Durability::Synced)] {
        for threads in [1u64, 2, 8] {
            let (_dir, db) = empty();
            let next = AtomicU64::new(0);
            group.bench_function(BenchmarkId::new(name, threads), |b| {
                b.iter_custom(|puts| {
                    let began = Instant::now();
                    std::thread::scope(|scope| {
                        for _ in 0..threads {
                            scope.spawn(|| {
                                for _ in 0..puts.div_ceil(threads) {
                                    let i = next.fetch_add(1, Ordering::Relaxed);
                                    db.put_with(scattered_key(i), value(i), WriteOptions::new(durability))
                                        .expect("a put");
                                }
                            });
                        }
                    });
                    began.elapsed()
                });
            });
        }
    }
    group.finish();

    let mut group = c.benchmark_group("batch");
    group.throughput(Throughput::Elements(100));
    let (_dir, db) = empty();
    let mut next = 0;
    let mut batch = WriteBatch::new();
    group.bench_function("100 puts, buffered", |b| {
        b.iter(|| {
            batch.clear();
            for _ in 0..100 {
                batch.put(scattered_key(next), value(next));
                next += 1;
            }
            db.write_with(&batch, WriteOptions::default()).expect("a write");
        });
    });
    group.finish();
}

criterion_group!(benches, put);
criterion_main!(benches);
