//! Where a table reader's bytes come from.
//!
//! A [`ByteSource`] is a file of fixed length: mapped, read by position, or in memory. A [`BlockSource`] joins it with
//! the block cache and is what a format is given to read its table from.

use crate::{Result, Slice, TableError};
use std::io;
use std::sync::Arc;

/// A hint about how a part of a file will be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Single places in no order: reading around them would be waste.
    Random,
    /// From front to back, once.
    Sequential,
    /// Soon: start reading now.
    WillNeed,
    /// Not again: the memory may be given back.
    DontNeed,
}

/// The bytes of one file, whose length and content never change.
pub trait ByteSource: Send + Sync {
    /// The length in bytes.
    fn len(&self) -> u64;

    /// Whether there are no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `len` bytes at `offset`. A source that is [mapped](ByteSource::is_mapped) copies nothing.
    ///
    /// # Errors
    /// What the device says; `UnexpectedEof` if the range does not lie within the file.
    fn read(&self, offset: u64, len: usize) -> io::Result<Slice>;

    /// Whether [`read`](ByteSource::read) hands out the file's own memory, so that uncompressed blocks need no cache. Always the same.
    fn is_mapped(&self) -> bool;

    /// All of the file, if it is mapped and lends itself whole. Nothing of it may be looked at before
    /// [`populate`](ByteSource::populate) has brought that in.
    fn whole(&self) -> Option<Slice> {
        None
    }

    /// The same bytes by position, if a file that is mapped is better read so at present: a map waits for each page that memory has
    /// no room for, and the system then knows less of what is used again and again. May answer differently each time.
    fn by_position(&self) -> Option<&dyn ByteSource> {
        None
    }

    /// Brings a range into memory and reports a device failure as an error. A mapped source must do so before
    /// the range is first touched, unless it has seen it in memory; others need not do anything.
    ///
    /// # Errors
    /// What the device says.
    fn populate(&self, offset: u64, len: usize) -> io::Result<()> {
        let _ = (offset, len);
        Ok(())
    }

    /// Says how a range will be read. Only a hint; may do nothing.
    fn advise(&self, advice: Advice, offset: u64, len: u64) {
        let _ = (advice, offset, len);
    }
}

/// A cache of blocks, in the form that a format gives them, shared by many tables and kept within a budget by the engine.
pub trait BlockCache: Send + Sync {
    /// The block of table `table` that starts at `offset`, if it is cached.
    fn get(&self, table: u64, offset: u64) -> Option<Slice>;

    /// Whether a block that were offered now would be kept: a reader need not decode what it will not keep. Each answer is for one
    /// block, which whoever was told yes should give.
    fn wants(&self) -> bool {
        true
    }

    /// As [`wants`](BlockCache::wants), of a block that the system's cache holds as well. To ask is to offer it: a cache may want only
    /// what it was offered before.
    fn wants_too(&self, table: u64, offset: u64) -> bool {
        let _ = (table, offset);
        self.wants()
    }

    /// Gives a block that the cache [wants](BlockCache::wants).
    fn insert(&self, table: u64, offset: u64, block: Slice);
}

/// The bytes of one table, with the cache that its blocks may live in.
#[derive(Clone)]
pub struct BlockSource {
    bytes: Arc<dyn ByteSource>,
    /// The file itself, so that looking into it needs neither a dynamic call nor a reference count.
    whole: Option<Slice>,
    /// Whether the file is mapped, which never changes.
    is_mapped: bool,
    cache: Option<Arc<dyn BlockCache>>,
    table: u64,
}

impl BlockSource {
    /// Reads from `bytes` without a cache.
    pub fn new(bytes: Arc<dyn ByteSource>) -> BlockSource {
        BlockSource { whole: bytes.whole(), is_mapped: bytes.is_mapped(), bytes, cache: None, table: 0 }
    }

    /// Reads from `bytes`, and keeps blocks in `cache` under the number `table`, which no other table
    /// may use for as long as the cache exists.
    pub fn with_cache(bytes: Arc<dyn ByteSource>, cache: Arc<dyn BlockCache>, table: u64) -> BlockSource {
        BlockSource { cache: Some(cache), table, ..BlockSource::new(bytes) }
    }

    /// Reads from a copy in memory.
    pub fn from_memory(bytes: impl Into<Slice>) -> BlockSource {
        BlockSource::new(Arc::new(Memory(bytes.into())))
    }

    /// The length of the table in bytes.
    pub fn len(&self) -> u64 {
        self.bytes.len()
    }

    /// Whether the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether reads hand out the file's own memory.
    #[inline]
    pub fn is_mapped(&self) -> bool {
        self.is_mapped
    }

    /// The underlying bytes.
    pub fn bytes(&self) -> &Arc<dyn ByteSource> {
        &self.bytes
    }

    /// The `len` bytes at `offset`, as they are in the file.
    ///
    /// # Errors
    /// `Corruption` if the range does not lie within the file (a handle that points outside is damage, not a failing
    /// device); `Io` if the device failed.
    #[inline]
    pub fn read(&self, offset: u64, len: usize) -> Result<Slice> {
        if let Some(whole) = &self.whole
            && let Some((start, end)) = range_of(whole, offset, len)
        {
            return Ok(whole.slice(start..end));
        }
        self.check(offset, len)?;
        self.bytes.read(offset, len).map_err(TableError::Io)
    }

    /// Whether what is read once is better read by position at present, though the file may be mapped: see
    /// [`ByteSource::by_position`].
    #[inline]
    pub fn prefers_positions(&self) -> bool {
        self.bytes.by_position().is_some()
    }

    /// As [`read`](BlockSource::read), by position where that is preferred.
    ///
    /// # Errors
    /// As [`read`](BlockSource::read).
    pub fn read_at(&self, offset: u64, len: usize) -> Result<Slice> {
        let Some(file) = self.bytes.by_position() else {
            if self.is_mapped {
                // Nobody else brings it in: whoever asked may have been told otherwise a moment ago.
                self.populate(offset, len)?;
            }
            return self.read(offset, len);
        };
        self.check(offset, len)?;
        file.read(offset, len).map_err(TableError::Io)
    }

    /// The `len` bytes at `offset`, borrowed: a file that is mapped may lend them. What was not brought in by
    /// [`populate`](BlockSource::populate) must not be looked at. `None` too if the range does not lie within the file.
    #[inline]
    pub fn view(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let whole = self.whole.as_ref()?;
        let (start, end) = range_of(whole, offset, len)?;
        Some(&whole[start..end])
    }

    /// [`view`](BlockSource::view), sharing the file.
    pub fn lent(&self, offset: u64, len: usize) -> Option<Slice> {
        let whole = self.whole.as_ref()?;
        let (start, end) = range_of(whole, offset, len)?;
        Some(whole.slice(start..end))
    }

    fn check(&self, offset: u64, len: usize) -> Result<()> {
        if offset.checked_add(len as u64).is_none_or(|end| end > self.len()) {
            return Err(TableError::corruption(
                offset,
                format!("{len} bytes expected, but the file ends at {}", self.len()),
            ));
        }
        Ok(())
    }

    /// See [`ByteSource::populate`].
    ///
    /// # Errors
    /// As [`read`](BlockSource::read).
    pub fn populate(&self, offset: u64, len: usize) -> Result<()> {
        self.check(offset, len)?;
        self.bytes.populate(offset, len).map_err(TableError::Io)
    }

    /// See [`ByteSource::advise`].
    pub fn advise(&self, advice: Advice, offset: u64, len: u64) {
        self.bytes.advise(advice, offset, len);
    }

    /// The block that starts at `offset`, if the cache has it, in the form that it was given.
    #[inline]
    pub fn cached(&self, offset: u64) -> Option<Slice> {
        self.cache.as_ref()?.get(self.table, offset)
    }

    /// Whether the cache would keep a block: see [`BlockCache::wants`].
    #[inline]
    pub fn wants(&self) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.wants())
    }

    /// Whether the cache would keep a block that the system's holds as well: see [`BlockCache::wants_too`].
    #[inline]
    pub fn wants_too(&self, offset: u64) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.wants_too(self.table, offset))
    }

    /// Gives the cache a block that it [wants](BlockSource::wants).
    pub fn insert(&self, offset: u64, block: &Slice) {
        // A part of the map takes no memory of the cache's, and would keep the map. Whoever read it may have been told a moment ago that
        // it is read by position.
        if self.whole.as_ref().is_some_and(|whole| whole.as_ptr_range().contains(&block.as_ptr())) {
            return;
        }
        if let Some(cache) = &self.cache {
            cache.insert(self.table, offset, block.clone());
        }
    }

    /// Offers a block to the cache.
    pub fn keep(&self, offset: u64, block: &Slice) {
        if self.wants() {
            self.insert(offset, block);
        }
    }
}

impl std::fmt::Debug for BlockSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockSource")
            .field("table", &self.table)
            .field("len", &self.len())
            .field("mapped", &self.is_mapped())
            .field("cached", &self.cache.is_some())
            .finish()
    }
}

#[inline]
fn range_of(whole: &[u8], offset: u64, len: usize) -> Option<(usize, usize)> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(len).filter(|&end| end <= whole.len())?;
    Some((start, end))
}

/// A file in memory. It counts as mapped: reading copies nothing.
struct Memory(Slice);

impl ByteSource for Memory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
        let start =
            usize::try_from(offset).ok().filter(|&s| s.checked_add(len).is_some_and(|e| e <= self.0.len()));
        match start {
            Some(start) => Ok(self.0.slice(start..start + len)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn whole(&self) -> Option<Slice> {
        Some(self.0.clone())
    }

    fn is_mapped(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_outside_is_corruption() {
        let source = BlockSource::from_memory(vec![1u8, 2, 3]);
        assert_eq!(source.read(1, 2).unwrap(), [2u8, 3]);
        assert!(source.read(2, 2).unwrap_err().is_corruption());
        assert!(source.read(u64::MAX, 2).unwrap_err().is_corruption());
        assert!(source.populate(2, 2).unwrap_err().is_corruption());
    }

    #[derive(Default)]
    struct Counting(std::sync::atomic::AtomicUsize);

    impl BlockCache for Counting {
        fn get(&self, _: u64, _: u64) -> Option<Slice> {
            None
        }
        fn insert(&self, _: u64, _: u64, _: Slice) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    #[test]
    fn a_part_of_the_map_is_not_cached() {
        let cache = Arc::new(Counting::default());
        let bytes = Arc::new(Memory(vec![1u8, 2, 3].into()));
        let source = BlockSource::with_cache(bytes, cache.clone(), 1);
        source.insert(0, &source.read(1, 2).unwrap());
        assert_eq!(cache.0.load(std::sync::atomic::Ordering::Relaxed), 0);
        source.insert(0, &Slice::copy_from(&[2, 3]));
        assert_eq!(cache.0.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}
