//! Tables in which everything is older than the keyspace's time to live: dropped without being read.
//!
//! What an expired entry hides is older still. So a table may go if nothing that stays lies under it: tables are taken from
//! the oldest run upwards, and one that meets an older table which must stay, because not all of that one has expired, stays
//! too. Strategies bring such tables down; there the merge drops what has expired.

use super::{Choice, Context, InputRun, Pick, Reason, Span, by_age};
use crate::manifest::{FileMeta, Version};
use std::collections::BTreeSet;
use std::sync::Arc;

/// All tables that can go at once. After that an expired table that is still there lies over one that is not.
pub(super) fn pick(version: &Version, context: &Context<'_>) -> Option<Pick> {
    if !version.tables().any(|t| context.is_expired(t)) {
        return None;
    }
    let mut inputs: Vec<InputRun> = Vec::new();
    let mut going: BTreeSet<u64> = BTreeSet::new();
    for (level, run) in by_age(version).rev() {
        let older = by_age(version).rev().take_while(|&(l, r)| (l, r.id) != (level, run.id));
        let older: Vec<_> = older.map(|(_, run)| run).collect();
        let may_go = |table: &FileMeta| {
            let span = Span::of_table(table);
            context.is_expired(table)
                && older.iter().all(|run| span.overlapping(run).iter().all(|t| going.contains(&t.number)))
        };
        let tables: Vec<Arc<FileMeta>> = run.tables.iter().filter(|t| may_go(t)).cloned().collect();
        if !tables.is_empty() {
            going.extend(tables.iter().map(|t| t.number));
            inputs.push(InputRun { level, run: run.id, tables });
        }
    }
    (!inputs.is_empty()).then(|| Pick {
        choice: Choice::Drop { inputs },
        reason: Reason::Expired,
        score: f64::from(u16::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::super::sketch::{Sketch, table};
    use super::*;
    use crate::options::{CompactionStrategy, KeyspaceOptions};

    /// What is picked because of the horizon: the tables, and whether they are dropped.
    fn picked(sketch: &mut Sketch, horizon: u64) -> (Vec<u64>, bool) {
        sketch.horizon = horizon;
        let Some(pick) = sketch.pick() else { return (Vec::new(), false) };
        assert_eq!(pick.reason, Reason::Expired, "{pick:?}");
        let mut numbers: Vec<u64> = pick.choice.tables().map(|t| t.number).collect();
        numbers.sort_unstable();
        (numbers, matches!(pick.choice, Choice::Drop { .. }))
    }

    fn strategies() -> [CompactionStrategy; 3] {
        let fifo = CompactionStrategy::Fifo { max_bytes: u64::MAX };
        [CompactionStrategy::default(), CompactionStrategy::tiered(), fifo]
    }

    #[test]
    fn expired_tables_go_from_the_oldest_run_upwards() {
        for strategy in strategies() {
            let mut sketch = Sketch::with_options(KeyspaceOptions::new().compaction(strategy));
            sketch.put(0, 9, table(9, "a", "z").seqnos(31, 40));
            sketch.put(0, 8, table(8, "b", "f").seqnos(21, 30));
            sketch.put(6, 0, table(1, "a", "c").seqnos(1, 10).bytes(10_000));
            sketch.put(6, 0, table(2, "d", "k").seqnos(5, 20).bytes(10_000));
            sketch.put(6, 0, table(3, "p", "q").seqnos(3, 4).bytes(10_000));
            assert_eq!(picked(&mut sketch, 0), (vec![], false));
            assert_eq!(picked(&mut sketch, 3), (vec![], false), "a part is not enough");
            assert_eq!(picked(&mut sketch, 4), (vec![3], true));
            assert_eq!(picked(&mut sketch, 19), (vec![1, 3], true));
            assert_eq!(picked(&mut sketch, 30), (vec![1, 2, 3, 8], true));
            assert_eq!(picked(&mut sketch, u64::MAX), (vec![1, 2, 3, 8, 9], true));
        }
    }

    #[test]
    fn nothing_older_shines_through() {
        // Table 8 hides entries of 2, of which some have not expired, though those that it hides have.
        let with = |strategy| {
            let mut sketch = Sketch::with_options(KeyspaceOptions::new().compaction(strategy));
            sketch.put(5, 1, table(8, "b", "f").seqnos(11, 12).bytes(1000));
            sketch.put(6, 0, table(1, "a", "a").seqnos(1, 10).bytes(100_000));
            sketch.put(6, 0, table(2, "d", "k").seqnos(5, 20).bytes(100_000));
            sketch
        };
        let [.., fifo] = strategies();
        for strategy in strategies() {
            let mut sketch = with(strategy);
            assert_eq!(picked(&mut sketch, 12), (vec![1], true));
            let drop = sketch.pick().unwrap().choice;
            sketch.apply_without_bytes(&drop);
            let brought_down = if strategy == fifo { vec![] } else { vec![2, 8] };
            assert_eq!(picked(&mut sketch, 12), (brought_down, false), "{strategy:?}");
            assert_eq!(picked(&mut sketch, 20), (vec![2, 8], true));
        }
    }

    #[test]
    fn range_tombstones_are_kept_while_something_lies_under_them() {
        let mut sketch = Sketch::new();
        sketch.put(0, 9, table(9, "a", "c").seqnos(10, 11).with_tombstones(1));
        sketch.put(6, 0, table(1, "b", "k").seqnos(1, 30).bytes(10_000));
        sketch.horizon = 15;
        assert!(!matches!(sketch.pick(), Some(Pick { choice: Choice::Drop { .. }, .. })));
        sketch.horizon = 30;
        assert_eq!(picked(&mut sketch, 30), (vec![1, 9], true));
    }

    #[test]
    fn an_expired_table_at_level_0_is_brought_down() {
        let mut sketch = Sketch::new();
        sketch.put(0, 9, table(9, "b", "f").seqnos(11, 12));
        sketch.put(6, 0, table(2, "d", "k").seqnos(5, 20).bytes(100_000));
        assert_eq!(picked(&mut sketch, 11), (vec![], false));
        assert_eq!(picked(&mut sketch, 12), (vec![2, 9], false));
    }
}
