#![doc = include_str!("FORMAT.md")]
#![forbid(unsafe_code)]

mod cursor;
mod data;
mod entry;
mod hash;
mod index;
mod reader;
mod salvage;
mod sections;
mod verify;
mod window;
mod writer;

pub use reader::PlainTable;

use esker_table::footer::Features;
use esker_table::layout::tail::Expected;
use esker_table::{
    BlockSource, Capabilities, EachEntry, FormatId, Result, TableFormat, TableReader, TableWriter,
    WriteOptions,
};
use std::io::Write;
use std::sync::Arc;

/// The version of the format that this crate writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// What this build opens.
fn expected() -> Expected {
    Expected { format: FormatId::PLAIN, name: "plain", version: VERSION, features: Features::default() }
}

/// The format `plain`. Of the options of its writer it heeds the filter bits alone: 0 leaves the hash index out, so that
/// lookups go by the ordered index; it compresses nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlainFormat;

impl PlainFormat {
    /// The format.
    pub const fn new() -> PlainFormat {
        PlainFormat
    }

    /// Opens a table as the type it is, for callers that know the format when they are compiled.
    ///
    /// # Errors
    /// As [`TableFormat::open`].
    pub fn open_table(&self, source: BlockSource) -> Result<Arc<PlainTable>> {
        Ok(Arc::new(PlainTable::open(source)?))
    }
}

impl TableFormat for PlainFormat {
    fn id(&self) -> FormatId {
        FormatId::PLAIN
    }

    fn name(&self) -> &'static str {
        "plain"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL.with_block_copy(false)
    }

    fn writer<'a>(
        &self,
        out: Box<dyn Write + Send + 'a>,
        options: &WriteOptions,
    ) -> Result<Box<dyn TableWriter + 'a>> {
        Ok(Box::new(writer::PlainWriter::new(out, options)))
    }

    fn open(&self, source: BlockSource) -> Result<Arc<dyn TableReader>> {
        Ok(self.open_table(source)?)
    }

    fn salvage(&self, source: BlockSource, each: &mut EachEntry<'_>) -> Result<bool> {
        salvage::salvage(&source, each)?;
        Ok(true)
    }
}
