//! A second reader, written from FORMAT.md alone and sharing no code with the crate: it decodes whole tables and must find
//! the entries that were written. Where this file and the crate disagree, one of them breaks the specification.

#![allow(clippy::unwrap_used, reason = "what cannot go on has failed")]

use esker_format_block::BlockFormat;
use esker_table::key::Kind;
use esker_table::{RangeTombstone, TableFormat, Trailer, WriteOptions};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

type Entry = (Vec<u8>, u64, Vec<u8>);

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

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return number;
        }
    }
}

fn string<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let len = varint(bytes) as usize;
    let (string, rest) = bytes.split_at(len);
    *bytes = rest;
    string
}

/// CRC32C bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

fn body(file: &[u8], offset: u64, len: u64) -> &[u8] {
    let stored = &file[offset as usize..][..len as usize];
    let (framed, crc) = stored.split_at(stored.len() - 4);
    assert_eq!(number(crc) as u32, crc32c(framed));
    let (&compression, payload) = framed.split_last().unwrap();
    assert_eq!(compression, 0, "this reader does not decompress");
    payload
}

/// One column after another off the front of a body.
fn column<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (column, after) = rest.split_at(len);
    *rest = after;
    column
}

fn piece<'a>(all: &'a [u8], ends: &[u8], width: usize, size: usize, i: usize) -> &'a [u8] {
    if width == 0 {
        return &all[i * size..(i + 1) * size];
    }
    let end = |i: usize| number(&ends[i * width..(i + 1) * width]) as usize;
    &all[if i == 0 { 0 } else { end(i - 1) }..end(i)]
}

fn block(body: &[u8]) -> Vec<Entry> {
    let n = number(&body[0..4]) as usize;
    let prefix_len = number(&body[4..6]) as usize;
    let (flags, head_len, base) = (body[6], body[7], number(&body[8..16]));
    let (trailer_width, shift) = (body[16] as usize, body[17]);
    let (tail_width, value_width) = (body[18] as usize, body[19] as usize);
    let (tail_size, value_size) = (number(&body[20..24]) as usize, number(&body[24..28]) as usize);
    let buckets = number(&body[28..30]) as usize;
    let mut rest = &body[32..];
    let heads = column(&mut rest, n * 8);
    let trailers = column(&mut rest, n * trailer_width);
    let head_lens = column(&mut rest, if head_len == 255 { n } else { 0 });
    let tail_ends = column(&mut rest, n * tail_width);
    let shared = column(&mut rest, if flags & 1 == 1 { n } else { 0 });
    let value_ends = column(&mut rest, n * value_width);
    column(&mut rest, buckets);
    let prefix = column(&mut rest, prefix_len);
    let tails = column(&mut rest, if tail_width == 0 { n * tail_size } else { tail_size });
    let values = column(&mut rest, if value_width == 0 { n * value_size } else { value_size });
    assert!(rest.is_empty());
    let stored_tail = |i| piece(tails, tail_ends, tail_width, tail_size, i);
    (0..n)
        .map(|i| {
            let head_len = if head_len == 255 { head_lens[i] } else { head_len };
            let mut key = [prefix, &heads[i * 8..][..head_len as usize]].concat();
            if !shared.is_empty() {
                key.extend_from_slice(&stored_tail(i - i % 16)[..shared[i] as usize]);
            }
            key.extend_from_slice(stored_tail(i));
            let trailer = base + (number(&trailers[i * trailer_width..(i + 1) * trailer_width]) << shift);
            (key, trailer, piece(values, value_ends, value_width, value_size, i).to_vec())
        })
        .collect()
}

struct Section {
    offset: u64,
    len: u64,
    extra: u64,
}

struct Parsed {
    entries: Vec<Entry>,
    blocks: usize,
    gaps: usize,
    levels: u64,
    filter: Vec<u8>,
    filter_extra: u64,
    tombstones: Vec<RangeTombstone>,
    properties: Vec<(u64, Vec<u8>)>,
}

fn parse(file: &[u8]) -> Parsed {
    let footer = &file[file.len() - 64..];
    assert_eq!(&footer[56..], b"ESKERTBL");
    assert_eq!((number(&footer[0..4]), number(&footer[4..8])), (1, 1));
    assert_eq!(number(&footer[52..56]) as u32, crc32c(&footer[..52]));
    let (at, len) = (number(&footer[20..28]), number(&footer[28..32]));
    assert_eq!(at + len, file.len() as u64 - 64);
    let table = body(file, at, len);
    let section = |kind: u64| {
        let record = table.chunks(32).find(|record| number(&record[..4]) == kind)?;
        let (offset, len, extra) = (number(&record[8..16]), number(&record[16..24]), number(&record[24..]));
        Some(Section { offset, len, extra })
    };
    let mut parsed = Parsed {
        entries: Vec::new(),
        blocks: 0,
        gaps: 0,
        levels: 0,
        filter: Vec::new(),
        filter_extra: 0,
        tombstones: Vec::new(),
        properties: Vec::new(),
    };
    if let Some(root) = section(5) {
        let mut handles = block(body(file, root.offset, root.len));
        parsed.levels = root.extra;
        if root.extra == 2 {
            assert_eq!(section(2).unwrap().extra, handles.len() as u64);
            let below = |(_, _, handle): &Entry| body(file, number(&handle[..8]), number(&handle[8..12]));
            handles = handles.iter().flat_map(|entry| block(below(entry))).collect();
        }
        let data = section(1).unwrap();
        assert_eq!(data.extra, handles.len() as u64);
        parsed.blocks = handles.len();
        let mut end = data.offset;
        for (ordinal, (separator, trailer, handle)) in handles.iter().enumerate() {
            let offset = number(&handle[..8]);
            if offset != end {
                assert!(offset.is_multiple_of(4096) && offset > end && (4..=512).contains(&(offset - end)));
                assert!(file[end as usize..offset as usize].iter().all(|&byte| byte == 0));
                parsed.gaps += 1;
                end = offset;
            }
            assert_eq!(number(&handle[12..]), ordinal as u64);
            let entries = block(body(file, end, number(&handle[8..12])));
            end += number(&handle[8..12]);
            let above = |a: (&[u8], u64), b: (&[u8], u64)| a.0 > b.0 || (a.0 == b.0 && a.1 < b.1);
            let first = (entries[0].0.as_slice(), entries[0].1);
            assert!(!above((separator, *trailer), first));
            if let Some(last) = parsed.entries.last() {
                assert!(above((separator, *trailer), (&last.0, last.1)));
            }
            parsed.entries.extend(entries);
        }
        assert_eq!(end, data.offset + data.len);
    }
    if let Some(filter) = section(3) {
        assert_eq!(filter.offset % 64, 0);
        parsed.filter = file[filter.offset as usize..][..filter.len as usize].to_vec();
        parsed.filter_extra = filter.extra;
    }
    if let Some(section) = section(4) {
        let mut rest = body(file, section.offset, section.len);
        while !rest.is_empty() {
            let (start, end) = (string(&mut rest).to_vec(), string(&mut rest).to_vec());
            for _ in 0..varint(&mut rest) {
                let seqno = varint(&mut rest);
                parsed.tombstones.push(RangeTombstone { start: start.clone(), end: end.clone(), seqno });
            }
        }
    }
    let properties = section(6).unwrap();
    let mut rest = body(file, properties.offset, properties.len);
    while !rest.is_empty() {
        parsed.properties.push((varint(&mut rest), string(&mut rest).to_vec()));
    }
    parsed
}

fn may_contain(parsed: &Parsed, user_key: &[u8]) -> bool {
    let h = esker_table::key::filter_hash(user_key);
    let (lines, probes) = (parsed.filter_extra & 0xffff_ffff, parsed.filter_extra >> 32);
    let line = (((h >> 32) * lines) >> 32) as usize;
    let page = &parsed.filter[line / 63 * 4096..];
    let in_page = (lines as usize - line / 63 * 63).min(63);
    assert_eq!(number(&page[in_page * 64..][..4]) as u32, crc32c(&page[..in_page * 64]));
    let line = &page[line % 63 * 64..][..64];
    let mut x = h as u32;
    (0..probes).all(|_| {
        let bit = (x >> 23) as usize;
        x = x.wrapping_mul(0x9e37_79b9);
        line[bit / 8] >> (bit % 8) & 1 == 1
    })
}

fn write(
    entries: &[Entry],
    tombstones: &[RangeTombstone],
    format: BlockFormat,
    options: &WriteOptions,
) -> Vec<u8> {
    let out = Shared::default();
    let mut writer = format.writer(Box::new(out.clone()), options).unwrap();
    for (key, trailer, value) in entries {
        writer.add(key, Trailer(*trailer), value).unwrap();
    }
    for tombstone in tombstones {
        writer.add_range_tombstone(tombstone).unwrap();
    }
    writer.finish(vec![("name".into(), b"left".to_vec())]).unwrap();
    std::mem::take(&mut *out.0.lock().unwrap())
}

/// Keys of several shapes, each with a few versions.
fn entries() -> Vec<Entry> {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    for i in 0..400u32 {
        keys.push(format!("user{i:06}").into_bytes());
        keys.push(
            format!("{}/{:04}/{}", "a long common part of many keys".repeat(2), i / 20, i).into_bytes(),
        );
        keys.push(vec![0; i as usize % 17]);
        keys.push(i.wrapping_mul(2_654_435_761).to_be_bytes().to_vec());
    }
    keys.sort();
    keys.dedup();
    let mut entries = Vec::new();
    for (i, key) in keys.into_iter().enumerate() {
        for version in (0..=i as u64 % 3).rev() {
            let kind = if (i as u64 + version).is_multiple_of(5) { Kind::Delete } else { Kind::Put };
            let value = if kind == Kind::Put { vec![i as u8; i % 50] } else { Vec::new() };
            entries.push((key.clone(), Trailer::new(7 * i as u64 + version, kind).0, value));
        }
    }
    entries
}

#[test]
fn a_reader_written_from_the_specification_finds_everything() {
    let entries = entries();
    let t = |start: &str, end: &str, seqno| RangeTombstone { start: start.into(), end: end.into(), seqno };
    let tombstones = [t("a", "b", 900), t("a", "b", 2), t("x", "y", 5)];
    let in_pages = WriteOptions::default().with_fit_pages(true);
    for (format, options, levels) in [
        (BlockFormat::new(), WriteOptions::default(), 1),
        (BlockFormat::new(), in_pages, 1),
        (BlockFormat::new().with_hash_index(true), WriteOptions::default().with_block_size(512), 2),
        (BlockFormat::new(), WriteOptions::default().with_block_size(200).with_index_block_size(300), 2),
    ] {
        let parsed = parse(&write(&entries, &tombstones, format, &options));
        assert_eq!(parsed.levels, levels);
        assert!(parsed.blocks > 3);
        assert_eq!(parsed.gaps > 3, options.fit_pages, "{} gaps", parsed.gaps);
        assert!(parsed.entries == entries);
        assert_eq!(parsed.tombstones, tombstones);
        assert!(entries.iter().all(|(key, ..)| may_contain(&parsed, key)));
        let denied =
            (0..1000u32).filter(|i| !may_contain(&parsed, &[b"no", &i.to_be_bytes()[..]].concat())).count();
        assert!(denied > 900, "{denied} of 1000 absent keys are denied");
        let property = |tag| parsed.properties.iter().find(|(t, _)| *t == tag).unwrap().1.as_slice();
        assert_eq!(varint(&mut property(1)), entries.len() as u64);
        assert_eq!(varint(&mut property(4)), 3);
        assert_eq!(varint(&mut property(10)), parsed.blocks as u64);
        assert_eq!(property(12), entries.last().unwrap().0);
        assert_eq!(property(20), b"\x04nameleft");
    }
}

/// Known bytes: a change of the layout that both readers would follow shows here.
#[test]
fn a_small_table_has_these_bytes() {
    let entries = [
        (b"key1".to_vec(), Trailer::new(2, Kind::Put).0, b"one".to_vec()),
        (b"key1\0".to_vec(), Trailer::new(3, Kind::Put).0, b"two".to_vec()),
        (b"key2".to_vec(), Trailer::new(1, Kind::Put).0, b"six".to_vec()),
    ];
    let file = write(&entries, &[], BlockFormat::new(), &WriteOptions::default().with_filter_bits(0));
    let mut expected = Vec::new();
    expected.extend_from_slice(&[3, 0, 0, 0, 3, 0, 0, 255]);
    expected.extend_from_slice(&(1u64 << 8 | 1).to_le_bytes());
    expected.extend_from_slice(&[1, 8, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend_from_slice(b"1\0\0\0\0\0\0\x001\0\0\0\0\0\0\x002\0\0\0\0\0\0\0");
    expected.extend_from_slice(&[1, 2, 0, 1, 2, 1]);
    expected.extend_from_slice(b"keyonetwosix");
    expected.push(0);
    let crc = crc32c(&expected);
    expected.extend_from_slice(&crc.to_le_bytes());
    assert_eq!(file[..expected.len()], expected);
    // Data block 79, root 65, properties 61, section table 101, footer 64.
    assert_eq!(file.len(), 370);
}
