//! Flushing: sealed memtables become a run of L0.

use super::JobContext;
use super::collapse::{Below, Collapse, Stripes};
use super::input::{Merging, Source};
use super::job::Pulse;
use super::output::Outputs;
use super::split::Splitter;
use crate::Result;
use crate::manifest::AddedFile;
use crate::memtable::Memtable;
use esker_table::Fragments;
use std::sync::Arc;

/// Writes all entries of some sealed memtables of one keyspace, in any order, into one table of L0 (or several, if they
/// hold very many range tombstones); the run's number is the first table's. None at all if there are no entries.
///
/// A fold is applied to versions that meet here; the compaction filter is not, and nothing is dropped for being at the
/// bottom.
///
/// # Errors
/// What writing can say; everything written is removed again then. A flush does not stop early: closing a store waits for
/// it.
pub(crate) fn flush(context: &JobContext<'_>, memtables: &[Arc<Memtable>]) -> Result<Vec<AddedFile>> {
    let stripes = Stripes::new(&context.snapshots, context.visible);
    let ranges = memtables.iter().flat_map(|memtable| memtable.range_deletes());
    let tombstones = Arc::new(Fragments::seen_by(ranges, stripes.readers()));
    let mut collapse =
        Collapse::new(stripes, tombstones, Below::Unknown).with_hooks(None, context.options.fold.as_deref());
    let kept = collapse.surviving_tombstones();
    let mut outputs = Outputs::new(context, 0, None, Splitter::never(), kept)?;
    let cursors = memtables
        .iter()
        .map(|memtable| {
            let mut cursor = memtable.cursor();
            cursor.first();
            cursor
        })
        .collect();
    let mut merging = Merging::new(cursors);
    let mut pulse = Pulse::default();
    context.stand_back(|| {
        while let Some(top) = merging.top() {
            pulse.beat_unstoppable(context)?;
            collapse.push(Source::key(top), Source::trailer(top), Source::value(top), &mut outputs)?;
            merging.advance()?;
        }
        collapse.finish(&mut outputs)?;
        let (added, _) = outputs.finish()?;
        Ok(added)
    })
}
