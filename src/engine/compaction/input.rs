//! [`Merging`]: the entries of all inputs in internal order, once, from front to back.
//!
//! A [`TableRun`] reads one sorted run and holds one open table and one block at a time, whatever the size of its
//! level. Sources stand in a short list, ordered by their current entries; as long as the first one stays ahead of the
//! second, a step costs one comparison of key heads.
//!
//! Where a source has been alone for a while, it offers its next block as it lies in the file, undecoded by the engine:
//!
//! ```text
//!   source A   ...x y z ┃ block: first_key ... last_key ┃
//!   source B                                              ^ next entry: after last_key, so the block may be copied
//! ```

use crate::fs::at_full_weight;
use crate::manifest::FileMeta;
use crate::memtable::MemtableCursor;
use crate::tables::{Table, TableCache, TableRuns, TableSlot};
use crate::{Error, Result};
use esker_table::key::{compare, head};
use esker_table::{FormatId, RawBlock, ReadOptions, Run, Trailer};
use std::collections::VecDeque;
use std::sync::Arc;

/// Entries in internal order.
pub(crate) trait Source {
    /// Whether there is a current entry.
    fn valid(&self) -> bool;
    /// The user key of the current entry, or of the first entry of the offered block.
    fn key(&self) -> &[u8];
    /// Its trailer; [`Trailer::FIRST`] for an offered block.
    fn trailer(&self) -> Trailer;
    /// Its value.
    fn value(&self) -> &[u8];
    /// Goes to the next entry. `alone` says that no other source had an entry in between for a while.
    fn advance(&mut self, alone: bool) -> Result<()>;
    /// The block that is offered in the place of the current entry, and its format.
    fn offered(&self) -> Option<(&RawBlock, FormatId)> {
        None
    }
    /// Goes behind the offered block.
    fn skip_offered(&mut self) -> Result<()> {
        Ok(())
    }
    /// Goes to the first entry of the offered block, which is no longer offered.
    fn open_offered(&mut self) -> Result<()> {
        Ok(())
    }
}

/// All sources as one. See the head of this file.
pub(crate) struct Merging<S> {
    sources: Vec<S>,
    /// The heads of the sources' current keys.
    heads: Vec<u64>,
    /// The sources that have a current entry, ascending.
    order: Vec<usize>,
    /// Steps that the first source has been the first one for.
    streak: u32,
}

/// Steps after which a source counts as alone: about two blocks of small entries.
const ALONE: u32 = 128;

impl<S: Source> Merging<S> {
    /// `sources` stand at their first entries.
    pub(crate) fn new(sources: Vec<S>) -> Merging<S> {
        let heads = sources.iter().map(|s| if s.valid() { head(s.key()) } else { 0 }).collect();
        let mut merging = Merging { heads, order: Vec::with_capacity(sources.len()), sources, streak: 0 };
        for i in (0..merging.sources.len()).filter(|&i| merging.sources[i].valid()) {
            let at = merging.order.partition_point(|&other| merging.is_before(other, i));
            merging.order.insert(at, i);
        }
        merging
    }

    /// The source of the next entry.
    pub(crate) fn top(&self) -> Option<&S> {
        self.order.first().map(|&i| &self.sources[i])
    }

    /// The block that the first source offers, if nothing of any other source lies before its end.
    pub(crate) fn offered(&self) -> Option<(&RawBlock, FormatId)> {
        let (block, format) = self.top()?.offered()?;
        let alone =
            self.order.get(1).is_none_or(|&second| self.sources[second].key() > block.last_key.as_slice());
        alone.then_some((block, format))
    }

    /// Whether the first source offers a block.
    pub(crate) fn is_offering(&self) -> bool {
        self.top().is_some_and(|s| s.offered().is_some())
    }

    /// Goes to the next entry.
    pub(crate) fn advance(&mut self) -> Result<()> {
        let alone = self.order.len() == 1 || self.streak >= ALONE;
        self.step(|source| source.advance(alone))
    }

    /// Goes behind the offered block.
    pub(crate) fn skip_offered(&mut self) -> Result<()> {
        self.step(Source::skip_offered)
    }

    /// Takes the offered block entry by entry.
    pub(crate) fn open_offered(&mut self) -> Result<()> {
        self.streak = 0;
        self.step(Source::open_offered)
    }

    fn step(&mut self, go: impl FnOnce(&mut S) -> Result<()>) -> Result<()> {
        let Some(&first) = self.order.first() else { return Ok(()) };
        go(&mut self.sources[first])?;
        if !self.sources[first].valid() {
            self.order.remove(0);
            self.streak = 0;
            return Ok(());
        }
        self.heads[first] = head(self.sources[first].key());
        if self.order.get(1).is_none_or(|&second| self.is_before(first, second)) {
            self.streak = self.streak.saturating_add(1);
            return Ok(());
        }
        self.streak = 0;
        let place = self.order[1..].partition_point(|&other| self.is_before(other, first));
        self.order[..=place].rotate_left(1);
        Ok(())
    }

    fn is_before(&self, a: usize, b: usize) -> bool {
        if self.heads[a] != self.heads[b] {
            return self.heads[a] < self.heads[b];
        }
        let (x, y) = (&self.sources[a], &self.sources[b]);
        compare(x.key(), x.trailer(), y.key(), y.trailer()).is_lt()
    }
}

impl Source for MemtableCursor {
    fn valid(&self) -> bool {
        MemtableCursor::valid(self)
    }

    fn key(&self) -> &[u8] {
        MemtableCursor::key(self)
    }

    fn trailer(&self) -> Trailer {
        MemtableCursor::trailer(self)
    }

    fn value(&self) -> &[u8] {
        MemtableCursor::value(self)
    }

    fn advance(&mut self, _: bool) -> Result<()> {
        MemtableCursor::next(self);
        Ok(())
    }
}

/// The entries of one sorted run.
pub(crate) struct TableRun {
    cache: TableCache,
    left: VecDeque<Arc<FileMeta>>,
    open: Option<OpenTable>,
    run: Run,
    at: usize,
    offer: Option<RawBlock>,
    /// Offers that were refused since one was taken; each makes the next offer rarer.
    refused: u32,
    /// Runs that pass before the next offer.
    pause: u32,
    offers: bool,
}

struct OpenTable {
    _slot: Arc<TableSlot>,
    table: Arc<Table>,
    runs: TableRuns,
    /// Where the last copied block ended: the cursor stands before it.
    copied_to: Option<(Vec<u8>, Trailer)>,
}

/// Refuses a table with a feature that this version can read past and would lose.
fn check_rewritable(table: &Table) -> Result<()> {
    if !table.properties().read_only {
        return Ok(());
    }
    let what = "the table uses a feature that this version can read past but not write, so it cannot be compacted; \
                open it with a newer Esker";
    Err(Error::Unsupported { path: table.path().to_owned(), what: what.to_owned() })
}

/// More entries than a block has, so that a run ends where its block does.
const WHOLE_BLOCK: usize = 1 << 20;

impl TableRun {
    /// Stands at the first entry of `tables`, which ascend and do not overlap. `offers` says whether whole blocks may
    /// be offered.
    pub(crate) fn new(cache: &TableCache, tables: &[Arc<FileMeta>], offers: bool) -> Result<TableRun> {
        let mut source = TableRun {
            cache: cache.clone(),
            left: tables.iter().cloned().collect(),
            open: None,
            run: Run::new(),
            at: 0,
            offer: None,
            refused: 0,
            pause: 0,
            offers,
        };
        source.next_table()?;
        Ok(source)
    }

    /// Opens tables until one has an entry. With locks that readers take, and readers may wait for a table that is being opened.
    fn next_table(&mut self) -> Result<()> {
        at_full_weight(|| self.open_next())
    }

    fn open_next(&mut self) -> Result<()> {
        loop {
            self.open = None;
            self.run.clear();
            self.at = 0;
            let Some(meta) = self.left.pop_front() else { return Ok(()) };
            let slot = self.cache.slot(&meta);
            let table = slot.table()?.clone();
            check_rewritable(&table)?;
            let options = ReadOptions::default().with_fill_cache(false).with_sequential(true);
            let mut runs = table.runs(&options);
            runs.first(&mut self.run, WHOLE_BLOCK)?;
            self.open = Some(OpenTable { _slot: slot, table, runs, copied_to: None });
            if !self.run.is_empty() {
                return Ok(());
            }
        }
    }

    /// Offers the block after this position, if there is one and the source is in the mood.
    fn try_offer(&mut self, key: &[u8], trailer: Trailer) -> Result<bool> {
        let Some(open) = &self.open else { return Ok(false) };
        let Some(after) = trailer.0.checked_sub(1) else { return Ok(false) };
        self.offer = open.table.raw_block_at(key, Trailer(after))?;
        Ok(self.offer.is_some())
    }

    /// Fills the run from behind the last entry that was read or copied.
    fn refill(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        self.at = 0;
        match open.copied_to.take() {
            None => open.runs.next(&mut self.run, WHOLE_BLOCK)?,
            Some((key, trailer)) => {
                let after = Trailer(trailer.0.saturating_sub(1));
                open.runs.seek(&key, after, &mut self.run, WHOLE_BLOCK)?;
            }
        }
        if self.run.is_empty() { self.next_table() } else { Ok(()) }
    }
}

impl Source for TableRun {
    #[inline]
    fn valid(&self) -> bool {
        self.at < self.run.len() || self.offer.is_some()
    }

    #[inline]
    fn key(&self) -> &[u8] {
        match &self.offer {
            None => self.run.key(self.at),
            Some(block) => &block.first_key,
        }
    }

    #[inline]
    fn trailer(&self) -> Trailer {
        match &self.offer {
            None => self.run.trailer(self.at),
            Some(_) => Trailer::FIRST,
        }
    }

    #[inline]
    fn value(&self) -> &[u8] {
        if self.offer.is_some() { &[] } else { self.run.value(self.at) }
    }

    #[inline]
    fn advance(&mut self, alone: bool) -> Result<()> {
        self.at += 1;
        if self.at < self.run.len() {
            return Ok(());
        }
        if self.offers && alone && !self.run.is_empty() {
            if self.pause > 0 {
                self.pause -= 1;
            } else {
                let last = self.run.len() - 1;
                let (key, trailer) = (self.run.key(last).to_vec(), self.run.trailer(last));
                if self.try_offer(&key, trailer)? {
                    self.run.clear();
                    self.at = 0;
                    if let Some(open) = &mut self.open {
                        open.copied_to = Some((key, trailer));
                    }
                    return Ok(());
                }
            }
        }
        self.refill()
    }

    fn offered(&self) -> Option<(&RawBlock, FormatId)> {
        Some((self.offer.as_ref()?, self.open.as_ref()?.table.meta().format))
    }

    fn skip_offered(&mut self) -> Result<()> {
        let Some(block) = self.offer.take() else { return Ok(()) };
        self.refused = 0;
        let (key, trailer) = (block.last_key, block.last_trailer);
        let offered = self.try_offer(&key, trailer)?;
        if let Some(open) = &mut self.open {
            open.copied_to = Some((key, trailer));
        }
        if offered { Ok(()) } else { self.refill() }
    }

    fn open_offered(&mut self) -> Result<()> {
        if self.offer.take().is_none() {
            return Ok(());
        }
        self.refused = (self.refused + 1).min(10);
        self.pause = 1 << self.refused;
        self.refill()
    }
}
