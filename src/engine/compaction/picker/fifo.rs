//! FIFO: tables are never merged; the oldest go when there are too many bytes.
//!
//! A table goes only when everything older that could shine through it goes too: runs are emptied from the oldest, and the
//! next newer run is looked at once an older one is to be gone whole. Within a run tables do not overlap and may go in
//! the order of their stamps.

use super::{Choice, Context, InputRun, Pick, Reason, by_age};
use crate::manifest::{FileMeta, Version};
use crate::options::CompactionStrategy;
use std::sync::Arc;

/// See [`super::pick`].
pub(super) fn pick(version: &Version, context: &Context<'_>) -> Option<Pick> {
    let CompactionStrategy::Fifo { max_bytes } = context.options.compaction else { return None };
    let total = version.bytes();
    let mut left = total;
    let mut inputs = Vec::new();
    for (level, run) in by_age(version).rev() {
        let mut oldest_first: Vec<&Arc<FileMeta>> = run.tables.iter().collect();
        oldest_first.sort_by_key(|t| (t.created_millis, t.number));
        let mut tables: Vec<Arc<FileMeta>> = Vec::new();
        for table in oldest_first {
            if left <= max_bytes {
                break;
            }
            left -= table.size;
            tables.push(table.clone());
        }
        let whole = tables.len() == run.tables.len();
        if !tables.is_empty() {
            tables.sort_by(|a, b| a.smallest.cmp(&b.smallest));
            inputs.push(InputRun { level, run: run.id, tables });
        }
        if !whole {
            break;
        }
    }
    (!inputs.is_empty()).then(|| Pick {
        choice: Choice::Drop { inputs },
        reason: Reason::Size,
        score: (total as f64 / max_bytes.max(1) as f64).clamp(1.0, 1000.0),
    })
}

#[cfg(test)]
mod tests {
    use super::super::sketch::{Sketch, table};
    use super::*;
    use crate::options::KeyspaceOptions;

    fn dropped(sketch: &mut Sketch) -> Vec<u64> {
        match sketch.pick() {
            Some(Pick { choice: choice @ Choice::Drop { .. }, .. }) => {
                let mut numbers: Vec<u64> = choice.tables().map(|t| t.number).collect();
                numbers.sort_unstable();
                sketch.apply_without_bytes(&choice);
                numbers
            }
            None => Vec::new(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_oldest_go_by_size() {
        let strategy = CompactionStrategy::Fifo { max_bytes: 250 };
        let mut sketch = Sketch::with_options(KeyspaceOptions::new().compaction(strategy));
        for run in 1..=4 {
            sketch.put(0, run, table(run, "a", "z").created(run));
        }
        assert_eq!(dropped(&mut sketch), [1, 2]);
        assert_eq!(dropped(&mut sketch), [0u64; 0]);
    }

    #[test]
    fn a_younger_table_of_an_older_run_goes_first() {
        let strategy = CompactionStrategy::Fifo { max_bytes: 150 };
        let mut sketch = Sketch::with_options(KeyspaceOptions::new().compaction(strategy));
        sketch.put(6, 0, table(1, "a", "c").created(1000));
        sketch.put(6, 0, table(2, "d", "f").created(1200)); // younger than what lies above it
        sketch.put(0, 3, table(3, "a", "z").created(1000));
        assert_eq!(dropped(&mut sketch), [1, 2]);
        assert_eq!(dropped(&mut sketch), [0u64; 0]);
    }
}
