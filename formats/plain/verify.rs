//! Full verification and description of a table.

use crate::data::{self, LINE_SUMS, PAGE};
use crate::entry::{Entry, UNIT};
use crate::hash::HashBuilder;
use crate::index::IndexBuilder;
use crate::reader::{Body, PlainTable};
use crate::sections;
use esker_table::key::filter_hash;
use esker_table::layout::entries::Entries;
use esker_table::layout::lines::{LINE, Lines};
use esker_table::layout::sections::Section;
use esker_table::layout::tail::{self, check_tiling, read_section};
use esker_table::layout::tombstones;
use esker_table::{BlockSource, Result, TableError, TableReader};

/// How much of the data is read at once. A multiple of a page.
const CHUNK: usize = 64 * PAGE;

/// Checks every byte that has a meaning. See [`TableReader::verify`].
///
/// The data says what its checksums, its indexes and its properties have to be: they are built again and held against the file.
pub(crate) fn verify(table: &PlainTable) -> Result<()> {
    let source = &table.source;
    check_tiling(source, &table.sections, |kind| {
        matches!(kind, sections::CHECKSUMS | sections::HASH | sections::INDEX)
    })?;
    let mut entries = Entries::default();
    if let Some(body) = &table.body {
        verify_body(body, source, &mut entries)?;
    }
    let mut list = Vec::new();
    if let Some(section) = table.sections.get(sections::TOMBSTONES) {
        let fragments = tombstones::decode(&read_section(source, &section)?, section.offset)?;
        list.extend(fragments.iter());
    }
    let mut whole = entries.properties(&list);
    let stored = table.properties();
    whole.collected.clone_from(&stored.collected);
    whole.read_only = stored.read_only;
    let section = table.sections.get(sections::PROPERTIES).unwrap_or_default();
    read_section(source, &section)?;
    if whole != *stored {
        return Err(TableError::corruption(section.offset, "the properties disagree with the entries"));
    }
    Ok(())
}

fn verify_body(body: &Body, source: &BlockSource, entries: &mut Entries) -> Result<()> {
    let (mut hash, mut index) = (HashBuilder::default(), IndexBuilder::default());
    let mut walked = Walked { source, len: body.data.len(), sums: Vec::new(), start: 0, bytes: Vec::new() };
    let mut at = 0;
    while at < body.data.len() {
        let entry = walked.entry(at)?;
        let bad = |what: String| Err(TableError::corruption(at, what));
        let (user_key, value) = (entry.key(&walked.bytes), entry.value_bytes(&walked.bytes));
        if let Err(error) = entries.check(user_key, entry.trailer, value) {
            return bad(format!("an entry that was never to be written: {error}"));
        }
        if walked.bytes[entry.value_end()..entry.end].iter().any(|&byte| byte != 0) {
            return bad("the bytes behind an entry are not zero".to_owned());
        }
        let location = (at / UNIT as u64) as u32;
        let new_key = entries.is_new_key(user_key);
        index.add(user_key, location);
        if new_key && body.hash.is_some() {
            hash.add(filter_hash(user_key), location);
        }
        entries.add(user_key, entry.trailer, value, new_key);
        at = walked.start + entry.end as u64;
    }
    entries.counts.data_bytes = body.data.len();
    entries.counts.data_blocks = data::pages_of(body.data.len());
    walked.finish(at)?;
    let same = |lines: &Lines, expected: &[u8], what: &str| -> Result<()> {
        match lines.load(source)?.as_flattened() == expected {
            true => Ok(()),
            false => {
                Err(TableError::corruption(lines.offset(), format!("{what} is not that of the entries")))
            }
        }
    };
    same(
        &body.data.sums(),
        &data::sum_lines(&walked.sums),
        "a page of the data has a wrong checksum, or the list of them",
    )?;
    if let Some(lines) = &body.hash {
        same(lines, &hash.build(), "the hash index")?;
    }
    let groups = index.groups();
    let (prefix, lines) = index.build();
    same(&body.index, &lines, "the ordered index")?;
    if groups != body.groups as usize || prefix != body.prefix[..] {
        return Err(TableError::corruption(body.index.offset(), "the keys do not begin as the index says"));
    }
    Ok(())
}

/// The data, read past every cache from the front to the back, with the checksums of its pages.
struct Walked<'a> {
    source: &'a BlockSource,
    len: u64,
    sums: Vec<u32>,
    /// Where `bytes` begin in the file.
    start: u64,
    bytes: Vec<u8>,
}

impl Walked<'_> {
    /// The entry at `at`, whole in `bytes`.
    fn entry(&mut self, at: u64) -> Result<Entry> {
        loop {
            let end = self.start + self.bytes.len() as u64;
            let decoded = Entry::decode(&self.bytes, (at - self.start) as usize);
            match decoded {
                Some(entry) if entry.end <= self.bytes.len() => return Ok(entry),
                Some(entry) if self.start + entry.end as u64 > self.len => return Err(data::no_entry(at)),
                None if end == self.len => return Err(data::no_entry(at)),
                _ => self.read(at)?,
            }
        }
    }

    /// Reads on, and forgets what lies before `at`.
    fn read(&mut self, at: u64) -> Result<()> {
        self.bytes.drain(..(at - self.start) as usize);
        self.start = at;
        let end = self.start + self.bytes.len() as u64;
        let len = (self.len - end).min(CHUNK as u64) as usize;
        self.source.populate(end, len)?;
        let read = self.source.read(end, len)?;
        self.sums.extend(read.chunks(PAGE).map(esker_table::codec::checksum::crc32c));
        self.bytes.extend_from_slice(&read);
        Ok(())
    }

    fn finish(&self, at: u64) -> Result<()> {
        match at == self.len && self.sums.len() as u64 == data::pages_of(self.len) {
            true => Ok(()),
            false => Err(data::no_entry(at)),
        }
    }
}

/// One line for each part of the file.
pub(crate) fn describe(table: &PlainTable, line: &mut dyn FnMut(String)) {
    let what = |section: &Section| {
        let Section { kind, len, extra, .. } = *section;
        Some(match kind {
            sections::DATA => format!("entries in {} pages", data::pages_of(len)),
            sections::CHECKSUMS => format!("checksums of pages: {extra} lines of {LINE_SUMS}"),
            sections::HASH => format!("hash index: {extra} lines of {LINE} bytes"),
            sections::INDEX => {
                format!("ordered index: {} groups; the keys share {} bytes", extra as u32, extra >> 32)
            }
            sections::PREFIX => "what the keys share".to_owned(),
            sections::TOMBSTONES => format!("{} range tombstones", table.properties().range_tombstones),
            sections::PROPERTIES => format!("properties: {}", table.properties().summary()),
            _ => return None,
        })
    };
    tail::describe(&table.source, &table.sections, ("plain", &table.footer), what, line);
}
