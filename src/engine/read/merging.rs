//! [`MergeCursor`]: the entries of many sources in one internal order, both ways.
//!
//! A loser tree over the heads of the keys: each inner node remembers the source that lost there, so that a step
//! compares along one path only, mostly two machine words at a time. One source needs no comparison, two need one.
//!
//! ```text
//!              top: 2                      sources stand, going forwards, on their first entry at or after the top's;
//!             ┌──┴──┐                      going backwards, on their last entry at or before it.
//!             1     …                      To turn round, every source takes one step: those that stood beyond the
//!          ┌──┴──┐                         current entry come to stand on its other side.
//!          0     2
//! ```

use super::source::Source;
use crate::error::Error;
use crate::error::Result;
use esker_table::{SeqNo, Slice, Trailer, key};
use std::path::Path;

/// The state of a source that comparisons look at first.
#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    head: u64,
    live: bool,
}

/// All the entries of several sources, every version of every key. Of two sources with the same internal key the one
/// that was given first comes first.
///
/// A new cursor stands before the first and after the last entry: either way leads inside. After an error every step
/// returns that error, until the cursor is positioned anew.
pub(crate) struct MergeCursor {
    sources: Vec<Source>,
    lanes: Vec<Lane>,
    /// `losers[n]` for the inner nodes 1.. of a tree whose leaf of source `i` is node `len + i`.
    losers: Vec<usize>,
    top: usize,
    forward: bool,
    placed: bool,
    error: Option<Error>,
}

impl MergeCursor {
    /// Merges `sources`, the newest first.
    pub(crate) fn new(sources: Vec<Source>) -> MergeCursor {
        let n = sources.len();
        MergeCursor {
            sources,
            lanes: vec![Lane::default(); n],
            losers: vec![0; n],
            top: 0,
            forward: true,
            placed: false,
            error: None,
        }
    }

    /// Whether the cursor stands on an entry.
    #[inline]
    pub(crate) fn valid(&self) -> bool {
        self.lanes.get(self.top).is_some_and(|lane| lane.live)
    }

    /// The user key. The cursor must be [valid](MergeCursor::valid), here and for the other parts of the entry.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.sources[self.top].key()
    }

    /// After a step forwards from an entry of source `rank`: that entry's key, as long as it is at hand.
    #[inline]
    pub(crate) fn key_before(&self, rank: usize) -> Option<&[u8]> {
        self.sources[rank].key_before()
    }

    /// Whether [`key_before`](MergeCursor::key_before) will have the current key after a step forwards.
    #[inline]
    pub(crate) fn will_have_key(&self) -> bool {
        self.forward && self.sources[self.top].will_have_key()
    }

    /// The sequence number and kind.
    #[inline]
    pub(crate) fn trailer(&self) -> Trailer {
        self.sources[self.top].trailer()
    }

    /// The value.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        self.sources[self.top].value()
    }

    /// The value, sharing what holds it.
    #[inline]
    pub(crate) fn value_slice(&self) -> Slice {
        self.sources[self.top].value_slice()
    }

    /// Which source the entry comes from.
    #[inline]
    pub(crate) fn rank(&self) -> usize {
        self.top
    }

    /// No entry of the memtable or table that the current entry lies in is newer than this.
    pub(crate) fn max_seqno(&self) -> SeqNo {
        self.sources[self.top].max_seqno()
    }

    /// The file that the current entry lies in; none for a memtable.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.sources.get(self.top)?.path()
    }

    /// To the first entry.
    pub(crate) fn first(&mut self) -> Result<()> {
        self.place(true, Source::first)
    }

    /// To the last entry.
    pub(crate) fn last(&mut self) -> Result<()> {
        self.place(false, Source::last)
    }

    /// To the first entry at or after `(user_key, trailer)`.
    pub(crate) fn seek(&mut self, user_key: &[u8], trailer: Trailer) -> Result<()> {
        self.place(true, |s| s.seek(user_key, trailer))
    }

    /// To the last entry strictly before `(user_key, trailer)`.
    pub(crate) fn seek_before(&mut self, user_key: &[u8], trailer: Trailer) -> Result<()> {
        self.place(false, |s| s.seek_before(user_key, trailer))
    }

    /// To the next entry; from before the first one to it; after the last one nowhere.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<()> {
        if self.forward && self.valid() {
            let moved = self.sources[self.top].next();
            return self.moved(moved);
        }
        self.enter(true)
    }

    /// To the previous entry; from after the last one to it; before the first one nowhere.
    #[inline]
    pub(crate) fn prev(&mut self) -> Result<()> {
        if !self.forward && self.valid() {
            let moved = self.sources[self.top].prev();
            return self.moved(moved);
        }
        self.enter(false)
    }

    /// Going forwards, moves only the current entry's source: to its first entry at or after `(user_key, trailer)`,
    /// which must lie after the current entry.
    pub(crate) fn skip_to(&mut self, user_key: &[u8], trailer: Trailer) -> Result<()> {
        debug_assert!(self.forward && self.valid());
        let moved = self.sources[self.top].seek(user_key, trailer);
        self.moved(moved)
    }

    /// Going backwards, moves only the current entry's source: to its last entry strictly before `(user_key, trailer)`,
    /// which must not lie after the current entry.
    pub(crate) fn skip_before(&mut self, user_key: &[u8], trailer: Trailer) -> Result<()> {
        debug_assert!(!self.forward && self.valid());
        let moved = self.sources[self.top].seek_before(user_key, trailer);
        self.moved(moved)
    }

    /// Turns round, or comes in from an end.
    #[cold]
    fn enter(&mut self, forward: bool) -> Result<()> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        match (self.placed, forward) {
            (false, true) => self.first(),
            (false, false) => self.last(),
            (true, _) if self.forward == forward => Ok(()),
            (true, true) => self.place(true, Source::next),
            (true, false) => self.place(false, Source::prev),
        }
    }

    /// Moves every source and finds the top anew.
    fn place(&mut self, forward: bool, mut how: impl FnMut(&mut Source) -> Result<()>) -> Result<()> {
        self.error = None;
        self.placed = true;
        self.forward = forward;
        for i in 0..self.sources.len() {
            if let Err(error) = how(&mut self.sources[i]) {
                return self.fail(error);
            }
            self.look(i);
        }
        self.build();
        Ok(())
    }

    /// After the top's source moved: looks at it and plays its path again.
    #[inline]
    fn moved(&mut self, moved: Result<()>) -> Result<()> {
        if let Err(error) = moved {
            return self.fail(error);
        }
        if self.sources.len() == 1 {
            // Its head is never asked for.
            self.lanes[0].live = self.sources[0].valid();
            return Ok(());
        }
        self.look(self.top);
        match self.sources.len() {
            2 => self.top = usize::from(self.before(1, 0)),
            _ => self.replay(),
        }
        Ok(())
    }

    /// No entry, and the error from now on.
    #[cold]
    fn fail(&mut self, error: Error) -> Result<()> {
        self.lanes.fill(Lane::default());
        self.error = Some(error.clone());
        Err(error)
    }

    #[inline]
    fn look(&mut self, i: usize) {
        let source = &self.sources[i];
        self.lanes[i] =
            if source.valid() { Lane { head: key::head(source.key()), live: true } } else { Lane::default() };
    }

    /// Whether the entry of source `a` comes before that of `b` in the cursor's direction.
    #[inline]
    fn before(&self, a: usize, b: usize) -> bool {
        let (x, y) = (self.lanes[a], self.lanes[b]);
        if !(x.live && y.live) {
            return x.live;
        }
        if x.head != y.head {
            return (x.head < y.head) == self.forward;
        }
        let (a_source, b_source) = (&self.sources[a], &self.sources[b]);
        let order = key::compare(a_source.key(), a_source.trailer(), b_source.key(), b_source.trailer());
        order.then(a.cmp(&b)).is_lt() == self.forward
    }

    fn build(&mut self) {
        let n = self.sources.len();
        if n <= 2 {
            self.top = usize::from(n == 2 && self.before(1, 0));
            return;
        }
        // `losers` serves as the list of winners first: from the leaves upwards, each node's winner is left in its
        // parent, and its loser takes the node.
        let winner = |me: &MergeCursor, node: usize| if node >= n { node - n } else { me.losers[node] };
        for node in (1..n).rev() {
            let (a, b) = (winner(self, 2 * node), winner(self, 2 * node + 1));
            self.losers[node] = if self.before(b, a) { b } else { a };
        }
        self.top = self.losers[1];
        for node in 1..n {
            let (a, b) = (winner(self, 2 * node), winner(self, 2 * node + 1));
            self.losers[node] = if self.losers[node] == a { b } else { a };
        }
    }

    fn replay(&mut self) {
        let mut winner = self.top;
        let mut node = (self.sources.len() + winner) / 2;
        while node > 0 {
            if self.before(self.losers[node], winner) {
                std::mem::swap(&mut self.losers[node], &mut winner);
            }
            node /= 2;
        }
        self.top = winner;
    }
}
