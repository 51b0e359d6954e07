//! [`Cursor`]: the public cursor.

use super::bounds::Bounds;
use super::options::ReadOptions;
use super::snapshot::SnapshotGuard;
use super::state::ReadState;
use super::visible::VisibleCursor;
use crate::error::Result;
use esker_table::{SeqNo, Slice};
use std::sync::Arc;

/// A place among the keys of a keyspace, as they were when the cursor was made.
///
/// Every move says whether the cursor stands on an entry then; [`key`](Cursor::key) and [`value`](Cursor::value) are
/// borrowed until the next move. A cursor that is new or has run past an end comes back by the other direction: after
/// the last key `prev` goes to it, before the first one `next` does. If a move fails, all further steps fail with the
/// same error until the cursor is positioned by one of the `seek` methods: an error is never taken for the end.
///
/// The cursor keeps what it reads from alive: memtables, and tables that have since become obsolete.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let db = esker::Db::open(dir.path())?;
/// for key in ["a", "b", "c"] {
///     db.put(key, key.to_uppercase())?;
/// }
/// let mut cursor = db.cursor()?;
/// assert!(cursor.seek("b")?);
/// assert_eq!((cursor.key(), cursor.value()), (&b"b"[..], &b"B"[..]));
/// assert!(cursor.prev()? && cursor.key() == b"a");
/// assert!(cursor.next()? && cursor.next()? && !cursor.next()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Cursor {
    visible: VisibleCursor,
    state: Arc<ReadState>,
    _snapshot: Option<Arc<SnapshotGuard>>,
}

impl Cursor {
    /// A cursor, not positioned, over what `visible_seqno` sees in `state` within `bounds`.
    ///
    /// The state must have been pinned *before* the sequence number was read, unless that is a snapshot's. Nothing is
    /// read yet, so nothing can fail.
    pub(crate) fn new(
        state: Arc<ReadState>,
        visible_seqno: SeqNo,
        bounds: Bounds,
        options: &ReadOptions,
        snapshot: Option<Arc<SnapshotGuard>>,
    ) -> Cursor {
        state.metrics().read.cursors.add(1);
        let visible = state.visible(visible_seqno, bounds, &options.for_tables());
        Cursor { visible, state, _snapshot: snapshot }
    }

    /// Says that values will be asked for as slices, so that none is copied on the way.
    pub(crate) fn share_values(&mut self) {
        self.visible.share_values();
    }

    /// Goes to the first key.
    ///
    /// # Errors
    /// `Corruption` or `Io` if a table cannot be read, here and below.
    pub fn seek_first(&mut self) -> Result<bool> {
        self.state.metrics().read.seeks.add(1);
        self.visible.seek_first()
    }

    /// Goes to the last key.
    ///
    /// # Errors
    /// As [`seek_first`](Cursor::seek_first).
    pub fn seek_last(&mut self) -> Result<bool> {
        self.state.metrics().read.seeks.add(1);
        self.visible.seek_last()
    }

    /// Goes to the first key at or after `key`.
    ///
    /// # Errors
    /// As [`seek_first`](Cursor::seek_first).
    pub fn seek(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.state.metrics().read.seeks.add(1);
        self.visible.seek(key.as_ref())
    }

    /// Goes to the last key at or before `key`.
    ///
    /// # Errors
    /// As [`seek_first`](Cursor::seek_first).
    pub fn seek_for_prev(&mut self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.state.metrics().read.seeks.add(1);
        self.visible.seek_for_prev(key.as_ref())
    }

    /// Goes to the next key.
    ///
    /// # Errors
    /// As [`seek_first`](Cursor::seek_first).
    // Not an iterator's `next`: it lends, and can fail.
    #[allow(clippy::should_implement_trait)]
    #[inline]
    pub fn next(&mut self) -> Result<bool> {
        self.visible.next()
    }

    /// Goes to the previous key.
    ///
    /// # Errors
    /// As [`seek_first`](Cursor::seek_first).
    #[inline]
    pub fn prev(&mut self) -> Result<bool> {
        self.visible.prev()
    }

    /// Whether the cursor stands on an entry.
    #[inline]
    pub fn valid(&self) -> bool {
        self.visible.valid()
    }

    /// The key that the cursor stands on; empty if it stands on none.
    #[inline]
    pub fn key(&self) -> &[u8] {
        self.visible.key()
    }

    /// The value of that key; empty if there is none.
    #[inline]
    pub fn value(&self) -> &[u8] {
        self.visible.value()
    }

    /// The value as a [`Slice`] that outlives the next move.
    pub fn value_slice(&self) -> Slice {
        self.visible.value_slice()
    }
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor")
            .field("valid", &self.valid())
            .field("key", &Slice::copy_from(self.key()))
            .finish_non_exhaustive()
    }
}
