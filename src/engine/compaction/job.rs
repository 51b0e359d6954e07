//! Running a choice: moves and drops are edits at once, merges read and write tables.

use super::collapse::{Below, Collapse, Stripes};
use super::input::{Merging, Source, TableRun};
use super::output::Outputs;
use super::picker::{Choice, InputRun, Merge};
use super::split::Splitter;
use super::{Done, JobContext, Report};
use crate::Result;
use crate::manifest::{AddedFile, KeyspaceEdit};
use esker_table::{Fragments, RawBlock};
use std::sync::Arc;

/// Does what was chosen. Nothing is installed: that is for whoever applies the edit.
///
/// # Errors
/// `Closed` if the context's stop flag was raised; what reading and writing tables can say. Everything written is removed
/// again then.
pub(crate) fn run(context: &JobContext<'_>, choice: &Choice) -> Result<Done> {
    match choice {
        Choice::Merge(merge) => run_merge(context, merge),
        Choice::Drop { inputs } => {
            let edit =
                KeyspaceEdit { id: context.keyspace, removed: removed(inputs), ..KeyspaceEdit::default() };
            Ok(Done { edit, report: Report::default() })
        }
        Choice::Move { inputs, to_level, to_run } => {
            let added = inputs
                .iter()
                .flat_map(|i| &i.tables)
                .map(|meta| AddedFile { level: *to_level, run: *to_run, meta: meta.clone() })
                .collect();
            let edit = KeyspaceEdit {
                id: context.keyspace,
                removed: removed(inputs),
                added,
                ..KeyspaceEdit::default()
            };
            Ok(Done { edit, report: Report::default() })
        }
    }
}

fn removed(inputs: &[InputRun]) -> Vec<(usize, u64)> {
    inputs.iter().flat_map(|i| i.tables.iter().map(|t| (i.level, t.number))).collect()
}

fn run_merge(context: &JobContext<'_>, merge: &Merge) -> Result<Done> {
    let stripes = Stripes::new(&context.snapshots, context.visible);
    let tombstones = Arc::new(input_tombstones(context, merge, &stripes)?);
    let options = context.options;
    let mut collapse = Collapse::new(stripes, tombstones, Below::tables(&merge.below))
        .with_hooks(options.filter.as_deref(), options.fold.as_deref())
        .with_horizon(context.horizon);
    let splitter = Splitter::new(merge.grandparents.clone(), merge.table_bytes, merge.max_overlap_bytes);
    let kept = collapse.surviving_tombstones();
    let to = merge.output_level;
    let mut outputs = Outputs::new(context, to, Some(merge.output_run), splitter, kept)?;
    let unhooked = options.filter.is_none() && options.fold.is_none() && options.collector.is_none();
    let sources = merge
        .inputs
        .iter()
        .map(|input| {
            let same_bytes = options.format.at(input.level) == options.format.at(to)
                && options.compression.at(input.level) == options.compression.at(to);
            // Blocks do not say how old their entries are.
            let lives = input.tables.iter().all(|t| t.min_seqno > context.horizon);
            TableRun::new(context.tables, &input.tables, unhooked && same_bytes && lives)
        })
        .collect::<Result<Vec<_>>>()?;
    let mut merging = Merging::new(sources);
    let mut blocks_copied = 0;
    let mut pulse = Pulse::default();
    let (added, bytes_written) = context.stand_back(|| {
        while let Some(top) = merging.top() {
            pulse.beat(context)?;
            if !merging.is_offering() {
                collapse.push(top.key(), top.trailer(), top.value(), &mut outputs)?;
                merging.advance()?;
            } else if copy_block(&merging, &mut collapse, &mut outputs)? {
                blocks_copied += 1;
                merging.skip_offered()?;
            } else {
                merging.open_offered()?;
            }
        }
        collapse.finish(&mut outputs)?;
        outputs.finish()
    })?;
    let fate = collapse.fate();
    let report = Report { bytes_read: merge.bytes(), bytes_written, blocks_copied, fate };
    let edit = KeyspaceEdit {
        id: context.keyspace,
        removed: removed(&merge.inputs),
        added,
        ..KeyspaceEdit::default()
    };
    Ok(Done { edit, report })
}

/// The range tombstones of all inputs, as far as readers tell them apart.
fn input_tombstones(context: &JobContext<'_>, merge: &Merge, stripes: &Stripes) -> Result<Fragments> {
    let mut all: Vec<Arc<Fragments>> = Vec::new();
    for meta in merge.tables().filter(|t| t.range_tombstones > 0) {
        all.extend(context.tables.slot(meta).table()?.fragments()?.cloned());
    }
    Ok(Fragments::seen_by(all.iter().flat_map(|fragments| fragments.ranges()), stripes.readers()))
}

/// Copies the offered block as it is, if nothing in it or around it could be dropped. Returns whether it was.
fn copy_block(
    merging: &Merging<TableRun>,
    collapse: &mut Collapse<'_>,
    outputs: &mut Outputs<'_>,
) -> Result<bool> {
    let Some((block, format)) = merging.offered() else { return Ok(false) };
    if !outputs.takes_blocks_of(format)
        || !holds_only_single_puts(block)
        || !collapse.passes(&block.first_key, &block.last_key)
    {
        return Ok(false);
    }
    collapse.finish_key(outputs)?;
    if !outputs.block(block)? {
        return Ok(false);
    }
    collapse.passed(&block.last_key, block.last_trailer, block.counts.entries);
    Ok(true)
}

fn holds_only_single_puts(block: &RawBlock) -> bool {
    block.counts.deletes == 0 && block.counts.user_keys == block.counts.entries
}

/// Looks up from the work now and then.
#[derive(Default)]
pub(super) struct Pulse {
    steps: u32,
}

impl Pulse {
    /// Called for each entry or block: ends a job that is to stop, and lets flushes go first.
    #[inline]
    pub(super) fn beat(&mut self, context: &JobContext<'_>) -> Result<()> {
        self.steps = self.steps.wrapping_add(1);
        if self.steps % 64 == 1 { self.look_up(context) } else { Ok(()) }
    }

    /// The same for a job that does not stop early.
    #[inline]
    pub(super) fn beat_unstoppable(&mut self, context: &JobContext<'_>) -> Result<()> {
        self.steps = self.steps.wrapping_add(1);
        if self.steps % 64 == 1 { self.pause(context) } else { Ok(()) }
    }

    fn look_up(&self, context: &JobContext<'_>) -> Result<()> {
        if context.is_stopped() {
            return Err(crate::Error::Closed);
        }
        self.pause(context)
    }

    fn pause(&self, context: &JobContext<'_>) -> Result<()> {
        match context.between {
            Some(between) if self.steps % 1024 == 1 => between(),
            _ => Ok(()),
        }
    }
}
