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
use crate::filter::{self, PAGE};
use crate::handle::Handle;
use crate::index::{IndexBuilder, Partition, separator};
use crate::sections::{self, Section, Sections};
use crate::{FEATURE_ZSTD, VERSION, stored, tombstones};
use esker_table::codec::Compression;
use esker_table::codec::compression::{MAX_PLAIN_LEN, TAG_LZ4, TAG_NONE, TAG_ZSTD};
use esker_table::filter::BloomBuilder;
use esker_table::filter::bloom::LINE;
use esker_table::footer::{FOOTER_LEN, Features, Footer};
use esker_table::key::{self, Kind, MAX_KEY_LEN, MAX_SEQNO, MAX_VALUE_LEN, filter_hash};
use esker_table::{
    FormatId, Properties, RangeTombstone, RawBlock, Result, TableError, TableSummary, TableWriter, Trailer,
    WriteOptions,
};
use std::cmp::Ordering;
use std::io::{self, Write};

/// Whether data blocks get a hash index by default.
pub(crate) const HASH_INDEX: bool = false;

/// Block sizes that a caller may ask for.
const BLOCK_SIZES: std::ops::RangeInclusive<usize> = 64..=16 << 20;

/// Versions of one user key stay in one block up to this many times the block size.
const VERSIONS_STRETCH: usize = 4;

/// A block is closed before its keys take more than this, however little of them has to be stored: the writer holds them
/// whole. Blocks that are to be larger may have keys as large as they.
const KEY_BYTES: usize = 256 << 10;

/// More filter bits a key than these would not be felt.
const MAX_FILTER_BITS: u32 = 64;

/// A filter of at least this length begins on a page of memory, so that each of its pages is one.
const ALIGN_TO_PAGE_FROM: usize = 16 * PAGE;

/// Writes one table.
pub(crate) struct BlockWriter<'a> {
    out: Box<dyn Write + Send + 'a>,
    offset: u64,
    /// Writing failed: the file has a hole, and nothing more may be written.
    failed: bool,

    compression: Compression,
    block_size: usize,
    filter_bits: u32,
    hash_index: bool,

    block: BlockBuilder,
    body: Vec<u8>,
    framed: Vec<u8>,
    index: IndexBuilder,
    blocks: u32,
    compressed: u64,
    features: Features,
    filter: BloomBuilder,

    /// The user key of the newest entry of all, and of the newest that lies in a written block.
    last_key: Vec<u8>,
    last_trailer: Trailer,
    written_key: Option<Vec<u8>>,
    first_key: Option<Vec<u8>>,
    tombstones: Vec<RangeTombstone>,
    tombstone_bytes: usize,
    /// What the entries count; bounds and tombstones come in at the end.
    counts: Properties,
}

impl<'a> BlockWriter<'a> {
    pub(crate) fn new(
        out: Box<dyn Write + Send + 'a>,
        options: &WriteOptions,
        hash_index: bool,
    ) -> BlockWriter<'a> {
        let size = |bytes: usize| bytes.clamp(*BLOCK_SIZES.start(), *BLOCK_SIZES.end());
        BlockWriter {
            out,
            offset: 0,
            failed: false,
            compression: options.compression,
            block_size: size(options.block_size),
            filter_bits: options.filter_bits.min(MAX_FILTER_BITS),
            hash_index,
            block: BlockBuilder::default(),
            body: Vec::new(),
            framed: Vec::new(),
            index: IndexBuilder::new(size(options.index_block_size)),
            blocks: 0,
            compressed: 0,
            features: Features::default(),
            filter: BloomBuilder::new(),
            last_key: Vec::new(),
            last_trailer: Trailer::FIRST,
            written_key: None,
            first_key: None,
            tombstones: Vec::new(),
            tombstone_bytes: 0,
            counts: Properties::default(),
        }
    }

    /// Whether there is an entry already.
    fn has_entries(&self) -> bool {
        self.first_key.is_some()
    }

    fn check_entry(&self, user_key: &[u8], trailer: Trailer, value: &[u8]) -> Result<()> {
        let order = || key::compare(&self.last_key, self.last_trailer, user_key, trailer);
        if self.has_entries() && order() != Ordering::Less {
            return Err(TableError::invalid("an entry is not above the one before"));
        }
        if user_key.len() > MAX_KEY_LEN || value.len() > MAX_VALUE_LEN {
            return Err(TableError::invalid(format!(
                "a key of {} or a value of {} bytes is too long",
                user_key.len(),
                value.len()
            )));
        }
        match trailer.kind() {
            Some(Kind::Delete) if !value.is_empty() => Err(TableError::invalid("a delete has no value")),
            None | Some(Kind::RangeDelete) => {
                Err(TableError::invalid(format!("an entry of kind {} cannot be held", trailer.kind_number())))
            }
            Some(_) => Ok(()),
        }
    }

    /// Closes the block if the next entry shall not go into it.
    fn make_room(&mut self, user_key: &[u8], value_len: usize, new_key: bool) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let limit = if new_key { self.block_size } else { self.block_size * VERSIONS_STRETCH };
        // The estimate is low by a factor of three at most, for empty keys and values.
        let limit = limit.min(MAX_PLAIN_LEN / 4);
        let is_full = self.block.estimate_with(user_key, value_len) > limit
            || value_len > self.block_size
            || self.block.key_bytes() + user_key.len() > limit.max(KEY_BYTES);
        if is_full { self.flush() } else { Ok(()) }
    }

    /// Writes the block that is being filled, if it has entries.
    fn flush(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let (first_key, first_trailer) = (self.block.key(0).to_vec(), self.block.trailer(0));
        self.body.clear();
        self.block.finish(&mut self.body);
        let body = std::mem::take(&mut self.body);
        if body.len() > MAX_PLAIN_LEN {
            // Its entries are gone from the builder, so the table cannot be completed.
            self.failed = true;
            return Err(TableError::invalid(format!("a block of {} bytes is too long", body.len())));
        }
        let written = self.write_block(&body, self.compression);
        self.body = body;
        self.body.shrink_to(self.block_size * 2);
        let (offset, len, tag) = written?;
        self.enter_block(&first_key, first_trailer, offset, len, tag)
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
        self.counts.data_bytes += u64::from(len);
        self.counts.data_blocks += 1;
        let written = self.written_key.get_or_insert_default();
        written.clear();
        written.extend_from_slice(&self.last_key);
        Ok(())
    }

    /// Frames a body and writes it. Returns where it lies, its stored length and its compression byte.
    fn write_block(&mut self, body: &[u8], compression: Compression) -> Result<(u64, u32, u8)> {
        let tag = stored::seal(body, compression, &mut self.framed);
        let framed = std::mem::take(&mut self.framed);
        let written = self.write(&framed);
        let len = framed.len() as u32;
        self.framed = framed;
        self.framed.shrink_to(self.block_size * 2);
        Ok((written?, len, tag))
    }

    /// Writes bytes as they are. Returns where they lie.
    fn write(&mut self, bytes: &[u8]) -> Result<u64> {
        if self.failed {
            return Err(TableError::Io(io::Error::other("writing this table has failed before")));
        }
        if let Err(error) = self.out.write_all(bytes) {
            self.failed = true;
            return Err(TableError::Io(error));
        }
        let at = self.offset;
        self.offset += bytes.len() as u64;
        Ok(at)
    }

    /// Writes the index partitions if there are several. Returns their section, and the body of the root.
    fn write_partitions(&mut self) -> Result<(Option<Section>, Vec<u8>)> {
        let index = std::mem::replace(&mut self.index, IndexBuilder::new(0));
        let mut partitions = index.finish();
        if partitions.len() <= 1 {
            return Ok((None, partitions.pop().map_or_else(Vec::new, |partition| partition.body)));
        }
        let (start, count) = (self.offset, partitions.len() as u64);
        let mut builder = BlockBuilder::default();
        for (number, Partition { key, trailer, body }) in partitions.into_iter().enumerate() {
            let (offset, len, _) = self.write_block(&body, Compression::None)?;
            let ordinal = self.blocks.saturating_add(number as u32);
            builder.add(&key, trailer, &Handle { offset, len, ordinal }.encode());
        }
        let mut root = Vec::new();
        builder.finish(&mut root);
        if root.len() > MAX_PLAIN_LEN {
            return Err(TableError::invalid("a table has too many blocks"));
        }
        let len = self.offset - start;
        Ok((Some(Section { kind: sections::PARTITIONS, offset: start, len, extra: count }), root))
    }

    /// Writes a block that is a section of its own.
    fn write_section(&mut self, kind: u32, body: &[u8], extra: u64) -> Result<Section> {
        let (offset, len, _) = self.write_block(body, Compression::None)?;
        Ok(Section { kind, offset, len: u64::from(len), extra })
    }

    fn write_filter(&mut self) -> Result<Option<Section>> {
        let built = std::mem::take(&mut self.filter).build(self.filter_bits);
        let (pages, extra) = filter::paginate(&built);
        drop(built);
        if pages.is_empty() {
            return Ok(None);
        }
        let align = if pages.len() >= ALIGN_TO_PAGE_FROM { PAGE } else { LINE };
        let padding = self.offset.next_multiple_of(align as u64) - self.offset;
        self.write(&vec![0; padding as usize])?;
        let offset = self.write(&pages)?;
        Ok(Some(Section { kind: sections::FILTER, offset, len: pages.len() as u64, extra }))
    }

    /// The table's properties, complete but for the collected bytes.
    fn whole_properties(&self) -> Properties {
        let mut whole = Properties::default();
        if let Some(first_key) = &self.first_key {
            whole.widen(first_key, &self.last_key, false);
        }
        whole.count_part(&self.counts);
        self.tombstones.iter().for_each(|tombstone| whole.count_range_tombstone(tombstone));
        (whole.data_bytes, whole.data_blocks) = (self.counts.data_bytes, self.counts.data_blocks);
        whole
    }
}

impl TableWriter for BlockWriter<'_> {
    fn add(&mut self, user_key: &[u8], trailer: Trailer, value: &[u8]) -> Result<()> {
        self.check_entry(user_key, trailer, value)?;
        let new_key = !self.has_entries() || self.last_key != user_key;
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
        self.counts.count(user_key, trailer, value, new_key);
        if self.first_key.is_none() {
            self.first_key = Some(user_key.to_vec());
        }
        if new_key {
            self.last_key.clear();
            self.last_key.extend_from_slice(user_key);
        }
        self.last_trailer = trailer;
        // A value longer than a block has its block to itself.
        if value.len() > self.block_size { self.flush() } else { Ok(()) }
    }

    fn add_range_tombstone(&mut self, tombstone: &RangeTombstone) -> Result<()> {
        if tombstone.start >= tombstone.end
            || tombstone.start.len().max(tombstone.end.len()) > MAX_KEY_LEN
            || tombstone.seqno > MAX_SEQNO
        {
            return Err(TableError::invalid("a range tombstone is empty or beyond the limits"));
        }
        if !tombstones::follows(self.tombstones.last(), tombstone) {
            return Err(TableError::invalid("a range tombstone is out of order"));
        }
        self.tombstone_bytes += tombstones::encoded_len(self.tombstones.last(), tombstone);
        if self.tombstone_bytes > MAX_PLAIN_LEN / 2 {
            return Err(TableError::invalid("a table has too many range tombstones"));
        }
        self.tombstones.push(tombstone.clone());
        Ok(())
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
        match self.last_key.as_slice().cmp(&block.first_key) {
            _ if !self.has_entries() => {}
            Ordering::Less => {}
            Ordering::Equal => return Ok(false),
            Ordering::Greater => {
                return Err(TableError::invalid("a block is not above the entry before"));
            }
        }
        if stored::check(&block.stored, 0).is_err() || block.stored.len() > MAX_PLAIN_LEN {
            return Err(TableError::invalid("a block to be copied has a wrong checksum"));
        }
        self.flush()?;
        let offset = self.write(&block.stored)?;
        if self.first_key.is_none() {
            self.first_key = Some(block.first_key.clone());
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(&block.last_key);
        self.last_trailer = block.last_trailer;
        if self.filter_bits > 0 {
            block.hashes.iter().for_each(|&hash| self.filter.add(hash));
        }
        self.counts.count_part(&block.counts);
        self.enter_block(&block.first_key, Trailer::FIRST, offset, block.stored.len() as u32, wanted)?;
        Ok(true)
    }

    fn estimated_size(&self) -> u64 {
        let block = if self.block.is_empty() { 0 } else { self.block.estimate() };
        let filter = self.filter.built_len(self.filter_bits);
        let rest = block + self.index.estimate() + filter + filter / 63 + self.tombstone_bytes;
        self.offset + rest as u64 + 512
    }

    fn entries(&self) -> u64 {
        self.counts.entries
    }

    fn finish(mut self: Box<Self>, collected: Vec<(String, Vec<u8>)>) -> Result<TableSummary> {
        let twice =
            |(i, (name, _)): (usize, &(String, _))| collected[..i].iter().any(|(other, _)| other == name);
        if collected.iter().enumerate().any(twice) {
            return Err(TableError::invalid("two collectors have one name"));
        }
        self.flush()?;
        let mut records = Vec::new();
        if self.blocks > 0 {
            let extra = u64::from(self.blocks) | self.compressed;
            records.push(Section { kind: sections::DATA, offset: 0, len: self.offset, extra });
        }
        let (partitions, root) = self.write_partitions()?;
        let levels = 1 + u64::from(partitions.is_some());
        records.extend(partitions);
        records.extend(self.write_filter()?);
        if !self.tombstones.is_empty() {
            let mut body = Vec::new();
            tombstones::encode(&self.tombstones, &mut body);
            records.push(self.write_section(sections::TOMBSTONES, &body, 0)?);
        }
        // The root lies behind the filter, so that one read of the end of the file finds all that opening needs.
        if !root.is_empty() {
            records.push(self.write_section(sections::ROOT, &root, levels)?);
        }
        let mut properties = self.whole_properties();
        properties.collected = collected;
        let mut body = Vec::new();
        properties.encode(&mut body);
        if body.len() > MAX_PLAIN_LEN {
            return Err(TableError::invalid("the collected bytes are too long"));
        }
        records.push(self.write_section(sections::PROPERTIES, &body, 0)?);
        records.sort_by_key(|section| section.kind);
        let table = Sections { at: self.offset, records }.encode();
        let (offset, len, _) = self.write_block(&table, Compression::None)?;
        let footer = Footer {
            format: FormatId::BLOCK,
            version: VERSION,
            features: self.features,
            body: sections::footer_body(offset, len),
        };
        self.write(&footer.encode())?;
        debug_assert_eq!(self.offset, offset + u64::from(len) + FOOTER_LEN as u64);
        self.out.flush().map_err(TableError::Io)?;
        Ok(TableSummary { file_size: self.offset, properties })
    }
}
