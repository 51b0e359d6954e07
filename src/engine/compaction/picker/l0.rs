//! What the leveled strategy does with L0: when its runs go down, and what happens to them until then.

use super::leveled::{Parameters, into_level, is_dense, is_movable};
use super::{Choice, Context, InputRun, Merge, Span, below, only_run, similar};
use crate::manifest::{SortedRun, Version};

/// While memtables fill up one soon after the other, so many times the runs of the trigger are gathered before they are merged into the
/// level below, unless they hold as much as that level may.
const PATIENCE: f64 = 4.0;

/// What is done with L0 once it has as many runs as the trigger. Mostly they go down. But a merge writes all of the level below that it
/// meets, however few runs it takes along; so while the keyspace is being filled, more are gathered, which are all merged at once later
/// or when the filling ends. Small runs are joined meanwhile, so that readers do not have many to look at.
pub(super) fn pick_in_time(
    version: &Version,
    context: &Context<'_>,
    p: &Parameters,
    base: usize,
) -> Option<Choice> {
    let waits =
        context.is_filling && score(version, p) < PATIENCE && version.levels[0].bytes() < p.base_bytes();
    match pick(version, context, p, base) {
        Some(Choice::Merge(_)) if waits => join_small(version, p),
        down => down,
    }
}

/// The newest runs of L0 as one run of L0, if twice as many as the trigger are similar and take no more than half a table each. What was
/// joined before waits until there is more like it, or each join would write it anew.
fn join_small(version: &Version, p: &Parameters) -> Option<Choice> {
    let runs = &version.levels[0].runs;
    let sizes: Vec<u64> =
        runs.iter().map(SortedRun::bytes).take_while(|&size| size <= p.table_bytes / 2).collect();
    let joined = runs.iter().take(similar(&sizes));
    let inputs: Vec<InputRun> =
        joined.map(|r| InputRun { level: 0, run: r.id, tables: r.tables.clone() }).collect();
    if inputs.len() < p.l0_trigger.saturating_mul(2) {
        return None;
    }
    let span = Span::of(inputs.iter().flat_map(|i| &i.tables))?;
    Some(Choice::Merge(Merge {
        below: below(version, &inputs, &span),
        output_level: 0,
        // That of the newest, so that what is flushed meanwhile comes before it.
        output_run: inputs.first()?.run,
        grandparents: Vec::new(),
        table_bytes: p.table_bytes,
        max_overlap_bytes: u64::MAX,
        inputs,
    }))
}

/// The oldest L0 runs: moved if they meet nothing, else all merged into the base level.
pub(super) fn pick(version: &Version, context: &Context<'_>, p: &Parameters, base: usize) -> Option<Choice> {
    let l0 = &version.levels[0];
    let mut moved: Vec<InputRun> = Vec::new();
    for run in l0.runs.iter().rev() {
        let input = InputRun { level: 0, run: run.id, tables: run.tables.clone() };
        let span = Span::of(&input.tables)?;
        let apart =
            moved.iter().flat_map(|m| &m.tables).all(|t| !t.overlaps(Some(&span.start), Some(&span.end)));
        if !apart || !is_movable(version, context, std::slice::from_ref(&input), base) {
            break;
        }
        moved.push(input);
    }
    if !moved.is_empty() {
        moved.reverse();
        return Some(Choice::Move { inputs: moved, to_level: base, to_run: only_run(&version.levels[base]) });
    }
    let inputs = l0.runs.iter().map(|r| InputRun { level: 0, run: r.id, tables: r.tables.clone() }).collect();
    into_level(version, p, inputs, base)
}

/// Runs for the trigger; one made of deletes counts twice, because merging it gives space back.
pub(super) fn score(version: &Version, p: &Parameters) -> f64 {
    let runs: usize =
        version.levels[0].runs.iter().map(|r| 1 + usize::from(r.tables.iter().all(|t| is_dense(t)))).sum();
    runs as f64 / p.l0_trigger as f64
}

/// Whether runs of L0 that are full of deletes may delete a tenth of what they would be merged with.
pub(super) fn deletes_much(version: &Version, base: usize) -> bool {
    let dense = || version.levels[0].tables().filter(|t| is_dense(t));
    let Some(span) = Span::of(dense()) else { return false };
    let deletes: u64 = dense().map(|t| t.deletes).sum();
    let met: u64 =
        version.levels[base].runs.iter().flat_map(|r| span.overlapping(r)).map(|t| t.entries).sum();
    deletes.saturating_mul(10) >= met
}

#[cfg(test)]
mod tests {
    use super::super::leveled::debt;
    use super::super::sketch::{Sketch, leveled, numbers, table};
    use super::super::{Pick, Reason};
    use super::*;
    use esker_table::codec::Compression;

    #[test]
    fn l0_waits_for_its_trigger_and_then_goes_whole() {
        let mut sketch = Sketch::with_options(leveled(3, 10, 1000));
        sketch.put(6, 0, table(1, "a", "m"));
        sketch.put(6, 0, table(2, "n", "z"));
        sketch.put(0, 10, table(10, "c", "e"));
        sketch.put(0, 11, table(11, "b", "d"));
        assert!(sketch.pick().is_none());
        assert_eq!(debt(&sketch.version, &sketch.options.compaction), 0);
        sketch.put(0, 12, table(12, "c", "d"));
        assert!(debt(&sketch.version, &sketch.options.compaction) >= 400);
        let Some(Pick { choice: Choice::Merge(merge), reason: Reason::Runs, .. }) = sketch.pick() else {
            panic!("a merge is due")
        };
        assert_eq!(numbers(merge.tables()), [1, 10, 11, 12]);
        assert_eq!(merge.inputs.iter().map(|i| i.run).collect::<Vec<_>>(), [12, 11, 10, 0]);
        assert_eq!(merge.output_level, 6);
        assert!(merge.bottommost());
    }

    #[test]
    fn while_the_keyspace_is_filled_runs_are_gathered_and_small_ones_joined() {
        let mut sketch = Sketch::with_options(leveled(2, 10, 1000));
        sketch.put(6, 0, table(1, "a", "z").bytes(5000));
        (10..13).for_each(|n| sketch.put(0, n, table(n, "b", "y").bytes(600)));
        (13..16).for_each(|n| sketch.put(0, n, table(n, "c", "x").bytes(500)));
        let runs = |pick: Option<Pick>| match pick {
            Some(Pick { choice: Choice::Merge(m), .. }) => {
                (m.output_level, m.output_run, m.inputs.iter().map(|i| i.run).collect::<Vec<_>>())
            }
            other => panic!("{other:?} is no merge"),
        };
        assert_eq!(runs(sketch.pick()), (6, 0, vec![15, 14, 13, 12, 11, 10, 0]));
        sketch.is_filling = true;
        assert!(sketch.pick().is_none(), "three small runs are too few, and so are six of all");
        sketch.put(0, 16, table(16, "d", "w").bytes(300));
        let Some(Pick { choice: Choice::Merge(join), .. }) = sketch.pick() else { panic!("four are joined") };
        assert_eq!(join.below.len(), 4, "older runs, and the last level");
        assert_eq!(runs(sketch.pick()), (0, 16, vec![16, 15, 14, 13]));
        sketch.put(0, 17, table(17, "d", "w").bytes(100));
        assert_eq!(runs(sketch.pick()).0, 6, "eight are enough");
    }

    #[test]
    fn what_was_joined_waits_for_its_like() {
        let mut sketch = Sketch::with_options(leveled(2, 10, 1000));
        sketch.is_filling = true;
        sketch.put(6, 0, table(1, "a", "z").bytes(5000));
        sketch.put(0, 10, table(10, "a", "z").bytes(400));
        (11..14).for_each(|n| sketch.put(0, n, table(n, "b", "y").bytes(100)));
        assert!(sketch.pick().is_none());
    }

    #[test]
    fn what_can_be_moved_does_not_wait() {
        let mut sketch = Sketch::with_options(leveled(2, 10, 1000));
        sketch.is_filling = true;
        sketch.put(0, 10, table(10, "d", "e"));
        sketch.put(0, 11, table(11, "f", "g"));
        assert!(matches!(sketch.pick(), Some(Pick { choice: Choice::Move { .. }, .. })));
    }

    #[test]
    fn deletes_count_twice_at_l0() {
        let mut large = table(1, "a", "m");
        large.entries = 1000;
        let mut sketch = Sketch::with_options(leveled(4, 10, 1000));
        sketch.put(6, 0, large);
        sketch.put(0, 10, table(10, "c", "e").with_deletes(9));
        assert!(sketch.pick().is_none());
        sketch.put(0, 11, table(11, "c", "e").with_deletes(5));
        assert!(sketch.pick().is_some_and(|pick| pick.score >= 1.0));
    }

    #[test]
    fn deletes_at_l0_that_would_take_much_away_do_not_wait() {
        let mut sketch = Sketch::with_options(leveled(4, 10, 1000));
        sketch.put(6, 0, table(1, "a", "m"));
        sketch.put(0, 10, table(10, "c", "e").with_deletes(9));
        let pick = sketch.pick().unwrap();
        assert_eq!((numbers(pick.choice.tables()), pick.reason), (vec![1, 10], Reason::Tombstones));
    }

    #[test]
    fn what_meets_nothing_is_moved() {
        let mut sketch = Sketch::with_options(leveled(2, 10, 1000));
        sketch.put(6, 0, table(1, "a", "c"));
        sketch.put(0, 10, table(10, "d", "e"));
        sketch.put(0, 11, table(11, "f", "g"));
        sketch.put(0, 12, table(12, "e", "h")); // meets run 10 and 11
        let Some(Pick { choice: choice @ Choice::Move { .. }, .. }) = sketch.pick() else {
            panic!("a move is possible")
        };
        assert_eq!(numbers(choice.tables()), [10, 11]);
        sketch.apply_without_bytes(&choice);
        assert_eq!(sketch.version.levels[6].runs[0].tables.len(), 3);
        // Other bytes at the other level: nothing is moved.
        let mut sketch = Sketch::with_options(
            leveled(1, 10, 1000)
                .compression(crate::options::ByLevel::levels([Compression::None, Compression::Lz4])),
        );
        sketch.put(0, 10, table(10, "d", "e"));
        assert!(matches!(sketch.pick(), Some(Pick { choice: Choice::Merge(_), .. })));
        // Deletes that reach the bottom are not moved either: they would stay.
        let mut sketch = Sketch::with_options(leveled(1, 10, 1000));
        sketch.put(0, 10, table(10, "d", "e").with_deletes(1));
        assert!(matches!(sketch.pick(), Some(Pick { choice: Choice::Merge(_), .. })));
    }
}
