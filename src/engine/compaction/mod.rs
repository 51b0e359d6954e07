//! Flush and compaction: how memtables become tables, and tables become fewer.
//!
//! ```text
//!   pick ──► Choice ──► run ─┬─ Move, Drop: an edit at once
//!                            └─ Merge:
//!        TableRun ┐
//!        TableRun ┼─ Merging ──► Collapse ──► Outputs (Splitter) ──► tables, under temporary names
//!        TableRun ┘     └──── blocks that nothing meets ────┘
//!   flush ── memtable cursors ─┘
//! ```
//!
//! Nothing here changes the store: [`flush`] and [`run`] leave synced tables under their temporary names and return what
//! is to be written to the MANIFEST. If they fail or are stopped, they leave nothing.
//!
//! | part | what it is |
//! |---|---|
//! | [`picker`] | pure functions: what should be merged, moved or dropped next |
//! | [`collapse`] | which versions survive; hooks |
//! | [`split`] | where one output ends and the next begins |
//! | [`limiter`] | how writers are paced meanwhile |
//!
//! What a caller must see to:
//! - one compaction at a time for each keyspace; flushes may run beside it;
//! - a flush only of memtables whose writers are done;
//! - [`JobContext::snapshots`] and [`JobContext::visible`] read after the inputs were fixed, `visible` first: a snapshot that
//!   is taken later sees everything up to `visible`.

pub(crate) mod collapse;
mod flush;
mod input;
mod job;
pub(crate) mod limiter;
mod output;
pub(crate) mod picker;
pub(crate) mod split;

#[cfg(not(loom))]
#[cfg(test)]
mod tests;

pub(crate) use collapse::{Fate, Sink};
pub(crate) use flush::flush;
pub(crate) use job::run;
pub(crate) use output::Outputs;
#[cfg(all(test, not(loom)))]
pub(crate) use picker::Choice;
pub(crate) use picker::{Context, ManualPlan, Pick, Reason, pick};
pub(crate) use split::Splitter;

use crate::Result;
use crate::fs::{Env, Standing};
use crate::manifest::{KeyspaceEdit, KeyspaceId, KeyspaceRecord, VersionSet};
use crate::options::KeyspaceOptions;
use crate::tables::{FormatRegistry, TableCache};
use esker_table::SeqNo;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a job works with.
pub(crate) struct JobContext<'a> {
    pub(crate) env: &'a Arc<dyn Env>,
    /// The store's directory.
    pub(crate) dir: &'a Path,
    pub(crate) registry: &'a FormatRegistry,
    pub(crate) tables: &'a TableCache,
    /// Gives out file numbers and guards.
    pub(crate) set: &'a VersionSet,
    pub(crate) keyspace: KeyspaceId,
    pub(crate) record: &'a KeyspaceRecord,
    pub(crate) options: &'a KeyspaceOptions,
    /// The sequence numbers of live snapshots, ascending.
    pub(crate) snapshots: Vec<SeqNo>,
    /// The newest published sequence number.
    pub(crate) visible: SeqNo,
    /// The wall clock, in milliseconds since 1970.
    pub(crate) now_millis: u64,
    /// Entries up to this sequence number are older than the keyspace's time to live; 0 if none are.
    pub(crate) horizon: SeqNo,
    /// Raised to make a compaction end soon, with nothing done.
    pub(crate) stop: &'a AtomicBool,
    /// Called between entries, about a thousand apart: runs flushes that wait, and brings a thread forward in time. An error ends the job.
    pub(crate) between: Option<&'a dyn Fn() -> Result<()>>,
    /// How the thread stands that does the job, if it is one that may stand back.
    pub(crate) standing: Option<&'a Arc<Standing>>,
}

impl JobContext<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Runs the part of the job that takes long, and that nobody waits for unless they say so.
    fn stand_back<T>(&self, part: impl FnOnce() -> T) -> T {
        match self.standing {
            Some(standing) => standing.stand_back(part),
            None => part(),
        }
    }
}

/// What a job did.
#[derive(Debug)]
pub(crate) struct Done {
    /// To be written to the MANIFEST.
    pub(crate) edit: KeyspaceEdit,
    pub(crate) report: Report,
}

/// A job in numbers; all zero for moves and drops.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    /// The size of the inputs.
    pub(crate) bytes_read: u64,
    /// The size of the outputs.
    pub(crate) bytes_written: u64,
    /// Blocks that were copied unread.
    pub(crate) blocks_copied: u64,
    /// What became of the entries.
    pub(crate) fate: Fate,
}
