//! [`TableReader`]: an open table.

use crate::writer::RawBlock;
use crate::{Fragments, LookupKey, Properties, Result, Slice, TableCursor, Trailer};
use std::sync::Arc;

/// When a block's checksum is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Verify {
    /// At the first touch of each block, and never again while the table is open.
    #[default]
    FirstTouch,
    /// At every read of entries, from the file and past the cache. Filters and hash indexes, which only lead there, are verified at
    /// first touch.
    Always,
}

/// How a table is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// When checksums are verified.
    pub verify: Verify,
    /// Whether blocks may enter the block cache. Compaction and long scans say no.
    pub fill_cache: bool,
    /// Whether the table will be read from front to back: read ahead, and give up what was read.
    pub sequential: bool,
}

impl Default for ReadOptions {
    fn default() -> ReadOptions {
        ReadOptions { verify: Verify::FirstTouch, fill_cache: true, sequential: false }
    }
}

impl ReadOptions {
    /// Sets when checksums are verified.
    #[must_use]
    pub fn with_verify(mut self, verify: Verify) -> Self {
        self.verify = verify;
        self
    }

    /// Sets whether blocks may enter the block cache.
    #[must_use]
    pub fn with_fill_cache(mut self, yes: bool) -> Self {
        self.fill_cache = yes;
        self
    }

    /// Sets whether the table will be read from front to back.
    #[must_use]
    pub fn with_sequential(mut self, yes: bool) -> Self {
        self.sequential = yes;
        self
    }
}

/// An entry that a lookup found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its sequence number and kind.
    pub trailer: Trailer,
    /// Its value (empty for a delete).
    pub value: Slice,
}

/// An open table. Everything here may be called from many threads at once.
pub trait TableReader: Send + Sync {
    /// What is known of the table without reading its data.
    fn properties(&self) -> &Properties;

    /// The newest entry of the key that the lookup's snapshot can see, a delete among them. Range tombstones are not
    /// applied. The filter is asked first.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    fn get(&self, key: &LookupKey<'_>, options: &ReadOptions) -> Result<Option<Found>>;

    /// [`get`](TableReader::get) without asking the filter, for callers who have asked it by
    /// [`may_contain`](TableReader::may_contain).
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    fn get_unfiltered(&self, key: &LookupKey<'_>, options: &ReadOptions) -> Result<Option<Found>> {
        self.get(key, options)
    }

    /// Whether the key with this [`crate::key::filter_hash`] may be in the table. `true` if there is no filter.
    ///
    /// # Errors
    /// `Corruption` or `Io` if the filter cannot be read.
    fn may_contain(&self, hash: u64) -> Result<bool>;

    /// A cursor over all entries, not positioned.
    fn cursor(self: Arc<Self>, options: &ReadOptions) -> Box<dyn TableCursor>;

    /// The table's range tombstones.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    fn range_tombstones(&self) -> Result<Arc<Fragments>>;

    /// About how many bytes of the file lie before the first entry of `user_key`. Monotonic in the key.
    fn estimated_offset(&self, user_key: &[u8]) -> u64;

    /// At most `parts - 1` user keys that cut the table into parts of about equal size: strictly ascending, each
    /// greater than the first and at most the last user key.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    fn split_points(&self, parts: usize) -> Result<Vec<Vec<u8>>>;

    /// The data block that begins with the first entry at or after `(user_key, trailer)`, for copying; `None` if no
    /// block begins exactly there, the table has no such entry, or the format does not support block copy.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    fn raw_block_at(&self, user_key: &[u8], trailer: Trailer) -> Result<Option<RawBlock>> {
        let _ = (user_key, trailer);
        Ok(None)
    }

    /// Reads every byte that the format gives a meaning to, past every cache, and checks all of it: checksums,
    /// order, counts, that index and filter agree with the data.
    ///
    /// # Errors
    /// The first damage found.
    fn verify(&self) -> Result<()>;

    /// Heap memory that this reader holds, in bytes (not the cache's blocks, not maps).
    fn heap_bytes(&self) -> usize;

    /// One line for each part of the file, for tools: its offset, length and meaning.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    fn describe(&self, line: &mut dyn FnMut(String)) -> Result<()>;
}
