//! The index: for each data block a lower bound of its entries and its [`Handle`].
//!
//! Index blocks are laid like data blocks. The key of an entry is a *separator*: above every entry of the block before
//! and at or below the first of its own. Where two neighbouring blocks hold different user keys it is the
//! shortest prefix of the second's first user key that differs from the first's last, under the trailer that sorts before
//! every entry; where versions of one user key span the two, it is the first entry's own key and trailer.
//!
//! ```text
//!   one level     root ─► data blocks               at most one index block's worth of data blocks
//!   two levels    root ─► partitions ─► data blocks
//! ```

use crate::block::Block;
use crate::block_builder::{BlockBuilder, common_len};
use crate::handle::{HANDLE_LEN, Handle};
use crate::reader::BlockTable;
use esker_table::{ReadOptions, Result, Slice, TableError, Trailer};

/// The separator below a block that begins with `(key, trailer)`, after one that ends with `last`.
pub(crate) fn separator<'k>(last: Option<&[u8]>, key: &'k [u8], trailer: Trailer) -> (&'k [u8], Trailer) {
    match last {
        None => (key, Trailer::FIRST),
        Some(last) if last == key => (key, trailer),
        Some(last) => (&key[..(common_len(last, key) + 1).min(key.len())], Trailer::FIRST),
    }
}

/// A finished index partition that is not written yet.
pub(crate) struct Partition {
    /// Its first separator.
    pub(crate) key: Vec<u8>,
    pub(crate) trailer: Trailer,
    pub(crate) body: Vec<u8>,
}

/// Collects index entries and cuts them into partitions.
pub(crate) struct IndexBuilder {
    done: Vec<Partition>,
    done_bytes: usize,
    current: BlockBuilder,
    limit: usize,
}

impl IndexBuilder {
    pub(crate) fn new(limit: usize) -> IndexBuilder {
        IndexBuilder { done: Vec::new(), done_bytes: 0, current: BlockBuilder::default(), limit }
    }

    pub(crate) fn add(&mut self, key: &[u8], trailer: Trailer, handle: Handle) {
        if !self.current.is_empty() && self.current.estimate_with(key, HANDLE_LEN) > self.limit {
            self.cut();
        }
        self.current.add(key, trailer, &handle.encode());
    }

    fn cut(&mut self) {
        let (key, trailer) = (self.current.key(0).to_vec(), self.current.trailer(0));
        let mut body = Vec::new();
        self.current.finish(&mut body);
        self.done_bytes += body.len();
        self.done.push(Partition { key, trailer, body });
    }

    /// About how long the index would be now.
    pub(crate) fn estimate(&self) -> usize {
        self.done_bytes + self.current.estimate()
    }

    /// All partitions; more than one need a root above them.
    pub(crate) fn finish(mut self) -> Vec<Partition> {
        if !self.current.is_empty() {
            self.cut();
        }
        self.done
    }
}

/// The handle that entry `i` of an index block holds.
pub(crate) fn handle_at(block: &Block<'_>, i: usize, at: u64) -> Result<Handle> {
    match block.value(i).and_then(Handle::decode) {
        Some(handle) => Ok(handle),
        None => Err(TableError::corruption(at, format!("entry {i} of an index block is no handle"))),
    }
}

/// A position in a table's index: a walk over its data blocks in both directions.
///
/// Invariant: after a method that returned a handle, `pos` is that entry of the partition in `body`; otherwise there
/// is no position and only the positioning methods may be called.
pub(crate) struct IndexWalk {
    /// The number of the partition, if there are two levels.
    partition: usize,
    body: Slice,
    at: u64,
    pos: usize,
}

impl IndexWalk {
    pub(crate) fn new() -> IndexWalk {
        IndexWalk { partition: 0, body: Slice::new(), at: 0, pos: 0 }
    }

    /// The block that holds the first entry at or after `(user_key, trailer)`, unless that begins the next block.
    pub(crate) fn seek(
        &mut self,
        table: &BlockTable,
        user_key: &[u8],
        trailer: Trailer,
        options: &ReadOptions,
    ) -> Result<Option<Handle>> {
        let Some(root) = table.root()? else { return Ok(None) };
        let partition = if table.levels() == 1 { 0 } else { root.ok(root.floor(user_key, trailer))? };
        self.load(table, partition, options)?;
        let block = Block::parse(&self.body, self.at)?;
        self.pos = block.ok(block.floor(user_key, trailer))?;
        handle_at(&block, self.pos, self.at).map(Some)
    }

    /// The first block.
    pub(crate) fn first(&mut self, table: &BlockTable, options: &ReadOptions) -> Result<Option<Handle>> {
        if table.root()?.is_none() {
            return Ok(None);
        }
        self.load(table, 0, options)?;
        self.pos = 0;
        self.handle().map(Some)
    }

    /// The last block.
    pub(crate) fn last(&mut self, table: &BlockTable, options: &ReadOptions) -> Result<Option<Handle>> {
        let Some(root) = table.root()? else { return Ok(None) };
        self.load(table, if table.levels() == 1 { 0 } else { root.len() - 1 }, options)?;
        self.pos = Block::parse(&self.body, self.at)?.len() - 1;
        self.handle().map(Some)
    }

    /// The block after this one.
    pub(crate) fn next(&mut self, table: &BlockTable, options: &ReadOptions) -> Result<Option<Handle>> {
        if self.pos + 1 < Block::parse(&self.body, self.at)?.len() {
            self.pos += 1;
            return self.handle().map(Some);
        }
        match table.root()? {
            Some(root) if table.levels() == 2 && self.partition + 1 < root.len() => {
                self.load(table, self.partition + 1, options)?;
                self.pos = 0;
                self.handle().map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The block before this one.
    pub(crate) fn prev(&mut self, table: &BlockTable, options: &ReadOptions) -> Result<Option<Handle>> {
        if self.pos > 0 {
            self.pos -= 1;
            return self.handle().map(Some);
        }
        if table.levels() == 1 || self.partition == 0 {
            return Ok(None);
        }
        self.load(table, self.partition - 1, options)?;
        self.pos = Block::parse(&self.body, self.at)?.len() - 1;
        self.handle().map(Some)
    }

    /// The separator of the block at this position.
    pub(crate) fn separator(&self) -> Result<(Vec<u8>, Trailer)> {
        let block = Block::parse(&self.body, self.at)?;
        Ok((block.key_vec(self.pos)?, block.trailer(self.pos)))
    }

    /// Whether the separator's user key is `user_key`.
    pub(crate) fn is_at(&self, user_key: &[u8]) -> Result<bool> {
        let block = Block::parse(&self.body, self.at)?;
        block.ok(block.is_key(self.pos, user_key))
    }

    fn handle(&self) -> Result<Handle> {
        handle_at(&Block::parse(&self.body, self.at)?, self.pos, self.at)
    }

    fn load(&mut self, table: &BlockTable, partition: usize, options: &ReadOptions) -> Result<()> {
        (self.body, self.at) = table.partition(partition, options)?;
        self.partition = partition;
        Ok(())
    }
}
