//! [`Source`]: what a merge draws from: a memtable, or the tables of a sorted run.

use super::bounds::Bounds;
use super::level_cursor::LevelCursor;
use crate::error::Result;
use crate::memtable::{Memtable, MemtableCursor};
use crate::tables::LevelView;
use esker_table::{ReadOptions, SeqNo, Slice, Trailer};
use std::path::Path;
use std::sync::Arc;

/// One input of a [`super::MergeCursor`]. Past either end `next` and `prev` come back to the nearest entry.
// There are few sources and they are never moved, so their size does not matter; another indirection would.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Source {
    /// A memtable, live or sealed.
    Memtable(MemtableSource),
    /// The tables of a sorted run; a table of level 0 is a run by itself.
    Level(LevelCursor),
}

/// A memtable's cursor that knows at which end it fell off.
pub(crate) struct MemtableSource {
    cursor: MemtableCursor,
    after_last: bool,
    /// At the time when the cursor was made: entries that came later are visible to no snapshot taken before.
    max_seqno: SeqNo,
}

macro_rules! either {
    ($self:ident, $memtable:ident => $a:expr, $level:ident => $b:expr) => {
        match $self {
            Source::Memtable($memtable) => $a,
            Source::Level($level) => $b,
        }
    };
}

impl Source {
    /// The entries of a memtable.
    pub(crate) fn memtable(memtable: &Arc<Memtable>) -> Source {
        let max_seqno = memtable.max_seqno();
        Source::Memtable(MemtableSource { cursor: memtable.cursor(), after_last: false, max_seqno })
    }

    /// The entries of a sorted run, as far as its tables meet `bounds`, in a merge whose largest run has `largest` entries.
    pub(crate) fn level(view: Arc<LevelView>, bounds: Bounds, options: &ReadOptions, largest: u64) -> Source {
        Source::Level(LevelCursor::new(view, bounds, *options, largest))
    }

    #[inline]
    pub(crate) fn valid(&self) -> bool {
        either!(self, m => m.cursor.valid(), l => l.valid())
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        either!(self, m => m.cursor.key(), l => l.key())
    }

    /// Going forwards, the key that the source stood on before, as long as it has that at hand.
    #[inline]
    pub(crate) fn key_before(&self) -> Option<&[u8]> {
        either!(self, _m => None, l => l.key_before())
    }

    /// Whether the key that it stands on will be at hand after a step forwards.
    #[inline]
    pub(crate) fn will_have_key(&self) -> bool {
        either!(self, _m => false, l => l.has_next())
    }

    #[inline]
    pub(crate) fn trailer(&self) -> Trailer {
        either!(self, m => m.cursor.trailer(), l => l.trailer())
    }

    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        either!(self, m => m.cursor.value(), l => l.value())
    }

    /// The value, sharing what holds it.
    #[inline]
    pub(crate) fn value_slice(&self) -> Slice {
        either!(self, m => m.cursor.value_slice(), l => l.value_slice())
    }

    /// No entry of the memtable or table that the source stands in, as far as a reader can see, is newer.
    pub(crate) fn max_seqno(&self) -> SeqNo {
        either!(self, m => m.max_seqno, l => l.max_seqno())
    }

    /// The file that the source stands in.
    pub(crate) fn path(&self) -> Option<&Path> {
        either!(self, _m => None, l => l.path())
    }

    pub(crate) fn first(&mut self) -> Result<()> {
        either!(self, m => m.went(true, MemtableCursor::first), l => l.first())
    }

    pub(crate) fn last(&mut self) -> Result<()> {
        either!(self, m => m.went(false, MemtableCursor::last), l => l.last())
    }

    pub(crate) fn seek(&mut self, user_key: &[u8], trailer: Trailer) -> Result<()> {
        either!(self, m => m.went(true, |c| c.seek(user_key, trailer)), l => l.seek(user_key, trailer))
    }

    pub(crate) fn seek_before(&mut self, user_key: &[u8], trailer: Trailer) -> Result<()> {
        either!(
            self,
            m => m.went(false, |c| c.seek_before(user_key, trailer)),
            l => l.seek_before(user_key, trailer)
        )
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Result<()> {
        either!(self, m => m.next(), l => l.next())
    }

    #[inline]
    pub(crate) fn prev(&mut self) -> Result<()> {
        either!(self, m => m.prev(), l => l.prev())
    }
}

impl MemtableSource {
    /// Moves the cursor; if it is nowhere then, it fell off the end that it moved towards. Never fails.
    #[inline]
    fn went(&mut self, up: bool, how: impl FnOnce(&mut MemtableCursor) -> bool) -> Result<()> {
        self.after_last = !how(&mut self.cursor) && up;
        Ok(())
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        if self.cursor.valid() {
            self.went(true, MemtableCursor::next)
        } else if !self.after_last {
            self.went(true, MemtableCursor::first)
        } else {
            Ok(())
        }
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        if self.cursor.valid() {
            self.went(false, MemtableCursor::prev)
        } else if self.after_last {
            self.went(false, MemtableCursor::last)
        } else {
            Ok(())
        }
    }
}
