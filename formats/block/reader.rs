//! [`BlockTable`]: an open table.
//!
//! Held in memory for the life of the reader: the section table, the properties, the root index block, and a bit for each
//! block. Everything else is reached through the source: over a map in place, otherwise through the block cache.
//!
//! When a block is verified: over a map at first touch, remembered in [`Verified`]; by position, whenever it is read
//! from the file (the cache holds verified blocks only); with [`Verify::Always`] at every access, past the cache.
//!
//! The cache holds decoded bodies. Of a mapped file that is read by position, because memory is too small for the tables, it holds
//! compressed blocks as they are stored: a block that it does not have is mostly waited for there, and it holds about twice
//! as many, each of which is decoded as far as it is read. It is given a
//! block when it is offered it again, since the system's cache holds it too. A stored block has the length that its handle says, and a body that is
//! kept has another. When there is room for the tables again, a stored block is replaced by its body where it is found.

use crate::block::{Block, Bucket, HEADER, Layout, malformed_header};
use crate::filter::Filter;
use crate::handle::Handle;
use crate::index::{IndexWalk, handle_at};
use crate::sections;
use crate::{cursor::BlockCursor, expected};
use esker_table::codec::compression::{MAX_PLAIN_LEN, TAG_NONE};
use esker_table::footer::Footer;
use esker_table::key::filter_hash;
use esker_table::layout::cuts::Cuts;
use esker_table::layout::readahead::{Foresight, Readahead};
use esker_table::layout::sections::{Section, Sections};
use esker_table::layout::stored;
use esker_table::layout::tail::Tail;
use esker_table::layout::tombstones::Loaded;
use esker_table::layout::verified::Verified;
use esker_table::{
    Advice, BlockSource, Found, Fragments, LookupKey, Properties, RawBlock, ReadOptions, Result, Slice,
    TableCursor, TableError, TableReader, Trailer, Verify,
};
use std::ops::Range;
use std::sync::Arc;

/// No stored block is smaller than this: a compressed one has a length and the frame.
const MIN_BLOCK: u64 = 9;

/// An open table.
pub struct BlockTable {
    pub(crate) source: BlockSource,
    pub(crate) footer: Footer,
    pub(crate) sections: Sections,
    pub(crate) properties: Properties,
    pub(crate) filter: Option<Filter>,
    pub(crate) verified: Verified,
    /// The root index block's body, if there are data blocks.
    root: Option<Root>,
    levels: u64,
    /// Where the data blocks end.
    data_end: u64,
    /// Whether the cache may have a block of a file that is read through its map.
    may_be_cached: bool,
    tombstones: Loaded,
}

/// What is brought into memory before a block is read from a map.
pub(crate) enum Bring<'a> {
    /// The block, unless it was read before.
    Block,
    /// What a cursor that turns out to scan will come to, if it does.
    Foreseen(&'a mut Foresight),
    /// What a reader from front to back asks for.
    Ahead(&'a mut Readahead),
}

/// The index block that every search begins with.
struct Root {
    body: Slice,
    at: u64,
    layout: Layout,
}

impl Root {
    #[inline]
    fn block(&self) -> Result<Block<'_>> {
        match Block::with_layout(&self.body, self.at, self.layout) {
            Some(block) => Ok(block),
            None => Block::parse(&self.body, self.at),
        }
    }
}

impl BlockTable {
    /// Opens a table.
    ///
    /// # Errors
    /// See [`esker_table::TableFormat::open`].
    pub(crate) fn open(source: BlockSource) -> Result<BlockTable> {
        let tail = Tail::read(&source, &expected())?;
        let properties = tail.properties(&source, sections::PROPERTIES)?;
        let (at, sections) = (tail.sections.at, &tail.sections);
        let data = sections.get(sections::DATA);
        let partitions = sections.get(sections::PARTITIONS);
        let root_section = sections.get(sections::ROOT);
        let levels = root_section.map_or(1, |root| root.extra);
        if data.is_some() != root_section.is_some() || levels != 1 + u64::from(partitions.is_some()) {
            return Err(TableError::corruption(at, "the sections contradict each other"));
        }
        let root = match root_section {
            Some(section) => {
                let body = tail.block(&source, section.offset, section.len)?;
                let layout = Block::parse(&body, section.offset)?.layout();
                Some(Root { body, at: section.offset, layout })
            }
            None => None,
        };
        let blocks = block_count(data, at)? + block_count(partitions, at)?;
        let filter =
            sections.get(sections::FILTER).map(|section| Filter::open(&section, blocks)).transpose()?;
        let pages = filter.map_or(0, |filter| filter.pages());
        let verified = if source.is_mapped() { blocks as usize + pages as usize } else { 0 };
        // Single places of the data are read in no order; index and filter are read together, and again and again.
        source.advise(Advice::Random, 0, data.map_or(0, |data| data.end()));
        Ok(BlockTable {
            may_be_cached: !source.is_mapped()
                || data.is_some_and(|data| data.extra & sections::SOME_COMPRESSED != 0),
            source,
            footer: tail.footer,
            properties,
            filter,
            verified: Verified::new(verified),
            root,
            levels,
            data_end: data.map_or(0, |data| data.end()),
            tombstones: Loaded::default(),
            sections: tail.sections,
        })
    }

    /// The root index block, if there are data blocks.
    #[inline]
    pub(crate) fn root(&self) -> Result<Option<Block<'_>>> {
        match &self.root {
            Some(root) => root.block().map(Some),
            None => Ok(None),
        }
    }

    /// The number of index levels, 1 or 2.
    #[inline]
    pub(crate) fn levels(&self) -> u64 {
        self.levels
    }

    /// Where the data blocks end.
    pub(crate) fn data_end(&self) -> u64 {
        self.data_end
    }

    /// The body of an index partition and where it lies; with one level, of the root.
    #[inline]
    pub(crate) fn partition(&self, number: usize, options: &ReadOptions) -> Result<(Slice, u64)> {
        match &self.root {
            Some(root) if self.levels == 1 => Ok((root.body.clone(), root.at)),
            Some(root) => {
                let handle = handle_at(&root.block()?, number, root.at)?;
                Ok((self.load_partition(handle, options)?, handle.offset))
            }
            None => Err(TableError::corruption(self.sections.at, "the table has no index")),
        }
    }

    /// The body of the index partition at `handle`.
    #[inline]
    fn load_partition(&self, handle: Handle, options: &ReadOptions) -> Result<Slice> {
        // Partitions are never compressed: a map has them as they are. Otherwise they are small and used again, so they are
        // cached whatever the reader wants.
        let options = options.with_fill_cache(true);
        match self.held(handle, &options, !self.source.is_mapped()) {
            Some(held) => held.into_body(handle),
            None => self.load(handle, &options, Bring::Block),
        }
    }

    /// The body of a data block.
    #[inline]
    pub(crate) fn block(&self, handle: Handle, options: &ReadOptions, bring: Bring<'_>) -> Result<Slice> {
        let may_be_cached = !matches!(bring, Bring::Ahead(_));
        if let Some(held) = self.held(handle, options, may_be_cached && self.may_be_cached) {
            return held.into_body(handle);
        }
        // Nothing that costs is asked about a block that the cache has.
        if !self.source.prefers_positions() {
            return self.load(handle, options, bring);
        }
        match self.held(handle, options, may_be_cached && !self.may_be_cached) {
            Some(held) => held.into_body(handle),
            None => self.read_block(handle, options, bring),
        }
    }

    /// The body of a block that the cache does not have, in the way that the file is there.
    fn load(&self, handle: Handle, options: &ReadOptions, bring: Bring<'_>) -> Result<Slice> {
        if !self.source.is_mapped() {
            return self.read_block(handle, options, bring);
        }
        let stored = self.mapped(handle, options, bring)?;
        let is_compressed = stored::tag(&stored) != Some(TAG_NONE);
        let body = stored::body(stored, handle.offset)?;
        if is_compressed && Self::fills_cache(options) && self.source.wants() {
            self.keep_body(handle, &body);
        }
        Ok(body)
    }

    /// Gives the cache a body that it wants.
    fn keep_body(&self, handle: Handle, body: &Slice) {
        // One that is as long would be taken for the stored block. Only a very small one could be, of which compression saves no more than the
        // frame takes.
        if body.len() != handle.len as usize {
            self.source.insert(handle.offset, body);
        }
    }

    /// The block, if the cache has it.
    #[inline]
    fn held(&self, handle: Handle, options: &ReadOptions, may_be_cached: bool) -> Option<Held> {
        if !may_be_cached || options.verify == Verify::Always {
            return None;
        }
        let block = self.source.cached(handle.offset)?;
        if block.len() != handle.len as usize {
            return Some(Held::Body(block));
        }
        Some(self.held_stored(handle, block, options))
    }

    /// A stored block that the cache has, instead of which it shall have the body if that is what it would be given now.
    fn held_stored(&self, handle: Handle, stored: Slice, options: &ReadOptions) -> Held {
        if self.source.prefers_positions() || !Self::fills_cache(options) {
            return Held::Stored(stored);
        }
        // What cannot be decoded is the reader's to report.
        match stored::body(stored.clone(), handle.offset) {
            Ok(body) => {
                self.keep_body(handle, &body);
                Held::Body(body)
            }
            Err(_) => Held::Stored(stored),
        }
    }

    #[inline]
    fn fills_cache(options: &ReadOptions) -> bool {
        options.fill_cache && options.verify != Verify::Always
    }

    /// The stored block at `handle` of a map, in memory and verified.
    #[inline]
    fn mapped(&self, handle: Handle, options: &ReadOptions, bring: Bring<'_>) -> Result<Slice> {
        let unverified = options.verify == Verify::Always || !self.verified.get(handle.ordinal);
        match bring {
            Bring::Ahead(ahead) => ahead.populate(&self.source, &handle.range())?,
            Bring::Block if unverified => self.source.populate(handle.offset, handle.len as usize)?,
            Bring::Foreseen(foresight) => {
                if !foresight.bring_in(&self.source, self.data_end) && unverified {
                    self.source.populate(handle.offset, handle.len as usize)?;
                }
            }
            Bring::Block => {}
        }
        if unverified {
            Self::check_len(handle)?;
            stored::check(&self.source.read(handle.offset, handle.len as usize)?, handle.offset)?;
            self.verified.set(handle.ordinal);
        }
        self.source.read(handle.offset, handle.len as usize)
    }

    /// Refuses a block that is longer than any.
    fn check_len(handle: Handle) -> Result<()> {
        if handle.len as usize > MAX_PLAIN_LEN + stored::FRAME {
            let what = format!("a block claims {} bytes", handle.len);
            return Err(TableError::corruption(handle.offset, what));
        }
        Ok(())
    }

    /// The stored block at `handle`, read by position and verified.
    fn positioned(&self, handle: Handle, bring: Bring<'_>) -> Result<Slice> {
        Self::check_len(handle)?;
        let stored = match bring {
            Bring::Ahead(ahead) => ahead.read(&self.source, &handle.range())?,
            Bring::Block => self.source.read_at(handle.offset, handle.len as usize)?,
            Bring::Foreseen(foresight) => foresight.read(&self.source, self.data_end)?,
        };
        stored::check(&stored, handle.offset)?;
        Ok(stored)
    }

    /// Whether the cache has this block, which was read by position, as it is stored, and not its body. A mapped file is read by position
    /// where memory is short; twice as many blocks are then worth more than the time to decode them.
    fn is_kept_stored(&self, stored: &[u8]) -> bool {
        self.source.is_mapped() && stored::tag(stored) != Some(TAG_NONE)
    }

    /// Whether the cache would keep this block, which was read by position.
    fn is_wanted(&self, handle: Handle) -> bool {
        // Of a file that is always read by position the cache holds decoded blocks, which the system's does not.
        if self.source.is_mapped() { self.source.wants_too(handle.offset) } else { self.source.wants() }
    }

    /// The body of the block at `handle`, which is read by position.
    fn read_block(&self, handle: Handle, options: &ReadOptions, bring: Bring<'_>) -> Result<Slice> {
        let sequential = matches!(bring, Bring::Ahead(_));
        let stored = self.positioned(handle, bring)?;
        if sequential || !Self::fills_cache(options) || !self.is_wanted(handle) {
            return stored::body(stored, handle.offset);
        }
        if self.is_kept_stored(&stored) {
            self.source.insert(handle.offset, &stored);
            return stored::body(stored, handle.offset);
        }
        let body = stored::body(stored, handle.offset)?;
        self.keep_body(handle, &body);
        Ok(body)
    }

    /// The data block that holds the first entry at or after `(user_key, trailer)`, unless that begins the next one.
    #[inline]
    fn locate(&self, user_key: &[u8], trailer: Trailer, options: &ReadOptions) -> Result<Option<Handle>> {
        let Some(root) = self.root()? else { return Ok(None) };
        let i = root.ok(root.floor(user_key, trailer))?;
        let handle = handle_at(&root, i, self.sections.at)?;
        if self.levels == 1 {
            return Ok(Some(handle));
        }
        let body = self.load_partition(handle, options)?;
        let partition = Block::parse(&body, handle.offset)?;
        let i = partition.ok(partition.floor(user_key, trailer))?;
        handle_at(&partition, i, handle.offset).map(Some)
    }

    /// Looks `key` up in the data block at `handle`.
    #[inline]
    fn get_in(&self, handle: Handle, key: &LookupKey<'_>, options: &ReadOptions) -> Result<Lookup> {
        let held = match self.held(handle, options, self.may_be_cached) {
            Some(held) => held,
            None => self.bring_for_lookup(handle, options)?,
        };
        let body = match held {
            Held::Body(body) => body,
            Held::Stored(stored) => {
                return look_up_in_front(stored::decoding(&stored, handle.offset)?, handle, key);
            }
        };
        look_up(&Block::parse(&body, handle.offset)?, key).map(|place| match place {
            Place::At(trailer, value) => Lookup::Found(Found { trailer, value: body.into_part(value) }),
            Place::Absent => Lookup::Absent,
            Place::Behind => Lookup::Behind,
        })
    }

    /// A data block that the cache did not have, for a lookup: its body, or as it is stored if nobody will ask for it soon, or if the
    /// cache has it so now.
    fn bring_for_lookup(&self, handle: Handle, options: &ReadOptions) -> Result<Held> {
        let by_position = !self.source.is_mapped() || self.source.prefers_positions();
        if let Some(held) = self.held(handle, options, by_position && !self.may_be_cached) {
            return Ok(held);
        }
        let stored = match by_position {
            true => self.positioned(handle, Bring::Block)?,
            false => self.mapped(handle, options, Bring::Block)?,
        };
        let is_plain = stored::tag(&stored) == Some(TAG_NONE);
        // What lies in a map as it is need not be cached.
        let may_be_kept = (by_position || !is_plain) && Self::fills_cache(options);
        let keeps = may_be_kept && if by_position { self.is_wanted(handle) } else { self.source.wants() };
        if keeps && by_position && self.is_kept_stored(&stored) {
            self.source.insert(handle.offset, &stored);
        } else if keeps || is_plain {
            let body = stored::body(stored, handle.offset)?;
            if keeps {
                self.keep_body(handle, &body);
            }
            return Ok(Held::Body(body));
        }
        Ok(Held::Stored(stored))
    }

    /// A lookup that ran off the end of its block: the next one is asked if it begins with the same user key.
    #[cold]
    fn get_behind(&self, key: &LookupKey<'_>, options: &ReadOptions) -> Result<Option<Found>> {
        let mut walk = IndexWalk::new();
        walk.seek(self, key.user_key, key.trailer(), options)?;
        let Some(handle) = walk.next(self, options)? else { return Ok(None) };
        if !walk.is_at(key.user_key)? {
            return Ok(None);
        }
        match self.get_in(handle, key, options)? {
            Lookup::Found(found) => Ok(Some(found)),
            Lookup::Absent | Lookup::Behind => Ok(None),
        }
    }

    fn offset_of(&self, user_key: &[u8]) -> Result<u64> {
        let handle = self.locate(user_key, Trailer::FIRST, &ReadOptions::default())?;
        Ok(handle.map_or(0, |handle| handle.offset.min(self.data_end)))
    }
}

/// What a data block says about a lookup.
enum Lookup {
    Found(Found),
    Absent,
    /// Every entry of the block sorts before the lookup.
    Behind,
}

/// A block in memory.
enum Held {
    Body(Slice),
    /// Compressed, to be decoded as far as it is needed.
    Stored(Slice),
}

impl Held {
    #[inline]
    fn into_body(self, handle: Handle) -> Result<Slice> {
        match self {
            Held::Body(body) => Ok(body),
            Held::Stored(stored) => stored::body(stored, handle.offset),
        }
    }
}

/// Looks `key` up in a compressed data block, and decodes no more of it than that takes.
fn look_up_in_front(mut front: stored::Decoding<'_>, handle: Handle, key: &LookupKey<'_>) -> Result<Lookup> {
    let len = front.plain_len();
    let malformed = || malformed_header(handle.offset);
    let layout = Layout::parse(front.reach(HEADER)?, len).ok_or_else(malformed)?;
    let columns = front.reach(layout.values_at())?;
    let block = Block::of_front(columns, handle.offset, layout).ok_or_else(malformed)?;
    let (trailer, value) = match look_up(&block, key)? {
        Place::At(trailer, value) => (trailer, value),
        Place::Absent => return Ok(Lookup::Absent),
        Place::Behind => return Ok(Lookup::Behind),
    };
    front.reach(value.end)?;
    Ok(Lookup::Found(Found { trailer, value: front.finish().into_part(value) }))
}

/// Where a lookup finds its entry in a block.
enum Place {
    /// The entry's trailer, and where its value lies in the body.
    At(Trailer, Range<usize>),
    Absent,
    /// See [`Lookup::Behind`].
    Behind,
}

/// Looks `key` up in a data block. Lookups spend much of their time here.
#[inline(always)]
fn look_up(block: &Block<'_>, key: &LookupKey<'_>) -> Result<Place> {
    let i = match block.bucket(key.hash) {
        Bucket::Absent => return Ok(Place::Absent),
        Bucket::At(i) if !block.ok(block.is_key(i, key.user_key))? => return Ok(Place::Absent),
        Bucket::At(i) if block.trailer(i) <= key.trailer() => i,
        _ => match block.ok(block.search(key.user_key, key.trailer()))? {
            (i, true) => i,
            (i, false) if i == block.len() => return Ok(Place::Behind),
            (_, false) => return Ok(Place::Absent),
        },
    };
    Ok(Place::At(block.trailer(i), block.ok(block.value_range(i))?))
}

/// The number of blocks that a section says it has, held against its length.
fn block_count(section: Option<Section>, at: u64) -> Result<u32> {
    let Some(section) = section else { return Ok(0) };
    let count = section.extra & !sections::SOME_COMPRESSED;
    match u32::try_from(count) {
        Ok(number) if number > 0 && number <= u32::MAX / 4 && count <= section.len / MIN_BLOCK => Ok(number),
        _ => Err(TableError::corruption(at, format!("{count} blocks in {} bytes", section.len))),
    }
}

impl TableReader for BlockTable {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn get(&self, key: &LookupKey<'_>, options: &ReadOptions) -> Result<Option<Found>> {
        if self.may_contain(key.hash)? { self.get_unfiltered(key, options) } else { Ok(None) }
    }

    fn get_unfiltered(&self, key: &LookupKey<'_>, options: &ReadOptions) -> Result<Option<Found>> {
        let Some(handle) = self.locate(key.user_key, key.trailer(), options)? else { return Ok(None) };
        match self.get_in(handle, key, options)? {
            Lookup::Found(found) => Ok(Some(found)),
            Lookup::Absent => Ok(None),
            Lookup::Behind => self.get_behind(key, options),
        }
    }

    #[inline]
    fn may_contain(&self, hash: u64) -> Result<bool> {
        match &self.filter {
            Some(filter) => filter.may_contain(hash, &self.source, &self.verified),
            None => Ok(true),
        }
    }

    fn cursor(self: Arc<Self>, options: &ReadOptions) -> Box<dyn TableCursor> {
        Box::new(BlockCursor::new(self, options))
    }

    fn range_tombstones(&self) -> Result<Arc<Fragments>> {
        self.tombstones.get(&self.source, self.sections.get(sections::TOMBSTONES))
    }

    fn estimated_offset(&self, user_key: &[u8]) -> u64 {
        if self.properties.entries > 0
            && !self.properties.largest_exclusive
            && user_key > &self.properties.largest[..]
        {
            return self.data_end;
        }
        // An index that cannot be read is reported by the read that needs it; an estimate may be wrong.
        self.offset_of(user_key).unwrap_or(self.data_end)
    }

    fn split_points(&self, parts: usize) -> Result<Vec<Vec<u8>>> {
        let Some(root) = self.root()? else { return Ok(Vec::new()) };
        let options = ReadOptions::default();
        let mut points = Cuts::new(parts, self.data_end);
        if self.levels == 2 && root.len() / 4 >= parts {
            // The partitions are about equal and many: the root alone cuts finely enough.
            for i in 1..root.len() {
                let offset = (u128::from(self.data_end) * i as u128 / root.len() as u128) as u64;
                points.offer(offset, || root.key_vec(i))?;
            }
        } else {
            let mut walk = IndexWalk::new();
            walk.first(self, &options)?;
            while let Some(handle) = walk.next(self, &options)? {
                points.offer(handle.offset, || Ok(walk.separator()?.0))?;
            }
        }
        // The separator of the first block is its first user key; one that is cut where versions of that key span two
        // blocks separates nothing.
        let first = root.key_vec(0)?;
        Ok(points.above(&first))
    }

    fn raw_block_at(&self, user_key: &[u8], trailer: Trailer) -> Result<Option<RawBlock>> {
        let options = ReadOptions::default().with_fill_cache(false);
        let mut walk = IndexWalk::new();
        let Some(mut handle) = walk.seek(self, user_key, trailer, &options)? else { return Ok(None) };
        let mut body = self.block(handle, &options, Bring::Block)?;
        let block = Block::parse(&body, handle.offset)?;
        let position = block.ok(block.lower_bound(user_key, trailer))?;
        if position > 0 {
            if position < block.len() {
                return Ok(None);
            }
            match walk.next(self, &options)? {
                Some(next) => handle = next,
                None => return Ok(None),
            }
            body = self.block(handle, &options, Bring::Block)?;
        }
        let stored = self.source.read_at(handle.offset, handle.len as usize)?;
        stored::check(&stored, handle.offset)?;
        let block = Block::parse(&body, handle.offset)?;
        let (mut counts, mut hashes) = (Properties::default(), Vec::with_capacity(block.len()));
        let mut last_key = Vec::new();
        for i in 0..block.len() {
            let new_key = i == 0 || !block.ok(block.is_key(i, &last_key))?;
            if new_key {
                last_key = block.key_vec(i)?;
                hashes.push(filter_hash(&last_key));
            }
            counts.count(&last_key, block.trailer(i), block.ok(block.value(i))?, new_key);
        }
        Ok(Some(RawBlock {
            stored,
            first_key: block.key_vec(0)?,
            last_key,
            last_trailer: block.trailer(block.len() - 1),
            counts,
            hashes,
        }))
    }

    fn verify(&self) -> Result<()> {
        crate::verify::verify(self)
    }

    fn heap_bytes(&self) -> usize {
        let root =
            self.root.as_ref().map_or(0, |root| if self.source.is_mapped() { 0 } else { root.body.len() });
        size_of::<BlockTable>()
            + root
            + self.verified.heap_bytes()
            + self.properties.heap_bytes()
            + self.tombstones.heap_bytes()
    }

    fn describe(&self, line: &mut dyn FnMut(String)) -> Result<()> {
        crate::verify::describe(self, line);
        Ok(())
    }
}
