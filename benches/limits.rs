//! What the machine takes for the steps that no engine can do without: a copy, a checksum, a wait for memory, an LZ4 block.

use criterion::{Criterion, criterion_group, criterion_main};
use esker_benches::value;
use esker_table::codec::Compression;
use esker_table::codec::checksum::crc32c;
use esker_table::codec::compression::{Decoding, TAG_LZ4, decompress};
use std::hint::black_box;

/// What a record of the log takes with a key of 16 bytes and a value of 100, about.
const RECORD: usize = 128;

/// A block before compression.
const BLOCK: usize = 4096;

/// Numbers that lead from one to the next: 256 MiB, more than any cache of the processor.
const PLACES: usize = 32 << 20;

fn bytes(c: &mut Criterion) {
    let (from, mut to) = ([7u8; BLOCK], [0u8; BLOCK]);
    for len in [RECORD, BLOCK] {
        c.bench_function(&format!("copy, {len} bytes, cached"), |b| {
            b.iter(|| black_box(&mut to)[..len].copy_from_slice(&black_box(&from)[..len]));
        });
        c.bench_function(&format!("crc32c, {len} bytes, cached"), |b| {
            b.iter(|| crc32c(&black_box(&from)[..len]));
        });
    }
}

fn memory(c: &mut Criterion) {
    // One circle through all places (a linear congruential generator of full period), in an order that no processor foresees.
    let next: Vec<u64> = (0..PLACES as u64)
        .map(|i| {
            i.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) % PLACES as u64
        })
        .collect();
    let mut at = 0;
    c.bench_function("one place in 256 MiB that the one before tells", |b| {
        b.iter(|| {
            at = next[at as usize];
            at
        });
    });
}

fn lz4(c: &mut Criterion) {
    let plain: Vec<u8> = (0..).flat_map(value).take(BLOCK).collect();
    let mut stored = Vec::new();
    assert_eq!(Compression::Lz4.compress(&plain, &mut stored), TAG_LZ4);
    c.bench_function("lz4, a block of 4096 bytes that shrinks to a half, decoded", |b| {
        b.iter(|| decompress(TAG_LZ4, black_box(&stored)).expect("a block").len());
    });
    c.bench_function("lz4, the first half of it", |b| {
        b.iter(|| {
            let mut front = Decoding::begin(TAG_LZ4, black_box(&stored)).expect("a block");
            front.reach(BLOCK / 2).expect("a half").len()
        });
    });
    let mut out = Vec::new();
    c.bench_function("lz4, compressed", |b| {
        b.iter(|| Compression::Lz4.compress(black_box(&plain), &mut out))
    });
}

criterion_group!(benches, bytes, memory, lz4);
criterion_main!(benches);
