//! Full verification and description of a table.

use crate::block::{Block, Bucket};
use crate::filter::LoadedFilter;
use crate::index::IndexWalk;
use crate::reader::{BlockTable, Bring};
use crate::sections;
use esker_table::key::{self, MAX_KEY_LEN, filter_hash};
use esker_table::layout::gap;
use esker_table::layout::sections::Section;
use esker_table::layout::tail::{self, check_tiling, read_section};
use esker_table::layout::tombstones;
use esker_table::{Properties, ReadOptions, Result, TableError, TableReader, Trailer, Verify};

/// Checks every byte that has a meaning. See [`TableReader::verify`].
pub(crate) fn verify(table: &BlockTable) -> Result<()> {
    check_tiling(&table.source, &table.sections, |kind| kind == sections::FILTER)?;
    for kind in [sections::ROOT, sections::PROPERTIES, sections::TOMBSTONES] {
        table.sections.get(kind).map(|section| read_section(&table.source, &section)).transpose()?;
    }
    let filter = table.filter.map(|filter| filter.load(&table.source)).transpose()?;
    let mut found = Found::default();
    let data = table.sections.get(sections::DATA).unwrap_or_default();
    if data.len > 0 {
        walk_blocks(table, filter.as_ref(), &mut found)?;
    }
    if found.end != data.end() || found.blocks != data.extra & !sections::SOME_COMPRESSED {
        return Err(TableError::corruption(found.end, "the data blocks do not fill their section"));
    }
    check_partitions(table)?;
    let mut whole = Properties::default();
    if found.entries.entries > 0 {
        whole.widen(&found.smallest, &found.largest, false);
    }
    whole.count_part(&found.entries);
    if let Some(section) = table.sections.get(sections::TOMBSTONES) {
        let fragments = tombstones::decode(&read_section(&table.source, &section)?, section.offset)?;
        fragments.iter().for_each(|tombstone| whole.count_range_tombstone(&tombstone));
    }
    (whole.data_bytes, whole.data_blocks) = (found.bytes, found.blocks);
    let stored = table.properties();
    whole.collected.clone_from(&stored.collected);
    whole.read_only = stored.read_only;
    if whole != *stored {
        let at = table.sections.get(sections::PROPERTIES).map_or(0, |section| section.offset);
        return Err(TableError::corruption(at, "the properties disagree with the entries"));
    }
    Ok(())
}

/// What the data blocks turned out to hold.
#[derive(Default)]
struct Found {
    entries: Properties,
    smallest: Vec<u8>,
    largest: Vec<u8>,
    last_trailer: Trailer,
    blocks: u64,
    bytes: u64,
    end: u64,
}

/// Checks that the index partitions fill their section; the walk over the data blocks has checked their content.
fn check_partitions(table: &BlockTable) -> Result<()> {
    let Some(section) = table.sections.get(sections::PARTITIONS) else { return Ok(()) };
    let Some(root) = table.root()? else { return Ok(()) };
    let mut end = section.offset;
    for i in 0..root.len() {
        let handle = crate::index::handle_at(&root, i, section.offset)?;
        if handle.offset != end {
            return Err(TableError::corruption(handle.offset, "index partitions overlap or leave a hole"));
        }
        end = handle.end();
    }
    if end != section.end() || root.len() as u64 != section.extra {
        return Err(TableError::corruption(end, "the index partitions do not fill their section"));
    }
    Ok(())
}

fn walk_blocks(table: &BlockTable, filter: Option<&LoadedFilter>, found: &mut Found) -> Result<()> {
    let options = ReadOptions::default().with_verify(Verify::Always).with_fill_cache(false);
    let mut walk = IndexWalk::new();
    let mut next = walk.first(table, &options)?;
    while let Some(handle) = next {
        let bad = |what: &str| TableError::corruption(handle.offset, what);
        gap::check(&table.source, found.end, handle.offset)?;
        if u64::from(handle.ordinal) != found.blocks {
            return Err(bad("a data block has another's number"));
        }
        let (separator, separator_trailer) = walk.separator()?;
        let above_last = found.blocks == 0
            || key::compare(&found.largest, found.last_trailer, &separator, separator_trailer).is_lt();
        let body = table.block(handle, &options, Bring::Block)?;
        let block = Block::parse(&body, handle.offset)?;
        block.check()?;
        let at_or_below_first =
            key::compare(&separator, separator_trailer, &block.key_vec(0)?, block.trailer(0)).is_le();
        if !above_last || !at_or_below_first {
            return Err(bad("the index's separator is not between the blocks"));
        }
        check_entries(&block, filter, found, handle.offset)?;
        found.blocks += 1;
        found.bytes += u64::from(handle.len);
        found.end = handle.end();
        next = walk.next(table, &options)?;
    }
    Ok(())
}

fn check_entries(block: &Block<'_>, filter: Option<&LoadedFilter>, found: &mut Found, at: u64) -> Result<()> {
    let mut first_of_key = 0;
    for i in 0..block.len() {
        let (user_key, trailer) = (block.key_vec(i)?, block.trailer(i));
        let bad = |what: &str| Err(TableError::corruption(at, format!("entry {i} of a block: {what}")));
        let any = found.entries.entries > 0;
        if any && !key::compare(&found.largest, found.last_trailer, &user_key, trailer).is_lt() {
            return bad("it is not above the one before");
        }
        if user_key.len() > MAX_KEY_LEN {
            return bad("its key is too long");
        }
        let new_key = !any || found.largest != user_key;
        if new_key || i == 0 {
            first_of_key = i;
        }
        if new_key || block.has_buckets() {
            let hash = filter_hash(&user_key);
            if filter.is_some_and(|filter| !filter.may_contain(hash)) {
                return bad("the filter does not know its key");
            }
            match block.bucket(hash) {
                Bucket::Unknown => {}
                Bucket::At(first) if first == first_of_key => {}
                _ => return bad("the hash index does not find its key"),
            }
        }
        if !any {
            found.smallest.clone_from(&user_key);
        }
        found.entries.count(&user_key, trailer, block.ok(block.value(i))?, new_key);
        found.largest = user_key;
        found.last_trailer = trailer;
    }
    Ok(())
}

/// One line for each part of the file.
pub(crate) fn describe(table: &BlockTable, line: &mut dyn FnMut(String)) {
    let what = |section: &Section| {
        let Section { kind, extra, .. } = *section;
        Some(match kind {
            sections::DATA => {
                let compressed =
                    if extra & sections::SOME_COMPRESSED != 0 { ", some compressed" } else { "" };
                format!("{} data blocks{compressed}", extra & !sections::SOME_COMPRESSED)
            }
            sections::PARTITIONS => format!("{extra} index partitions"),
            sections::FILTER => {
                format!("Bloom filter: {} lines of 64 bytes, {} probes", extra as u32, extra >> 32)
            }
            sections::TOMBSTONES => format!("{} range tombstones", table.properties().range_tombstones),
            sections::ROOT => format!("index root, {extra} level{}", if extra == 1 { "" } else { "s" }),
            sections::PROPERTIES => format!("properties: {}", table.properties().summary()),
            _ => return None,
        })
    };
    tail::describe(&table.source, &table.sections, ("block", &table.footer), what, line);
}
