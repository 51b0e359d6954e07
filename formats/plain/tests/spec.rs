//! A second reader, written from FORMAT.md alone and sharing no code with the crate: it decodes whole tables and must find
//! the entries that were written, by walking the data, by the hash index and by the ordered index. Where this file and the crate
//! disagree, one of them breaks the specification.

#![allow(clippy::unwrap_used, reason = "what cannot go on has failed")]

use esker_format_plain::PlainFormat;
use esker_table::key::Kind;
use esker_table::{RangeTombstone, TableFormat, Trailer, WriteOptions};
use std::collections::HashSet;
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

/// What orders entries: the user key ascending, then the trailer descending.
fn rank(key: &[u8], trailer: u64) -> (&[u8], u64) {
    (key, !trailer)
}

fn body(file: &[u8], offset: u64, len: u64) -> &[u8] {
    let stored = &file[offset as usize..][..len as usize];
    let (framed, crc) = stored.split_at(stored.len() - 4);
    assert_eq!(number(crc) as u32, crc32c(framed));
    let (&compression, body) = framed.split_last().unwrap();
    assert_eq!(compression, 0);
    body
}

/// All lines of a section, out of their pages.
fn lines(file: &[u8], section: &Section, count: u64) -> Vec<[u8; 64]> {
    assert!(count > 0);
    assert_eq!(section.len, 64 * (count + count.div_ceil(63)));
    assert_eq!(section.offset % if section.len >= 65_536 { 4096 } else { 64 }, 0);
    let mut lines: Vec<[u8; 64]> = Vec::new();
    let mut at = section.offset as usize;
    while lines.len() < count as usize {
        let len = 64 * (count as usize - lines.len()).min(63);
        let page = &file[at..at + len];
        assert_eq!(number(&file[at + len..][..4]) as u32, crc32c(page));
        assert_eq!(file[at + len + 4..][..60], [0; 60]);
        lines.extend(page.chunks(64).map(|line| <[u8; 64]>::try_from(line).unwrap()));
        at += 4096;
    }
    lines
}

#[derive(Clone, Copy)]
struct Section {
    offset: u64,
    len: u64,
    extra: u64,
}

#[derive(Default)]
struct Parsed {
    data: Vec<u8>,
    /// What the walk through the data finds, with the place of each.
    entries: Vec<(usize, Entry)>,
    hash: Option<Vec<[u8; 64]>>,
    index: Vec<[u8; 64]>,
    groups: usize,
    prefix: Vec<u8>,
    tombstones: Vec<RangeTombstone>,
    properties: Vec<(u64, Vec<u8>)>,
}

fn parse(file: &[u8]) -> Parsed {
    let footer = &file[file.len() - 64..];
    assert_eq!(&footer[56..], b"ESKERTBL");
    assert_eq!((number(&footer[0..4]), number(&footer[4..8])), (2, 1));
    assert_eq!(footer[8..20], [0; 12]);
    assert_eq!(footer[32..52], [0; 20]);
    assert_eq!(number(&footer[52..56]) as u32, crc32c(&footer[..52]));
    let (at, len) = (number(&footer[20..28]), number(&footer[28..32]));
    assert_eq!(at + len, file.len() as u64 - 64);
    let table = body(file, at, len);
    let section = |kind: u64| {
        let record = table.chunks(32).find(|record| number(&record[..4]) == kind)?;
        let (offset, len, extra) = (number(&record[8..16]), number(&record[16..24]), number(&record[24..]));
        Some(Section { offset, len, extra })
    };
    check_gaps(file, table, at);

    let mut parsed = Parsed::default();
    assert_eq!(section(1).is_some(), section(2).is_some());
    assert_eq!(section(1).is_some(), section(4).is_some());
    if let Some(data) = section(1) {
        assert_eq!((data.offset, data.extra), (0, 0));
        parsed.data = file[..data.len as usize].to_vec();
        let sums = section(2).unwrap();
        let pages = parsed.data.chunks(4096);
        assert_eq!(sums.extra, pages.len().div_ceil(16) as u64);
        let sums = lines(file, &sums, sums.extra).concat();
        let mut words = sums.chunks(4);
        assert!(pages.zip(&mut words).all(|(page, word)| number(word) as u32 == crc32c(page)));
        assert!(words.all(|word| word == [0; 4]));
        parsed.entries = walk(&parsed.data);

        parsed.hash = section(3).map(|section| lines(file, &section, section.extra));
        let index = section(4).unwrap();
        parsed.groups = (index.extra & 0xffff_ffff) as usize;
        parsed.index = lines(file, &index, levels(parsed.groups).iter().sum::<usize>() as u64);
        parsed.prefix =
            section(5).map_or(Vec::new(), |section| body(file, section.offset, section.len).to_vec());
        assert_eq!(section(5).is_some(), index.extra >> 32 != 0);
        assert_eq!(parsed.prefix.len() as u64, index.extra >> 32);
    } else {
        assert!(section(3).is_none() && section(5).is_none());
    }
    if let Some(section) = section(6) {
        let mut rest = body(file, section.offset, section.len);
        while !rest.is_empty() {
            let (start, end) = (string(&mut rest).to_vec(), string(&mut rest).to_vec());
            for _ in 0..varint(&mut rest) {
                let seqno = varint(&mut rest);
                parsed.tombstones.push(RangeTombstone { start: start.clone(), end: end.clone(), seqno });
            }
        }
    }
    let properties = section(7).unwrap();
    let mut rest = body(file, properties.offset, properties.len);
    while !rest.is_empty() {
        parsed.properties.push((varint(&mut rest), string(&mut rest).to_vec()));
    }
    parsed
}

/// Sections lie one behind the other; between them are zeros only, and those only before lines.
fn check_gaps(file: &[u8], table: &[u8], table_at: u64) {
    let record = |record: &[u8]| {
        assert_eq!(record[4..8], [0; 4]);
        (number(&record[8..16]), number(&record[16..24]), number(&record[..4]))
    };
    let mut records: Vec<(u64, u64, u64)> = table.chunks(32).map(record).collect();
    assert!(records.is_sorted_by_key(|(.., kind)| *kind));
    records.sort_unstable();
    let mut end = 0;
    for (offset, len, kind) in records {
        assert!(offset - end < if (2..=4).contains(&kind) { 4096 } else { 1 });
        assert!(file[end as usize..offset as usize].iter().all(|&byte| byte == 0));
        end = offset + len;
    }
    assert_eq!(end, table_at);
}

/// The entry at `at`, and where the next begins.
fn entry_at(data: &[u8], at: usize) -> (Entry, usize) {
    assert_eq!(at % 4, 0);
    let mut rest = &data[at..];
    let (key_len, value_len) = (varint(&mut rest) as usize, varint(&mut rest) as usize);
    let (trailer, rest) = rest.split_at(8);
    let (key, rest) = rest.split_at(key_len);
    let (value, rest) = rest.split_at(value_len);
    let end = data.len() - rest.len();
    let next = end.next_multiple_of(4);
    assert!(data[end..next].iter().all(|&byte| byte == 0));
    ((key.to_vec(), number(trailer), value.to_vec()), next)
}

fn walk(data: &[u8]) -> Vec<(usize, Entry)> {
    let (mut entries, mut at) = (Vec::new(), 0);
    while at < data.len() {
        let (entry, next) = entry_at(data, at);
        entries.push((at, entry));
        at = next;
    }
    assert_eq!(at, data.len());
    entries
}

/// The newest entry of a user key by the hash index: the entry's place.
fn find(parsed: &Parsed, user_key: &[u8]) -> Option<usize> {
    let lines = parsed.hash.as_ref().unwrap();
    let h = esker_table::key::filter_hash(user_key);
    let mut at = (((h >> 32) * lines.len() as u64) >> 32) as usize;
    for _ in 0..lines.len() {
        let line = &lines[at];
        for place in 0..line[60] as usize {
            if number(&line[2 * place..][..2]) == h & 0xffff {
                let found = 4 * number(&line[20 + 4 * place..][..4]) as usize;
                if entry_at(&parsed.data, found).0.0 == user_key {
                    return Some(found);
                }
            }
        }
        if line[61] == 0 {
            return None;
        }
        at = (at + 1) % lines.len();
    }
    None
}

/// How many lines each level of the ordered index has, from the root.
fn levels(groups: usize) -> Vec<usize> {
    let mut levels = vec![groups.div_ceil(5)];
    while levels[0] > 1 {
        levels.insert(0, levels[0].div_ceil(9));
    }
    levels
}

fn head(key: &[u8]) -> u64 {
    (0..8).fold(0, |head, i| head << 8 | u64::from(key.get(i).copied().unwrap_or(0)))
}

/// The head of a group and the place of its first entry.
fn group(parsed: &Parsed, group: usize) -> (u64, usize) {
    assert!(group < parsed.groups);
    let leaves = parsed.groups.div_ceil(5);
    let leaf = &parsed.index[parsed.index.len() - leaves + group / 5];
    (number(&leaf[group % 5 * 8..][..8]), 4 * number(&leaf[40 + group % 5 * 4..][..4]) as usize)
}

/// The place of the first entry at or after the target by the ordered index; the length of the data if there is none.
fn seek(parsed: &Parsed, key: &[u8], trailer: u64) -> usize {
    let mut at = group(parsed, group_of(parsed, key, trailer)).1;
    while at < parsed.data.len() {
        let ((other, other_trailer, _), next) = entry_at(&parsed.data, at);
        if rank(&other, other_trailer) >= rank(key, trailer) {
            break;
        }
        at = next;
    }
    at
}

/// The last group that begins at or below the target, the first if none does.
fn group_of(parsed: &Parsed, key: &[u8], trailer: u64) -> usize {
    if !key.starts_with(&parsed.prefix) {
        let is_above = key > &parsed.prefix[..];
        return if is_above { parsed.groups - 1 } else { 0 };
    }
    let h = head(&key[parsed.prefix.len()..]);
    let below = |heads: &[u8]| heads.chunks(8).filter(|head| number(head) < h).count();
    let levels = levels(parsed.groups);
    let (mut n, mut start) = (0, 0);
    for pair in levels.windows(2) {
        n = (9 * n + below(&parsed.index[start + n])).min(pair[1] - 1);
        start += pair[0];
    }
    let first = (5 * n + below(&parsed.index[start + n][..40])).min(parsed.groups);
    let begins_at_or_below = |g: &usize| {
        let (head, place) = group(parsed, *g);
        let (first, first_trailer, _) = entry_at(&parsed.data, place).0;
        head == h && rank(&first, first_trailer) <= rank(key, trailer)
    };
    (first..parsed.groups).take_while(begins_at_or_below).last().unwrap_or(first.saturating_sub(1))
}

/// Everything in the indexes that a search does not show: what a writer has to choose, and what fills lines up.
fn check_writer(parsed: &Parsed) {
    let mut starts: Vec<usize> = Vec::new();
    let mut in_group = 0;
    for (at, _) in &parsed.entries {
        if starts.last().is_none_or(|start| in_group == GROUP_ENTRIES || at - start >= 1024) {
            starts.push(*at);
            in_group = 0;
        }
        in_group += 1;
    }
    assert_eq!(parsed.groups, starts.len());
    let keys = || parsed.entries.iter().map(|(_, (key, ..))| key);
    let common = |prefix: &[u8], key: &[u8]| prefix.iter().zip(key).take_while(|(a, b)| a == b).count();
    let prefix = keys().fold(parsed.entries[0].1.0.clone(), |mut prefix, key| {
        prefix.truncate(common(&prefix, key));
        prefix
    });
    assert_eq!(parsed.prefix, prefix);
    let mut heads: Vec<u64> = Vec::new();
    for (g, &start) in starts.iter().enumerate() {
        heads.push(head(&entry_at(&parsed.data, start).0.0[prefix.len()..]));
        assert_eq!(group(parsed, g), (heads[g], start));
    }

    let levels = levels(parsed.groups);
    let mut lines = parsed.index.iter();
    for (level, &count) in levels.iter().enumerate() {
        // So many groups lie under each child of a line.
        let under = 5 * 9usize.pow((levels.len() - level).saturating_sub(2) as u32);
        let is_leaf = level + 1 == levels.len();
        for n in 0..count {
            let line = lines.next().unwrap();
            let of = |group: usize| heads.get(group).copied().unwrap_or(u64::MAX);
            if is_leaf {
                assert!((0..5).all(|i| number(&line[8 * i..][..8]) == of(5 * n + i)));
                let beyond = (5 * n..5 * n + 5).filter(|&group| group >= parsed.groups).count();
                assert!(line[40 + 4 * (5 - beyond)..60].iter().all(|&byte| byte == 0xff));
                assert_eq!(line[60..], [0; 4]);
            } else {
                assert!((0..8).all(|i| number(&line[8 * i..][..8]) == of((9 * n + 1 + i) * under)));
            }
        }
    }
    assert!(lines.next().is_none());

    let Some(hash) = &parsed.hash else { return };
    let distinct: HashSet<&Vec<u8>> = keys().collect();
    assert_eq!(hash.len(), distinct.len().div_ceil(6));
    assert_eq!(hash.iter().map(|line| line[60] as usize).sum::<usize>(), distinct.len());
    for line in hash {
        let used = line[60] as usize;
        assert!(used <= 10 && line[61] <= u8::from(used == 10));
        assert!(line[2 * used..20].iter().chain(&line[20 + 4 * used..60]).all(|&byte| byte == 0));
        assert_eq!(line[62..], [0; 2]);
    }
}

/// Entries that make a group full.
const GROUP_ENTRIES: usize = 4;

fn write(entries: &[Entry], tombstones: &[RangeTombstone], options: &WriteOptions) -> Vec<u8> {
    let out = Shared::default();
    let mut writer = PlainFormat::new().writer(Box::new(out.clone()), options).unwrap();
    for (key, trailer, value) in entries {
        writer.add(key, Trailer(*trailer), value).unwrap();
    }
    for tombstone in tombstones {
        writer.add_range_tombstone(tombstone).unwrap();
    }
    writer.finish(vec![("name".into(), b"left".to_vec())]).unwrap();
    std::mem::take(&mut *out.0.lock().unwrap())
}

/// A few versions of each key, deletes among them, with values of many lengths, some of several pages.
fn versions(mut keys: Vec<Vec<u8>>) -> Vec<Entry> {
    keys.sort();
    keys.dedup();
    let mut entries = Vec::new();
    for (i, key) in keys.into_iter().enumerate() {
        // Here and there a key has more versions than make a group.
        let versions = if i % 97 == 5 { 30 } else { i as u64 % 3 + 1 };
        for version in (0..versions).rev() {
            let kind = if (i as u64 + version).is_multiple_of(5) { Kind::Delete } else { Kind::Put };
            let len = if i % 61 == 7 { 3000 + 41 * i % 9000 } else { i % 150 };
            let value = if kind == Kind::Put { vec![(i as u64 + version) as u8; len] } else { Vec::new() };
            entries.push((key.clone(), Trailer::new(40 * i as u64 + version, kind).0, value));
        }
    }
    entries
}

/// The entries of tables of many shapes.
fn tables() -> Vec<Vec<Entry>> {
    let put =
        |key: &[u8], seqno, value: &[u8]| (key.to_vec(), Trailer::new(seqno, Kind::Put).0, value.to_vec());
    let mut mixed: Vec<Vec<u8>> = vec![Vec::new(), vec![0xff; 9], vec![0xff; 8], vec![b'k'; 300]];
    let mut alike: Vec<Vec<u8>> = vec![b"users/of many keys".to_vec()];
    for i in 0..400u32 {
        mixed.push(format!("user{i:06}").into_bytes());
        mixed.push([&b"eight by"[..], &vec![0; i as usize % 40]].concat());
        mixed.push(i.wrapping_mul(2_654_435_761).to_be_bytes().to_vec());
        alike.push(format!("users/of many keys/{:03}/the same head/{i}", i / 100).into_bytes());
    }
    let many = (0..9000u32).map(|i| put(format!("key{:07}", 3 * i).as_bytes(), u64::from(i), b"value"));
    let long = (0..75u8).map(|i| put(&[b'l', i], u64::from(i), &vec![i; 60_000 + usize::from(i)]));
    vec![
        Vec::new(),
        vec![put(b"", 0, b"")],
        vec![put(b"the only key", 9, b"new"), put(b"the only key", 7, b"old")],
        vec![put(b"", 1, b""), put(b"\0", 2, b"zero"), put(b"\0\0", 1 << 55, b"zeros")],
        // A page of data exactly, and a unit more.
        vec![put(b"page", 1, &[b'v'; 4096 - 15])],
        vec![put(b"page", 1, &[b'v'; 4096 - 14])],
        (0..300).map(|i| put(b"one key", 1000 - i, b"of many versions")).collect(),
        (0..40).map(|i| put(format!("few{i:02}").as_bytes(), i, b"keys")).collect(),
        versions(mixed),
        versions(alike),
        // More lines than one page has, and sections that begin on a page of memory.
        many.collect(),
        // More checksums than one page of lines has.
        long.collect(),
    ]
}

fn tombstones() -> [RangeTombstone; 3] {
    let t = |start: &str, end: &str, seqno| RangeTombstone { start: start.into(), end: end.into(), seqno };
    [t("a", "b", 900), t("a", "b", 2), t("x", "y", 5)]
}

#[test]
fn a_reader_written_from_the_specification_finds_everything() {
    let mut seen = HashSet::new();
    for (i, entries) in tables().into_iter().enumerate() {
        for (filter_bits, tombstones) in [(10, &tombstones()[..]), (0, &[])] {
            let options = WriteOptions::default().with_filter_bits(filter_bits);
            let parsed = parse(&write(&entries, tombstones, &options));
            assert!(parsed.entries.iter().map(|(_, entry)| entry).eq(&entries), "table {i}");
            assert_eq!(parsed.tombstones, tombstones);
            assert_eq!(parsed.hash.is_some(), filter_bits > 0 && !entries.is_empty());
            check_properties(&parsed, &entries);
            if entries.is_empty() {
                continue;
            }
            seen.insert(levels(parsed.groups).len());
            check_writer(&parsed);
            check_order(&parsed);
            if filter_bits > 0 {
                check_hash(&parsed);
            }
        }
    }
    assert!((1..=4).all(|levels| seen.contains(&levels)), "indexes of {seen:?} levels");
}

fn check_properties(parsed: &Parsed, entries: &[Entry]) {
    assert!(parsed.properties.is_sorted_by_key(|(tag, _)| *tag));
    let property = |tag| parsed.properties.iter().find(|(t, _)| *t == tag).unwrap().1.as_slice();
    let count = |tag| varint(&mut property(tag));
    assert_eq!(count(1), entries.len() as u64);
    assert_eq!(count(2), entries.iter().filter(|(_, trailer, _)| trailer & 0xff == 0).count() as u64);
    assert_eq!(count(3), entries.iter().map(|(key, ..)| key).collect::<HashSet<_>>().len() as u64);
    assert_eq!(count(4), parsed.tombstones.len() as u64);
    assert_eq!(count(5), entries.iter().map(|(key, ..)| key.len() as u64).sum());
    assert_eq!(count(6), entries.iter().map(|(.., value)| value.len() as u64).sum());
    let seqnos = || {
        let of_tombstones = parsed.tombstones.iter().map(|tombstone| tombstone.seqno);
        entries.iter().map(|(_, trailer, _)| trailer >> 8).chain(of_tombstones)
    };
    assert_eq!((count(7), count(8)), (seqnos().min().unwrap_or(0), seqnos().max().unwrap_or(0)));
    assert_eq!(count(9), parsed.data.len() as u64);
    assert_eq!(count(10), parsed.data.len().div_ceil(4096) as u64);
    let starts = parsed.tombstones.iter().map(|tombstone| &tombstone.start);
    let ends = parsed.tombstones.iter().map(|tombstone| &tombstone.end);
    let keys = || entries.iter().map(|(key, ..)| key);
    let (smallest, largest) = (keys().chain(starts).min(), keys().chain(ends).max());
    assert_eq!(property(11), smallest.map_or(&[][..], |key| key));
    assert_eq!(property(12), largest.map_or(&[][..], |key| key));
    let is_end = largest.is_some_and(|largest| keys().all(|key| key != largest));
    assert_eq!(property(13), [u8::from(is_end)]);
    assert_eq!(property(20), b"\x04nameleft");
}

/// The hash index leads to the first entry of each key, and to none of another key.
fn check_hash(parsed: &Parsed) {
    let mut last = None;
    for (at, (key, ..)) in &parsed.entries {
        if last != Some(key) {
            assert_eq!(find(parsed, key), Some(*at));
            let other = [key, &b"\x01"[..]].concat();
            assert!(
                find(parsed, &other).is_none() || parsed.entries.iter().any(|(_, (key, ..))| *key == other)
            );
        }
        last = Some(key);
    }
    assert!((0..1000u32).all(|i| find(parsed, &[b"no", &i.to_be_bytes()[..]].concat()).is_none()));
}

/// The ordered index leads to each entry, and from what lies between two to the second.
fn check_order(parsed: &Parsed) {
    let expected = |key: &[u8], trailer: u64| {
        let below = |(_, (other, other_trailer, _)): &(usize, Entry)| {
            rank(other, *other_trailer) < rank(key, trailer)
        };
        let i = parsed.entries.partition_point(below);
        parsed.entries.get(i).map_or(parsed.data.len(), |(at, _)| *at)
    };
    let check = |key: &[u8], trailer: u64| {
        assert_eq!(seek(parsed, key, trailer), expected(key, trailer), "{key:?} {trailer:#x}");
    };
    for (_, (key, trailer, _)) in &parsed.entries {
        for trailer in [*trailer, trailer + 1, trailer.saturating_sub(1), u64::MAX, 0] {
            check(key, trailer);
        }
        check(&[key, &[0][..]].concat(), 5);
        check(&key[..key.len().saturating_sub(1)], 5);
        check(&key[..key.len() / 2], u64::MAX);
    }
    for key in [&b""[..], b"\0", b"a", b"key", b"kez", b"users", b"users/of", b"v", &[0xff; 20]] {
        check(key, 5);
        check(key, u64::MAX);
    }
}

#[test]
fn a_table_without_entries_may_have_range_tombstones() {
    let parsed = parse(&write(&[], &tombstones(), &WriteOptions::default()));
    assert_eq!(parsed.tombstones, tombstones());
    assert!(parsed.entries.is_empty() && parsed.hash.is_none() && parsed.index.is_empty());
}

/// Known bytes: a change of the layout that both readers would follow shows here.
#[test]
fn a_small_table_has_these_bytes() {
    let entries = [
        (b"key1".to_vec(), Trailer::new(2, Kind::Put).0, b"one".to_vec()),
        (b"key1".to_vec(), Trailer::new(1, Kind::Delete).0, Vec::new()),
        (b"key2\0".to_vec(), Trailer::new(3, Kind::Put).0, vec![b'v'; 130]),
    ];
    let file = write(&entries, &tombstones()[2..], &WriteOptions::default());
    let mut data = Vec::new();
    data.extend_from_slice(b"\x04\x03\x01\x02\0\0\0\0\0\0key1one\0\0\0");
    data.extend_from_slice(b"\x04\x00\x00\x01\0\0\0\0\0\0key1\0\0");
    data.extend_from_slice(b"\x05\x82\x01\x01\x03\0\0\0\0\0\0key2\0");
    data.extend_from_slice(&[b'v'; 130]);
    data.extend_from_slice(&[0; 2]);
    assert_eq!(data.len(), 184);
    assert_eq!(file[..184], data);
    let page_of = |line: &[u8]| {
        let mut page = line.to_vec();
        page.resize(64, 0);
        page.extend_from_slice(&crc32c(&page).to_le_bytes());
        page.resize(128, 0);
        page
    };
    assert_eq!(file[184..192], [0; 8]);
    assert_eq!(file[192..320], page_of(&crc32c(&data).to_le_bytes()));
    // The low 16 bits of the keys' hashes, and where the keys begin: 0 and 36, in units of four bytes.
    let mut hash = vec![0xe2, 0x29, 0x41, 0x30];
    hash.resize(24, 0);
    hash.extend_from_slice(&[9, 0, 0, 0]);
    hash.resize(60, 0);
    hash.push(2);
    assert_eq!(file[320..448], page_of(&hash));
    // One group, whose head is that of `1` behind the prefix `key`.
    let leaf = [b"\0\0\0\0\0\0\x001", &[0xff; 32][..], &[0; 4], &[0xff; 16]].concat();
    assert_eq!(file[448..576], page_of(&leaf));
    assert_eq!(file[576..580], *b"key\0");
    assert_eq!(file[584..591], *b"\x01x\x01y\x01\x05\0");
    // Prefix 8, range tombstones 11, properties 60, section table 229, footer 64.
    assert_eq!(file.len(), 948);
    assert_eq!(crc32c(&file), 0x04b3_6208);
}
