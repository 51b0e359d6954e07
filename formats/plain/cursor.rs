//! [`PlainCursor`]: ordered iteration, a run at a time. Keys and values are borrowed from the data.

use crate::data::Reads;
use crate::entry::MAX_HEADER;
use crate::index::GROUP_ENTRIES;
use crate::reader::{Body, PlainTable};
use crate::window::Window;
use esker_table::{ReadOptions, Result, Run, TableCursor, TableError, Trailer};
use std::sync::Arc;

/// A run ends when its entries take so much of the data: values may be long, and a run counts in 32 bits.
const MAX_RUN_BYTES: u64 = 256 << 20;

/// Going backwards, groups are joined into one run unless they take more than this.
const BACKWARDS_BYTES: u64 = 256 << 10;

/// Where a cursor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Not positioned, or an error lost the position.
    Nowhere,
    /// Before the first entry.
    Begin,
    /// Around the entries that lie from here to there.
    Run(u64, u64),
    /// After the last entry.
    End,
}

/// Ordered iteration over a table's entries.
pub(crate) struct PlainCursor {
    table: Arc<PlainTable>,
    options: ReadOptions,
    window: Window,
    place: Place,
    /// A group that begins at or after the last one before the run, if that is known.
    hint: Option<u32>,
    /// Where entries begin, while they are gathered backwards.
    starts: Vec<u64>,
}

/// What a movement works with, borrowed from a cursor.
struct Walk<'a> {
    table: &'a PlainTable,
    body: &'a Body,
    reads: Reads<'a>,
    window: &'a mut Window,
    place: &'a mut Place,
    hint: &'a mut Option<u32>,
    starts: &'a mut Vec<u64>,
}

impl PlainCursor {
    pub(crate) fn new(table: Arc<PlainTable>, options: &ReadOptions) -> PlainCursor {
        let window = Window::new(table.body.as_ref().map(|body| &body.data), options.sequential);
        PlainCursor {
            table,
            options: *options,
            window,
            place: Place::Nowhere,
            hint: None,
            starts: Vec::new(),
        }
    }

    /// Runs a movement, so that an error leaves neither a run nor a place. In a table without entries every movement ends at once.
    fn walk(
        &mut self,
        run: &mut Run,
        empty: Place,
        movement: impl FnOnce(&mut Walk<'_>, &mut Run) -> Result<()>,
    ) -> Result<()> {
        run.clear();
        let table = &*self.table;
        let Some(body) = &table.body else {
            self.place = empty;
            return Ok(());
        };
        let reads = table.reads(&self.options);
        let (window, hint, starts) = (&mut self.window, &mut self.hint, &mut self.starts);
        let mut walk = Walk { table, body, reads, window, place: &mut self.place, hint, starts };
        let moved = movement(&mut walk, run);
        if moved.is_err() {
            run.clear();
            self.place = Place::Nowhere;
            self.hint = None;
        }
        moved
    }
}

impl Walk<'_> {
    /// Fills with entries from `from` on, or finds that there are none.
    fn forwards(&mut self, from: u64, run: &mut Run, want: usize) -> Result<()> {
        if from >= self.body.data.len() {
            *self.place = Place::End;
            return Ok(());
        }
        let end = self.fill(from, run, want)?;
        *self.place = Place::Run(from, end);
        Ok(())
    }

    /// Fills with at most `want` entries from `from` on. Returns where the last one ends.
    fn fill(&mut self, from: u64, run: &mut Run, want: usize) -> Result<u64> {
        let data = &self.body.data;
        let mut entry = self.window.entry(data, from, &self.reads)?;
        run.begin_borrowed(self.window.bytes_from(from));
        loop {
            let key_start = (self.window.key_at(&entry) - from) as usize;
            run.push_borrowed(key_start, entry.key_len, entry.value_len, entry.trailer);
            let end = self.window.end_of(&entry);
            if run.len() >= want || end >= data.len() || end - from > MAX_RUN_BYTES {
                return Ok(end);
            }
            match self.window.entry_in_place(data, end, &self.reads)? {
                Some(next) => entry = next,
                None => return Ok(end),
            }
        }
    }

    /// Fills with the last entries before `to`, or finds that there are none.
    fn backwards(&mut self, to: u64, run: &mut Run, want: usize) -> Result<()> {
        if to == 0 {
            *self.place = Place::Begin;
            return Ok(());
        }
        let want = want.max(1);
        let last = self.table.group_before(self.body, to, *self.hint)?;
        let mut group = last.saturating_sub(u32::try_from(want / GROUP_ENTRIES).unwrap_or(u32::MAX));
        let mut from = self.table.group(self.body, group)?.1;
        while group < last && to.saturating_sub(from) > BACKWARDS_BYTES {
            group += (last - group).div_ceil(2);
            from = self.table.group(self.body, group)?.1;
        }
        self.gather(from, to, run)?;
        let surplus = run.len().saturating_sub(want);
        run.keep(surplus, run.len());
        // A group has one entry at least.
        *self.hint = Some(last.min(group.saturating_add(surplus as u32)));
        *self.place = Place::Run(self.starts[surplus], to);
        Ok(())
    }

    /// Fills with all entries between `from` and `to`, of which there is one at least, and notes where they begin.
    fn gather(&mut self, from: u64, to: u64, run: &mut Run) -> Result<()> {
        let astray = || TableError::corruption(from, "the index does not lead to the entries");
        let data = &self.body.data;
        self.starts.clear();
        // A group is short, or one entry: what is longer than a run may be is none.
        if from >= to || to - from > MAX_RUN_BYTES {
            return Err(astray());
        }
        // Of the last entry as much is looked at as a header may take, or another piece of the file would be read for it.
        let end = data.len().min(to.saturating_add(MAX_HEADER as u64));
        self.window.bring_in(data, from..end, &self.reads)?;
        run.begin_borrowed(self.window.bytes_from(from));
        let mut at = from;
        while at < to {
            let entry = self.window.entry_in_place(data, at, &self.reads)?.ok_or_else(astray)?;
            let key_start = (self.window.key_at(&entry) - from) as usize;
            run.push_borrowed(key_start, entry.key_len, entry.value_len, entry.trailer);
            self.starts.push(at);
            at = self.window.end_of(&entry);
        }
        if at == to { Ok(()) } else { Err(astray()) }
    }
}

impl TableCursor for PlainCursor {
    fn seek(&mut self, user_key: &[u8], trailer: Trailer, run: &mut Run, want: usize) -> Result<()> {
        self.walk(run, Place::End, |walk, run| {
            walk.window.rewind(&walk.reads);
            let (at, _) = walk.table.lower_bound(walk.body, walk.window, user_key, trailer, &walk.reads)?;
            *walk.hint = None;
            walk.forwards(at, run, want)
        })
    }

    fn seek_before(&mut self, user_key: &[u8], trailer: Trailer, run: &mut Run, want: usize) -> Result<()> {
        self.walk(run, Place::Begin, |walk, run| {
            walk.window.rewind(&walk.reads);
            let (at, group) =
                walk.table.lower_bound(walk.body, walk.window, user_key, trailer, &walk.reads)?;
            *walk.hint = Some(group);
            walk.backwards(at, run, want)
        })
    }

    fn first(&mut self, run: &mut Run, want: usize) -> Result<()> {
        self.walk(run, Place::End, |walk, run| {
            walk.window.rewind(&walk.reads);
            *walk.hint = None;
            walk.forwards(0, run, want)
        })
    }

    fn last(&mut self, run: &mut Run, want: usize) -> Result<()> {
        self.walk(run, Place::Begin, |walk, run| {
            walk.window.rewind(&walk.reads);
            *walk.hint = Some(walk.body.groups - 1);
            walk.backwards(walk.body.data.len(), run, want)
        })
    }

    fn next(&mut self, run: &mut Run, want: usize) -> Result<()> {
        match self.place {
            Place::Begin => self.first(run, want),
            Place::End | Place::Nowhere => {
                run.clear();
                Ok(())
            }
            Place::Run(_, to) => self.walk(run, Place::End, |walk, run| {
                *walk.hint = None;
                walk.forwards(to, run, want)
            }),
        }
    }

    fn prev(&mut self, run: &mut Run, want: usize) -> Result<()> {
        match self.place {
            Place::End => self.last(run, want),
            Place::Begin | Place::Nowhere => {
                run.clear();
                Ok(())
            }
            Place::Run(from, _) => self.walk(run, Place::Begin, |walk, run| walk.backwards(from, run, want)),
        }
    }
}
