//! [`Version`]: an immutable picture of a keyspace's levels. It holds no open reader.
//!
//! ```text
//!   L0   run 9  [a────────z]              one table a run, newest run first, runs overlap
//!        run 8     [c──────────x]
//!   L1   run 0  [a──f][g──m][n────z]      leveled: one run a level, tables do not overlap
//!   L2   run 7  [a─────k][l──────z]       tiered: several runs a level, newest first
//!        run 3  [a──h][i─────────z]
//! ```
//!
//! Of two runs that hold the same key, the one at the upper level, or of the higher number at the same level, has the
//! newer entry. User keys are never split: all entries of a user key in a run lie in one table.

use super::file_meta::FileMeta;
use std::sync::Arc;

/// The most levels that a keyspace has.
pub(crate) const MAX_LEVELS: usize = 7;

/// Tables that do not overlap, ascending.
#[derive(Clone, Debug)]
pub(crate) struct SortedRun {
    /// Higher is newer, within a level.
    pub(crate) id: u64,
    /// Never empty.
    pub(crate) tables: Vec<Arc<FileMeta>>,
}

impl SortedRun {
    pub(crate) fn bytes(&self) -> u64 {
        self.tables.iter().map(|t| t.size).sum()
    }

    /// The index of the first table that does not end before `user_key`.
    pub(crate) fn first_not_before(&self, user_key: &[u8]) -> usize {
        self.tables.partition_point(|t| t.ends_before(user_key))
    }

    /// The tables that meet a range; see [`FileMeta::overlaps`].
    pub(crate) fn overlapping<'a>(
        &'a self,
        start: Option<&'a [u8]>,
        end: Option<&'a [u8]>,
    ) -> impl Iterator<Item = &'a Arc<FileMeta>> {
        let from = start.map_or(0, |s| self.first_not_before(s));
        self.tables[from..].iter().take_while(move |t| t.overlaps(start, end))
    }
}

/// The runs of a level, newest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    pub(crate) runs: Vec<SortedRun>,
}

impl Level {
    pub(crate) fn bytes(&self) -> u64 {
        self.runs.iter().map(SortedRun::bytes).sum()
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<FileMeta>> {
        self.runs.iter().flat_map(|r| &r.tables)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

/// An immutable picture of a keyspace's levels.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// Always [`MAX_LEVELS`] of them.
    pub(crate) levels: Vec<Level>,
}

impl Default for Version {
    fn default() -> Version {
        Version { levels: vec![Level::default(); MAX_LEVELS] }
    }
}

impl Version {
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<FileMeta>> {
        self.levels.iter().flat_map(Level::tables)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.levels.iter().map(Level::bytes).sum()
    }

    /// The last level that holds a table.
    pub(crate) fn bottom(&self) -> Option<usize> {
        self.levels.iter().rposition(|l| !l.is_empty())
    }
}
