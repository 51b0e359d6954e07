//! What the block format promises beyond the contract: values out of a map are not copied, verification finds every
//! changed byte, blocks are cut where they should be, and what a reader holds does not grow with the data.

#![allow(clippy::unwrap_used, reason = "what cannot go on has failed")]

use esker_format_block::BlockFormat;
use esker_table::codec::Compression;
use esker_table::key::{Kind, MAX_SEQNO};
use esker_table::layout::stored;
use esker_table::{
    BlockCache, BlockSource, ByteSource, LookupKey, ReadOptions, Run, Slice, TableFormat, TableReader,
    Trailer, Verify, WriteOptions,
};
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A table of `keys` with values of `value_len` bytes.
fn table(keys: u32, value_len: usize, format: BlockFormat, options: &WriteOptions) -> Vec<u8> {
    let out = Shared::default();
    let mut writer = format.writer(Box::new(out.clone()), options).unwrap();
    for i in 0..keys {
        let value: Vec<u8> = (0..value_len).map(|j| (i as usize * 31 + j) as u8).collect();
        writer.add(&key(i), Trailer::new(1 + u64::from(i), Kind::Put), &value).unwrap();
    }
    writer.finish(vec![("collector".into(), vec![9; 30])]).unwrap();
    std::mem::take(&mut *out.0.lock().unwrap())
}

fn key(i: u32) -> Vec<u8> {
    format!("key{i:07}").into_bytes()
}

/// A file read by position that counts what is read.
struct Counted {
    bytes: Vec<u8>,
    read: AtomicU64,
}

/// A mapped file that is read by position while the tables are larger than memory.
struct Switched {
    map: Slice,
    file: Counted,
    is_larger_than_memory: AtomicBool,
}

impl ByteSource for Switched {
    fn len(&self) -> u64 {
        self.map.len() as u64
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
        Ok(self.map.slice(offset as usize..offset as usize + len))
    }

    fn is_mapped(&self) -> bool {
        true
    }

    fn whole(&self) -> Option<Slice> {
        Some(self.map.clone())
    }

    fn by_position(&self) -> Option<&dyn ByteSource> {
        self.is_larger_than_memory.load(Ordering::Relaxed).then_some(&self.file)
    }
}

impl ByteSource for Counted {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
        self.read.fetch_add(len as u64, Ordering::Relaxed);
        Ok(Slice::copy_from(&self.bytes[offset as usize..][..len]))
    }

    fn is_mapped(&self) -> bool {
        false
    }
}

#[derive(Default)]
struct KeepAll(Mutex<HashMap<u64, Slice>>, AtomicU64);

impl BlockCache for KeepAll {
    fn get(&self, _table: u64, offset: u64) -> Option<Slice> {
        self.0.lock().unwrap().get(&offset).cloned()
    }

    fn wants_too(&self, _table: u64, _offset: u64) -> bool {
        self.1.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn insert(&self, _table: u64, offset: u64, block: Slice) {
        self.0.lock().unwrap().insert(offset, block);
    }
}

#[test]
fn a_value_out_of_a_map_is_not_copied() {
    let file = Slice::from(table(1000, 100, BlockFormat::new(), &WriteOptions::default()));
    let within = file.as_ptr() as usize..file.as_ptr() as usize + file.len();
    let reader = BlockFormat::new().open(BlockSource::from_memory(file)).unwrap();
    for i in 0..1000 {
        let found =
            reader.get(&LookupKey::new(&key(i), MAX_SEQNO), &ReadOptions::default()).unwrap().unwrap();
        assert!(within.contains(&(found.value.as_ptr() as usize)));
    }
}

#[test]
fn verification_finds_every_changed_byte() {
    let tiny = WriteOptions::default().with_block_size(256).with_index_block_size(200);
    for (format, options) in [
        (BlockFormat::new().with_hash_index(true), tiny.clone()),
        (BlockFormat::new(), tiny.clone().with_compression(Compression::Lz4)),
        (BlockFormat::new(), tiny.with_fit_pages(true)),
    ] {
        // A gap takes a page of blocks before it, and every byte of a table is too much there.
        let (keys, step) = if options.fit_pages { (300, 7) } else { (100, 1) };
        let file = table(keys, 10, format, &options);
        assert_eq!(in_pages(&file).1 > 0, options.fit_pages);
        let near_gap = if options.fit_pages { 3500..4200 } else { 0..0 };
        for at in (0..file.len()).step_by(step).chain(near_gap) {
            let mut bytes = file.clone();
            bytes[at] ^= 1 << (at % 8);
            if let Ok(reader) = format.open(BlockSource::from_memory(bytes)) {
                let error = reader.verify().expect_err("a changed byte was not found");
                assert!(error.is_corruption(), "byte {at}: {error}");
            }
        }
    }
}

#[test]
fn every_read_is_verified_if_asked() {
    // A source that changes under the reader: what a failing device does.
    struct Rotting {
        good: Slice,
        bad: Slice,
        rotten: AtomicBool,
    }
    impl ByteSource for Rotting {
        fn len(&self) -> u64 {
            self.good.len() as u64
        }
        fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
            let now = if self.rotten.load(Ordering::Relaxed) { &self.bad } else { &self.good };
            Ok(now.slice(offset as usize..offset as usize + len))
        }
        fn is_mapped(&self) -> bool {
            true
        }
    }
    let file = table(50, 100, BlockFormat::new(), &WriteOptions::default());
    let mut bad = file.clone();
    bad[..4000].fill(0xee);
    let source = Arc::new(Rotting { good: file.into(), bad: bad.into(), rotten: false.into() });
    let reader = BlockFormat::new().open(BlockSource::new(source.clone())).unwrap();
    let first_key = key(0);
    let (lookup, options) =
        (LookupKey::new(&first_key, MAX_SEQNO), ReadOptions::default().with_verify(Verify::Always));
    assert!(reader.get(&lookup, &options).unwrap().is_some());
    source.rotten.store(true, Ordering::Relaxed);
    assert!(reader.get(&lookup, &options).unwrap_err().is_corruption());
}

#[test]
fn large_values_have_a_block_to_themselves_and_versions_stay_together() {
    let out = Shared::default();
    let options = WriteOptions::default().with_block_size(1000);
    let mut writer = BlockFormat::new().writer(Box::new(out.clone()), &options).unwrap();
    writer.add(b"a", Trailer::new(1, Kind::Put), b"small").unwrap();
    writer.add(b"b", Trailer::new(1, Kind::Put), &[1; 5000]).unwrap();
    writer.add(b"c", Trailer::new(1, Kind::Put), b"small").unwrap();
    assert_eq!(writer.finish(Vec::new()).unwrap().properties.data_blocks, 3);

    let mut writer = BlockFormat::new().writer(Box::new(out), &options).unwrap();
    writer.add(b"a", Trailer::new(1, Kind::Put), &[0; 990]).unwrap();
    for seqno in (1..=20).rev() {
        writer.add(b"k", Trailer::new(seqno, Kind::Put), &[0; 100]).unwrap();
    }
    assert_eq!(writer.finish(Vec::new()).unwrap().properties.data_blocks, 2, "twenty versions are one block");
}

/// Where the table's data blocks begin and end; no user key has entries in two of them.
fn blocks(file: &[u8]) -> Vec<(u64, u64)> {
    let reader = BlockFormat::new().open(BlockSource::from_memory(file)).unwrap();
    let (mut cursor, mut run) = (reader.clone().cursor(&ReadOptions::default()), esker_table::Run::new());
    let mut found = Vec::new();
    cursor.first(&mut run, usize::MAX).unwrap();
    while !run.is_empty() {
        // A run ends with its block at the latest, but may begin within one.
        if let Some(raw) = reader.raw_block_at(run.key(0), run.trailer(0)).unwrap() {
            let start = reader.estimated_offset(&raw.first_key);
            found.push((start, start + raw.stored.len() as u64));
        }
        cursor.next(&mut run, usize::MAX).unwrap();
    }
    assert_eq!(found.len() as u64, reader.properties().data_blocks);
    found
}

/// Of a thousand blocks, how many lie across a boundary between pages; and how many bytes lie between blocks.
fn in_pages(file: &[u8]) -> (usize, u64) {
    let blocks = blocks(file);
    let across = blocks.iter().filter(|(start, end)| start / 4096 != (end - 1) / 4096).count();
    (across * 1000 / blocks.len(), blocks.windows(2).map(|pair| pair[1].0 - pair[0].1).sum())
}

/// Values of which half compresses.
struct Values(u64);

impl Values {
    fn next(&mut self, len: usize) -> Vec<u8> {
        let mut value = vec![0; len];
        for byte in &mut value[len / 2..] {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.0 >> 56) as u8;
        }
        value
    }
}

/// A table of 20,000 entries whose values have these lengths by turns.
fn table_of(lengths: &[usize], options: &WriteOptions) -> Vec<u8> {
    let out = Shared::default();
    let mut writer = BlockFormat::new().writer(Box::new(out.clone()), options).unwrap();
    let mut values = Values(1);
    for i in 0..20_000 {
        let value = values.next(lengths[i as usize % lengths.len()]);
        writer.add(&key(i), Trailer::new(1, Kind::Put), &value).unwrap();
    }
    writer.finish(Vec::new()).unwrap();
    std::mem::take(&mut *out.0.lock().unwrap())
}

#[test]
fn blocks_lie_within_pages_if_that_is_wanted() {
    let lz4 = WriteOptions::default().with_compression(Compression::Lz4);
    let in_pages_of = |lengths: &[usize], options: &WriteOptions| {
        let file = table_of(lengths, options);
        BlockFormat::new().open(BlockSource::from_memory(&file[..])).unwrap().verify().unwrap();
        let (across, gaps) = in_pages(&file);
        (across, gaps * 1000 / file.len() as u64)
    };
    let (across, gaps) = in_pages_of(&[100], &lz4);
    assert!(across > 300 && gaps == 0, "{across} across, {gaps} in gaps");
    for (lengths, options, most) in [
        (&[100][..], lz4.clone(), 20),
        (&[100], lz4.clone().with_compression(Compression::None), 20),
        (&[20, 300, 0, 70], lz4.clone(), 50),
        // A value that is larger than a block has one of its own, and disturbs the plan for the others.
        (&[[100; 400].as_slice(), &[9000]].concat(), lz4.clone(), 180),
    ] {
        let (across, gaps) = in_pages_of(lengths, &options.with_fit_pages(true));
        assert!(across < most && gaps < 60, "{} lengths: {across} across, {gaps} in gaps", lengths.len());
    }
}

/// Blocks that lie within a page where they come from may not where they are copied to.
#[test]
fn what_is_copied_lies_within_pages() {
    let lz4 = WriteOptions::default().with_compression(Compression::Lz4);
    let fit_pages = lz4.clone().with_fit_pages(true);
    for (from, least_copied) in [(lz4, 100), (fit_pages.clone(), 600)] {
        let source = table_of(&[100], &from);
        let reader = BlockFormat::new().open(BlockSource::from_memory(&source[..])).unwrap();
        let out = Shared::default();
        let mut writer = BlockFormat::new().writer(Box::new(out.clone()), &fit_pages).unwrap();
        let (mut values, mut copied, mut i) = (Values(1), 0, 0);
        while i < 20_000 {
            let value = values.next(100);
            let trailer = Trailer::new(1, Kind::Put);
            // The first entry is not copied, so that nothing lies where it did.
            let raw = reader.raw_block_at(&key(i), trailer).unwrap().filter(|_| i > 0);
            match raw.filter(|raw| writer.add_raw_block(raw).unwrap()) {
                Some(raw) => {
                    (1..raw.counts.entries).for_each(|_| drop(values.next(100)));
                    (i, copied) = (i + raw.counts.entries as u32, copied + 1);
                }
                None => {
                    writer.add(&key(i), trailer, &value).unwrap();
                    i += 1;
                }
            }
        }
        writer.finish(Vec::new()).unwrap();
        let file = std::mem::take(&mut *out.0.lock().unwrap());
        let reader = BlockFormat::new().open(BlockSource::from_memory(&file[..])).unwrap();
        reader.verify().unwrap();
        assert_eq!(reader.properties().entries, 20_000);
        assert!(copied >= least_copied, "{copied} blocks were copied");
        let most = blocks(&source).len() * 5 / 4;
        assert!(blocks(&file).len() <= most, "{} blocks", blocks(&file).len());
        let (across, _) = in_pages(&file);
        assert!(across < 50, "{across} across");
    }
}

#[test]
fn the_end_of_a_long_common_prefix_makes_no_large_block() {
    for block_size in [4096, 64 << 10] {
        let out = Shared::default();
        let options = WriteOptions::default().with_block_size(block_size);
        let mut writer = BlockFormat::new().writer(Box::new(out.clone()), &options).unwrap();
        for group in 0..4 {
            // Without the last of its keys a group would take a few KiB.
            for i in 0..300 {
                let key = format!("{group}{}{i:05}", "p".repeat(2000));
                writer.add(key.as_bytes(), Trailer::new(1, Kind::Put), b"v").unwrap();
            }
            writer.add(format!("{group}q").as_bytes(), Trailer::new(1, Kind::Put), b"v").unwrap();
        }
        writer.finish(Vec::new()).unwrap();
        let file = std::mem::take(&mut *out.0.lock().unwrap());
        let lengths: Vec<usize> = blocks(&file).iter().map(|(start, end)| (end - start) as usize).collect();
        let longest = lengths.iter().max().unwrap();
        assert!(*longest <= block_size * 3, "a block of {longest} bytes where {block_size} were wanted");
        assert!(lengths.len() < 40, "{} blocks for so little", lengths.len());
    }
}

#[test]
fn a_block_holds_no_more_of_its_keys_than_a_reader_can_bear() {
    let out = Shared::default();
    let options = WriteOptions::default().with_block_size(1 << 20).with_filter_bits(0);
    let mut writer = BlockFormat::new().writer(Box::new(out.clone()), &options).unwrap();
    for i in 0..1500 {
        let key = format!("{}{i:05}", "p".repeat(2000));
        writer.add(key.as_bytes(), Trailer::new(1, Kind::Put), b"").unwrap();
    }
    let blocks = writer.finish(Vec::new()).unwrap().properties.data_blocks;
    assert_eq!(blocks, 3, "3 MB of keys, of which each block holds 1 MiB");
}

#[test]
fn positioned_reads_hold_little_and_read_little() {
    let file = table(200_000, 20, BlockFormat::new(), &WriteOptions::default());
    let source = Arc::new(Counted { bytes: file, read: AtomicU64::new(0) });
    let cache = Arc::new(KeepAll::default());
    let reader = BlockFormat::new().open(BlockSource::with_cache(source.clone(), cache, 1)).unwrap();
    assert!(reader.heap_bytes() < 16 << 10, "a reader holds {} bytes", reader.heap_bytes());
    let opened = source.read.swap(0, Ordering::Relaxed);
    assert!(opened <= 16 << 10, "opening reads {opened} bytes");
    let wanted = key(77_777);
    let lookup = LookupKey::new(&wanted, MAX_SEQNO);
    assert!(reader.get(&lookup, &ReadOptions::default()).unwrap().is_some());
    let first = source.read.swap(0, Ordering::Relaxed);
    assert!(
        first <= 3 * 4200,
        "a lookup reads a filter page, a partition and a block, but {first} bytes were read"
    );
    assert!(reader.get(&lookup, &ReadOptions::default()).unwrap().is_some());
    assert_eq!(source.read.load(Ordering::Relaxed), 0, "the second time everything is cached");
}

/// An open table over a file of which memory holds so much or so much less, and what its cache has.
struct Opened {
    source: Arc<Switched>,
    cache: Arc<KeepAll>,
    reader: Arc<dyn TableReader>,
}

impl Opened {
    fn new(file: Vec<u8>, format: BlockFormat) -> Opened {
        let source = Arc::new(Switched {
            map: Slice::copy_from(&file),
            file: Counted { bytes: file, read: AtomicU64::new(0) },
            is_larger_than_memory: AtomicBool::new(true),
        });
        let cache = Arc::new(KeepAll::default());
        let reader = format.open(BlockSource::with_cache(source.clone(), cache.clone(), 1)).unwrap();
        Opened { source, cache, reader }
    }

    fn value(&self, key: &[u8]) -> Slice {
        let lookup = LookupKey::new(key, MAX_SEQNO);
        self.reader.get(&lookup, &ReadOptions::default()).unwrap().unwrap().value
    }

    fn scanned(&self, key: &[u8]) -> Slice {
        let mut run = Run::new();
        let mut cursor = self.reader.clone().cursor(&ReadOptions::default());
        cursor.seek(key, Trailer::FIRST, &mut run, 1).unwrap();
        assert_eq!(run.key(0), key);
        run.value_slice(0)
    }

    /// Blocks that the cache has: all, and those as they are stored.
    fn kept(&self) -> (usize, usize) {
        let cache = self.cache.0.lock().unwrap();
        (cache.len(), cache.values().filter(|block| stored::check(block, 0).is_ok()).count())
    }
}

#[test]
fn where_memory_is_small_compressed_blocks_are_kept_as_they_are_stored() {
    let plain = WriteOptions::default().with_compression(Compression::None);
    let lz4 = WriteOptions::default().with_compression(Compression::Lz4);
    for (options, stored) in [(lz4, 2), (plain, 0)] {
        let opened = Opened::new(table(20_000, 100, BlockFormat::new(), &options), BlockFormat::new());
        let larger = |yes| opened.source.is_larger_than_memory.store(yes, Ordering::Relaxed);
        let (found, seen) = (opened.value(&key(7_777)), opened.scanned(&key(12_345)));
        assert!(found.len() == 100 && seen.len() == 100);
        assert_eq!(opened.kept(), (2, stored));
        assert_eq!(opened.cache.1.load(Ordering::Relaxed), 2, "what the system holds too is offered as that");
        let read = opened.source.file.read.load(Ordering::Relaxed);
        assert!(read > 0);
        for _ in 0..2 {
            assert_eq!(
                [opened.value(&key(7_777)), opened.scanned(&key(7_777))],
                [found.clone(), found.clone()]
            );
            assert_eq!(
                [opened.value(&key(12_345)), opened.scanned(&key(12_345))],
                [seen.clone(), seen.clone()]
            );
            assert_eq!(opened.source.file.read.load(Ordering::Relaxed), read, "everything is cached");
            // With room for the tables, bodies take the place of what is stored.
            larger(false);
        }
        assert_eq!(opened.kept(), (2, 0));
        larger(true);
        assert_eq!([opened.value(&key(7_777)), opened.scanned(&key(12_345))], [found, seen]);
        assert_eq!((opened.kept(), opened.source.file.read.load(Ordering::Relaxed)), ((2, 0), read));
    }
}

#[test]
fn a_newer_version_or_feature_is_refused_in_words() {
    let file = table(10, 10, BlockFormat::new(), &WriteOptions::default());
    let refused = |change: &dyn Fn(&mut esker_table::footer::Footer)| {
        let mut footer = esker_table::footer::Footer::decode(&file, file.len() as u64).unwrap();
        change(&mut footer);
        let bytes = [&file[..file.len() - 64], &footer.encode()[..]].concat();
        match BlockFormat::new().open(BlockSource::from_memory(bytes)) {
            Err(error) => error.to_string(),
            Ok(reader) => format!("opened, read-only: {}", reader.properties().read_only),
        }
    };
    let newer = refused(&|footer| footer.version = 2);
    assert!(
        newer.starts_with("unsupported: version 2") && newer.ends_with("open it with a newer Esker"),
        "{newer}"
    );
    assert!(refused(&|footer| footer.features.incompatible |= 1 << 31).starts_with("unsupported"));
    assert_eq!(refused(&|footer| footer.features.read_only_compatible = 4), "opened, read-only: true");
    assert_eq!(refused(&|footer| footer.features.compatible = 4), "opened, read-only: false");
}

#[test]
fn a_delete_has_no_value() {
    let options = WriteOptions::default();
    let mut writer = BlockFormat::new().writer(Box::new(Shared::default()), &options).unwrap();
    let refused = writer.add(b"k", Trailer::new(2, Kind::Delete), b"v").unwrap_err();
    assert!(matches!(refused, esker_table::TableError::Invalid { .. }), "{refused}");
    writer.add(b"k", Trailer::new(2, Kind::Delete), b"").unwrap();
    assert_eq!(writer.finish(Vec::new()).unwrap().properties.entries, 1);
}

#[test]
fn the_concrete_type_reads_as_the_format_does() {
    let file = table(100, 10, BlockFormat::new(), &WriteOptions::default());
    let reader = BlockFormat::new().open_table(BlockSource::from_memory(file)).unwrap();
    assert_eq!(reader.properties().entries, 100);
}

/// A table with one data block, and that block's body.
fn one_block(format: BlockFormat) -> Vec<u8> {
    let file = table(40, 9, format, &WriteOptions::default());
    let reader = format.open(BlockSource::from_memory(file)).unwrap();
    let raw = reader.raw_block_at(&key(0), Trailer::FIRST).unwrap().unwrap();
    raw.stored[..raw.stored.len() - 5].to_vec()
}

#[test]
fn a_malformed_block_is_an_error_and_never_a_panic() {
    for format in [BlockFormat::new(), BlockFormat::new().with_hash_index(true)] {
        let body = one_block(format);
        let mut entries = 0;
        esker_format_block::decode_block(&body, |_, _, value| entries += value.len() / 9).unwrap();
        assert_eq!(entries, 40);
        for len in 0..body.len() {
            assert!(esker_format_block::decode_block(&body[..len], |_, _, _| {}).is_err());
        }
        // Without the checksum's protection a changed byte may well be another valid block; it must be one or an error.
        for at in 0..body.len() {
            for value in [0, 1, 0x7f, 0x80, 0xfe, 0xff] {
                let mut bad = body.clone();
                bad[at] = value;
                let _ = esker_format_block::decode_block(&bad, |key, _, value| {
                    assert!(key.len() + value.len() <= bad.len());
                });
            }
        }
    }
}

#[test]
fn a_malformed_block_behind_a_right_checksum_is_an_error_and_never_a_panic() {
    let options = WriteOptions::default().with_block_size(300).with_index_block_size(200);
    for hash_index in [false, true] {
        let format = BlockFormat::new().with_hash_index(hash_index);
        let file = table(60, 5, format, &options);
        let first = format.open(BlockSource::from_memory(file.clone())).unwrap();
        let len = first.raw_block_at(&key(0), Trailer::FIRST).unwrap().unwrap().stored.len();
        for at in 0..len - 4 {
            for value in [0, 1, 0x80, 0xff] {
                let mut bytes = file.clone();
                bytes[at] = value;
                let crc = esker_table::codec::checksum::crc32c(&bytes[..len - 4]);
                bytes[len - 4..len].copy_from_slice(&crc.to_le_bytes());
                read_all(format, bytes);
            }
        }
    }
}

/// Reads whatever can be read; only panics matter.
fn read_all(format: BlockFormat, bytes: Vec<u8>) {
    let Ok(reader) = format.open(BlockSource::from_memory(bytes)) else { return };
    let options = ReadOptions::default();
    let mut cursor = reader.clone().cursor(&options);
    let mut run = esker_table::Run::new();
    let mut step = cursor.first(&mut run, 7);
    while step.is_ok() && !run.is_empty() {
        step = cursor.next(&mut run, 7);
    }
    let mut step = cursor.last(&mut run, 7);
    while step.is_ok() && !run.is_empty() {
        step = cursor.prev(&mut run, 7);
    }
    for i in 0..60 {
        let _ = reader.get(&LookupKey::new(&key(i), MAX_SEQNO), &options);
        let _ = cursor.seek(&key(i), Trailer::FIRST, &mut run, 3);
        let _ = cursor.seek_before(&key(i), Trailer::FIRST, &mut run, 3);
    }
    let _ = reader.verify();
    let _ = reader.raw_block_at(&key(0), Trailer::FIRST);
}
