//! [`VersionEdit`]: the difference between two states of the store, as one record of the MANIFEST.

use super::file_meta::FileMeta;
use esker_table::SeqNo;
use std::sync::Arc;

/// The number of a keyspace: never used again after it is dropped.
pub(crate) type KeyspaceId = u32;

/// What is recorded of a keyspace when it is created, or when its recorded options change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyspaceRecord {
    pub(crate) name: String,
    /// Whether writes go to the log.
    pub(crate) log: bool,
    /// Names of the hooks that the data depends on.
    pub(crate) filter: Option<String>,
    pub(crate) fold: Option<String>,
    pub(crate) collector: Option<String>,
    /// What the layer above calls this keyspace's kind; empty for `plain`.
    pub(crate) kind: String,
}

/// A table that the edit adds, and where.
#[derive(Clone, Debug)]
pub(crate) struct AddedFile {
    pub(crate) level: usize,
    /// The sorted run, see [`super::SortedRun::id`].
    pub(crate) run: u64,
    pub(crate) meta: Arc<FileMeta>,
}

/// What the edit does to one keyspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyspaceEdit {
    pub(crate) id: KeyspaceId,
    /// Creates the keyspace, or replaces its record.
    pub(crate) record: Option<KeyspaceRecord>,
    /// Drops the keyspace and every table of it.
    pub(crate) dropped: bool,
    /// Every entry up to this sequence number is in tables: recovery passes over it.
    pub(crate) flushed_seqno: Option<SeqNo>,
    /// (level, file number). A file that is removed and added in the same edit moves.
    pub(crate) removed: Vec<(usize, u64)>,
    pub(crate) added: Vec<AddedFile>,
}

/// One atomic step of the store's state.
#[derive(Clone, Debug, Default)]
pub(crate) struct VersionEdit {
    /// File numbers below this have been given out.
    pub(crate) next_file: Option<u64>,
    /// No sequence number above this has been given to an entry in a table.
    pub(crate) last_seqno: Option<SeqNo>,
    /// Segments of the log before this one are not needed.
    pub(crate) oldest_wal: Option<u64>,
    /// The newest segment that may hold records: it exists.
    pub(crate) newest_wal: Option<u64>,
    /// Keyspace ids below this have been given out.
    pub(crate) next_keyspace: Option<KeyspaceId>,
    /// Files that no version names but that may still be on disk: known not to be lost. Only in snapshots of the state.
    pub(crate) obsolete: Vec<u64>,
    pub(crate) keyspaces: Vec<KeyspaceEdit>,
}
