//! The suite put to the test: a small format that declares little passes it, and each of its deliberate defects is found by
//! the promise that it breaks.
//!
//! ```text
//!   entries: key length u32 │ value length u32 │ trailer u64 │ key │ value        repeated
//!   then:    CRC32C of all that u32 │ "TOYTABLE"
//! ```

#![allow(clippy::unwrap_used, reason = "what cannot go on has failed")]

use esker_table::codec::checksum::crc32c;
use esker_table::codec::varint::Reader;
use esker_table::key::{self, Kind, MAX_KEY_LEN, MAX_VALUE_LEN};
use esker_table::{
    BlockSource, Capabilities, EachEntry, FormatId, Found, Fragments, LookupKey, Properties, RangeTombstone,
    ReadOptions, Result, Run, Slice, TableCursor, TableError, TableFormat, TableReader, TableSummary,
    TableWriter, Trailer, WriteOptions,
};
use esker_table_conformance::{Subject, conformance};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What the format does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    OrderUnchecked,
    SnapshotIgnored,
    ChecksumUnchecked,
    StepsBackTooFar,
    SeekSkipsEqual,
    DamagePanics,
    DeviceErrorAsCorruption,
    WriteErrorSwallowed,
    EstimateConstant,
    SplitAtFirst,
    FilterDenies,
    SizeWrong,
    TimeInBytes,
    TombstoneTaken,
    BoundsForgotten,
    OpensUnfinished,
    RecognizesAnything,
    SalvagesDamage,
    LookupsUnverified,
    TouchesUnpopulated,
}

#[derive(Clone, Copy, Debug)]
struct Toy {
    defect: Defect,
    versions: bool,
}

const TOY: Toy = Toy { defect: Defect::None, versions: true };
const MAGIC: &[u8; 8] = b"TOYTABLE";

impl TableFormat for Toy {
    fn id(&self) -> FormatId {
        FormatId(7_919_001)
    }

    fn name(&self) -> &'static str {
        "toy"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE.with_write(true).with_versions(self.versions).with_deletes(self.versions)
    }

    fn recognizes(&self, tail: &[u8]) -> bool {
        tail.ends_with(MAGIC) || self.defect == Defect::RecognizesAnything
    }

    fn writer<'a>(
        &self,
        out: Box<dyn Write + Send + 'a>,
        _: &WriteOptions,
    ) -> Result<Box<dyn TableWriter + 'a>> {
        let properties = Properties::default();
        Ok(Box::new(ToyWriter { out, toy: *self, bytes: Vec::new(), last: None, properties }))
    }

    fn open(&self, source: BlockSource) -> Result<Arc<dyn TableReader>> {
        let len = source.len() as usize;
        if self.defect != Defect::TouchesUnpopulated {
            source.populate(0, len)?;
        }
        if len == 0 && self.defect == Defect::OpensUnfinished {
            let (entries, properties) = (Vec::new(), Properties::default());
            return Ok(Arc::new(ToyTable { entries, len: 0, right: true, toy: *self, properties }));
        }
        let file = source.read(0, len).map_err(|error| match error {
            TableError::Io(_) if self.defect == Defect::DeviceErrorAsCorruption => {
                TableError::corruption(0, "?")
            }
            other => other,
        })?;
        let bad = || TableError::corruption(0, "no toy table");
        let framed = file.strip_suffix(MAGIC).ok_or_else(bad)?;
        let (body, crc) = framed.split_last_chunk::<4>().ok_or_else(bad)?;
        let right = u32::from_le_bytes(*crc) == crc32c(body);
        if !right && self.defect == Defect::DamagePanics {
            panic!("damage");
        }
        if !right && !matches!(self.defect, Defect::ChecksumUnchecked | Defect::LookupsUnverified) {
            return Err(bad());
        }
        let mut entries = Vec::new();
        let mut reader = Reader::new(body);
        while !reader.is_empty() {
            let key_len = reader.u32().ok_or_else(bad)? as usize;
            let value_len = reader.u32().ok_or_else(bad)? as usize;
            let trailer = Trailer(reader.u64().ok_or_else(bad)?);
            let start = body.len() - reader.rest().len();
            reader.take(key_len).and_then(|_| reader.take(value_len)).ok_or_else(bad)?;
            let value = file.slice(start + key_len..start + key_len + value_len);
            entries.push((file.slice(start..start + key_len), trailer, value, start as u64));
        }
        let right = right || self.defect == Defect::ChecksumUnchecked;
        let (len, properties) = (len as u64, Properties::default());
        Ok(Arc::new(ToyTable { entries, len, right, toy: *self, properties }))
    }

    /// The file is one part, which is whole or not.
    fn salvage(&self, source: BlockSource, each: &mut EachEntry<'_>) -> Result<bool> {
        let toy = match self.defect {
            Defect::SalvagesDamage => Toy { defect: Defect::ChecksumUnchecked, ..*self },
            _ => *self,
        };
        let table = match toy.open(source) {
            Err(error @ TableError::Io(_)) => return Err(error),
            Err(_) => return Ok(true),
            Ok(table) => table,
        };
        let (mut cursor, mut run) = (table.cursor(&ReadOptions::default()), Run::new());
        cursor.first(&mut run, usize::MAX)?;
        (0..run.len()).for_each(|i| each(run.key(i), run.trailer(i), run.value(i)));
        Ok(true)
    }
}

struct ToyWriter<'a> {
    out: Box<dyn Write + Send + 'a>,
    toy: Toy,
    bytes: Vec<u8>,
    last: Option<(Vec<u8>, Trailer)>,
    properties: Properties,
}

impl TableWriter for ToyWriter<'_> {
    fn add(&mut self, user_key: &[u8], trailer: Trailer, value: &[u8]) -> Result<()> {
        let kind = trailer.kind();
        let held = kind == Some(Kind::Put) || (kind == Some(Kind::Delete) && self.toy.versions);
        let ordered = self.last.as_ref().is_none_or(|(last, before)| {
            key::compare(last, *before, user_key, trailer).is_lt() && (self.toy.versions || last != user_key)
        });
        let ordered = ordered || self.toy.defect == Defect::OrderUnchecked;
        if !held || !ordered || user_key.len() > MAX_KEY_LEN || value.len() > MAX_VALUE_LEN {
            return Err(TableError::invalid("an entry that cannot be held"));
        }
        self.bytes.extend_from_slice(&(user_key.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&trailer.0.to_le_bytes());
        self.bytes.extend_from_slice(user_key);
        self.bytes.extend_from_slice(value);
        let new_key = self.last.as_ref().is_none_or(|(last, _)| last != user_key);
        if self.toy.defect != Defect::BoundsForgotten {
            self.properties.widen(user_key, user_key, false);
        }
        self.properties.count(user_key, trailer, value, new_key);
        self.last = Some((user_key.to_vec(), trailer));
        Ok(())
    }

    fn add_range_tombstone(&mut self, _: &RangeTombstone) -> Result<()> {
        match self.toy.defect {
            Defect::TombstoneTaken => Ok(()),
            _ => Err(TableError::unsupported("range tombstones")),
        }
    }

    fn estimated_size(&self) -> u64 {
        if self.toy.defect == Defect::SizeWrong { 0 } else { self.bytes.len() as u64 + 12 }
    }

    fn entries(&self) -> u64 {
        self.properties.entries
    }

    fn finish(mut self: Box<Self>, collected: Vec<(String, Vec<u8>)>) -> Result<TableSummary> {
        if !collected.is_empty() {
            return Err(TableError::unsupported("collected bytes"));
        }
        if self.toy.defect == Defect::TimeInBytes {
            static CLOCK: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
            let tick = CLOCK.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            self.bytes.extend_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0]);
            self.bytes.extend_from_slice(&Trailer::new(u64::from(tick) + 1, Kind::Put).0.to_le_bytes());
            self.bytes.extend_from_slice(&[0xff; 3]);
        }
        let crc = crc32c(&self.bytes);
        self.bytes.extend_from_slice(&crc.to_le_bytes());
        self.bytes.extend_from_slice(MAGIC);
        match self.out.write_all(&self.bytes) {
            Err(error) if self.toy.defect != Defect::WriteErrorSwallowed => return Err(error.into()),
            _ => {}
        }
        Ok(TableSummary { file_size: self.bytes.len() as u64, properties: self.properties })
    }
}

struct ToyTable {
    entries: Vec<(Slice, Trailer, Slice, u64)>,
    len: u64,
    /// Whether the checksum was right. An error comes with the first step of a cursor if it was not.
    right: bool,
    toy: Toy,
    properties: Properties,
}

impl ToyTable {
    fn lower_bound(&self, user_key: &[u8], trailer: Trailer) -> usize {
        self.entries.partition_point(|(k, t, ..)| key::compare(k, *t, user_key, trailer).is_lt())
    }
}

impl TableReader for ToyTable {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn get(&self, key: &LookupKey<'_>, _: &ReadOptions) -> Result<Option<Found>> {
        let ignored = self.toy.defect == Defect::SnapshotIgnored;
        let trailer = if ignored { Trailer::FIRST } else { key.trailer() };
        let entry =
            self.entries.get(self.lower_bound(key.user_key, trailer)).filter(|(k, ..)| *k == key.user_key);
        Ok(entry.map(|(_, trailer, value, _)| Found { trailer: *trailer, value: value.clone() }))
    }

    fn may_contain(&self, hash: u64) -> Result<bool> {
        Ok(self.toy.defect != Defect::FilterDenies || !hash.is_multiple_of(16))
    }

    fn cursor(self: Arc<Self>, _: &ReadOptions) -> Box<dyn TableCursor> {
        Box::new(ToyCursor { table: self, from: 0, to: 0 })
    }

    fn range_tombstones(&self) -> Result<Arc<Fragments>> {
        Ok(Arc::default())
    }

    fn estimated_offset(&self, user_key: &[u8]) -> u64 {
        if self.toy.defect == Defect::EstimateConstant {
            return self.len;
        }
        self.entries.get(self.lower_bound(user_key, Trailer::FIRST)).map_or(self.len, |(.., at)| *at)
    }

    fn split_points(&self, parts: usize) -> Result<Vec<Vec<u8>>> {
        let cut = |part: usize| self.entries.get(part * self.entries.len() / parts).map(|(k, ..)| k.to_vec());
        let from = usize::from(self.toy.defect != Defect::SplitAtFirst);
        let mut points: Vec<_> = (from..parts.saturating_sub(1 - from)).filter_map(cut).collect();
        points.dedup();
        if from == 1 {
            points.retain(|point| Some(&point[..]) != self.entries.first().map(|(k, ..)| &k[..]));
        }
        Ok(points)
    }

    fn verify(&self) -> Result<()> {
        Ok(())
    }

    fn heap_bytes(&self) -> usize {
        size_of_val(&self.entries[..]) + size_of::<ToyTable>()
    }

    fn describe(&self, line: &mut dyn FnMut(String)) -> Result<()> {
        line(format!("{} entries", self.entries.len()));
        Ok(())
    }
}

/// Stands around `from..to`. An empty range at 0 is the beginning, at the end the end.
struct ToyCursor {
    table: Arc<ToyTable>,
    from: usize,
    to: usize,
}

impl ToyCursor {
    fn fill(&mut self, from: usize, to: usize, run: &mut Run) -> Result<()> {
        (self.from, self.to) = (from, to);
        if !self.table.right {
            run.clear();
            return Err(TableError::corruption(0, "no toy table"));
        }
        let entries = &self.table.entries[from..to];
        let values: Vec<u8> = entries.iter().flat_map(|(_, _, value, _)| value.iter().copied()).collect();
        run.begin(Slice::from(values));
        let mut at = 0;
        for (key, trailer, value, _) in entries {
            run.push([key], *trailer, at, value.len());
            at += value.len();
        }
        Ok(())
    }

    fn forwards(&mut self, from: usize, run: &mut Run, want: usize) -> Result<()> {
        let to = self.table.entries.len().min(from.saturating_add(want.max(1)));
        self.fill(from.min(to), to, run)
    }

    fn backwards(&mut self, to: usize, run: &mut Run, want: usize) -> Result<()> {
        self.fill(to.saturating_sub(want.max(1)), to, run)
    }
}

impl TableCursor for ToyCursor {
    fn seek(&mut self, user_key: &[u8], trailer: Trailer, run: &mut Run, want: usize) -> Result<()> {
        let mut at = self.table.lower_bound(user_key, trailer);
        if self.table.toy.defect == Defect::SeekSkipsEqual {
            at += usize::from(
                self.table.entries.get(at).is_some_and(|(k, t, ..)| *k == user_key && *t == trailer),
            );
        }
        self.forwards(at, run, want)
    }

    fn seek_before(&mut self, user_key: &[u8], trailer: Trailer, run: &mut Run, want: usize) -> Result<()> {
        self.backwards(self.table.lower_bound(user_key, trailer), run, want)
    }

    fn first(&mut self, run: &mut Run, want: usize) -> Result<()> {
        self.forwards(0, run, want)
    }

    fn last(&mut self, run: &mut Run, want: usize) -> Result<()> {
        self.backwards(self.table.entries.len(), run, want)
    }

    fn next(&mut self, run: &mut Run, want: usize) -> Result<()> {
        self.forwards(self.to, run, want)
    }

    fn prev(&mut self, run: &mut Run, want: usize) -> Result<()> {
        let too_far = usize::from(self.table.toy.defect == Defect::StepsBackTooFar);
        self.backwards(self.from.saturating_sub(too_far), run, want)
    }
}

conformance!(toy, TOY, WriteOptions::default());
conformance!(without_versions, Toy { versions: false, ..TOY }, WriteOptions::default());

/// A defect, the promise that it breaks, and that promise's name.
type Case = (Defect, fn(&Subject<'_>), &'static str);

#[test]
fn every_defect_is_found() {
    use esker_table_conformance as suite;
    let cases: &[Case] = &[
        (Defect::OrderUnchecked, suite::order_is_enforced, "order"),
        (Defect::SnapshotIgnored, suite::lookups_see_their_snapshot, "snapshots"),
        (Defect::ChecksumUnchecked, suite::a_changed_byte_is_damage, "flips"),
        (Defect::DamagePanics, suite::a_changed_byte_is_damage, "panics"),
        (Defect::StepsBackTooFar, suite::cursors_follow_the_model, "prev"),
        (Defect::StepsBackTooFar, suite::round_trip, "backwards"),
        (Defect::SeekSkipsEqual, suite::cursors_follow_the_model, "seek"),
        (Defect::DeviceErrorAsCorruption, suite::a_failing_device_is_told, "device"),
        (Defect::WriteErrorSwallowed, suite::a_full_disk_is_told, "full disk"),
        (Defect::EstimateConstant, suite::sizes_are_estimated, "offsets"),
        (Defect::SizeWrong, suite::sizes_are_estimated, "sizes"),
        (Defect::SplitAtFirst, suite::split_points_cut_evenly, "split points"),
        (Defect::FilterDenies, suite::filters_deny_no_key, "filter"),
        (Defect::TimeInBytes, suite::equal_input_gives_equal_bytes, "equal bytes"),
        (Defect::BoundsForgotten, suite::properties_tell_the_truth, "properties"),
        (Defect::OpensUnfinished, suite::an_unfinished_file_is_no_table, "unfinished files"),
        (Defect::RecognizesAnything, suite::no_other_file_is_recognized, "foreign files"),
        (Defect::SalvagesDamage, suite::salvage_invents_nothing, "salvage"),
        (Defect::LookupsUnverified, suite::a_changed_byte_is_damage, "lookups in damage"),
        (Defect::TouchesUnpopulated, suite::a_failing_device_is_told, "maps"),
        (Defect::TombstoneTaken, suite::range_tombstones_come_back, "tombstones"),
    ];
    for (defect, promise, name) in cases {
        let format = Toy { defect: *defect, ..TOY };
        let options = WriteOptions::default();
        let held =
            catch_unwind(AssertUnwindSafe(|| promise(&Subject { format: &format, options: &options })));
        assert!(held.is_err(), "{defect:?} passes the promise on {name}");
    }
}
