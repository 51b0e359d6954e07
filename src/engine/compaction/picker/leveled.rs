//! Leveled: each level under L0 is one sorted run, `ratio` times the size of the level above it.
//!
//! Sizes are dynamic: the last level is as large as it is, and the targets of the others follow from it, so that about
//! `1 / ratio` of the data lies above the last level whatever the store's size. L0 goes into the *base level*, the
//! first whose target is worth having; levels between L0 and it are empty.
//!
//! ```text
//!   small store              large store (ratio 10, 4 tables of 32 MiB)
//!   L0  ▪▪▪                  L0  ▪▪▪
//!   L1                       L1
//!   ..                       ..
//!   L5                       L5  ▪▪▪▪▪▪▪▪     base level, 700 MiB
//!   L6  ▪▪▪▪  base level     L6  ▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪  7 GiB
//! ```

use super::{
    Choice, Context, InputRun, Merge, Pick, Reason, Span, below, l0, must_rewrite_at_bottom, only_run,
};
use crate::manifest::{FileMeta, MAX_LEVELS, Version};
use crate::options::CompactionStrategy;
use std::sync::Arc;

const LAST: usize = MAX_LEVELS - 1;

/// The strategy's numbers, made safe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters {
    pub(super) l0_trigger: usize,
    ratio: u64,
    pub(super) table_bytes: u64,
}

impl Parameters {
    /// Of a leveled strategy; the defaults for any other.
    pub(super) fn of(strategy: &CompactionStrategy) -> Parameters {
        let (l0_trigger, ratio, table_bytes) = match *strategy {
            CompactionStrategy::Leveled { l0_trigger, ratio, table_bytes } => {
                (l0_trigger, ratio, table_bytes)
            }
            _ => (4, 10, 32 << 20),
        };
        Parameters { l0_trigger: l0_trigger.max(1), ratio: ratio.max(2), table_bytes: table_bytes.max(1) }
    }

    /// The most that the base level is meant to hold: `ratio` times what the trigger's runs of L0 bring. A level that holds less than that would be
    /// written anew by each merge and take nothing off the level below; while the last level is not larger than this, L0 goes
    /// there directly, for fewer written bytes and fewer places to look.
    pub(super) fn base_bytes(&self) -> u64 {
        self.table_bytes.saturating_mul(self.l0_trigger as u64).saturating_mul(self.ratio)
    }

    /// The bytes of grandparents that one output table may meet.
    pub(super) fn max_overlap_bytes(&self) -> u64 {
        self.table_bytes.saturating_mul(self.ratio)
    }
}

/// The sizes that the levels should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Where L0 is merged into.
    pub(super) base: usize,
    /// Of the levels from the base on; others must be empty.
    targets: [u64; MAX_LEVELS],
}

/// The shape that follows from the size of the largest level.
pub(super) fn shape(version: &Version, p: &Parameters) -> Shape {
    let mut targets = [u64::MAX; MAX_LEVELS];
    let sizes: Vec<u64> = version.levels.iter().map(super::Level::bytes).collect();
    let first_used = (1..MAX_LEVELS).find(|&l| !version.levels[l].is_empty());
    let largest = sizes[1..].iter().copied().max().unwrap_or(0);
    let (base_max, base_min) = (p.base_bytes(), p.base_bytes() / p.ratio);
    let mut base = first_used.unwrap_or(LAST);
    // What the first used level would hold if the last one held `largest`.
    let mut size = (base..LAST).fold(largest, |size, _| size / p.ratio);
    if first_used.is_none() || size <= base_min {
        size = base_min + 1;
        if first_used.is_none() {
            size = base_max;
        }
    } else {
        while base > 1 && size > base_max {
            base -= 1;
            size /= p.ratio;
        }
        // With the base at L1 and still too large, L1 is held at its maximum and the levels below spread wider.
        size = size.min(base_max).max(1);
    }
    let mut target = size;
    for slot in &mut targets[base..] {
        *slot = target;
        target = target.saturating_mul(p.ratio);
    }
    if let Some(last) = targets.last_mut() {
        *last = (*last).max(largest);
    }
    Shape { base, targets }
}

/// See [`super::debt`].
pub(super) fn debt(version: &Version, strategy: &CompactionStrategy) -> u64 {
    let p = Parameters::of(strategy);
    let shape = shape(version, &p);
    let mut owed = 0u64;
    let mut arriving = 0u64;
    let l0 = &version.levels[0];
    if l0.runs.len() >= p.l0_trigger {
        arriving = l0.bytes();
        owed = arriving.saturating_add(version.levels[shape.base].bytes());
    }
    for level in shape.base..LAST {
        let size = version.levels[level].bytes().saturating_add(arriving);
        let excess = size.saturating_sub(shape.targets[level]);
        arriving = excess;
        if excess > 0 {
            // Each byte that goes down drags its share of the next level along.
            let next = version.levels[level + 1].bytes();
            let share = (next as f64 / size as f64) + 1.0;
            owed = owed.saturating_add((excess as f64 * share) as u64);
        }
    }
    owed
}

/// See [`super::pick`].
pub(super) fn pick(version: &Version, context: &Context<'_>) -> Option<Pick> {
    let p = Parameters::of(&context.options.compaction);
    if let Some(pick) = reshape(version, &p) {
        return Some(pick);
    }
    let shape = shape(version, &p);
    let mut scores: Vec<(f64, usize)> = (shape.base..LAST)
        .map(|l| (version.levels[l].bytes() as f64 / shape.targets[l] as f64, l))
        .chain([(l0::score(version, &p), 0)])
        .filter(|(score, _)| *score >= 1.0)
        .collect();
    scores.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (score, level) in scores {
        let (choice, reason) = match level {
            0 => (l0::pick_in_time(version, context, &p, shape.base), Reason::Runs),
            _ => (pick_level(version, context, &p, level, shape.targets[level]), Reason::Size),
        };
        if let Some(choice) = choice {
            return Some(Pick { choice, reason, score });
        }
    }
    let idle = match pick_expired(version, context, &p, shape.base) {
        Some(choice) => Some((choice, Reason::Expired)),
        None => pick_dense(version, context, &p, shape.base).map(|choice| (choice, Reason::Tombstones)),
    };
    idle.map(|(choice, reason)| Pick { choice, reason, score: 0.5 })
}

/// With nothing else to do: a table of expired entries that could not be dropped, because of what lies under it, goes one
/// level down. At the last level nothing lies under it.
fn pick_expired(version: &Version, context: &Context<'_>, p: &Parameters, base: usize) -> Option<Choice> {
    if version.levels[0].tables().any(|t| context.is_expired(t)) {
        return l0::pick(version, context, p, base);
    }
    (base..LAST).find_map(|level| {
        let run = version.levels[level].runs.first()?;
        let index = run.tables.iter().position(|t| context.is_expired(t))?;
        push_down(version, context, p, (level, index), 0)
    })
}

/// Whether at least half of the entries are deletes.
pub(super) fn is_dense(table: &FileMeta) -> bool {
    table.deletes > 0 && table.deletes.saturating_mul(2) >= table.entries
}

/// A level that another strategy left with several runs becomes one run in place.
pub(super) fn reshape(version: &Version, p: &Parameters) -> Option<Pick> {
    let level = (1..MAX_LEVELS).find(|&l| version.levels[l].runs.len() > 1)?;
    let inputs: Vec<InputRun> = version.levels[level]
        .runs
        .iter()
        .map(|r| InputRun { level, run: r.id, tables: r.tables.clone() })
        .collect();
    let choice = merge(version, p, inputs, level)?;
    Some(Pick { choice, reason: Reason::Reshape, score: 2.0 })
}

/// Whether the inputs, of one level, can become part of the run at `to` as they are.
pub(super) fn is_movable(version: &Version, context: &Context<'_>, inputs: &[InputRun], to: usize) -> bool {
    let Some(from) = inputs.first().map(|i| i.level) else { return false };
    if !context.same_layout(from, to) {
        return false;
    }
    let target = &version.levels[to];
    inputs.iter().all(|input| {
        let Some(span) = Span::of(&input.tables) else { return false };
        !target.runs.iter().any(|r| span.meets(r))
            && (!must_rewrite_at_bottom(context, &input.tables)
                || version.levels[to + 1..].iter().flat_map(|l| &l.runs).any(|r| span.meets(r)))
    })
}

/// The table of `level` that drags the least along with it.
fn pick_level(
    version: &Version,
    context: &Context<'_>,
    p: &Parameters,
    level: usize,
    target: u64,
) -> Option<Choice> {
    let run = version.levels[level].runs.first()?;
    let excess = run.bytes().saturating_sub(target);
    let next = version.levels[level + 1].runs.first();
    let mut candidates: Vec<(u64, usize)> = run
        .tables
        .iter()
        .enumerate()
        .map(|(i, t)| {
            let span = Span::of_table(t);
            let overlap: u64 =
                next.map_or(0, |n| n.overlapping(Some(&span.start), Some(&span.end)).map(|t| t.size).sum());
            // In thousandths; tables full of deletes count as if they dragged half as much.
            let cost = overlap.saturating_mul(1000) / t.size.max(1);
            (if is_dense(t) { cost / 2 } else { cost }, i)
        })
        .collect();
    candidates.sort_unstable();
    candidates.into_iter().find_map(|(_, i)| push_down(version, context, p, (level, i), excess))
}

/// Table `index` of `level`, and what goes with it, into the next level.
fn push_down(
    version: &Version,
    context: &Context<'_>,
    p: &Parameters,
    (level, index): (usize, usize),
    excess: u64,
) -> Option<Choice> {
    let run = version.levels[level].runs.first()?;
    let input = |tables: &[Arc<FileMeta>]| InputRun { level, run: run.id, tables: tables.to_vec() };
    let to = level + 1;
    if is_movable(version, context, &[input(&run.tables[index..=index])], to) {
        // Neighbours that meet nothing either go along, until the level is as small as it should be.
        let (mut end, mut moved) = (index + 1, run.tables[index].size);
        while end < run.tables.len()
            && moved < excess
            && is_movable(version, context, &[input(&run.tables[end..=end])], to)
        {
            moved += run.tables[end].size;
            end += 1;
        }
        return Some(Choice::Move {
            inputs: vec![input(&run.tables[index..end])],
            to_level: to,
            to_run: only_run(&version.levels[to]),
        });
    }
    let (mut start, mut end) = (index, index + 1);
    if let Some(next) = version.levels[to].runs.first() {
        // Tables of this level that lie within what is rewritten anyway go along for free.
        let own = Span::of_table(&run.tables[index]);
        let dragged = own.overlapping(next);
        if let Some(wide) = Span::of(&dragged) {
            let within = |t: &Arc<FileMeta>| t.smallest >= wide.start && t.ends_before(&wide.end);
            while start > 0 && within(&run.tables[start - 1]) {
                start -= 1;
            }
            while end < run.tables.len() && within(&run.tables[end]) {
                end += 1;
            }
        }
    }
    into_level(version, p, vec![input(&run.tables[start..end])], to)
}

/// `inputs`, newest first, merged into the single run of level `to`.
pub(super) fn into_level(
    version: &Version,
    p: &Parameters,
    mut inputs: Vec<InputRun>,
    to: usize,
) -> Option<Choice> {
    let span = Span::of(inputs.iter().flat_map(|i| &i.tables))?;
    for run in &version.levels[to].runs {
        let tables = span.overlapping(run);
        if !tables.is_empty() {
            inputs.push(InputRun { level: to, run: run.id, tables });
        }
    }
    merge(version, p, inputs, to)
}

/// A merge of exactly `inputs` into the run of level `to`.
pub(super) fn merge(version: &Version, p: &Parameters, inputs: Vec<InputRun>, to: usize) -> Option<Choice> {
    let tables = || inputs.iter().flat_map(|i| &i.tables);
    let span = Span::of(tables())?;
    let grandparents = match version.levels.get(to + 1).and_then(|l| l.runs.first()) {
        Some(run) => span.overlapping(run),
        None => Vec::new(),
    };
    Some(Choice::Merge(Merge {
        below: below(version, &inputs, &span),
        output_level: to,
        output_run: only_run(&version.levels[to]),
        grandparents,
        table_bytes: p.table_bytes,
        max_overlap_bytes: p.max_overlap_bytes(),
        inputs,
    }))
}

/// With nothing else to do: a table full of deletes, or with range tombstones, goes one level down; at the bottom it is
/// rewritten once no snapshot needs its deletes.
fn pick_dense(version: &Version, context: &Context<'_>, p: &Parameters, base: usize) -> Option<Choice> {
    if l0::deletes_much(version, base) {
        return l0::pick(version, context, p, base);
    }
    for level in base..MAX_LEVELS {
        let Some(run) = version.levels[level].runs.first() else { continue };
        for (i, table) in run.tables.iter().enumerate() {
            if table.range_tombstones == 0 && table.deletes == 0 {
                continue;
            }
            let span = Span::of_table(table);
            let deeper = version.levels[level + 1..].iter().flat_map(|l| &l.runs).any(|r| span.meets(r));
            let choice = if deeper {
                (is_dense(table) || table.range_tombstones > 0)
                    .then(|| push_down(version, context, p, (level, i), 0))
                    .flatten()
            } else if context.older_than_snapshots(table.max_seqno) && context.options.fold.is_none() {
                // All deletes vanish in this rewrite, so the table is not picked again. A fold may keep deletes for
                // reasons of its own, and would be asked for ever.
                let input = InputRun { level, run: run.id, tables: vec![table.clone()] };
                (is_dense(table) || table.range_tombstones > 0)
                    .then(|| merge(version, p, vec![input], level))
                    .flatten()
            } else {
                None
            };
            if choice.is_some() {
                return choice;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::sketch::{Sketch, leveled, numbers, table};
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn the_shape_follows_the_last_level() {
        let p = Parameters { l0_trigger: 4, ratio: 10, table_bytes: 32 };
        let mut sketch = Sketch::new();
        assert_eq!(shape(&sketch.version, &p).base, LAST);
        sketch.put(6, 0, table(1, "a", "z").bytes(1000));
        let small = shape(&sketch.version, &p);
        assert_eq!((small.base, small.targets[6]), (6, 1000));
        let mut sketch = Sketch::new();
        sketch.put(6, 0, table(1, "a", "z").bytes(2000));
        let middling = shape(&sketch.version, &p);
        assert_eq!((middling.base, middling.targets[5], middling.targets[6]), (5, 200, 2000));
        let mut sketch = Sketch::new();
        sketch.put(6, 0, table(1, "a", "z").bytes(1_000_000));
        let large = shape(&sketch.version, &p);
        assert_eq!((large.base, large.targets[3], large.targets[5]), (3, 1000, 100_000));
    }

    #[test]
    fn the_table_that_drags_least_goes_down() {
        let mut sketch = Sketch::with_options(leveled(4, 10, 100));
        sketch.put(6, 0, table(1, "a", "c").bytes(20_000));
        sketch.put(6, 0, table(2, "d", "e").bytes(50));
        sketch.put(6, 0, table(3, "p", "z").bytes(20_000));
        sketch.put(5, 0, table(4, "b", "c").bytes(3000));
        sketch.put(5, 0, table(5, "d", "f").bytes(3000));
        sketch.put(5, 0, table(6, "q", "r").bytes(3000));
        let Some(Pick { choice: Choice::Merge(merge), reason: Reason::Size, .. }) = sketch.pick() else {
            panic!("a merge is due")
        };
        assert_eq!(numbers(merge.tables()), [2, 5]);
        assert!(merge.bottommost());
    }

    #[test]
    fn dense_tables_sink_and_vanish_at_the_bottom_once_no_snapshot_needs_them() {
        let mut sketch = Sketch::with_options(leveled(4, 10, 1000));
        sketch.put(6, 0, table(1, "a", "m").bytes(100_000));
        sketch.put(5, 0, table(2, "b", "c").with_deletes(6).seqnos(5, 9));
        let Some(Pick { choice: Choice::Merge(merge), reason: Reason::Tombstones, .. }) = sketch.pick()
        else {
            panic!("the dense table goes down")
        };
        assert_eq!((numbers(merge.tables()), merge.output_level), (vec![1, 2], 6));
        let mut sketch = Sketch::with_options(leveled(4, 10, 1000));
        sketch.put(6, 0, table(3, "a", "m").with_deletes(6).seqnos(5, 9));
        sketch.snapshots = vec![7];
        assert!(sketch.pick().is_none());
        sketch.snapshots = vec![9];
        let Some(Pick { choice: Choice::Merge(merge), .. }) = sketch.pick() else {
            panic!("the table is rewritten in place")
        };
        assert_eq!((numbers(merge.tables()), merge.output_level), (vec![3], 6));
    }

    #[test]
    fn several_runs_of_another_strategy_become_one() {
        let mut sketch = Sketch::with_options(leveled(4, 10, 1000));
        sketch.put(6, 7, table(1, "a", "m"));
        sketch.put(6, 3, table(2, "b", "z"));
        let Some(Pick { choice: Choice::Merge(merge), reason: Reason::Reshape, .. }) = sketch.pick() else {
            panic!("the runs are joined")
        };
        assert_eq!((merge.output_level, merge.output_run), (6, 7));
        assert_eq!(merge.inputs.iter().map(|i| i.run).collect::<Vec<_>>(), [7, 3]);
    }

    /// Tables as sets of keys: one key, one byte.
    struct Simulation {
        sketch: Sketch,
        keys: BTreeMap<u64, BTreeSet<u32>>,
        next: u64,
        written: u64,
    }

    impl Simulation {
        fn add(&mut self, level: usize, run: Option<u64>, keys: BTreeSet<u32>) {
            let number = self.next;
            self.next += 1;
            let name = |k: &u32| format!("{k:08}");
            let meta = table(number, &name(keys.first().unwrap()), &name(keys.last().unwrap()));
            self.sketch.put(level, run.unwrap_or(number), meta.bytes(keys.len() as u64));
            self.written += keys.len() as u64;
            self.keys.insert(number, keys);
        }

        fn settle(&mut self) {
            for _ in 0..10_000 {
                let Some(pick) = self.sketch.pick() else { return };
                match &pick.choice {
                    Choice::Merge(merge) => {
                        let keys: BTreeSet<u32> =
                            merge.tables().flat_map(|t| &self.keys[&t.number]).copied().collect();
                        self.sketch.remove(&merge.inputs);
                        let keys: Vec<u32> = keys.into_iter().collect();
                        for part in keys.chunks(merge.table_bytes as usize) {
                            let part = part.iter().copied().collect();
                            self.add(merge.output_level, Some(merge.output_run), part);
                        }
                    }
                    other => self.sketch.apply_without_bytes(other),
                }
            }
            panic!("compaction does not come to rest");
        }
    }

    #[test]
    fn level_sizes_converge() {
        let options = leveled(4, 8, 100);
        let strategy = options.compaction;
        let mut simulation =
            Simulation { sketch: Sketch::with_options(options), keys: BTreeMap::new(), next: 1, written: 0 };
        let mut state = 7u64;
        let flushes = 1500;
        for _ in 0..flushes {
            let mut keys = BTreeSet::new();
            while keys.len() < 100 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                keys.insert(((state >> 33) % 40_000) as u32);
            }
            simulation.add(0, None, keys);
            simulation.settle();
            let version = &simulation.sketch.version;
            assert!(version.levels[0].runs.len() < 4);
            assert_eq!(debt(version, &strategy), 0, "at rest nothing is owed");
        }
        let version = &simulation.sketch.version;
        let sizes: Vec<u64> = version.levels.iter().map(crate::manifest::Level::bytes).collect();
        let distinct: BTreeSet<u32> =
            version.tables().flat_map(|t| &simulation.keys[&t.number]).copied().collect();
        let amplification = version.bytes() as f64 / distinct.len() as f64;
        assert!(amplification < 1.3, "space {amplification}, levels {sizes:?}");
        let rewritten = simulation.written as f64 / (flushes * 100) as f64;
        assert!(rewritten < 20.0, "every byte was written {rewritten} times, levels {sizes:?}");
    }
}
