//! Which tables and keyspaces exist: versions, the edits between them, and the MANIFEST that records the edits.
//!
//! ```text
//!   VersionSet ── serialises edits: check, write and sync, rename tables, install
//!    ├─ Manifest     the log on disk, one VersionEdit a record; CURRENT names the one in force
//!    ├─ StoreState   what the log says: keyspaces, numbers, obsolete files
//!    │   ├─ Version  the levels of one keyspace, immutable; readers pin it
//!    │   │   └─ FileMeta, FileGuard    a table; its file goes when the last version that names it does
//!    │   └─ Ages     how old the keyspace's entries are
//!    └─ Reclaim      numbers of files that nobody needs any more
//! ```
#![doc = include_str!("FORMAT.md")]

mod ages;
mod edit;
mod encoding;
mod file_meta;
mod log;
mod set;
mod stamp;
mod state;
mod version;

pub(crate) use ages::Ages;
pub(crate) use edit::{AddedFile, KeyspaceEdit, KeyspaceId, KeyspaceRecord, VersionEdit};
#[cfg(test)]
pub(crate) use file_meta::Reclaim;
pub(crate) use file_meta::{FileGuard, FileMeta};
pub(crate) use log::{decode_current, exists, read_current, replay};
pub(crate) use set::{LoadReport, VersionSet, write_store};
pub(crate) use stamp::{STAMP, Stamp};
pub(crate) use state::StoreState;
pub(crate) use version::{Level, MAX_LEVELS, SortedRun, Version};
