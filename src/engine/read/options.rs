//! [`ReadOptions`]: how one read is done.

use super::snapshot::SnapshotGuard;
use esker_table::Verify;
use std::sync::Arc;

/// How a read is done. The default reads the newest data, verifies each block once, and fills the cache.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReadOptions {
    pub(crate) snapshot: Option<Arc<SnapshotGuard>>,
    verify: bool,
    fill_cache: bool,
}

impl Default for ReadOptions {
    fn default() -> ReadOptions {
        ReadOptions { snapshot: None, verify: false, fill_cache: true }
    }
}

impl ReadOptions {
    /// The defaults.
    pub fn new() -> ReadOptions {
        ReadOptions::default()
    }

    /// Whether the checksum of every block is verified at every read, from the file and past the cache. Otherwise each
    /// block is verified when it is first touched after its table was opened.
    #[must_use]
    pub fn verify(mut self, yes: bool) -> ReadOptions {
        self.verify = yes;
        self
    }

    /// Whether the blocks that are read may stay in the cache. Say no for a long scan whose data is not needed again.
    #[must_use]
    pub fn fill_cache(mut self, yes: bool) -> ReadOptions {
        self.fill_cache = yes;
        self
    }

    /// Reads what this snapshot sees.
    #[must_use]
    pub(crate) fn at(mut self, snapshot: Arc<SnapshotGuard>) -> ReadOptions {
        self.snapshot = Some(snapshot);
        self
    }

    /// The same for a table.
    #[inline]
    pub(crate) fn for_tables(&self) -> esker_table::ReadOptions {
        esker_table::ReadOptions::default()
            .with_verify(if self.verify { Verify::Always } else { Verify::FirstTouch })
            .with_fill_cache(self.fill_cache)
    }
}
