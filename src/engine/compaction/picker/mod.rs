//! Pickers: pure functions from a version to what should be done with it next.
//!
//! A picker does no I/O, holds no lock and keeps no state: the same version, options and [`Context`] give the same
//! [`Pick`]. What it knows of a table's range tombstones comes through [`Context::tombstones`].
//!
//! Invariants that every choice keeps:
//! - The inputs of a merge are neighbours in age: no run between the newest and the oldest input holds a key of theirs
//!   outside the inputs. So the output can stand where an input stood.
//! - All tables of the output run that meet the inputs' range are inputs themselves, so the output run stays sorted.
//!
//! A keyspace runs one compaction at a time, beside any number of flushes: the caller sees to it. A second one would have to
//! know the range that the first one's outputs will span, gaps between its inputs included.

mod expired;
mod fifo;
mod l0;
mod leveled;
mod manual;
mod obsolete;
#[cfg(test)]
pub(crate) mod sketch;
mod tiered;

pub(crate) use manual::ManualPlan;

use crate::manifest::{FileMeta, Level, SortedRun, Version};
use crate::options::{CompactionStrategy, KeyspaceOptions};
use esker_table::{Fragments, SeqNo};
use std::sync::Arc;

/// What a picker may know besides the version.
pub(crate) struct Context<'a> {
    /// The keyspace's options: strategy, formats and compression by level, hooks.
    pub(crate) options: &'a KeyspaceOptions,
    /// Whether the keyspace is written so fast that its memtables fill up one soon after the other.
    pub(crate) is_filling: bool,
    /// Entries up to this sequence number are older than the keyspace's time to live; 0 if none are.
    pub(crate) horizon: SeqNo,
    /// The sequence numbers of live snapshots, ascending.
    pub(crate) snapshots: &'a [SeqNo],
    /// The range tombstones of a table that has some; `None` if they are not to be had cheaply.
    pub(crate) tombstones: &'a dyn Fn(&Arc<FileMeta>) -> Option<Arc<Fragments>>,
}

impl Context<'_> {
    /// Whether every snapshot sees everything up to `seqno`.
    fn older_than_snapshots(&self, seqno: SeqNo) -> bool {
        self.snapshots.first().is_none_or(|&oldest| seqno <= oldest)
    }

    /// Whether everything in the table is older than the time to live.
    fn is_expired(&self, table: &FileMeta) -> bool {
        table.max_seqno <= self.horizon
    }

    /// Whether something in the table is.
    fn has_expired(&self, table: &FileMeta) -> bool {
        table.min_seqno <= self.horizon
    }

    /// Whether a table may change its level without being rewritten: both levels ask for the same bytes.
    fn same_layout(&self, from: usize, to: usize) -> bool {
        self.options.format.at(from) == self.options.format.at(to)
            && self.options.compression.at(from) == self.options.compression.at(to)
    }
}

/// Why something was picked: for events and statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Too many runs at L0, or of similar size.
    Runs,
    /// A level above its target size.
    Size,
    /// Too much space beyond the live data.
    SpaceAmplification,
    /// Many deletes for few entries.
    Tombstones,
    /// Whole tables deleted by a range tombstone.
    Covered,
    /// Older than the keyspace's time to live.
    Expired,
    /// Several runs where the strategy wants one.
    Reshape,
    /// Somebody asked.
    Manual,
}

impl Reason {
    /// The reason for people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Reason::Runs => "too many runs",
            Reason::Size => "a level above its size",
            Reason::SpaceAmplification => "too much space beyond the live data",
            Reason::Tombstones => "many deletes for few entries",
            Reason::Covered => "tables deleted as a whole",
            Reason::Expired => "older than the time to live",
            Reason::Reshape => "another strategy than before",
            Reason::Manual => "asked for",
        }
    }
}

/// A part of a sorted run that a choice is about.
#[derive(Clone, Debug)]
pub(crate) struct InputRun {
    pub(crate) level: usize,
    pub(crate) run: u64,
    /// Ascending, not overlapping, never empty.
    pub(crate) tables: Vec<Arc<FileMeta>>,
}

impl InputRun {
    fn bytes(&self) -> u64 {
        self.tables.iter().map(|t| t.size).sum()
    }
}

/// Tables to be merged into new ones.
#[derive(Clone, Debug)]
pub(crate) struct Merge {
    /// Newest first.
    pub(crate) inputs: Vec<InputRun>,
    pub(crate) output_level: usize,
    /// The run that the output tables join or become.
    pub(crate) output_run: u64,
    /// Tables outside the inputs that are older and meet their range, by run: while a key lies in one of them, its
    /// deletes must be kept.
    pub(crate) below: Vec<Vec<Arc<FileMeta>>>,
    /// Tables of the level under the output that meet its range, ascending: outputs are cut so that none meets too
    /// many of them.
    pub(crate) grandparents: Vec<Arc<FileMeta>>,
    /// The size that an output table is closed at.
    pub(crate) table_bytes: u64,
    /// The bytes of grandparents that one output table may meet.
    pub(crate) max_overlap_bytes: u64,
}

impl Merge {
    /// Whether nothing older than the inputs exists in their range.
    #[cfg(test)]
    pub(crate) fn bottommost(&self) -> bool {
        self.below.is_empty()
    }

    /// All input tables.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<FileMeta>> {
        self.inputs.iter().flat_map(|r| &r.tables)
    }

    /// The bytes that will be read.
    pub(crate) fn bytes(&self) -> u64 {
        self.inputs.iter().map(InputRun::bytes).sum()
    }
}

/// What to do.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// The tables change their place; nothing is read or written.
    Move { inputs: Vec<InputRun>, to_level: usize, to_run: u64 },
    /// The tables are merged.
    Merge(Merge),
    /// The tables are dropped; nothing is read or written.
    Drop { inputs: Vec<InputRun> },
}

impl Choice {
    /// The level that tables go to; of a drop, the uppermost that they leave.
    pub(crate) fn output_level(&self) -> usize {
        match self {
            Choice::Move { to_level, .. } => *to_level,
            Choice::Merge(merge) => merge.output_level,
            Choice::Drop { inputs } => inputs.iter().map(|i| i.level).min().unwrap_or(0),
        }
    }

    /// The bytes that a merge takes out of L0.
    pub(crate) fn bytes_out_of_l0(&self) -> u64 {
        match self {
            Choice::Merge(merge) if merge.output_level > 0 => {
                merge.inputs.iter().filter(|input| input.level == 0).map(InputRun::bytes).sum()
            }
            _ => 0,
        }
    }

    /// All tables that the choice is about.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<FileMeta>> {
        let inputs = match self {
            Choice::Move { inputs, .. } | Choice::Drop { inputs } => inputs,
            Choice::Merge(merge) => &merge.inputs,
        };
        inputs.iter().flat_map(|r| &r.tables)
    }
}

/// A choice, and how much it is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Pick {
    pub(crate) choice: Choice,
    pub(crate) reason: Reason,
    /// 1 and more: the shape is broken, and the more the higher. Below 1: worth doing when there is nothing else.
    /// Comparable between keyspaces.
    pub(crate) score: f64,
}

/// The next thing to do with a keyspace, if there is one.
pub(crate) fn pick(version: &Version, context: &Context<'_>) -> Option<Pick> {
    if let Some(drop) = obsolete::pick(version, context) {
        return Some(drop);
    }
    if let Some(drop) = expired::pick(version, context) {
        return Some(drop);
    }
    match context.options.compaction {
        CompactionStrategy::Leveled { .. } => leveled::pick(version, context),
        CompactionStrategy::Tiered { .. } => tiered::pick(version, context),
        CompactionStrategy::Fifo { .. } => fifo::pick(version, context),
    }
}

/// The bytes that must be rewritten before the version has the shape that its strategy wants: what writers are paced by.
pub(crate) fn debt(version: &Version, strategy: &CompactionStrategy) -> u64 {
    match strategy {
        CompactionStrategy::Leveled { .. } => leveled::debt(version, strategy),
        CompactionStrategy::Tiered { .. } => tiered::debt(version, strategy),
        CompactionStrategy::Fifo { .. } => 0,
    }
}

/// The key range that some tables span, `end` excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    start: Vec<u8>,
    end: Vec<u8>,
}

impl Span {
    /// `None` if there are no tables.
    fn of<'t>(tables: impl IntoIterator<Item = &'t Arc<FileMeta>>) -> Option<Span> {
        let mut tables = tables.into_iter();
        let mut span = Span::of_table(tables.next()?);
        for table in tables {
            if table.smallest < span.start {
                span.start.clone_from(&table.smallest);
            }
            if !table.ends_before(&span.end) {
                span.end = exclusive_end(table);
            }
        }
        Some(span)
    }

    fn of_table(table: &FileMeta) -> Span {
        Span { start: table.smallest.clone(), end: exclusive_end(table) }
    }

    fn overlapping<'r>(&'r self, run: &'r SortedRun) -> Vec<Arc<FileMeta>> {
        run.overlapping(Some(&self.start), Some(&self.end)).cloned().collect()
    }

    fn meets(&self, run: &SortedRun) -> bool {
        run.overlapping(Some(&self.start), Some(&self.end)).next().is_some()
    }
}

/// The smallest key after everything in the table.
fn exclusive_end(table: &FileMeta) -> Vec<u8> {
    let mut end = table.largest.clone();
    if !table.largest_exclusive {
        end.push(0);
    }
    end
}

/// All runs, newest first, with their levels.
fn by_age(version: &Version) -> impl DoubleEndedIterator<Item = (usize, &SortedRun)> {
    version.levels.iter().enumerate().flat_map(|(level, l)| l.runs.iter().map(move |run| (level, run)))
}

/// Whether run `a` is older than run `b`, each given as (level, id).
fn is_older(a: (usize, u64), b: (usize, u64)) -> bool {
    a.0 > b.0 || (a.0 == b.0 && a.1 < b.1)
}

/// The tables that are older than the newest of `inputs`, not of an input run, and meet `span`, by run.
fn below(version: &Version, inputs: &[InputRun], span: &Span) -> Vec<Vec<Arc<FileMeta>>> {
    let Some(newest) = inputs.first().map(|r| (r.level, r.run)) else { return Vec::new() };
    by_age(version)
        .filter(|(level, run)| is_older((*level, run.id), newest))
        .filter(|(level, run)| !inputs.iter().any(|i| (i.level, i.run) == (*level, run.id)))
        .map(|(_, run)| span.overlapping(run))
        .filter(|tables| !tables.is_empty())
        .collect()
}

/// Runs are similar if the older is at most this many times the average of the newer ones.
const SIMILAR: u64 = 2;

/// How many runs are similar, from the newest on, given all sizes from the newest to the oldest.
fn similar(sizes: &[u64]) -> usize {
    let (mut count, mut bytes) = (0, 0);
    while let Some(&size) = sizes.get(count)
        && (count == 0 || size <= (bytes / count as u64).saturating_mul(SIMILAR))
    {
        (count, bytes) = (count + 1, bytes + size);
    }
    count
}

/// Whether moving would miss something that a merge at the bottom does: dropping deletes and what expired, applying a hook.
fn must_rewrite_at_bottom(context: &Context<'_>, tables: &[Arc<FileMeta>]) -> bool {
    context.options.filter.is_some()
        || context.options.fold.is_some()
        || tables.iter().any(|t| t.deletes > 0 || t.range_tombstones > 0 || context.has_expired(t))
}

/// The run that an output at `level` joins: the one run that is there, or a first one.
fn only_run(level: &Level) -> u64 {
    level.runs.first().map_or(0, |r| r.id)
}
