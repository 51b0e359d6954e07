//! Building tables in memory, and building and asking Bloom filters.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use esker_benches::{ordered_key, scattered_key, value};
use esker_format_block::BlockFormat;
use esker_table::codec::Compression;
use esker_table::filter::{BloomBuilder, may_contain};
use esker_table::key::filter_hash;
use esker_table::{Kind, TableFormat, Trailer, WriteOptions};
use std::hint::black_box;
use std::io;

const ENTRIES: u64 = 100_000;

fn table(c: &mut Criterion) {
    let mut group = c.benchmark_group("table");
    group.throughput(Throughput::Elements(ENTRIES)).sample_size(20);
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd(1)] {
        let options = WriteOptions::default().with_compression(compression);
        group.bench_function(format!("build, {compression}"), |b| {
            b.iter(|| {
                let mut writer = BlockFormat::new().writer(Box::new(io::sink()), &options).expect("a writer");
                for i in 0..ENTRIES {
                    writer
                        .add(&ordered_key(i), Trailer::new(i, Kind::Put), &value(i))
                        .expect("ascending keys");
                }
                black_box(writer.finish(Vec::new()).expect("a table").file_size)
            });
        });
    }
    group.finish();
}

fn bloom(c: &mut Criterion) {
    let mut builder = BloomBuilder::new();
    for i in 0..ENTRIES {
        builder.add(filter_hash(&scattered_key(i)));
    }
    let mut group = c.benchmark_group("bloom");
    group.bench_function("build, 100,000 keys", |b| b.iter(|| black_box(builder.build(10))));
    let filter = builder.build(10);
    let mut i = 0;
    group.bench_function("hash and ask", |b| {
        b.iter(|| {
            i += 1;
            black_box(may_contain(&filter, filter_hash(&scattered_key(i))))
        });
    });
    group.finish();
}

criterion_group!(benches, table, bloom);
criterion_main!(benches);
