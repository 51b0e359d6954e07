//! [`PlainWriter`]: lays a table down from the front to the back.
//!
//! ```text
//!   data │ checksums │ hash index │ ordered index │ prefix │ range tombstones │ properties │ section table │ footer
//! ```
//!
//! What is held until the end: sixteen bytes for each user key, sixteen for each group, four for each page.

use crate::data::{LINE_SUMS, PAGE, pages_of, sum_lines};
use crate::entry::{Entry, UNIT};
use crate::hash::HashBuilder;
use crate::index::{IndexBuilder, LEAF_GROUPS};
use crate::{VERSION, sections};
use esker_table::codec::checksum::crc32c;
use esker_table::footer::Features;
use esker_table::key::filter_hash;
use esker_table::layout::entries::Entries;
use esker_table::layout::lines::{LINE, alignment, paged_len, paginate};
use esker_table::layout::output::Output;
use esker_table::layout::sections::Section;
use esker_table::layout::tombstones::Tombstones;
use esker_table::{
    FormatId, RangeTombstone, Result, TableError, TableSummary, TableWriter, Trailer, WriteOptions,
};
use std::io::Write;

/// Data is written when this much has come together.
const BUFFER: usize = 16 * PAGE;

/// Writes one table.
pub(crate) struct PlainWriter<'a> {
    out: Output<'a>,
    /// Data that is not written yet; what is written before it are whole pages.
    buffer: Vec<u8>,
    sums: Vec<u32>,
    has_hash: bool,
    hash: HashBuilder,
    index: IndexBuilder,
    entries: Entries,
    tombstones: Tombstones,
}

impl<'a> PlainWriter<'a> {
    pub(crate) fn new(out: Box<dyn Write + Send + 'a>, options: &WriteOptions) -> PlainWriter<'a> {
        PlainWriter {
            out: Output::new(out),
            buffer: Vec::new(),
            sums: Vec::new(),
            has_hash: options.filter_bits > 0,
            hash: HashBuilder::default(),
            index: IndexBuilder::default(),
            entries: Entries::default(),
            tombstones: Tombstones::default(),
        }
    }

    /// The length of the data so far.
    fn data_len(&self) -> u64 {
        self.out.offset() + self.buffer.len() as u64
    }

    /// Writes what is in the buffer, up to a whole page or to its end.
    fn flush(&mut self, all: bool) -> Result<()> {
        let len = if all { self.buffer.len() } else { self.buffer.len() / PAGE * PAGE };
        self.sums.extend(self.buffer[..len].chunks(PAGE).map(crc32c));
        self.out.write(&self.buffer[..len])?;
        self.buffer.drain(..len);
        self.buffer.shrink_to(2 * BUFFER);
        Ok(())
    }

    fn write_lines(&mut self, kind: u32, lines: &[u8], extra: u64) -> Result<Section> {
        let pages = paginate(lines);
        self.out.align(alignment(pages.len()))?;
        let offset = self.out.write(&pages)?;
        Ok(Section { kind, offset, len: pages.len() as u64, extra })
    }

    /// Completes the data, and writes what finds and checks it.
    fn write_body(&mut self) -> Result<Vec<Section>> {
        self.flush(true)?;
        let data = Section { kind: sections::DATA, offset: 0, len: self.out.offset(), extra: 0 };
        if data.len == 0 {
            return Ok(Vec::new());
        }
        self.entries.counts.data_bytes = data.len;
        self.entries.counts.data_blocks = pages_of(data.len);
        let sums = sum_lines(&std::mem::take(&mut self.sums));
        let mut records = vec![data];
        records.push(self.write_lines(sections::CHECKSUMS, &sums, (sums.len() / LINE) as u64)?);
        if self.has_hash {
            let lines = std::mem::take(&mut self.hash).build();
            records.push(self.write_lines(sections::HASH, &lines, (lines.len() / LINE) as u64)?);
        }
        let index = std::mem::take(&mut self.index);
        let groups = index.groups() as u64;
        let (prefix, lines) = index.build();
        let extra = groups | (prefix.len() as u64) << 32;
        records.push(self.write_lines(sections::INDEX, &lines, extra)?);
        if !prefix.is_empty() {
            records.push(self.out.write_section(sections::PREFIX, &prefix, 0)?);
        }
        Ok(records)
    }
}

impl TableWriter for PlainWriter<'_> {
    fn add(&mut self, user_key: &[u8], trailer: Trailer, value: &[u8]) -> Result<()> {
        self.entries.check(user_key, trailer, value)?;
        let at = self.data_len();
        let Ok(location) = u32::try_from(at / UNIT as u64) else {
            return Err(TableError::invalid("a table of the format `plain` holds 16 GiB and no more"));
        };
        let new_key = self.entries.is_new_key(user_key);
        Entry::encode(user_key, trailer, value, &mut self.buffer);
        self.index.add(user_key, location);
        if new_key && self.has_hash {
            self.hash.add(filter_hash(user_key), location);
        }
        self.entries.add(user_key, trailer, value, new_key);
        if self.buffer.len() >= BUFFER { self.flush(false) } else { Ok(()) }
    }

    fn add_range_tombstone(&mut self, tombstone: &RangeTombstone) -> Result<()> {
        self.tombstones.add(tombstone)
    }

    fn estimated_size(&self) -> u64 {
        let data = self.data_len();
        let sums = pages_of(data).div_ceil(LINE_SUMS as u64);
        // Inner lines are an eighth of the leaves.
        let index = self.index.groups().div_ceil(LEAF_GROUPS) * 9 / 8 + 1;
        let lines = [sums, if self.has_hash { self.hash.lines() as u64 } else { 0 }, index as u64];
        data + lines.map(paged_len).iter().sum::<u64>() + self.tombstones.estimate() as u64 + 512
    }

    fn entries(&self) -> u64 {
        self.entries.counts.entries
    }

    fn finish(mut self: Box<Self>, collected: Vec<(String, Vec<u8>)>) -> Result<TableSummary> {
        let mut records = self.write_body()?;
        if let Some(body) = self.tombstones.encode() {
            records.push(self.out.write_section(sections::TOMBSTONES, &body, 0)?);
        }
        let mut properties = self.entries.properties(self.tombstones.as_slice());
        records.push(self.out.write_properties(sections::PROPERTIES, &mut properties, collected)?);
        let file_size = self.out.finish(FormatId::PLAIN, VERSION, Features::default(), records)?;
        Ok(TableSummary { file_size, properties })
    }
}
