#![doc = include_str!("FORMAT.md")]
#![forbid(unsafe_code)]

mod block;
mod block_builder;
mod cursor;
mod filter;
mod handle;
mod index;
mod packing;
mod reader;
mod salvage;
mod sections;
#[cfg(feature = "testing")]
pub mod testing;
mod verify;
mod writer;

pub use reader::BlockTable;

use block::Block;
use esker_table::footer::Features;
use esker_table::layout::tail::Expected;
use esker_table::{
    BlockSource, Capabilities, EachEntry, FormatId, Result, TableError, TableFormat, TableReader,
    TableWriter, WriteOptions,
};
use esker_table::{Trailer, key};
use std::io::Write;
use std::sync::Arc;

/// The version of the format that this crate writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// The incompatible feature bit of a table in which a block is compressed with zstd: a build without zstd refuses it
/// when it is opened and not in the middle of a scan.
pub const FEATURE_ZSTD: u32 = 1;

/// What this build opens.
fn expected() -> Expected {
    let zstd = esker_table::codec::Compression::Zstd(1).is_available();
    let incompatible = if zstd { FEATURE_ZSTD } else { 0 };
    let features = Features { incompatible, ..Features::default() };
    Expected { format: FormatId::BLOCK, name: "block", version: VERSION, features }
}

/// The format `block`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockFormat {
    hash_index: bool,
}

impl BlockFormat {
    /// The format as tables are written by default.
    pub const fn new() -> BlockFormat {
        BlockFormat { hash_index: writer::HASH_INDEX }
    }

    /// Sets whether data blocks are written with a hash index. Readers take either.
    #[must_use]
    pub const fn with_hash_index(mut self, yes: bool) -> BlockFormat {
        self.hash_index = yes;
        self
    }
}

impl BlockFormat {
    /// Opens a table as the type it is, for callers that know the format when they are compiled.
    ///
    /// # Errors
    /// As [`TableFormat::open`].
    pub fn open_table(&self, source: BlockSource) -> Result<Arc<BlockTable>> {
        Ok(Arc::new(BlockTable::open(source)?))
    }
}

/// Decodes the body of a data block (before compression and framing), checks all of it, and gives every entry to `entry`:
/// for tools and for fuzzing. Any bytes will do.
///
/// # Errors
/// `Corruption` if the bytes are no such body.
pub fn decode_block(body: &[u8], mut entry: impl FnMut(&[u8], Trailer, &[u8])) -> Result<()> {
    let block = Block::parse(body, 0)?;
    block.check()?;
    let mut last: Option<(Vec<u8>, Trailer)> = None;
    for i in 0..block.len() {
        let (key, trailer) = (block.key_vec(i)?, block.trailer(i));
        if last.is_some_and(|(last, before)| key::compare(&last, before, &key, trailer).is_ge()) {
            return Err(TableError::corruption(
                0,
                format!("entry {i} of a block is not above the one before"),
            ));
        }
        if block.lower_bound(&key, trailer) != Some(i) {
            return Err(TableError::corruption(0, format!("entry {i} of a block is not found where it is")));
        }
        entry(&key, trailer, block.ok(block.value(i))?);
        last = Some((key, trailer));
    }
    Ok(())
}

impl Default for BlockFormat {
    fn default() -> BlockFormat {
        BlockFormat::new()
    }
}

impl TableFormat for BlockFormat {
    fn id(&self) -> FormatId {
        FormatId::BLOCK
    }

    fn name(&self) -> &'static str {
        "block"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn writer<'a>(
        &self,
        out: Box<dyn Write + Send + 'a>,
        options: &WriteOptions,
    ) -> Result<Box<dyn TableWriter + 'a>> {
        if !options.compression.is_available() {
            return Err(TableError::unsupported("zstd was left out of this build (feature `zstd`)"));
        }
        Ok(Box::new(writer::BlockWriter::new(out, options, self.hash_index)))
    }

    fn open(&self, source: BlockSource) -> Result<Arc<dyn TableReader>> {
        Ok(self.open_table(source)?)
    }

    fn salvage(&self, source: BlockSource, each: &mut EachEntry<'_>) -> Result<bool> {
        salvage::salvage(&source, each)?;
        Ok(true)
    }
}
