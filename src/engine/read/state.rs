//! [`ReadState`]: what one read of a keyspace looks at, from the newest to the oldest.

use super::bounds::Bounds;
use super::merging::MergeCursor;
use super::source::Source;
use super::tombstones::Tombstones;
use super::visible::VisibleCursor;
use crate::error::Result;
use crate::manifest::Version;
use crate::memtable::Memtable;
use crate::metrics::Metrics;
use crate::tables::{LevelView, TableCache, TableSlot};
use esker_table::{ReadOptions, SeqNo};
use std::sync::Arc;

/// The memtables and the version of one keyspace at one moment. Immutable but for the live memtable, which grows by
/// entries that no sequence number read before can see.
///
/// A reader pins the state first and reads the visible sequence number after (or uses a snapshot's): then the
/// state holds every version that the number sees.
pub(crate) struct ReadState {
    mem: Arc<Memtable>,
    /// Newest first.
    sealed: Vec<Arc<Memtable>>,
    version: Arc<Version>,
    /// The version's sorted runs, newest first.
    runs: Arc<[Arc<LevelView>]>,
    cache: TableCache,
}

impl ReadState {
    /// Joins memtables (the sealed ones newest first) and a version. Opens no table.
    pub(crate) fn new(
        mem: Arc<Memtable>,
        sealed: Vec<Arc<Memtable>>,
        version: Arc<Version>,
        cache: &TableCache,
    ) -> ReadState {
        let runs = version.levels.iter().flat_map(|level| &level.runs);
        let runs = runs.map(|run| Arc::new(LevelView::new(run, cache))).collect();
        ReadState { mem, sealed, version, runs, cache: cache.clone() }
    }

    /// The same version under other memtables.
    pub(crate) fn with_memtables(&self, mem: Arc<Memtable>, sealed: Vec<Arc<Memtable>>) -> ReadState {
        ReadState {
            mem,
            sealed,
            version: self.version.clone(),
            runs: self.runs.clone(),
            cache: self.cache.clone(),
        }
    }

    /// The live memtable.
    #[cfg(test)]
    pub(crate) fn mem(&self) -> &Arc<Memtable> {
        &self.mem
    }

    /// The version's sorted runs, newest first.
    pub(crate) fn runs(&self) -> &[Arc<LevelView>] {
        &self.runs
    }

    /// All tables with their level, from the newest run to the oldest.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (usize, &Arc<TableSlot>)> {
        let levels = self.version.levels.iter().enumerate();
        let levels = levels.flat_map(|(number, level)| level.runs.iter().map(move |_| number));
        levels.zip(&*self.runs).flat_map(|(level, view)| view.slots().iter().map(move |slot| (level, slot)))
    }

    /// The counters that reads of this state go to.
    #[inline]
    pub(crate) fn metrics(&self) -> &Metrics {
        self.cache.metrics()
    }

    /// All memtables, newest first.
    pub(crate) fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.mem).chain(&self.sealed)
    }

    /// A cursor over what `snapshot` sees within `bounds`, not positioned. Memtables and runs that have nothing to say
    /// there take no part.
    pub(crate) fn visible(&self, snapshot: SeqNo, bounds: Bounds, options: &ReadOptions) -> VisibleCursor {
        let mut sources = Vec::with_capacity(1 + self.sealed.len() + self.runs.len());
        let mut tombstones = Tombstones::new(snapshot);
        for memtable in self.memtables() {
            if memtable.is_empty() {
                continue;
            }
            for cut in memtable.cuts(snapshot) {
                tombstones.add_memtable(sources.len(), cut);
            }
            sources.push(Source::memtable(memtable));
        }
        let largest = self.runs.iter().map(|view| view.entries()).max().unwrap_or(0);
        for view in &*self.runs {
            if view.min_seqno() > snapshot || !view.overlaps(bounds.lower(), bounds.upper()) {
                continue;
            }
            tombstones.add_level(sources.len(), view, &bounds);
            sources.push(Source::level(view.clone(), bounds.clone(), options, largest));
        }
        VisibleCursor::new(MergeCursor::new(sources), tombstones, snapshot, bounds)
    }

    /// About how many bytes of tables and memtables the keys within `bounds` take.
    ///
    /// # Errors
    /// `Corruption` or `Io` if a table cannot be opened.
    pub(crate) fn approximate_size(&self, bounds: &Bounds) -> Result<u64> {
        if bounds.is_empty() {
            return Ok(0);
        }
        let (lower, upper) = (bounds.lower(), bounds.upper());
        let mut total = 0;
        for view in &*self.runs {
            let from = lower.map_or(0, |l| view.first_not_before(l));
            for slot in view.slots()[from..].iter().take_while(|s| s.meta().overlaps(lower, upper)) {
                let meta = slot.meta();
                let starts_inside = lower.is_none_or(|l| l <= meta.smallest.as_slice());
                let ends_inside = upper.is_none_or(|u| meta.ends_before(u));
                if starts_inside && ends_inside {
                    total += meta.size;
                    continue;
                }
                let table = slot.table()?;
                let from = if starts_inside { 0 } else { lower.map_or(0, |l| table.estimated_offset(l)) };
                let to = if ends_inside { meta.size } else { upper.map_or(0, |u| table.estimated_offset(u)) };
                total += to.saturating_sub(from);
            }
        }
        if lower.is_none() && upper.is_none() {
            total += self.memtables().map(|m| m.bytes_used() as u64).sum::<u64>();
        }
        Ok(total)
    }
}

impl std::fmt::Debug for ReadState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadState")
            .field("sealed", &self.sealed.len())
            .field("runs", &self.runs.len())
            .finish_non_exhaustive()
    }
}
