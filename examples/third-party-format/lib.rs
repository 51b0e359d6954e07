//! `chunked`: a table format from outside of Esker, small enough to be read in one sitting.
//!
//! ```text
//!   ┌─────────┬─────────┬───┬───────┬────────────┬─────────────┐
//!   │ chunk 0 │ chunk 1 │ … │ index │ properties │ footer 64 B │
//!   └─────────┴─────────┴───┴───────┴────────────┴─────────────┘
//!   chunks, index and properties are frames, see `frame`; the footer is the one that all of Esker's tables share
//!
//!   body of a chunk      key length varint │ value length varint │ trailer u64 │ key │ value        repeated
//!   body of the index    frame length varint │ trailer u64 │ key length varint │ key                for each chunk
//!                        trailer and key are those of the chunk's first entry
//!   body of properties   as `esker_table::Properties` encodes itself
//!   body of the footer   offset of the index u64 │ offset of the properties u64 │ 16 zero bytes
//!
//!   numbers are little-endian; frames follow each other without a gap, so that lengths give the offsets
//! ```
//!
//! An open table holds its index in memory. A lookup is a search in the index, then one in a chunk. There is no filter,
//! and no checksum is remembered as checked: what a format may leave out, this one does.

mod chunk;
mod cursor;
mod frame;
mod reader;
mod writer;

use esker_table::footer::Features;
use esker_table::{
    BlockSource, Capabilities, FormatId, Result, TableFormat, TableReader, TableWriter, WriteOptions,
};
use std::io::Write;
use std::sync::Arc;

/// The name that keyspaces choose the format by.
pub const NAME: &str = "chunked";

/// Drawn at random, and never to be changed.
pub const ID: FormatId = FormatId(1_797_064_903);

/// The version that this program writes, and the newest that it reads.
const VERSION: u32 = 1;

/// Feature bit, incompatible: a chunk may be compressed. A program that does not know the bit refuses the table.
const COMPRESSED: u32 = 1;

/// The features that this program knows. A later one adds bits; where in the footer they stand says what this one does.
const KNOWN: Features = Features { incompatible: COMPRESSED, read_only_compatible: 0, compatible: 0 };

/// The format. It has no state: what differs from table to table is in [`WriteOptions`] and in the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chunked;

impl TableFormat for Chunked {
    fn id(&self) -> FormatId {
        ID
    }

    fn name(&self) -> &'static str {
        NAME
    }

    /// Range tombstones are left to the engine, which keeps them in the MANIFEST.
    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE.with_write(true).with_deletes(true).with_versions(true).with_properties(true)
    }

    fn writer<'a>(
        &self,
        out: Box<dyn Write + Send + 'a>,
        options: &WriteOptions,
    ) -> Result<Box<dyn TableWriter + 'a>> {
        Ok(Box::new(writer::Writer::new(out, options)))
    }

    fn open(&self, source: BlockSource) -> Result<Arc<dyn TableReader>> {
        Ok(Arc::new(reader::Table::open(source)?))
    }
}
