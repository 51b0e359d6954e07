//! [`Tombstones`]: which range tombstones cover the keys that a scan meets.
//!
//! The answer is the same all over a *span* of keys, so it is kept, and most entries cost one comparison with the
//! span's end; where no source has a range tombstone, nothing at all. Runs of tables are asked only through those tables
//! that have any, found by key and opened when a scan comes there.

use super::bounds::Bounds;
use crate::error::Result;
use crate::tables::LevelView;
use esker_table::range_tombstone::Fragment;
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
    /// The tombstone behind `cover` and its neighbours that are as new.
    reach: Span,
}

struct Lane {
    rank: usize,
    of: Of,
}

enum Of {
    Memtable(Arc<Fragments>),
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
        Tombstones {
            lanes: Vec::new(),
            snapshot,
            known: false,
            span: Span::default(),
            cover: None,
            reach: Span::default(),
        }
    }

    /// Adds those of a memtable. Tombstones that it gets later are not seen, nor may they be.
    pub(crate) fn add_memtable(&mut self, rank: usize, fragments: Arc<Fragments>) {
        if !fragments.is_empty() {
            self.lanes.push(Lane { rank, of: Of::Memtable(fragments) });
        }
    }

    /// Adds those of a sorted run, if it has any within the bounds.
    pub(crate) fn add_level(&mut self, rank: usize, view: &Arc<LevelView>, bounds: &Bounds) {
        let mut with = view.with_tombstones().iter();
        if with.any(|&i| view.meta(i).overlaps(bounds.lower(), bounds.upper())) {
            self.lanes.push(Lane { rank, of: Of::Level(view.clone()) });
        }
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

    /// After [`covering`](Tombstones::covering) found a tombstone: where tombstones of its source at least as new begin
    /// (inclusive) around that key.
    pub(crate) fn reach_start(&self) -> &[u8] {
        &self.reach.start
    }

    /// As [`reach_start`](Tombstones::reach_start): where they end (exclusive).
    pub(crate) fn reach_end(&self) -> &[u8] {
        &self.reach.end
    }

    #[cold]
    fn locate(&mut self, user_key: &[u8]) -> Result<()> {
        self.known = false;
        self.cover = None;
        self.span.set_all();
        for lane in &self.lanes {
            let fragments = match &lane.of {
                Of::Memtable(fragments) => Some(fragments),
                Of::Level(view) => table_fragments(view, user_key, &mut self.span)?,
            };
            let Some(fragments) = fragments else { continue };
            let all = fragments.as_slice();
            let i = all.partition_point(|f| f.end.as_slice() <= user_key);
            if let Some(before) = i.checked_sub(1) {
                self.span.start_at_least(&all[before].end);
            }
            let Some(at) = all.get(i) else { continue };
            if at.start.as_slice() > user_key {
                self.span.end_at_most(&at.start);
                continue;
            }
            self.span.start_at_least(&at.start);
            self.span.end_at_most(&at.end);
            let Some(seqno) = at.newest(self.snapshot) else { continue };
            if self.cover.is_none_or(|c| c.seqno < seqno) {
                self.cover = Some(Cover { seqno, rank: lane.rank });
                set_reach(&mut self.reach, all, i, seqno, self.snapshot);
            }
        }
        self.known = true;
        Ok(())
    }
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

/// The longest row of fragments around `i` without a gap, each with a visible number of at least `seqno`.
fn set_reach(reach: &mut Span, all: &[Fragment], i: usize, seqno: SeqNo, snapshot: SeqNo) {
    let as_new = |f: &Fragment| f.newest(snapshot).is_some_and(|s| s >= seqno);
    let (mut from, mut to) = (i, i);
    while from > 0 && all[from - 1].end == all[from].start && as_new(&all[from - 1]) {
        from -= 1;
    }
    while to + 1 < all.len() && all[to].end == all[to + 1].start && as_new(&all[to + 1]) {
        to += 1;
    }
    reach.start.clear();
    reach.start.extend_from_slice(&all[from].start);
    reach.end.clear();
    reach.end.extend_from_slice(&all[to].end);
}
