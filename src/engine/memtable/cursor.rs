//! [`MemtableCursor`]: ordered iteration over a memtable, both ways.
//!
//! The cursor owns a reference to its memtable and stands on an entry or nowhere. It remembers the leaf as it was when
//! it came there, and searches only to leave it. A step into another leaf has what lies ahead there come from memory all at once; a
//! seek does not, since often no more is read than where it leads. Entries that are inserted while it
//! moves may or may not be met; those that were there before are. It shows every version of every key: which of them
//! a reader may see is decided above.

use super::Memtable;
use super::arena::Node;
use super::tree::Place;
use esker_table::{Slice, Trailer};
use std::sync::Arc;

/// See the head of this file. Range deletions are not met here, see [`Memtable::cuts`].
pub(crate) struct MemtableCursor {
    memtable: Arc<Memtable>,
    /// The entry that it stands on, and the place before that.
    at: Option<(Node, Place)>,
}

impl MemtableCursor {
    pub(super) fn new(memtable: Arc<Memtable>) -> MemtableCursor {
        MemtableCursor { memtable, at: None }
    }

    /// Stands on the entry after `place`.
    #[inline]
    fn stand_before(&mut self, place: Place) -> bool {
        self.at = self.memtable.tree.after(place).map(|node| (node, place));
        self.at.is_some()
    }

    /// Stands on the entry before `place`.
    #[inline]
    fn stand_after(&mut self, place: Place) -> bool {
        match self.memtable.tree.back(place) {
            Some(place) => self.stand_before(place),
            None => {
                self.at = None;
                false
            }
        }
    }

    /// Moves to the first entry at or after `(user_key, trailer)`; whether there is one, here and below.
    #[inline]
    pub(crate) fn seek(&mut self, user_key: &[u8], trailer: Trailer) -> bool {
        let place = self.memtable.tree.place(user_key, trailer);
        self.stand_before(place)
    }

    /// Moves to the last entry before `(user_key, trailer)`.
    #[inline]
    pub(crate) fn seek_before(&mut self, user_key: &[u8], trailer: Trailer) -> bool {
        let place = self.memtable.tree.place(user_key, trailer);
        self.stand_after(place)
    }

    /// Moves to the first entry.
    pub(crate) fn first(&mut self) -> bool {
        self.seek(b"", Trailer::FIRST)
    }

    /// Moves to the last entry.
    pub(crate) fn last(&mut self) -> bool {
        let place = self.memtable.tree.end();
        self.stand_after(place)
    }

    /// Moves to the next entry. A cursor that stands nowhere stays there, here and in [`prev`](Self::prev).
    #[inline]
    pub(crate) fn next(&mut self) -> bool {
        let Some((node, place)) = self.at else { return false };
        let tree = &self.memtable.tree;
        let place = tree.further(place).unwrap_or_else(|| {
            let place = tree.place_after(node);
            tree.prefetch_after(place);
            place
        });
        self.stand_before(place)
    }

    /// Moves to the previous entry.
    #[inline]
    pub(crate) fn prev(&mut self) -> bool {
        let Some((node, place)) = self.at else { return false };
        let (arena, tree) = (&self.memtable.arena, &self.memtable.tree);
        match tree.back(place) {
            Some(place) => self.stand_before(place),
            None => {
                let place = tree.place(arena.key(node), arena.trailer(node));
                tree.prefetch_before(place);
                self.stand_after(place)
            }
        }
    }

    /// Whether the cursor stands on an entry.
    #[inline]
    pub(crate) fn valid(&self) -> bool {
        self.at.is_some()
    }

    /// The user key of the entry; empty if there is none.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.at.map_or(&[], |(node, _)| self.memtable.arena.key(node))
    }

    /// The trailer of the entry; [`Trailer::LAST`] if there is none.
    #[inline]
    pub(crate) fn trailer(&self) -> Trailer {
        self.at.map_or(Trailer::LAST, |(node, _)| self.memtable.arena.trailer(node))
    }

    /// The value of the entry; empty if there is none.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        self.at.map_or(&[], |(node, _)| self.memtable.arena.value(node))
    }

    /// The value of the entry, sharing the memtable's memory.
    #[inline]
    pub(crate) fn value_slice(&self) -> Slice {
        self.at.map_or_else(Slice::new, |(node, _)| self.memtable.arena.value_slice(node))
    }

    /// The user key of the entry, sharing the memtable's memory.
    #[inline]
    pub(crate) fn key_slice(&self) -> Slice {
        self.at.map_or_else(Slice::new, |(node, _)| self.memtable.arena.key_slice(node))
    }
}
