//! [`TableWriter`]: receives entries in order and lays them down.

use crate::{Properties, RangeTombstone, Result, Slice, Trailer};

/// A data block as it lies in a file, for copying it into another table of the same format unread.
#[derive(Clone, Debug)]
pub struct RawBlock {
    /// The block as stored, checksum included.
    pub stored: Slice,
    /// The user key of the block's first entry.
    pub first_key: Vec<u8>,
    /// The user key of the block's last entry.
    pub last_key: Vec<u8>,
    /// The trailer of the block's last entry.
    pub last_trailer: Trailer,
    /// What the copied entries add to the table's properties (counts, bytes, sequence numbers).
    pub counts: Properties,
    /// The filter hash of every user key in the block.
    pub hashes: Vec<u64>,
}

/// What a finished table is.
#[derive(Clone, Debug)]
pub struct TableSummary {
    /// The length of the file in bytes.
    pub file_size: u64,
    /// The properties, as they were written. Also a format that does not hold them counts them: the engine takes the
    /// table's bounds, sequence numbers and counts from here.
    pub properties: Properties,
}

/// Writes one table. Dropping a writer that was not finished leaves a file that no format opens.
pub trait TableWriter: Send {
    /// Adds an entry. Entries come in strictly ascending internal order (user key ascending, trailer descending).
    ///
    /// # Errors
    /// `Invalid` if the order is broken, the key or value is beyond the limits, or the format cannot hold the
    /// entry; the entry is then not added and the writer stays usable. `Io` if writing failed; the writer is then
    /// useless.
    fn add(&mut self, user_key: &[u8], trailer: Trailer, value: &[u8]) -> Result<()>;

    /// Adds a range tombstone. They come in the order of [`crate::Fragments::iter`]: by start, then newest first;
    /// those with equal start have equal end, others do not overlap. They may be mixed freely with entries.
    ///
    /// # Errors
    /// As [`add`](TableWriter::add); `Unsupported` if the format cannot hold range tombstones.
    fn add_range_tombstone(&mut self, tombstone: &RangeTombstone) -> Result<()>;

    /// Adds a whole block of another table of the same format. Returns whether it was taken; if not, nothing has
    /// changed and the caller adds the entries one by one. Order rules are those of [`add`](TableWriter::add).
    ///
    /// # Errors
    /// As [`add`](TableWriter::add).
    fn add_raw_block(&mut self, block: &RawBlock) -> Result<bool> {
        let _ = block;
        Ok(false)
    }

    /// About how long the file would be if it were finished now, in bytes.
    fn estimated_size(&self) -> u64;

    /// The number of entries added so far.
    fn entries(&self) -> u64;

    /// Completes the table. `collected` are named bytes that readers find again in
    /// [`Properties::collected`]; names are unique.
    ///
    /// # Errors
    /// `Io` if writing failed; `Unsupported` if there are collected bytes and the format cannot hold them.
    fn finish(self: Box<Self>, collected: Vec<(String, Vec<u8>)>) -> Result<TableSummary>;
}
