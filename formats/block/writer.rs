//! [`BlockWriter`]: lays a table down from the front to the back.
//!
//! ```text
//!   data blocks │ index partitions │ zeros to a multiple of 64 │ filter │ range tombstones │ index root │ properties │
//!   section table │ footer
//! ```
//!
//! Everything but the block that is being filled is either written or grows with the number of blocks (index entries) or
//! keys (eight bytes each for the filter).

use crate::block_builder::BlockBuilder;
use crate::filter;
use crate::handle::Handle;
use crate::index::{IndexBuilder, Partition, separator};
use crate::packing::Packing;
use crate::sections;
use crate::{FEATURE_ZSTD, VERSION};
use esker_table::codec::Compression;
use esker_table::codec::compression::{MAX_PLAIN_LEN, TAG_LZ4, TAG_NONE, TAG_ZSTD};
use esker_table::filter::BloomBuilder;
use esker_table::footer::Features;
use esker_table::key::filter_hash;
use esker_table::layout::entries::Entries;
use esker_table::layout::gap::MAX_GAP;
use esker_table::layout::lines::alignment;
use esker_table::layout::output::Output;
use esker_table::layout::sections::Section;
use esker_table::layout::stored;
use esker_table::layout::tombstones::Tombstones;
use esker_table::{
    FormatId, RangeTombstone, RawBlock, Result, TableError, TableSummary, TableWriter, Trailer, WriteOptions,
};
use std::cmp::Ordering;
use std::io::Write;

/// Whether data blocks get a hash index by default.
pub(crate) const HASH_INDEX: bool = false;

/// Block sizes that a caller may ask for.
const BLOCK_SIZES: std::ops::RangeInclusive<usize> = 64..=16 << 20;

/// Versions of one user key stay in one block up to this many times the block size.
const VERSIONS_STRETCH: usize = 4;

/// A block is closed before its estimate goes beyond this. Estimates are low by a factor of three at most, for empty keys and values.
const MAX_ESTIMATE: usize = MAX_PLAIN_LEN / 4;

/// A block is closed before its keys take more than this, however little of them has to be stored: the writer holds them
/// whole. Blocks that are to be larger may have keys as large as they.
const KEY_BYTES: usize = 256 << 10;

/// More filter bits a key than these would not be felt.
const MAX_FILTER_BITS: u32 = 64;

/// Writes one table.
pub(crate) struct BlockWriter<'a> {
    out: Output<'a>,
    compression: Compression,
    block_size: usize,
    filter_bits: u32,
    hash_index: bool,

    block: BlockBuilder,
    packing: Packing,
    body: Vec<u8>,
    index: IndexBuilder,
    blocks: u32,
    compressed: u64,
    features: Features,
    filter: BloomBuilder,

    entries: Entries,
    /// The user key of the newest entry that lies in a written block.
    written_key: Option<Vec<u8>>,
    tombstones: Tombstones,
}

impl<'a> BlockWriter<'a> {
    pub(crate) fn new(
        out: Box<dyn Write + Send + 'a>,
        options: &WriteOptions,
        hash_index: bool,
    ) -> BlockWriter<'a> {
        let size = |bytes: usize| bytes.clamp(*BLOCK_SIZES.start(), *BLOCK_SIZES.end());
        BlockWriter {
            out: Output::new(out),
            compression: options.compression,
            block_size: size(options.block_size),
            filter_bits: options.filter_bits.min(MAX_FILTER_BITS),
            hash_index,
            block: BlockBuilder::default(),
            packing: Packing::new(size(options.block_size), options.fit_pages),
            body: Vec::new(),
            index: IndexBuilder::new(size(options.index_block_size)),
            blocks: 0,
            compressed: 0,
            features: Features::default(),
            filter: BloomBuilder::new(),
            entries: Entries::default(),
            written_key: None,
            tombstones: Tombstones::default(),
        }
    }

    /// Closes the block if the next entry shall not go into it.
    fn make_room(&mut self, user_key: &[u8], value_len: usize, new_key: bool) -> Result<()> {
        if self.block.is_empty() {
            self.packing.plan(self.out.offset());
            return Ok(());
        }
        let then = self.block.estimate_with(user_key, value_len);
        let stretched = self.block_size * VERSIONS_STRETCH;
        let (is_full, limit) = match new_key {
            true => (self.packing.is_full(self.block.estimate(), then), self.block_size),
            false => (then > stretched, stretched),
        };
        if is_full
            || then > MAX_ESTIMATE
            || value_len > self.block_size
            || self.block.key_bytes() + user_key.len() > limit.clamp(KEY_BYTES, MAX_ESTIMATE)
        {
            self.flush()?;
            self.packing.plan(self.out.offset());
        }
        Ok(())
    }

    /// Writes the block that is being filled, if it has entries.
    fn flush(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let (first_key, first_trailer) = (self.block.key(0).to_vec(), self.block.trailer(0));
        let estimate = self.block.estimate();
        self.leave_gap()?;
        self.body.clear();
        self.block.finish(&mut self.body);
        let body = std::mem::take(&mut self.body);
        if body.len() > MAX_PLAIN_LEN {
            // Its entries are gone from the builder, so the table cannot be completed.
            self.out.fail();
            return Err(TableError::invalid(format!("a block of {} bytes is too long", body.len())));
        }
        let written = self.out.write_block(&body, self.compression);
        self.body = body;
        self.body.shrink_to(self.block_size * 2);
        let (offset, len, tag) = written?;
        self.packing.learn(estimate, len);
        self.enter_block(&first_key, first_trailer, offset, len, tag)
    }

    /// Leaves the gap before the block that is written next.
    fn leave_gap(&mut self) -> Result<()> {
        match self.packing.gap(self.out.offset()) {
            0 => Ok(()),
            gap => self.out.write(&[0; MAX_GAP][..gap]).map(drop),
        }
    }

    /// Notes a data block that was written.
    fn enter_block(
        &mut self,
        first_key: &[u8],
        first_trailer: Trailer,
        offset: u64,
        len: u32,
        tag: u8,
    ) -> Result<()> {
        let Some(next) = self.blocks.checked_add(1) else {
            return Err(TableError::invalid("a table has too many blocks"));
        };
        let (key, trailer) = separator(self.written_key.as_deref(), first_key, first_trailer);
        self.index.add(key, trailer, Handle { offset, len, ordinal: self.blocks });
        self.blocks = next;
        if tag != TAG_NONE {
            self.compressed = sections::SOME_COMPRESSED;
        }
        if tag == TAG_ZSTD {
            self.features.incompatible |= FEATURE_ZSTD;
        }
        self.entries.counts.data_bytes += u64::from(len);
        self.entries.counts.data_blocks += 1;
        let written = self.written_key.get_or_insert_default();
        written.clear();
        written.extend_from_slice(self.entries.last_key());
        Ok(())
    }

    /// Writes the index partitions if there are several. Returns their section, and the body of the root.
    fn write_partitions(&mut self) -> Result<(Option<Section>, Vec<u8>)> {
        let index = std::mem::replace(&mut self.index, IndexBuilder::new(0));
        let mut partitions = index.finish();
        if partitions.len() <= 1 {
            return Ok((None, partitions.pop().map_or_else(Vec::new, |partition| partition.body)));
        }
        let (start, count) = (self.out.offset(), partitions.len() as u64);
        let mut builder = BlockBuilder::default();
        for (number, Partition { key, trailer, body }) in partitions.into_iter().enumerate() {
            let (offset, len, _) = self.out.write_block(&body, Compression::None)?;
            let ordinal = self.blocks.saturating_add(number as u32);
            builder.add(&key, trailer, &Handle { offset, len, ordinal }.encode());
        }
        let mut root = Vec::new();
        builder.finish(&mut root);
        if root.len() > MAX_PLAIN_LEN {
            return Err(TableError::invalid("a table has too many blocks"));
        }
        let len = self.out.offset() - start;
        Ok((Some(Section { kind: sections::PARTITIONS, offset: start, len, extra: count }), root))
    }

    fn write_filter(&mut self) -> Result<Option<Section>> {
        let built = std::mem::take(&mut self.filter).build(self.filter_bits);
        let (pages, extra) = filter::pages_of(&built);
        drop(built);
        if pages.is_empty() {
            return Ok(None);
        }
        self.out.align(alignment(pages.len()))?;
        let offset = self.out.write(&pages)?;
        Ok(Some(Section { kind: sections::FILTER, offset, len: pages.len() as u64, extra }))
    }
}

impl TableWriter for BlockWriter<'_> {
    fn add(&mut self, user_key: &[u8], trailer: Trailer, value: &[u8]) -> Result<()> {
        self.entries.check(user_key, trailer, value)?;
        let new_key = self.entries.is_new_key(user_key);
        self.make_room(user_key, value.len(), new_key)?;
        if self.hash_index {
            let hash = filter_hash(user_key);
            self.block.add_hashed(user_key, trailer, value, hash);
            self.filter.add(hash);
        } else {
            self.block.add(user_key, trailer, value);
            if new_key && self.filter_bits > 0 {
                self.filter.add(filter_hash(user_key));
            }
        }
        self.entries.add(user_key, trailer, value, new_key);
        // A value longer than a block has its block to itself.
        if value.len() > self.block_size { self.flush() } else { Ok(()) }
    }

    fn add_range_tombstone(&mut self, tombstone: &RangeTombstone) -> Result<()> {
        self.tombstones.add(tombstone)
    }

    fn add_raw_block(&mut self, block: &RawBlock) -> Result<bool> {
        let wanted = match self.compression {
            Compression::None => TAG_NONE,
            Compression::Lz4 => TAG_LZ4,
            _ => TAG_ZSTD,
        };
        if stored::tag(&block.stored) != Some(wanted) || block.counts.entries == 0 {
            return Ok(false);
        }
        match self.entries.last_key().cmp(&block.first_key) {
            _ if self.entries.first_key().is_none() => {}
            Ordering::Less => {}
            Ordering::Equal => return Ok(false),
            Ordering::Greater => {
                return Err(TableError::invalid("a block is not above the entry before"));
            }
        }
        let before = (!self.block.is_empty()).then(|| self.block.estimate());
        if !self.packing.suits(self.out.offset(), before, block.stored.len()) {
            return Ok(false);
        }
        if stored::check(&block.stored, 0).is_err() || block.stored.len() > MAX_PLAIN_LEN {
            return Err(TableError::invalid("a block to be copied has a wrong checksum"));
        }
        self.flush()?;
        self.leave_gap()?;
        let offset = self.out.write(&block.stored)?;
        self.entries.add_part(&block.first_key, &block.last_key, block.last_trailer, &block.counts);
        if self.filter_bits > 0 {
            block.hashes.iter().for_each(|&hash| self.filter.add(hash));
        }
        self.enter_block(&block.first_key, Trailer::FIRST, offset, block.stored.len() as u32, wanted)?;
        Ok(true)
    }

    fn estimated_size(&self) -> u64 {
        let block = if self.block.is_empty() { 0 } else { self.block.estimate() };
        let filter = self.filter.built_len(self.filter_bits);
        let rest = block + self.index.estimate() + filter + filter / 63 + self.tombstones.estimate();
        self.out.offset() + rest as u64 + 512
    }

    fn entries(&self) -> u64 {
        self.entries.counts.entries
    }

    fn finish(mut self: Box<Self>, collected: Vec<(String, Vec<u8>)>) -> Result<TableSummary> {
        self.flush()?;
        let mut records = Vec::new();
        if self.blocks > 0 {
            let extra = u64::from(self.blocks) | self.compressed;
            records.push(Section { kind: sections::DATA, offset: 0, len: self.out.offset(), extra });
        }
        let (partitions, root) = self.write_partitions()?;
        let levels = 1 + u64::from(partitions.is_some());
        records.extend(partitions);
        records.extend(self.write_filter()?);
        if let Some(body) = self.tombstones.encode() {
            records.push(self.out.write_section(sections::TOMBSTONES, &body, 0)?);
        }
        // The root lies behind the filter, so that one read of the end of the file finds all that opening needs.
        if !root.is_empty() {
            records.push(self.out.write_section(sections::ROOT, &root, levels)?);
        }
        let mut properties = self.entries.properties(self.tombstones.as_slice());
        records.push(self.out.write_properties(sections::PROPERTIES, &mut properties, collected)?);
        let file_size = self.out.finish(FormatId::BLOCK, VERSION, self.features, records)?;
        Ok(TableSummary { file_size, properties })
    }
}
