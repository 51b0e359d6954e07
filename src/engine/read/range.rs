//! [`Range`]: keys and values as an iterator from both ends.
//!
//! Each end has a cursor of its own, made when that end is first asked, and draws its pairs in batches: one at first, more
//! as it goes on, so that keys are copied into one piece of memory for many of them. The ends have met when one
//! would give the key that the other gave last, or one beyond it.

use super::bounds::Bounds;
use super::cursor::Cursor;
use super::options::ReadOptions;
use super::snapshot::SnapshotGuard;
use super::state::ReadState;
use crate::error::{Error, Result};
use esker_table::{SeqNo, Slice};
use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::sync::Arc;

/// The most pairs in a batch.
const BATCH_MOST: usize = 32;

/// The length of keys and values together at which a batch is large enough.
const BATCH_BYTES: usize = 16 << 10;

/// Keys and values in order, as they were when the range was made.
///
/// Reading a table can fail: then the error is given once, and after it nothing more from either end. It is never taken for
/// the end.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let db = esker::Db::open(dir.path())?;
/// for i in 0..10u8 {
///     db.put([i], "")?;
/// }
/// let mut range = db.range([2]..=[7]);
/// assert_eq!(range.next().unwrap()?.0[0], 2);
/// assert_eq!(range.next_back().unwrap()?.0[0], 7);
/// assert_eq!(range.count(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Range {
    state: Arc<ReadState>,
    visible_seqno: SeqNo,
    bounds: Bounds,
    options: ReadOptions,
    snapshot: Option<Arc<SnapshotGuard>>,
    front: End,
    back: End,
    done: bool,
    /// What made the range impossible: its first item.
    failed: Option<Error>,
}

/// One end of a range.
#[derive(Default)]
struct End {
    cursor: Option<Box<Cursor>>,
    /// Pairs that were read and not given yet, in this end's order.
    ready: VecDeque<(Slice, Slice)>,
    /// What comes after them, once the cursor is at the end.
    then: Option<Result<()>>,
    batch: usize,
    /// The key that this end gave last.
    given: Option<Slice>,
    /// While a batch is drawn: the keys, and where each ends.
    keys: Vec<u8>,
    ends: Vec<usize>,
}

impl End {
    /// Reads the next pairs by `step`.
    fn draw(&mut self, mut step: impl FnMut(&mut Cursor) -> Result<bool>) {
        let Some(cursor) = &mut self.cursor else { return };
        self.batch = (self.batch * 2).clamp(1, BATCH_MOST);
        self.keys.clear();
        self.ends.clear();
        let mut bytes = 0;
        while self.ends.len() < self.batch && bytes < BATCH_BYTES {
            match step(cursor) {
                Ok(true) => {}
                Ok(false) => {
                    self.then = Some(Ok(()));
                    break;
                }
                Err(error) => {
                    self.then = Some(Err(error));
                    break;
                }
            }
            self.keys.extend_from_slice(cursor.key());
            self.ends.push(self.keys.len());
            let value = cursor.value_slice();
            bytes += cursor.key().len() + value.len();
            self.ready.push_back((Slice::new(), value));
        }
        let keys = Slice::copy_from(&self.keys);
        let mut start = 0;
        for (pair, &end) in self.ready.iter_mut().zip(&self.ends) {
            pair.0 = keys.slice(start..end);
            start = end;
        }
    }
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
            front: End::default(),
            back: End::default(),
            done: false,
            failed: None,
        }
    }

    /// A range that yields this error and nothing else.
    pub(crate) fn failing(mut self, error: Error) -> Range {
        self.failed = Some(error);
        self
    }

    fn cursor(&self) -> Box<Cursor> {
        Box::new(Cursor::new(
            self.state.clone(),
            self.visible_seqno,
            self.bounds.clone(),
            &self.options,
            self.snapshot.clone(),
        ))
    }

    /// Makes sure that the end has a pair ready, or knows what comes instead.
    fn fill(&mut self, front: bool) {
        let end = if front { &self.front } else { &self.back };
        if !end.ready.is_empty() || end.then.is_some() {
            return;
        }
        if end.cursor.is_none() {
            let mut cursor = self.cursor();
            if front {
                self.front.cursor = Some(cursor);
            } else {
                cursor.share_values();
                self.back.cursor = Some(cursor);
            }
        }
        if front {
            self.front.draw(Cursor::next);
        } else {
            self.back.draw(Cursor::prev);
        }
    }

    fn give(&mut self, front: bool) -> Option<Result<(Slice, Slice)>> {
        if self.done {
            return None;
        }
        if let Some(error) = self.failed.take() {
            return self.finish(Some(error));
        }
        self.fill(front);
        let (end, other) = if front { (&mut self.front, &self.back) } else { (&mut self.back, &self.front) };
        let Some(pair) = end.ready.pop_front() else {
            let error = end.then.take().and_then(Result::err);
            return self.finish(error);
        };
        let met =
            other.given.as_ref().is_some_and(|given| if front { pair.0 >= *given } else { pair.0 <= *given });
        if met {
            return self.finish(None);
        }
        end.given = Some(pair.0.clone());
        Some(Ok(pair))
    }

    /// The last item, if there is one, and the end of both ends.
    fn finish(&mut self, error: Option<Error>) -> Option<Result<(Slice, Slice)>> {
        self.done = true;
        self.front = End::default();
        self.back = End::default();
        error.map(Err)
    }
}

impl Iterator for Range {
    type Item = Result<(Slice, Slice)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.give(true)
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.give(false)
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
