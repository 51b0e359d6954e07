//! [`MemtableCursor`]: ordered iteration over a memtable, both ways.
//!
//! The cursor owns a reference to its memtable and stands on a node or nowhere. Entries that are inserted while it
//! moves may or may not be met; those that were there before are. It shows every version of every key: which of them
//! a reader may see is decided above.

use super::Memtable;
use super::arena::Node;
use esker_table::{Slice, Trailer};
use std::sync::Arc;

/// See the head of this file. Range deletions are not met here, see [`Memtable::fragments`].
pub(crate) struct MemtableCursor {
    memtable: Arc<Memtable>,
    node: Option<Node>,
}

impl MemtableCursor {
    pub(super) fn new(memtable: Arc<Memtable>) -> MemtableCursor {
        MemtableCursor { memtable, node: None }
    }

    #[inline]
    fn stand_on(&mut self, node: Option<Node>) -> bool {
        self.node = node;
        node.is_some()
    }

    /// Moves to the first entry at or after `(user_key, trailer)`; whether there is one, here and below.
    #[inline]
    pub(crate) fn seek(&mut self, user_key: &[u8], trailer: Trailer) -> bool {
        let node = self.memtable.list.seek(user_key, trailer);
        self.stand_on(node)
    }

    /// Moves to the last entry before `(user_key, trailer)`.
    #[inline]
    pub(crate) fn seek_before(&mut self, user_key: &[u8], trailer: Trailer) -> bool {
        let node = self.memtable.list.seek_before(user_key, trailer);
        self.stand_on(node)
    }

    /// Moves to the first entry.
    pub(crate) fn first(&mut self) -> bool {
        let node = self.memtable.list.first();
        self.stand_on(node)
    }

    /// Moves to the last entry.
    pub(crate) fn last(&mut self) -> bool {
        let node = self.memtable.list.last();
        self.stand_on(node)
    }

    /// Moves to the next entry. A cursor that stands nowhere stays there, here and in [`prev`](Self::prev).
    #[inline]
    pub(crate) fn next(&mut self) -> bool {
        let node = self.node.and_then(|node| self.memtable.list.next(node));
        self.stand_on(node)
    }

    /// Moves to the previous entry: a search, since links lead forwards only.
    pub(crate) fn prev(&mut self) -> bool {
        let node = self.node.and_then(|node| {
            let arena = &self.memtable.arena;
            self.memtable.list.seek_before(arena.key(node), arena.trailer(node))
        });
        self.stand_on(node)
    }

    /// Whether the cursor stands on an entry.
    #[inline]
    pub(crate) fn valid(&self) -> bool {
        self.node.is_some()
    }

    /// The user key of the entry; empty if there is none.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.node.map_or(&[], |node| self.memtable.arena.key(node))
    }

    /// The trailer of the entry; [`Trailer::LAST`] if there is none.
    #[inline]
    pub(crate) fn trailer(&self) -> Trailer {
        self.node.map_or(Trailer::LAST, |node| self.memtable.arena.trailer(node))
    }

    /// The value of the entry; empty if there is none.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        self.node.map_or(&[], |node| self.memtable.arena.value(node))
    }

    /// The value of the entry, sharing the memtable's memory.
    #[inline]
    pub(crate) fn value_slice(&self) -> Slice {
        self.node.map_or_else(Slice::new, |node| self.memtable.arena.value_slice(node))
    }

    /// The user key of the entry, sharing the memtable's memory.
    #[inline]
    pub(crate) fn key_slice(&self) -> Slice {
        self.node.map_or_else(Slice::new, |node| self.memtable.arena.key_slice(node))
    }
}
