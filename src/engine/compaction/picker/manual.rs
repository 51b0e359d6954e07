//! [`ManualPlan`]: brings a key range down to the bottom, step by step, rewriting all of it.
//!
//! A step is a choice of bounded size, so that flushes, stopping and the disk's free space are no problem between steps.
//! The plan itself is only a position; every step is chosen from the version of its moment:
//!
//! ```text
//!   L0 ──► base level ──► ... ──► last level in use ──► the last level's tables that are still as they were, in place
//! ```

use super::leveled::{Parameters, into_level, is_movable, merge, shape};
use super::{Choice, Context, InputRun, Pick, Reason, l0, tiered};
use crate::manifest::{FileMeta, Version};
use crate::options::CompactionStrategy;
use std::sync::Arc;

/// Tables of the upper level that one step takes.
const TABLES_A_STEP: usize = 8;

/// A compaction that somebody asked for, and how far it has come.
#[derive(Clone, Debug)]
pub(crate) struct ManualPlan {
    /// Inclusive; `None`: from the beginning.
    start: Option<Vec<u8>>,
    /// Exclusive; `None`: to the end.
    end: Option<Vec<u8>>,
    level: usize,
    /// Tables of this number and above were written since the plan began, and need not be written again.
    fresh: u64,
}

impl ManualPlan {
    /// Plans to compact a range. `next_file` is the number that the next table will get.
    pub(crate) fn new(start: Option<Vec<u8>>, end: Option<Vec<u8>>, next_file: u64) -> ManualPlan {
        ManualPlan { start, end, level: 0, fresh: next_file }
    }

    /// The next step; `None` when the range has arrived. Steps must be done, or have failed, before the next is asked for.
    pub(crate) fn next(&mut self, version: &Version, context: &Context<'_>) -> Option<Pick> {
        if self.start.is_some() && self.end.is_some() && self.start >= self.end {
            return None;
        }
        let choice = match context.options.compaction {
            CompactionStrategy::Leveled { .. } => self.next_leveled(version, context),
            CompactionStrategy::Tiered { .. } => self.next_tiered(version),
            CompactionStrategy::Fifo { .. } => return super::pick(version, context),
        }?;
        Some(Pick { choice, reason: Reason::Manual, score: 1.0 })
    }

    fn next_tiered(&mut self, version: &Version) -> Option<Choice> {
        let stale = version.levels.iter().flat_map(|l| &l.runs).any(|r| !self.stale(&r.tables).is_empty());
        if !stale {
            return None;
        }
        tiered::everything(version)
    }

    fn next_leveled(&mut self, version: &Version, context: &Context<'_>) -> Option<Choice> {
        let p = Parameters::of(&context.options.compaction);
        if let Some(reshape) = super::leveled::reshape(version, &p) {
            return Some(reshape.choice);
        }
        let base = shape(version, &p).base;
        if self.level == 0 {
            // Tables that are flushed meanwhile do not belong to the plan.
            if version.levels[0].runs.iter().any(|r| !self.stale(&r.tables).is_empty()) {
                return l0::pick(version, context, &p, base);
            }
            self.level = 1;
        }
        let bottom = version.bottom()?;
        while self.level < bottom {
            if let Some(choice) = self.push_down(version, context, &p, self.level) {
                return Some(choice);
            }
            self.level += 1;
        }
        self.rewrite(version, &p, bottom)
    }

    /// The next tables of `level` that the range meets, into the level below.
    fn push_down(
        &self,
        version: &Version,
        context: &Context<'_>,
        p: &Parameters,
        level: usize,
    ) -> Option<Choice> {
        let run = version.levels[level].runs.first()?;
        let tables: Vec<Arc<FileMeta>> = self.meeting(&run.tables).take(TABLES_A_STEP).cloned().collect();
        if tables.is_empty() {
            return None;
        }
        let input = InputRun { level, run: run.id, tables };
        if is_movable(version, context, std::slice::from_ref(&input), level + 1) {
            let to_run = super::only_run(&version.levels[level + 1]);
            return Some(Choice::Move { inputs: vec![input], to_level: level + 1, to_run });
        }
        into_level(version, p, vec![input], level + 1)
    }

    /// The next neighbours of the last level that were not rewritten yet, in place.
    fn rewrite(&self, version: &Version, p: &Parameters, level: usize) -> Option<Choice> {
        if level == 0 {
            return None;
        }
        let run = version.levels[level].runs.first()?;
        let first = run.tables.iter().position(|t| self.is_stale(t))?;
        let tables = run.tables[first..]
            .iter()
            .take_while(|t| self.is_stale(t))
            .take(TABLES_A_STEP)
            .cloned()
            .collect();
        merge(version, p, vec![InputRun { level, run: run.id, tables }], level)
    }

    fn meeting<'a>(&'a self, tables: &'a [Arc<FileMeta>]) -> impl Iterator<Item = &'a Arc<FileMeta>> {
        tables.iter().filter(|t| t.overlaps(self.start.as_deref(), self.end.as_deref()))
    }

    fn is_stale(&self, table: &FileMeta) -> bool {
        table.number < self.fresh && table.overlaps(self.start.as_deref(), self.end.as_deref())
    }

    fn stale<'a>(&'a self, tables: &'a [Arc<FileMeta>]) -> Vec<&'a Arc<FileMeta>> {
        tables.iter().filter(|t| self.is_stale(t)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sketch::{Sketch, table};
    use super::*;
    use crate::options::KeyspaceOptions;

    /// Runs a plan, writing each merge as one table that spans its inputs; returns what was rewritten.
    fn run(sketch: &mut Sketch, mut plan: ManualPlan) -> Vec<u64> {
        let mut next = 100;
        let mut rewritten = Vec::new();
        for _ in 0..100 {
            let Some(pick) = plan.next(&sketch.version, &sketch.context()) else {
                rewritten.sort_unstable();
                return rewritten;
            };
            match &pick.choice {
                Choice::Merge(merge) => {
                    sketch.remove(&merge.inputs);
                    let smallest = merge.tables().map(|t| t.smallest.clone()).min().unwrap();
                    let largest = merge.tables().map(|t| t.largest.clone()).max().unwrap();
                    let text = |k: Vec<u8>| String::from_utf8(k).unwrap();
                    rewritten.extend(merge.tables().map(|t| t.number).filter(|&n| n < 100));
                    sketch.put(
                        merge.output_level,
                        merge.output_run,
                        table(next, &text(smallest), &text(largest)),
                    );
                    next += 1;
                }
                other => sketch.apply_without_bytes(other),
            }
        }
        panic!("the plan does not end");
    }

    fn sketch(options: KeyspaceOptions) -> Sketch {
        let mut sketch = Sketch::with_options(options);
        sketch.put(0, 11, table(11, "a", "z"));
        sketch.put(0, 10, table(10, "b", "c"));
        sketch.put(5, 0, table(4, "a", "f"));
        sketch.put(5, 0, table(5, "g", "k"));
        sketch.put(6, 0, table(1, "a", "d"));
        sketch.put(6, 0, table(2, "e", "h"));
        sketch.put(6, 0, table(3, "p", "z"));
        sketch
    }

    #[test]
    fn everything_is_rewritten_and_ends_at_the_bottom() {
        let mut sketch = sketch(KeyspaceOptions::new());
        assert_eq!(run(&mut sketch, ManualPlan::new(None, None, 100)), [1, 2, 3, 4, 5, 10, 11]);
        assert!(sketch.version.levels[..6].iter().all(crate::manifest::Level::is_empty));
    }

    #[test]
    fn a_range_leaves_the_rest_alone() {
        let mut sketch = sketch(KeyspaceOptions::new());
        sketch.version.levels[0].runs.clear();
        let plan = ManualPlan::new(Some(b"q".to_vec()), Some(b"r".to_vec()), 100);
        assert_eq!(run(&mut sketch, plan), [3]);
        let plan = ManualPlan::new(Some(b"r".to_vec()), Some(b"q".to_vec()), 200);
        assert_eq!(run(&mut sketch, plan), [0u64; 0]);
    }

    #[test]
    fn tiered_becomes_one_run() {
        let mut sketch = sketch(KeyspaceOptions::new().compaction(CompactionStrategy::tiered()));
        assert_eq!(run(&mut sketch, ManualPlan::new(None, None, 100)), [1, 2, 3, 4, 5, 10, 11]);
        assert_eq!(sketch.version.tables().count(), 1);
    }
}
