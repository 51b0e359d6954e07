//! Which tables and keyspaces exist: versions, the edits between them, and the MANIFEST that records the edits.

mod edit;
mod file_meta;
mod version;

pub(crate) use edit::{AddedFile, KeyspaceEdit, KeyspaceId, KeyspaceRecord, VersionEdit};
pub(crate) use file_meta::{FileGuard, FileMeta, Reclaim};
pub(crate) use version::{Level, MAX_LEVELS, SortedRun, Version};
