//! Tiered: runs of similar size are merged together, so that an entry is rewritten about once for each power of the
//! trigger between a memtable and the whole store.
//!
//! Runs are looked at in the order of their age, wherever they lie, and only neighbours are merged. The output takes the
//! lowest level that keeps it above the next older run:
//!
//! ```text
//!   L0   run 14  ▪          newest
//!        run 13  ▪          ┐ merge 13..10 ──► no older run at L1..L4, so the output is run 13 of L4
//!        ..                 │
//!        run 10  ▪          ┘
//!   L5   run 9   ▪▪▪▪
//!   L6   run 5   ▪▪▪▪▪▪▪▪▪▪▪▪   oldest
//! ```
//!
//! The output's number is the largest of its inputs', which keeps newer runs above and older runs below at its level.

use super::{Choice, Context, InputRun, Merge, Pick, Reason, Span, below, by_age, similar};
use crate::manifest::{FileMeta, MAX_LEVELS, Version};
use crate::options::CompactionStrategy;
use std::sync::Arc;

/// Output tables are cut at this size: small enough that `delete_range` can drop whole ones.
const TABLE_BYTES: u64 = 64 << 20;

/// How many times the trigger the number of runs may be before size no longer matters.
const MOST_RUNS: usize = 4;

#[derive(Clone, Copy)]
struct Parameters {
    runs: usize,
    max_space_amp_percent: u64,
}

impl Parameters {
    fn of(strategy: &CompactionStrategy) -> Parameters {
        let (runs, max_space_amp_percent) = match *strategy {
            CompactionStrategy::Tiered { runs, max_space_amp_percent } => (runs, max_space_amp_percent),
            _ => (4, 200),
        };
        Parameters { runs: runs.max(2), max_space_amp_percent: max_space_amp_percent.max(1) }
    }
}

/// See [`super::debt`].
pub(super) fn debt(version: &Version, strategy: &CompactionStrategy) -> u64 {
    let sizes: Vec<u64> = by_age(version).map(|(_, r)| r.bytes()).collect();
    match window(&sizes, &Parameters::of(strategy)) {
        Some((range, _, _)) => sizes[range].iter().sum(),
        None => 0,
    }
}

/// See [`super::pick`].
pub(super) fn pick(version: &Version, context: &Context<'_>) -> Option<Pick> {
    let runs = inputs_by_age(version);
    let sizes: Vec<u64> = runs.iter().map(InputRun::bytes).collect();
    let p = Parameters::of(&context.options.compaction);
    let (range, reason, score) = window(&sizes, &p)
        .or_else(|| expired(&runs, context).map(|start| (start..runs.len(), Reason::Expired, 0.5)))
        .or_else(|| deletes_much(&runs).then_some((0..runs.len(), Reason::Tombstones, 0.5)))?;
    let choice = combine(version, context, &runs, range);
    Some(Pick { choice, reason, score })
}

/// Everything into one run at the bottom.
pub(super) fn everything(version: &Version) -> Option<Choice> {
    let runs = inputs_by_age(version);
    (!runs.is_empty()).then(|| merge(version, &runs, 0..runs.len()))
}

fn inputs_by_age(version: &Version) -> Vec<InputRun> {
    by_age(version).map(|(level, r)| InputRun { level, run: r.id, tables: r.tables.clone() }).collect()
}

/// Whether there is a delete for every second put, so that about half of the data may go; only with several runs, so that
/// deletes which a snapshot holds are not rewritten for ever.
fn deletes_much(runs: &[InputRun]) -> bool {
    let tables = || runs.iter().flat_map(|r| &r.tables);
    let (deletes, entries) = tables().fold((0, 0), |(d, e), t| (d + t.deletes, e + t.entries));
    runs.len() > 1 && deletes > 0 && deletes.saturating_mul(3) >= entries
}

/// The newest run with a table of expired entries that could not be dropped because of what lies under it: merged with all
/// older ones, it reaches the bottom.
fn expired(runs: &[InputRun], context: &Context<'_>) -> Option<usize> {
    runs.iter().position(|run| run.tables.iter().any(|t| context.is_expired(t)))
}

/// Which neighbours, given all sizes from the newest to the oldest, should become one run.
fn window(sizes: &[u64], p: &Parameters) -> Option<(std::ops::Range<usize>, Reason, f64)> {
    let count = sizes.len();
    if count < p.runs {
        return None;
    }
    let (oldest, newer) = sizes.split_last()?;
    let extra: u64 = newer.iter().sum();
    let amplification = extra.saturating_mul(100) / (*oldest).max(1);
    if amplification >= p.max_space_amp_percent {
        let score = amplification as f64 / p.max_space_amp_percent as f64;
        return Some((0..count, Reason::SpaceAmplification, score.min(1000.0)));
    }
    for start in 0..count {
        let similar = similar(&sizes[start..]);
        if similar >= p.runs {
            return Some((start..start + similar, Reason::Runs, similar as f64 / p.runs as f64));
        }
    }
    // Nothing is similar, but there are too many places to look: the cheapest neighbours go together.
    let most = p.runs * MOST_RUNS;
    if count <= most {
        return None;
    }
    let width = count - most + 1;
    let start = (0..=count - width).min_by_key(|&s| sizes[s..s + width].iter().sum::<u64>())?;
    Some((start..start + width, Reason::Runs, count as f64 / most as f64))
}

fn combine(
    version: &Version,
    context: &Context<'_>,
    runs: &[InputRun],
    range: std::ops::Range<usize>,
) -> Choice {
    let (to_level, to_run) = place(runs, &range);
    let inputs = &runs[range.clone()];
    let mut tables: Vec<&Arc<FileMeta>> = inputs.iter().flat_map(|r| &r.tables).collect();
    tables.sort_by(|a, b| a.smallest.cmp(&b.smallest));
    let apart = tables.windows(2).all(|pair| pair[0].ends_before(&pair[1].smallest));
    let plain = context.options.filter.is_none()
        && context.options.fold.is_none()
        && tables.iter().all(|t| t.deletes == 0 && t.range_tombstones == 0 && !context.has_expired(t));
    if apart && plain && inputs.iter().all(|r| context.same_layout(r.level, to_level)) {
        return Choice::Move { inputs: inputs.to_vec(), to_level, to_run };
    }
    merge(version, runs, range)
}

fn merge(version: &Version, runs: &[InputRun], range: std::ops::Range<usize>) -> Choice {
    let (output_level, output_run) = place(runs, &range);
    let inputs = runs[range].to_vec();
    let below = match Span::of(inputs.iter().flat_map(|r| &r.tables)) {
        Some(span) => below(version, &inputs, &span),
        None => Vec::new(),
    };
    Choice::Merge(Merge {
        below,
        output_level,
        output_run,
        grandparents: Vec::new(),
        table_bytes: TABLE_BYTES,
        max_overlap_bytes: u64::MAX,
        inputs,
    })
}

/// Where the output of a window stands: see the drawing above.
fn place(runs: &[InputRun], range: &std::ops::Range<usize>) -> (usize, u64) {
    let oldest = runs[range.end - 1].level;
    let level = match runs.get(range.end) {
        Some(older) => oldest.max(older.level.saturating_sub(1)),
        None => MAX_LEVELS - 1,
    };
    (level, runs[range.clone()].iter().map(|r| r.run).max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::sketch::{Sketch, table};
    use super::*;
    use crate::options::{ByLevel, KeyspaceOptions};
    use esker_table::codec::Compression;

    fn sketch() -> Sketch {
        Sketch::with_options(
            KeyspaceOptions::new()
                .compaction(CompactionStrategy::tiered())
                .compression(ByLevel::all(Compression::None)),
        )
    }

    #[test]
    fn similar_neighbours_merge_above_the_next_older_run() {
        let mut sketch = sketch();
        for run in 10..13 {
            sketch.put(0, run, table(run, "a", "z"));
        }
        sketch.put(5, 9, table(9, "a", "z").bytes(500));
        sketch.put(6, 5, table(5, "a", "z").bytes(10_000));
        assert!(sketch.pick().is_none());
        sketch.put(0, 13, table(13, "a", "z"));
        let Some(Pick { choice: Choice::Merge(merge), reason: Reason::Runs, .. }) = sketch.pick() else {
            panic!("a merge is due")
        };
        assert_eq!(merge.inputs.iter().map(|i| i.run).collect::<Vec<_>>(), [13, 12, 11, 10]);
        assert_eq!((merge.output_level, merge.output_run, merge.bottommost()), (4, 13, false));
        assert_eq!(debt(&sketch.version, &sketch.options.compaction), 400);
    }

    #[test]
    fn too_much_space_merges_everything_to_the_bottom() {
        let mut sketch = sketch();
        sketch.put(0, 13, table(13, "a", "z").bytes(10));
        sketch.put(0, 12, table(12, "a", "z").bytes(100));
        sketch.put(4, 11, table(11, "a", "z").bytes(1000));
        sketch.put(5, 10, table(10, "a", "z").bytes(500));
        let Some(Pick { choice: Choice::Merge(merge), reason: Reason::SpaceAmplification, .. }) =
            sketch.pick()
        else {
            panic!("a merge is due")
        };
        assert_eq!((merge.inputs.len(), merge.output_level, merge.output_run), (4, 6, 13));
        assert!(merge.bottommost());
    }

    #[test]
    fn runs_that_lie_apart_are_joined_without_reading() {
        let mut sketch = sketch();
        for (run, (from, to)) in [("a", "b"), ("g", "h"), ("c", "d"), ("e", "f")].into_iter().enumerate() {
            sketch.put(0, run as u64, table(run as u64, from, to));
        }
        let pick = sketch.pick().unwrap();
        assert!(matches!(pick.choice, Choice::Move { to_level: 6, to_run: 3, .. }), "{pick:?}");
        sketch.apply_without_bytes(&pick.choice);
        assert_eq!(sketch.version.levels[6].runs[0].tables.len(), 4);
    }

    #[test]
    fn the_number_of_runs_is_bounded_and_work_is_logarithmic() {
        let mut sketch = sketch();
        let mut written = 0;
        for number in 1..=2000u64 {
            sketch.put(0, number, table(number, "a", "z"));
            let mut steps = 0;
            while let Some(pick) = sketch.pick() {
                let Choice::Merge(merge) = &pick.choice else { panic!("runs overlap") };
                sketch.remove(&merge.inputs);
                // Nothing is overwritten: sizes add up.
                let number = merge.output_run;
                sketch.put(merge.output_level, number, table(number, "a", "z").bytes(merge.bytes()));
                written += merge.bytes();
                steps += 1;
                assert!(steps < 20, "picking does not come to rest");
            }
            assert!(super::by_age(&sketch.version).count() <= 16);
            let ids: Vec<_> = super::by_age(&sketch.version).map(|(_, r)| r.id).collect();
            assert!(ids.windows(2).all(|w| w[0] > w[1]), "{ids:?}");
        }
        let amplification = written as f64 / 200_000.0;
        assert!(amplification < 12.0, "{amplification}");
    }
}
