//! [`TableFormat`]: one way to lay a table's bytes.

use crate::codec::Compression;
use crate::{BlockSource, Result, TableReader, TableWriter, Trailer};
use std::fmt;
use std::io::Write;
use std::sync::Arc;

/// The number of a table format: written into every footer and into the MANIFEST's record of every file.
///
/// Numbers below 1000 belong to Esker. Third parties choose at random above that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FormatId(pub u32);

impl FormatId {
    /// `block`, the default format.
    pub const BLOCK: FormatId = FormatId(1);
    /// `plain`, uncompressed and mapped.
    pub const PLAIN: FormatId = FormatId(2);
    /// LevelDB's tables.
    pub const LEVELDB: FormatId = FormatId(3);
    /// RocksDB's block-based tables.
    pub const ROCKSDB: FormatId = FormatId(4);
}

impl fmt::Display for FormatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a format can hold and do. What it cannot, the engine keeps elsewhere or refuses. A keyspace can be written in a
/// format that has `write`, `deletes` and `versions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Tables can be written, not only read.
    pub write: bool,
    /// Entries of kind `Delete` can be held.
    pub deletes: bool,
    /// Several entries of one user key (with different sequence numbers) can be held.
    pub versions: bool,
    /// Range tombstones can be held in the table. If not, the engine keeps them in the MANIFEST, and a repair after its loss
    /// goes without.
    pub range_tombstones: bool,
    /// Properties, collected bytes among them, can be held in the table. If not, the MANIFEST keeps them, and readers may
    /// answer with empty ones. The writer's [`crate::TableSummary`] has them in any case.
    pub properties: bool,
    /// [`TableWriter::add_raw_block`] and [`TableReader::raw_block_at`] work.
    pub block_copy: bool,
}

impl Capabilities {
    /// Everything that the contract knows.
    pub const ALL: Capabilities = Capabilities {
        write: true,
        deletes: true,
        versions: true,
        range_tombstones: true,
        properties: true,
        block_copy: true,
    };
    /// Nothing but reading puts; start from here with struct update to stay compatible with later additions.
    pub const NONE: Capabilities = Capabilities {
        write: false,
        deletes: false,
        versions: false,
        range_tombstones: false,
        properties: false,
        block_copy: false,
    };

    /// With tables that can be written.
    #[must_use]
    pub const fn with_write(mut self, yes: bool) -> Self {
        self.write = yes;
        self
    }

    /// With entries of kind `Delete`.
    #[must_use]
    pub const fn with_deletes(mut self, yes: bool) -> Self {
        self.deletes = yes;
        self
    }

    /// With several versions of a user key.
    #[must_use]
    pub const fn with_versions(mut self, yes: bool) -> Self {
        self.versions = yes;
        self
    }

    /// With range tombstones.
    #[must_use]
    pub const fn with_range_tombstones(mut self, yes: bool) -> Self {
        self.range_tombstones = yes;
        self
    }

    /// With properties and collected bytes.
    #[must_use]
    pub const fn with_properties(mut self, yes: bool) -> Self {
        self.properties = yes;
        self
    }

    /// With raw block copy.
    #[must_use]
    pub const fn with_block_copy(mut self, yes: bool) -> Self {
        self.block_copy = yes;
        self
    }
}

/// How a table shall be written. A format ignores what does not apply to it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// Compression of data blocks.
    pub compression: Compression,
    /// The size that a data block is closed at, in bytes before compression. Default 4096.
    pub block_size: usize,
    /// Filter bits per user key; 0 writes no filter. Default 10.
    pub filter_bits: u32,
    /// The size that an index block is closed at; a table that needs more than one gets a second index level. Default
    /// 4096.
    pub index_block_size: usize,
    /// Whether data blocks shall lie within the pages of the system's cache, where blocks are small enough, for a table that is
    /// mostly read from the device. Blocks then have three quarters to one and a half of the block size as a rule, and the table
    /// takes a few hundredths more space, at most an eighth. A format without such blocks ignores it. Default false.
    pub fit_pages: bool,
}

impl Default for WriteOptions {
    fn default() -> WriteOptions {
        WriteOptions {
            compression: Compression::None,
            block_size: 4096,
            filter_bits: 10,
            index_block_size: 4096,
            fit_pages: false,
        }
    }
}

impl WriteOptions {
    /// Sets the compression of data blocks.
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets the size that a data block is closed at, in bytes.
    #[must_use]
    pub fn with_block_size(mut self, bytes: usize) -> Self {
        self.block_size = bytes;
        self
    }

    /// Sets the filter bits per user key.
    #[must_use]
    pub fn with_filter_bits(mut self, bits: u32) -> Self {
        self.filter_bits = bits;
        self
    }

    /// Sets the size that an index block is closed at, in bytes.
    #[must_use]
    pub fn with_index_block_size(mut self, bytes: usize) -> Self {
        self.index_block_size = bytes;
        self
    }

    /// Sets whether data blocks shall lie within pages.
    #[must_use]
    pub fn with_fit_pages(mut self, yes: bool) -> Self {
        self.fit_pages = yes;
        self
    }
}

/// Takes an entry: its user key, its trailer and its value.
pub type EachEntry<'a> = dyn FnMut(&[u8], Trailer, &[u8]) + 'a;

/// One way to lay a table's bytes: a plugin of the engine.
///
/// Implementations are values without state; the engine shares one among all tables of the format.
pub trait TableFormat: Send + Sync + fmt::Debug {
    /// The format's number, forever.
    fn id(&self) -> FormatId;

    /// The name that users choose the format by: lower case, no spaces.
    fn name(&self) -> &'static str;

    /// What the format can hold and do.
    fn capabilities(&self) -> Capabilities;

    /// Whether a file that ends with `tail` (its last 64 bytes, or all if it is shorter) looks like a table of this
    /// format. Used by tools on files that no MANIFEST names. The default knows the common [`crate::footer`].
    fn recognizes(&self, tail: &[u8]) -> bool {
        crate::footer::Footer::format_of(tail) == Some(self.id())
    }

    /// Starts a table. Its bytes go to `out` from the front to the back; the caller syncs and closes.
    ///
    /// # Errors
    /// `Unsupported` if the format is read-only or cannot do what the options ask for.
    fn writer<'a>(
        &self,
        out: Box<dyn Write + Send + 'a>,
        options: &WriteOptions,
    ) -> Result<Box<dyn TableWriter + 'a>>;

    /// Opens a table.
    ///
    /// # Errors
    /// `Corruption` with an offset if the bytes are not such a table, `Unsupported` if it needs a feature that this
    /// version does not know, `Io` if the device failed.
    fn open(&self, source: BlockSource) -> Result<Arc<dyn TableReader>>;

    /// Reads what is intact of a damaged file that [`open`](TableFormat::open) refuses, for repair: hands on the user key,
    /// the trailer and the value of every entry in every part of the file that can be told to be whole. Returns whether
    /// the format can do this; by default it cannot.
    ///
    /// # Errors
    /// `Io` if the device failed.
    fn salvage(&self, source: BlockSource, each: &mut EachEntry<'_>) -> Result<bool> {
        let _ = (source, each);
        Ok(false)
    }
}
