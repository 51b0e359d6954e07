//! Entries at the ends of pages, read without a map: whatever piece of the file is in memory, both directions find all of them.

#![allow(clippy::unwrap_used, reason = "what cannot go on has failed")]

use esker_format_plain::PlainFormat;
use esker_table::key::Kind;
use esker_table::{
    BlockSource, ByteSource, ReadOptions, Run, Slice, TableFormat, TableReader, Trailer, WriteOptions,
};
use std::io;
use std::sync::Arc;

/// A file that is read by position, each read a copy.
struct Positioned(Vec<u8>);

impl ByteSource for Positioned {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
        let part = self.0.get(offset as usize..offset as usize + len);
        part.map(Slice::copy_from).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn is_mapped(&self) -> bool {
        false
    }
}

type Entry = (Vec<u8>, Trailer, Vec<u8>);

fn open(entries: &[Entry], options: &WriteOptions) -> Arc<dyn TableReader> {
    let mut file = Vec::new();
    let mut writer = PlainFormat::new().writer(Box::new(&mut file), options).unwrap();
    for (key, trailer, value) in entries {
        writer.add(key, *trailer, value).unwrap();
    }
    writer.finish(Vec::new()).unwrap();
    PlainFormat::new().open(BlockSource::new(Arc::new(Positioned(file)))).unwrap()
}

fn entry(run: &Run, i: usize) -> Entry {
    (run.key(i).to_vec(), run.trailer(i), run.value(i).to_vec())
}

/// Everything, backwards, in runs of at most `want`.
fn backwards(table: &Arc<dyn TableReader>, want: usize) -> Vec<Entry> {
    let (mut cursor, mut run, mut found) =
        (table.clone().cursor(&ReadOptions::default()), Run::new(), Vec::new());
    cursor.last(&mut run, want).unwrap();
    while !run.is_empty() {
        found.extend((0..run.len()).rev().map(|i| entry(&run, i)));
        cursor.prev(&mut run, want).unwrap();
    }
    found.reverse();
    found
}

#[test]
fn short_entries_before_a_page_ends_are_met_backwards() {
    let put = Trailer::new(9, Kind::Put);
    for first in (4096 - 64..4096 + 16).step_by(4).chain([102_375]) {
        let entries = vec![
            (b"a".to_vec(), put, vec![b'v'; first]),
            (b"b".to_vec(), Trailer::new(8, Kind::Delete), Vec::new()),
            (b"c".to_vec(), put, vec![b'w'; 5000]),
            (b"d".to_vec(), put, Vec::new()),
        ];
        let table = open(&entries, &WriteOptions::default());
        for want in 1..6 {
            assert_eq!(backwards(&table, want), entries, "a value of {first}, runs of {want}");
            let (mut cursor, mut run) = (table.clone().cursor(&ReadOptions::default()), Run::new());
            cursor.seek_before(b"c", Trailer::FIRST, &mut run, want).unwrap();
            assert_eq!(entry(&run, run.len() - 1), entries[1]);
        }
    }
}

#[test]
fn entries_of_all_lengths_are_met_both_ways() {
    let value = |i: u32| vec![b'.'; (i as usize * i as usize * 7) % 900];
    let entries: Vec<Entry> =
        (0..3000u32).map(|i| (i.to_be_bytes().to_vec(), Trailer::new(1, Kind::Put), value(i))).collect();
    for options in [WriteOptions::default(), WriteOptions::default().with_filter_bits(0)] {
        let table = open(&entries, &options);
        for want in [1, 3, 64] {
            assert_eq!(backwards(&table, want), entries);
            let (mut cursor, mut run) = (table.clone().cursor(&ReadOptions::default()), Run::new());
            let mut found = Vec::new();
            cursor.first(&mut run, want).unwrap();
            while !run.is_empty() {
                found.extend((0..run.len()).map(|i| entry(&run, i)));
                cursor.next(&mut run, want).unwrap();
            }
            assert_eq!(found, entries);
        }
    }
}
