//! The contract that every Esker table format signs, and the parts that formats share.
//!
//! A *table* is an immutable sorted file of entries. A *table format* says how its bytes are laid. This crate
//! knows bytes only: it never opens a file and never sees a path. The engine hands a format a [`BlockSource`] to
//! read from and an [`std::io::Write`] to write to, and wraps every [`TableError`] with the path it belongs to.
//!
//! | part | what it is |
//! |---|---|
//! | [`key`] | sequence numbers, kinds, parsed internal keys and their order |
//! | [`Slice`] | reference-counted bytes out of a map, a cached block or the heap |
//! | [`TableFormat`] | a format: its id, its capabilities, how to write and open its tables |
//! | [`TableWriter`] | receives entries in order and lays them down |
//! | [`TableReader`] | an open table: point lookups, cursors, estimates, verification |
//! | [`TableCursor`], [`Run`] | ordered iteration, a run of entries per dynamic call |
//! | [`BlockSource`] | where a reader's bytes come from: map, positioned reads or memory, with cache and verification |
//! | [`range_tombstone`] | range deletions, cut into fragments that can be searched |
//! | [`codec`], [`filter`] | varints, checksums, compression; Bloom filters |
//! | [`layout`] | parts that tables of several formats are laid from |
//!
//! A new format is tested by the conformance suite (crate `esker-table-conformance`) in about twenty lines. The package
//! `examples/third-party-format` in Esker's repository is a whole format, written to be read first.

pub mod codec;
pub mod cursor;
pub mod error;
pub mod filter;
pub mod footer;
pub mod format;
pub mod key;
pub mod layout;
pub mod properties;
pub mod range_tombstone;
pub mod reader;
pub mod slice;
pub mod source;
pub mod writer;

pub use cursor::{Run, TableCursor};
pub use error::{Result, TableError};
pub use format::{Capabilities, EachEntry, FormatId, TableFormat, WriteOptions};
pub use key::{Kind, LookupKey, SeqNo, Trailer};
pub use properties::Properties;
pub use range_tombstone::{Fragments, RangeTombstone};
pub use reader::{Found, ReadOptions, TableReader, Verify};
pub use slice::Slice;
pub use source::{Advice, BlockCache, BlockSource, ByteSource};
pub use writer::{RawBlock, TableSummary, TableWriter};
