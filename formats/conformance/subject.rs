//! [`Subject`]: the format under test, and tables made of generated entries.

use crate::random::Random;
use esker_table::key::{self, Kind};
use esker_table::{
    BlockSource, Capabilities, RangeTombstone, TableFormat, TableReader, TableSummary, TableWriter, Trailer,
    WriteOptions,
};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// A format under test, with the options its tables are written with.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The format.
    pub format: &'a dyn TableFormat,
    /// How its tables are written.
    pub options: &'a WriteOptions,
}

/// One entry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Vec<u8>,
    pub(crate) trailer: Trailer,
    pub(crate) value: Vec<u8>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short =
            |bytes: &[u8]| format!("{} ({} bytes)", bytes[..bytes.len().min(24)].escape_ascii(), bytes.len());
        write!(f, "{} {:?} = {}", short(&self.key), self.trailer, short(&self.value))
    }
}

/// What a table is made of: entries in internal order, tombstones in fragment order, collected bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) name: &'static str,
    pub(crate) entries: Vec<Entry>,
    pub(crate) tombstones: Vec<RangeTombstone>,
    pub(crate) collected: Vec<(String, Vec<u8>)>,
}

/// A written table.
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    pub(crate) summary: TableSummary,
}

/// Bytes that a boxed writer writes and its owner takes back.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().expect("no holder panics"))
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no holder panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Subject<'_> {
    /// What the format says that it can do.
    pub fn capabilities(&self) -> Capabilities {
        self.format.capabilities()
    }

    pub(crate) fn writer(&self, out: &Shared) -> Box<dyn TableWriter> {
        self.format
            .writer(Box::new(out.clone()), self.options)
            .expect("the format can write with these options")
    }

    pub(crate) fn write(&self, content: &Content) -> Written {
        let out = Shared::default();
        let mut writer = self.writer(&out);
        // Tombstones may come at any time; here they come in the middle.
        let middle = content.entries.len() / 2;
        for entry in &content.entries[..middle] {
            writer.add(&entry.key, entry.trailer, &entry.value).expect("an entry in order");
        }
        for tombstone in &content.tombstones {
            writer.add_range_tombstone(tombstone).expect("a tombstone in order");
        }
        for entry in &content.entries[middle..] {
            writer.add(&entry.key, entry.trailer, &entry.value).expect("an entry in order");
        }
        assert_eq!(writer.entries(), content.entries.len() as u64);
        let summary = writer.finish(content.collected.clone()).expect("the table is complete");
        let bytes = out.take();
        assert_eq!(summary.file_size, bytes.len() as u64, "the summary's file size");
        Written { bytes, summary }
    }

    pub(crate) fn open(&self, source: BlockSource) -> Arc<dyn TableReader> {
        self.format.open(source).expect("an intact table opens")
    }

    pub(crate) fn open_memory(&self, bytes: &[u8]) -> Arc<dyn TableReader> {
        self.open(BlockSource::from_memory(bytes))
    }

    /// Every sort of table that the format can hold.
    pub(crate) fn contents(&self) -> Vec<Content> {
        let mut random = Random::new(1);
        let mut contents = vec![
            named("no entry", Vec::new()),
            named("one entry", vec![put(b"key", 5, b"value")]),
            named("one empty key and value", vec![put(b"", 5, b"")]),
            named("short keys that differ in trailing zeros", zeros()),
            named("runs of 0xff", (0..300).map(|n| put(&vec![0xff; n], 9, &[n as u8; 3])).collect()),
            named("keys of 64 KiB", long_keys()),
            named("values of 1 MiB", large_values()),
            named("keys in sequence", sequence(3000)),
            named("random bytes", random_entries(&mut random, 2000, 20, 256)),
            named("few letters", random_entries(&mut random, 2000, 12, 3)),
            named("long common parts", long_common_parts(&mut random)),
            named("long common parts that end", ending_common_parts()),
            named("many versions of one key", versions(700)),
            named("versions between other keys", versions_between()),
        ];
        for content in &mut contents {
            self.admit(content);
        }
        if self.capabilities().range_tombstones {
            let mut with = contents[7].clone();
            with.name = "entries and range tombstones";
            with.tombstones = tombstones();
            contents.push(with);
            contents.push(Content {
                name: "only range tombstones",
                tombstones: tombstones(),
                ..Content::default()
            });
        }
        contents
    }

    /// A table of a few hundred bytes to a few KiB with something of everything.
    pub(crate) fn small(&self) -> Content {
        let mut random = Random::new(2);
        let mut content = named("small", random_entries(&mut random, 40, 10, 4));
        self.admit(&mut content);
        if self.capabilities().range_tombstones {
            content.tombstones = tombstones();
        }
        if self.capabilities().properties {
            content.collected = vec![("digest".into(), vec![1, 2, 3]), ("other".into(), Vec::new())];
        }
        content
    }

    /// A table of 400 KB with keys in sequence.
    pub(crate) fn large(&self) -> Content {
        let mut content = named("large", sequence(20_000));
        self.admit(&mut content);
        content
    }

    /// Leaves out what the format cannot hold.
    fn admit(&self, content: &mut Content) {
        if !self.capabilities().deletes {
            content.entries.retain(|entry| entry.trailer.kind() == Some(Kind::Put));
        }
        if !self.capabilities().versions {
            content.entries.dedup_by(|b, a| a.key == b.key);
        }
    }
}

fn named(name: &'static str, mut entries: Vec<Entry>) -> Content {
    entries.sort_by(|a, b| key::compare(&a.key, a.trailer, &b.key, b.trailer));
    entries.dedup_by(|b, a| a.key == b.key && a.trailer == b.trailer);
    Content { name, entries, ..Content::default() }
}

fn put(key: &[u8], seqno: u64, value: &[u8]) -> Entry {
    Entry { key: key.to_vec(), trailer: Trailer::new(seqno, Kind::Put), value: value.to_vec() }
}

fn delete(key: &[u8], seqno: u64) -> Entry {
    Entry { key: key.to_vec(), trailer: Trailer::new(seqno, Kind::Delete), value: Vec::new() }
}

fn zeros() -> Vec<Entry> {
    let mut entries = Vec::new();
    for stem in [&b""[..], b"a", b"ab", b"abcdefg", b"abcdefgh", b"abcdefghi"] {
        for zeros in 0..12 {
            entries.push(put(&[stem, &vec![0; zeros]].concat(), 3, &[zeros as u8]));
        }
    }
    entries
}

fn long_keys() -> Vec<Entry> {
    let mut entries = Vec::new();
    for i in 0..6u8 {
        let mut key = vec![b'k'; key::MAX_KEY_LEN];
        entries.push(put(&key, u64::from(i) + 1, b"all the same key"));
        key[65_000] = i;
        entries.push(put(&key, 4, &[i]));
        key[5] = i;
        entries.push(put(&key, 4, &[i, i]));
    }
    entries
}

fn large_values() -> Vec<Entry> {
    (0..4u8).flat_map(|i| [put(&[i], 1, &vec![i; 1 << 20]), put(&[i, i], 1, b"small")]).collect()
}

fn sequence(n: u64) -> Vec<Entry> {
    (0..n)
        .map(|i| put(format!("user{i:010}").as_bytes(), i + 1, format!("value of {i}").as_bytes()))
        .collect()
}

fn random_entries(random: &mut Random, n: usize, max: usize, alphabet: usize) -> Vec<Entry> {
    let entry = |_| {
        let (key, seqno) = (random.bytes(max, alphabet), 1 + random.below(1000) as u64);
        match random.below(5) {
            0 => delete(&key, seqno),
            _ => put(&key, seqno, &random.bytes(40, 256)),
        }
    };
    (0..n).map(entry).collect()
}

fn long_common_parts(random: &mut Random) -> Vec<Entry> {
    let entry = |i: u64| {
        let group = random.below(9);
        let key = format!("{}/{group}/{:0>60}/{}", "common".repeat(9), group, random.below(500));
        put(key.as_bytes(), i + 1, &random.bytes(10, 256))
    };
    (0..1500).map(entry).collect()
}

/// Groups of keys that have 1000 bytes in common, each followed by a key that has almost none of them.
fn ending_common_parts() -> Vec<Entry> {
    let key = |group: u64, i: u64| match i {
        99 => format!("{group}q"),
        i => format!("{group}{}{i:03}", "p".repeat(1000)),
    };
    (0..300).map(|i| put(key(i / 100, i % 100).as_bytes(), i + 1, b"short")).collect()
}

fn versions(n: u64) -> Vec<Entry> {
    (1..=n)
        .map(
            |seqno| {
                if seqno % 7 == 0 { delete(b"key", seqno) } else { put(b"key", seqno, &seqno.to_le_bytes()) }
            },
        )
        .collect()
}

fn versions_between() -> Vec<Entry> {
    let mut entries = versions(300);
    for i in 0..200u64 {
        entries.push(put(format!("a{i:03}").as_bytes(), 1_000_000 + i, b"before"));
        entries.push(put(format!("key{i:03}").as_bytes(), i + 1, b"behind"));
        entries.push(put(format!("key{i:03}").as_bytes(), (1 << 50) + i, &[7; 100]));
    }
    entries
}

fn tombstones() -> Vec<RangeTombstone> {
    let t = |start: &str, end: &str, seqno| RangeTombstone { start: start.into(), end: end.into(), seqno };
    vec![
        t("", "a", 4),
        t("f", "k", 900),
        t("f", "k", 30),
        t("k", "kk", 6),
        t("user0000000100", "user0000000900", 77),
    ]
}
