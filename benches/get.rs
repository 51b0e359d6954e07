//! Point lookups in a store of half a million entries: found and missing, served from the cache, from the map, or decoded.

use criterion::{Criterion, criterion_group, criterion_main};
use esker::{Compression, ReadOptions};
use esker_benches::{empty, filled, ordered_key, scattered_key, shuffled, value};
use std::hint::black_box;

const ENTRIES: u64 = 500_000;

fn get(c: &mut Criterion) {
    let mut group = c.benchmark_group("get");
    {
        let (_dir, db) = empty();
        for i in 0..ENTRIES {
            db.put(scattered_key(i), value(i)).expect("a put");
        }
        let mut numbers = shuffled(ENTRIES);
        group.bench_function("hit, memtable", |b| {
            b.iter(|| black_box(db.get(scattered_key(numbers.next().unwrap_or(0))).expect("a get")));
        });
    }
    for (name, compression, cache) in [
        ("hit, mapped, uncompressed", Compression::None, true),
        ("hit, cached, lz4", Compression::Lz4, true),
        ("hit, uncached, lz4", Compression::Lz4, false),
    ] {
        let (_dir, db) = filled(ENTRIES, compression, cache);
        let options = ReadOptions::new().fill_cache(cache);
        for i in 0..ENTRIES {
            assert!(db.get_with(ordered_key(i), &options).expect("a get").is_some());
        }
        let mut numbers = shuffled(ENTRIES);
        group.bench_function(name, |b| {
            b.iter(|| {
                black_box(db.get_with(ordered_key(numbers.next().unwrap_or(0)), &options).expect("a get"))
            });
        });
        if cache {
            let mut numbers = shuffled(ENTRIES);
            group.bench_function(name.replace("hit", "miss"), |b| {
                b.iter(|| {
                    let mut key = ordered_key(numbers.next().unwrap_or(0)).to_vec();
                    key.push(1);
                    black_box(db.get_with(&key, &options).expect("a get"))
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, get);
criterion_main!(benches);
