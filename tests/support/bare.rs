//! [`Bare`]: a table format that holds entries and nothing else, so that the engine has to keep range deletes and what
//! collectors left elsewhere. Its tables are laid like those of `block`.

use esker_format_block::BlockFormat;
use esker_table::{
    BlockSource, Capabilities, FormatId, RangeTombstone, Result, TableError, TableFormat, TableReader,
    TableSummary, TableWriter, Trailer, WriteOptions,
};
use std::io::Write;
use std::sync::Arc;

/// The format's name.
pub const NAME: &str = "bare";

/// The format.
#[derive(Debug)]
pub struct Bare;

impl TableFormat for Bare {
    fn id(&self) -> FormatId {
        FormatId(471_100)
    }

    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE.with_write(true).with_deletes(true).with_versions(true)
    }

    fn writer<'a>(
        &self,
        out: Box<dyn Write + Send + 'a>,
        options: &WriteOptions,
    ) -> Result<Box<dyn TableWriter + 'a>> {
        Ok(Box::new(BareWriter(BlockFormat::new().writer(out, options)?)))
    }

    fn open(&self, source: BlockSource) -> Result<Arc<dyn TableReader>> {
        BlockFormat::new().open(source)
    }
}

struct BareWriter<'a>(Box<dyn TableWriter + 'a>);

fn cannot(what: &str) -> TableError {
    TableError::Unsupported { what: format!("a bare table holds no {what}") }
}

impl TableWriter for BareWriter<'_> {
    fn add(&mut self, user_key: &[u8], trailer: Trailer, value: &[u8]) -> Result<()> {
        self.0.add(user_key, trailer, value)
    }

    fn add_range_tombstone(&mut self, _tombstone: &RangeTombstone) -> Result<()> {
        Err(cannot("range tombstones"))
    }

    fn estimated_size(&self) -> u64 {
        self.0.estimated_size()
    }

    fn entries(&self) -> u64 {
        self.0.entries()
    }

    fn finish(self: Box<Self>, collected: Vec<(String, Vec<u8>)>) -> Result<TableSummary> {
        if !collected.is_empty() {
            return Err(cannot("collected bytes"));
        }
        self.0.finish(collected)
    }
}
