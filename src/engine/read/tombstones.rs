//! [`Tombstones`]: which range tombstones cover the keys that a scan meets.
//!
//! The answer is the same all over a *span* of keys, so it is kept, and most entries cost one comparison with the
//! span's end; where no source has a range tombstone, nothing at all. Runs of tables are asked only through those tables
//! that have any, found by key and opened when a scan comes there. How far a tombstone reaches beyond the span is only
//! looked for when a source is to be moved past it.

use super::bounds::Bounds;
use crate::error::Result;
use crate::memtable::{Cut, Part};
use crate::tables::LevelView;
use esker_table::range_tombstone::{self, Fragment};
use esker_table::{Fragments, SeqNo};
use std::sync::Arc;

/// The newest tombstone that covers a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cover {
    /// It deletes entries with smaller sequence numbers.
    pub(crate) seqno: SeqNo,
    /// The source that it is in.
    pub(crate) rank: usize,
}

/// The range tombstones of all the sources of a scan.
pub(crate) struct Tombstones {
    lanes: Vec<Lane>,
    snapshot: SeqNo,
    /// Whether `span` and `cover` hold anything.
    known: bool,
    span: Span,
    cover: Option<Cover>,
    /// The lane that `cover` was found in.
    lane: usize,
}

/// Tombstones of a source, which may have several lanes.
struct Lane {
    rank: usize,
    of: Of,
}

enum Of {
    Memtable(Arc<Cut>),
    Level(Arc<LevelView>),
}

/// A part of the key space in buffers that are used again and again.
#[derive(Default)]
struct Span {
    start: Vec<u8>,
    end: Vec<u8>,
    endless: bool,
}

impl Span {
    fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && (self.endless || key < self.end.as_slice())
    }

    fn set_all(&mut self) {
        self.start.clear();
        self.end.clear();
        self.endless = true;
    }

    fn start_at_least(&mut self, start: &[u8]) {
        if self.start.as_slice() < start {
            self.start.clear();
            self.start.extend_from_slice(start);
        }
    }

    fn end_at_most(&mut self, end: &[u8]) {
        if self.endless || end < self.end.as_slice() {
            self.end.clear();
            self.end.extend_from_slice(end);
            self.endless = false;
        }
    }
}

impl Tombstones {
    /// Without any source yet.
    pub(crate) fn new(snapshot: SeqNo) -> Tombstones {
        Tombstones { lanes: Vec::new(), snapshot, known: false, span: Span::default(), cover: None, lane: 0 }
    }

    /// Adds some of a memtable. Tombstones that it gets later are not seen, nor may they be.
    pub(crate) fn add_memtable(&mut self, rank: usize, cut: Arc<Cut>) {
        self.lanes.push(Lane { rank, of: Of::Memtable(cut) });
    }

    /// Adds those of a sorted run, if it has any within the bounds.
    pub(crate) fn add_level(&mut self, rank: usize, view: &Arc<LevelView>, bounds: &Bounds) {
        let mut with = view.with_tombstones().iter();
        if with.any(|&i| view.meta(i).overlaps(bounds.lower(), bounds.upper())) {
            self.lanes.push(Lane { rank, of: Of::Level(view.clone()) });
        }
    }

    /// Whether there are no tombstones at all.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// The newest visible tombstone that covers `user_key`.
    #[inline]
    pub(crate) fn covering(&mut self, user_key: &[u8]) -> Result<Option<Cover>> {
        if self.lanes.is_empty() {
            return Ok(None);
        }
        if !(self.known && self.span.contains(user_key)) {
            self.locate(user_key)?;
        }
        Ok(self.cover)
    }

    /// After [`covering`](Tombstones::covering) found a tombstone for this key: where tombstones at least as new end
    /// (exclusive), of those in the same place that follow each other without a gap.
    pub(crate) fn reach_end(&self, user_key: &[u8]) -> Result<&[u8]> {
        let reach = match &self.lanes[self.lane].of {
            Of::Memtable(cut) => cut.reach_end(user_key, self.newest(), self.snapshot),
            Of::Level(view) => self.row(view, user_key)?.and_then(|(all, i)| {
                let last = (i + 1..all.len())
                    .take_while(|&j| all[j - 1].end == all[j].start && self.is_as_new(&all[j]));
                all.get(last.last().unwrap_or(i)).map(|f| f.end.as_slice())
            }),
        };
        Ok(reach.unwrap_or(&self.span.end))
    }

    /// As [`reach_end`](Tombstones::reach_end): where they begin (inclusive).
    pub(crate) fn reach_start(&self, user_key: &[u8]) -> Result<&[u8]> {
        let reach = match &self.lanes[self.lane].of {
            Of::Memtable(cut) => cut.reach_start(user_key, self.newest(), self.snapshot),
            Of::Level(view) => self.row(view, user_key)?.and_then(|(all, i)| {
                let first =
                    (0..i).rev().take_while(|&j| all[j].end == all[j + 1].start && self.is_as_new(&all[j]));
                all.get(first.last().unwrap_or(i)).map(|f| f.start.as_slice())
            }),
        };
        Ok(reach.unwrap_or(&self.span.start))
    }

    fn newest(&self) -> SeqNo {
        self.cover.map_or(0, |cover| cover.seqno)
    }

    fn is_as_new(&self, fragment: &Fragment) -> bool {
        fragment.newest(self.snapshot) >= Some(self.newest())
    }

    /// The fragments of the table that a key lies in, and which of them is the key's.
    fn row<'a>(&self, view: &'a LevelView, user_key: &[u8]) -> Result<Option<(&'a [Fragment], usize)>> {
        let Some(fragments) = table_fragments(view, user_key, &mut Span::default())? else { return Ok(None) };
        let all = fragments.as_slice();
        Ok(Some((all, all.partition_point(|f| f.end.as_slice() <= user_key))))
    }

    #[cold]
    fn locate(&mut self, user_key: &[u8]) -> Result<()> {
        self.known = false;
        self.cover = None;
        self.span.set_all();
        for (number, lane) in self.lanes.iter().enumerate() {
            let part = match &lane.of {
                Of::Memtable(cut) => cut.part(user_key, self.snapshot),
                Of::Level(view) => match table_fragments(view, user_key, &mut self.span)? {
                    Some(fragments) => part_of(fragments.span_at(user_key), self.snapshot),
                    None => continue,
                },
            };
            part.start.into_iter().for_each(|start| self.span.start_at_least(start));
            part.end.into_iter().for_each(|end| self.span.end_at_most(end));
            if let Some(seqno) = part.seqno.filter(|&seqno| self.cover.is_none_or(|c| c.seqno < seqno)) {
                self.cover = Some(Cover { seqno, rank: lane.rank });
                self.lane = number;
            }
        }
        self.known = true;
        Ok(())
    }
}

fn part_of(span: range_tombstone::Span<'_>, snapshot: SeqNo) -> Part<'_> {
    Part { start: span.start, end: span.end, seqno: span.fragment.and_then(|f| f.newest(snapshot)) }
}

/// The tombstones of the table of this run that may cover `user_key`, and what the run's other tables say of the
/// span.
fn table_fragments<'a>(
    view: &'a LevelView,
    user_key: &[u8],
    span: &mut Span,
) -> Result<Option<&'a Arc<Fragments>>> {
    let table = view.first_not_before(user_key);
    let with = view.with_tombstones();
    let at = with.partition_point(|&i| i < table);
    let Some(&i) = with.get(at) else {
        // Nothing from here to the end; towards the start the answer is not looked for.
        span.start_at_least(user_key);
        return Ok(None);
    };
    let smallest = view.meta(i).smallest.as_slice();
    if user_key < smallest {
        match at.checked_sub(1).map(|before| view.meta(with[before])) {
            None => {}
            Some(before) if before.largest_exclusive => span.start_at_least(&before.largest),
            Some(_) => span.start_at_least(user_key),
        }
        span.end_at_most(smallest);
        return Ok(None);
    }
    span.start_at_least(smallest);
    if let Some(&next) = with.get(at + 1) {
        span.end_at_most(&view.meta(next).smallest);
    }
    view.slot(i).table()?.fragments()
}
