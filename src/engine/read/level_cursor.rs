//! [`LevelCursor`]: the entries of a sorted run, tables opened as they are reached.
//!
//! It pulls *runs* of entries from its table and walks inside them without a call. Runs are short after a seek and grow
//! as a scan goes on in one direction.

use super::bounds::Bounds;
use crate::error::Result;
use crate::tables::{LevelView, TableRuns};
use esker_table::{ReadOptions, Run, Slice, Trailer};
use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;

/// Entries asked for after a seek: of the largest runs, and of runs that have so few entries that one of the next is hardly theirs.
const WANT_FIRST: usize = 4;
const WANT_FEW: usize = 1;

/// A run has few entries if the largest has more than so many times as many.
const FEW: u64 = 8;

/// Entries asked for in a long scan.
const WANT_MOST: usize = 64;

/// A cursor over tables that do not overlap.
///
/// It stands on an entry, or in the gap before table `index`: from there `next` goes to that table's first entry and
/// `prev` to the last entry of the table before. Tables wholly outside the bounds are never opened; entries
/// outside them are not held back (the reader above stops at the first one).
pub(crate) struct LevelCursor {
    view: Arc<LevelView>,
    bounds: Bounds,
    options: ReadOptions,
    /// The table that `run` comes from, or the one after the gap.
    index: usize,
    open: Option<(usize, TableRuns)>,
    run: Run,
    /// The entry in `run`; the cursor stands in a gap if the run is empty.
    at: usize,
    want: usize,
    /// What `want` begins with.
    first: usize,
}

impl LevelCursor {
    /// A cursor in the gap before the first table, of a merge in which the largest run has `largest` entries.
    pub(crate) fn new(
        view: Arc<LevelView>,
        bounds: Bounds,
        options: ReadOptions,
        largest: u64,
    ) -> LevelCursor {
        let first = match (options.sequential, view.entries() < largest / FEW) {
            (true, _) => WANT_MOST,
            (false, false) => WANT_FIRST,
            (false, true) => WANT_FEW,
        };
        let (index, open, run, at) = (0, None, Run::new(), 0);
        LevelCursor { view, bounds, options, index, open, run, at, want: first, first }
    }

    /// Whether the cursor stands on an entry.
    #[inline]
    pub(crate) fn valid(&self) -> bool {
        self.at < self.run.len()
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.run.key(self.at)
    }

    /// The entry before, if the run has it.
    #[inline]
    pub(crate) fn key_before(&self) -> Option<&[u8]> {
        self.at.checked_sub(1).filter(|_| self.valid()).map(|before| self.run.key(before))
    }

    /// Whether the run has the next entry.
    #[inline]
    pub(crate) fn has_next(&self) -> bool {
        self.at + 1 < self.run.len()
    }

    #[inline]
    pub(crate) fn trailer(&self) -> Trailer {
        self.run.trailer(self.at)
    }

    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        self.run.value(self.at)
    }

    /// The value, sharing the block.
    #[inline]
    pub(crate) fn value_slice(&self) -> Slice {
        self.run.value_slice(self.at)
    }

    /// The largest sequence number in the table that the cursor stands in.
    pub(crate) fn max_seqno(&self) -> u64 {
        if self.index < self.view.len() { self.view.meta(self.index).max_seqno } else { u64::MAX }
    }

    /// The file that the cursor stands in.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.open.as_ref().map(|(_, runs)| runs.table().path())
    }

    /// To the first entry at or after `(user_key, trailer)`.
    pub(crate) fn seek(&mut self, user_key: &[u8], trailer: Trailer) -> Result<()> {
        self.rewind();
        let from = self.view.first_not_before(user_key);
        if !self.may_open_up(from) {
            self.index = from;
            return Ok(());
        }
        self.open(from)?;
        self.fill(|runs, run, want| runs.seek(user_key, trailer, run, want))?;
        if self.run.is_empty() { self.first_from(from + 1) } else { Ok(()) }
    }

    /// To the last entry strictly before `(user_key, trailer)`.
    pub(crate) fn seek_before(&mut self, user_key: &[u8], trailer: Trailer) -> Result<()> {
        self.rewind();
        let from = self.view.first_not_before(user_key);
        // A table that begins right there holds nothing before it.
        let inside = from < self.view.len()
            && match self.view.meta(from).smallest.as_slice().cmp(user_key) {
                Ordering::Less => true,
                Ordering::Equal => trailer != Trailer::FIRST,
                Ordering::Greater => false,
            };
        if inside && !self.may_open_down(from) {
            self.index = from + 1;
            return Ok(());
        }
        if inside {
            self.open(from)?;
            self.fill(|runs, run, want| runs.seek_before(user_key, trailer, run, want))?;
            if !self.run.is_empty() {
                self.at = self.run.len() - 1;
                return Ok(());
            }
        }
        self.last_before(from)
    }

    /// To the first entry.
    pub(crate) fn first(&mut self) -> Result<()> {
        self.rewind();
        self.first_from(0)
    }

    /// To the last entry.
    pub(crate) fn last(&mut self) -> Result<()> {
        self.rewind();
        self.last_before(self.view.len())
    }

    /// To the next entry.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<()> {
        if self.at + 1 < self.run.len() {
            self.at += 1;
            return Ok(());
        }
        self.next_run()
    }

    /// To the previous entry.
    #[inline]
    pub(crate) fn prev(&mut self) -> Result<()> {
        if self.valid() && self.at > 0 {
            self.at -= 1;
            return Ok(());
        }
        self.prev_run()
    }

    fn next_run(&mut self) -> Result<()> {
        if !self.valid() {
            return self.first_from(self.index);
        }
        self.grow();
        self.fill(|runs, run, want| runs.next(run, want))?;
        if self.run.is_empty() { self.first_from(self.index + 1) } else { Ok(()) }
    }

    fn prev_run(&mut self) -> Result<()> {
        if !self.valid() {
            return self.last_before(self.index);
        }
        self.grow();
        self.fill(|runs, run, want| runs.prev(run, want))?;
        if self.run.is_empty() {
            return self.last_before(self.index);
        }
        self.at = self.run.len() - 1;
        Ok(())
    }

    /// To the first entry of table `from` or of the first one after it that has any.
    fn first_from(&mut self, mut from: usize) -> Result<()> {
        while self.may_open_up(from) {
            self.open(from)?;
            self.fill(|runs, run, want| runs.first(run, want))?;
            if !self.run.is_empty() {
                return Ok(());
            }
            from += 1;
        }
        self.index = from;
        Ok(())
    }

    /// To the last entry of the tables before `from`.
    fn last_before(&mut self, mut from: usize) -> Result<()> {
        while from > 0 && self.may_open_down(from - 1) {
            from -= 1;
            self.open(from)?;
            self.fill(|runs, run, want| runs.last(run, want))?;
            if !self.run.is_empty() {
                self.at = self.run.len() - 1;
                return Ok(());
            }
        }
        self.index = from;
        Ok(())
    }

    fn may_open_up(&self, i: usize) -> bool {
        i < self.view.len() && !self.bounds.is_above(&self.view.meta(i).smallest)
    }

    fn may_open_down(&self, i: usize) -> bool {
        self.bounds.lower().is_none_or(|lower| !self.view.meta(i).ends_before(lower))
    }

    /// Leaves the entry: into a gap, whose place the caller sets.
    fn rewind(&mut self) {
        self.run.clear();
        self.at = 0;
        self.want = self.first;
    }

    fn grow(&mut self) {
        self.want = (self.want * 2).min(WANT_MOST);
    }

    /// Makes `open` the runs of table `i`, keeping them if they are.
    fn open(&mut self, i: usize) -> Result<()> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != i) {
            // The old table's entries go first: nothing may be taken for an entry of the new one.
            self.run.clear();
            let runs = self.view.slot(i).table()?.runs(&self.options);
            self.open = Some((i, runs));
        }
        self.index = i;
        Ok(())
    }

    /// Fills the run from the open table and stands on its first entry. After an error there is none.
    fn fill(&mut self, from: impl FnOnce(&mut TableRuns, &mut Run, usize) -> Result<()>) -> Result<()> {
        self.at = 0;
        let Some((_, runs)) = &mut self.open else {
            self.run.clear();
            return Ok(());
        };
        let filled = from(runs, &mut self.run, self.want);
        if filled.is_err() {
            self.run.clear();
        }
        filled
    }
}
