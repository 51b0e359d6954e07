//! Tables that a range tombstone deletes from end to end: dropped without being read.
//!
//! A table may go if, all along its bounds, something newer deletes everything in it and no snapshot stands between:
//! for every fragment that it meets there is a tombstone `t` of a newer run with `t` above the table's newest sequence
//! number and no snapshot in `min_seqno..t`. The table's own range tombstones go with it: `t` covers their ranges too, and
//! whoever sees one of them sees `t`.

use super::{Choice, Context, InputRun, Pick, Reason, Span, by_age, exclusive_end, is_older};
use crate::manifest::{FileMeta, Version};
use esker_table::{Fragments, SeqNo};
use std::sync::Arc;

/// All tables that can go at once.
pub(super) fn pick(version: &Version, context: &Context<'_>) -> Option<Pick> {
    let mut inputs: Vec<InputRun> = Vec::new();
    for (level, run) in by_age(version) {
        for holder in run.tables.iter().filter(|t| t.range_tombstones > 0) {
            let Some(fragments) = (context.tombstones)(holder).filter(|f| !f.is_empty()) else { continue };
            let span = Span::of_table(holder);
            for (older_level, older) in by_age(version) {
                if !is_older((older_level, older.id), (level, run.id)) {
                    continue;
                }
                for table in older.overlapping(Some(&span.start), Some(&span.end)) {
                    if is_covered(&fragments, table, context.snapshots) {
                        add(&mut inputs, older_level, older.id, table);
                    }
                }
            }
        }
    }
    (!inputs.is_empty()).then(|| Pick {
        choice: Choice::Drop { inputs },
        reason: Reason::Covered,
        score: f64::from(u16::MAX),
    })
}

fn add(inputs: &mut Vec<InputRun>, level: usize, run: u64, table: &Arc<FileMeta>) {
    let at = inputs.iter().position(|i| (i.level, i.run) == (level, run)).unwrap_or_else(|| {
        inputs.push(InputRun { level, run, tables: Vec::new() });
        inputs.len() - 1
    });
    let tables = &mut inputs[at].tables;
    if tables.iter().all(|t| t.number != table.number) {
        let place = tables.partition_point(|t| t.smallest < table.smallest);
        tables.insert(place, table.clone());
    }
}

/// Whether `fragments`, of a newer run, delete all of the table for every reader.
fn is_covered(fragments: &Fragments, table: &FileMeta, snapshots: &[SeqNo]) -> bool {
    let end = exclusive_end(table);
    let all = fragments.as_slice();
    let mut reached: &[u8] = &table.smallest;
    let first = all.partition_point(|f| f.end.as_slice() <= reached);
    for fragment in &all[first..] {
        if fragment.start.as_slice() > reached {
            return false;
        }
        // Newest first: the last one above the table is the one with the fewest snapshots below it.
        let newer = fragment.seqnos.partition_point(|&s| s > table.max_seqno);
        let Some(&seqno) = newer.checked_sub(1).and_then(|i| fragment.seqnos.get(i)) else { return false };
        let between = snapshots.partition_point(|&s| s < table.min_seqno);
        if snapshots.get(between).is_some_and(|&s| s < seqno) {
            return false;
        }
        reached = &fragment.end;
        if reached >= end.as_slice() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::sketch::{Sketch, table};
    use super::*;
    use esker_table::RangeTombstone;

    fn tombstone(start: &str, end: &str, seqno: SeqNo) -> RangeTombstone {
        RangeTombstone { start: start.into(), end: end.into(), seqno }
    }

    fn dropped(sketch: &mut Sketch) -> Vec<u64> {
        let mut numbers: Vec<u64> = match sketch.pick() {
            Some(Pick { choice: Choice::Drop { inputs }, .. }) => {
                inputs.iter().flat_map(|i| &i.tables).map(|t| t.number).collect()
            }
            _ => Vec::new(),
        };
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn whole_tables_under_a_tombstone_go_and_others_stay() {
        let mut sketch = Sketch::new();
        sketch.put(0, 9, table(9, "b", "m").seqnos(100, 101).with_tombstones(1));
        sketch.tombstones.insert(9, vec![tombstone("b", "m", 100)]);
        sketch.put(6, 0, table(1, "a", "b").seqnos(1, 10)); // begins before
        sketch.put(6, 0, table(2, "c", "f").seqnos(1, 10));
        sketch.put(6, 0, table(3, "g", "l").seqnos(1, 99));
        sketch.put(6, 0, table(4, "lx", "m").seqnos(1, 10)); // m itself is not deleted
        sketch.put(5, 0, table(5, "c", "d").seqnos(90, 100)); // not older than the tombstone
        assert_eq!(dropped(&mut sketch), [2, 3]);
    }

    #[test]
    fn a_snapshot_between_protects() {
        for (snapshot, expected) in [(0, true), (4, true), (5, false), (99, false), (100, true)] {
            let mut sketch = Sketch::new();
            sketch.put(0, 9, table(9, "a", "z").seqnos(100, 100).with_tombstones(1));
            sketch.tombstones.insert(9, vec![tombstone("a", "z", 100)]);
            sketch.put(6, 0, table(2, "c", "f").seqnos(5, 10));
            sketch.snapshots = vec![snapshot];
            assert_eq!(!dropped(&mut sketch).is_empty(), expected, "snapshot {snapshot}");
        }
    }

    #[test]
    fn neighbouring_tombstones_join_and_gaps_do_not() {
        let mut sketch = Sketch::new();
        sketch.put(0, 9, table(9, "a", "z").seqnos(50, 102).with_tombstones(3));
        sketch
            .tombstones
            .insert(9, vec![tombstone("a", "f", 100), tombstone("f", "k", 101), tombstone("m", "z", 102)]);
        sketch.put(6, 0, table(2, "c", "h").seqnos(1, 10));
        sketch.put(6, 0, table(3, "j", "n").seqnos(1, 10));
        assert_eq!(dropped(&mut sketch), [2]);
    }
}
