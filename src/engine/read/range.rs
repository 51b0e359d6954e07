//! [`Range`]: keys and values as an iterator from both ends.
//!
//! Each end has a cursor of its own, made when that end is first asked. The ends have met when one would go to or
//! past the key that the other gave last.

use super::bounds::Bounds;
use super::cursor::Cursor;
use super::options::ReadOptions;
use super::snapshot::SnapshotGuard;
use super::state::ReadState;
use crate::error::{Error, Result};
use esker_table::{SeqNo, Slice};
use std::iter::FusedIterator;
use std::sync::Arc;

/// Keys and values in order, as they were when the range was made.
///
/// Reading a table can fail: then the error is given once, and after it nothing more from either end.
pub struct Range {
    state: Arc<ReadState>,
    visible_seqno: SeqNo,
    bounds: Bounds,
    options: ReadOptions,
    snapshot: Option<Arc<SnapshotGuard>>,
    front: Option<Cursor>,
    back: Option<Cursor>,
    done: bool,
    /// What made the range impossible: its first item.
    failed: Option<Error>,
}

impl Range {
    /// What `visible_seqno` sees in `state` within `bounds`. For the arguments see [`Cursor::new`].
    pub(crate) fn new(
        state: Arc<ReadState>,
        visible_seqno: SeqNo,
        bounds: Bounds,
        options: &ReadOptions,
        snapshot: Option<Arc<SnapshotGuard>>,
    ) -> Range {
        Range {
            state,
            visible_seqno,
            bounds,
            options: options.clone(),
            snapshot,
            front: None,
            back: None,
            done: false,
            failed: None,
        }
    }

    /// A range that yields this error and nothing else.
    pub(crate) fn failing(mut self, error: Error) -> Range {
        self.failed = Some(error);
        self
    }

    fn cursor(&self) -> Cursor {
        Cursor::new(
            self.state.clone(),
            self.visible_seqno,
            self.bounds.clone(),
            &self.options,
            self.snapshot.clone(),
        )
    }

    fn advance_front(&mut self) -> Result<bool> {
        self.failed.take().map_or(Ok(()), Err)?;
        let mut front = match self.front.take() {
            Some(front) => front,
            None => self.cursor(),
        };
        let there = front.next()?;
        let front = self.front.insert(front);
        Ok(there && self.back.as_ref().is_none_or(|back| front.key() < back.key()))
    }

    fn advance_back(&mut self) -> Result<bool> {
        self.failed.take().map_or(Ok(()), Err)?;
        let mut back = match self.back.take() {
            Some(back) => back,
            None => self.cursor(),
        };
        let there = back.prev()?;
        let back = self.back.insert(back);
        Ok(there && self.front.as_ref().is_none_or(|front| front.key() < back.key()))
    }

    fn finish(&mut self) {
        self.done = true;
        self.front = None;
        self.back = None;
    }

    fn give(&mut self, advanced: Result<bool>, front: bool) -> Option<Result<(Slice, Slice)>> {
        let cursor = if front { &self.front } else { &self.back };
        match (advanced, cursor) {
            (Ok(true), Some(at)) => Some(Ok((Slice::copy_from(at.key()), at.value_slice()))),
            (Ok(_), _) => {
                self.finish();
                None
            }
            (Err(error), _) => {
                self.finish();
                Some(Err(error))
            }
        }
    }
}

impl Iterator for Range {
    type Item = Result<(Slice, Slice)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let advanced = self.advance_front();
        self.give(advanced, true)
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let advanced = self.advance_back();
        self.give(advanced, false)
    }
}

impl FusedIterator for Range {}

impl std::fmt::Debug for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Range")
            .field("bounds", &self.bounds)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}
