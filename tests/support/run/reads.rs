//! Reads of every kind.

use super::{Check, HeldCursor, HeldRange, MAX_HELD, World, ok, short};
use crate::held::Held;
use crate::model::{Map, Place, entries_of};
use crate::op::{At, Key, Move, Span};
use esker::{Cursor, Keyspace, ReadOptions, Slice, Snapshot};
use std::collections::VecDeque;
use std::rc::Rc;

/// What a read is done with.
pub(super) struct Target<'w> {
    handle: &'w Keyspace,
    options: ReadOptions,
    snapshot: Option<&'w Snapshot>,
    map: Rc<Map>,
}

impl World {
    /// `None` if there is no such keyspace.
    fn target(&self, at: At) -> Option<Target<'_>> {
        let handle = self.handle(at.keyspace)?;
        let tree = self.state.trees[at.keyspace].as_ref()?;
        let mut options = ReadOptions::new().verify(at.verify).fill_cache(at.fill_cache);
        let (mut map, mut used) = (tree.map.clone(), None);
        if let Some(which) = at.snapshot
            && !self.snapshots.is_empty()
        {
            let (snapshot, state) = &self.snapshots[which % self.snapshots.len()];
            options = options.snapshot(snapshot);
            map = state.map_of(at.keyspace, tree.id);
            used = Some(snapshot);
        }
        Some(Target { handle, options, snapshot: used, map })
    }

    pub(super) fn get(&self, at: At, key: &Key) -> Check {
        let Some(target) = self.target(at) else { return Ok(()) };
        let expected = target.map.get(key.0.as_slice());
        same(key, ok("get", target.handle.get_with(key, &target.options))?, expected)?;
        match target.snapshot {
            Some(snapshot) => same(key, ok("get", snapshot.get_in(target.handle, key))?, expected),
            None => same(key, ok("get", target.handle.get(key))?, expected),
        }
    }

    pub(super) fn multi_get(&self, at: At, keys: &[Key]) -> Check {
        let Some(target) = self.target(at) else { return Ok(()) };
        let got = target.handle.multi_get_with(keys, &target.options);
        if got.len() != keys.len() {
            return Err(format!("multi_get gave {} answers to {} keys", got.len(), keys.len()));
        }
        for (key, got) in keys.iter().zip(got) {
            same(key, ok("multi_get", got)?, target.map.get(key.0.as_slice()))?;
        }
        Ok(())
    }

    pub(super) fn ends(&self, at: At, key: &Key) -> Check {
        let Some(target) = self.target(At { snapshot: None, ..at }) else { return Ok(()) };
        let contains = ok("contains_key", target.handle.contains_key(key))?;
        if contains != target.map.contains_key(key.0.as_slice()) {
            return Err(format!("contains_key({key:?}) says {contains}"));
        }
        let first = target.map.iter().next().map(|(k, v)| (k.clone(), v.clone()));
        let last = target.map.iter().next_back().map(|(k, v)| (k.clone(), v.clone()));
        same_entry("first", ok("first", target.handle.first())?, first)?;
        same_entry("last", ok("last", target.handle.last())?, last)
    }

    pub(super) fn range(&self, at: At, span: &Span, ends: u64, limit: usize) -> Check {
        let Some(target) = self.target(at) else { return Ok(()) };
        let mut left = entries_of(&target.map, span);
        let range = match target.snapshot {
            Some(snapshot) if limit.is_multiple_of(2) => snapshot.range_in(target.handle, span.bounds()),
            _ => target.handle.range_with(span.bounds(), &target.options),
        };
        draw(range, &mut left, ends, limit).map(drop).map_err(|what| format!("range {span:?}: {what}"))
    }

    pub(super) fn prefix(&self, at: At, prefix: &Key, ends: u64) -> Check {
        let Some(target) = self.target(at) else { return Ok(()) };
        let of_prefix = target.map.iter().filter(|(key, _)| key.starts_with(&prefix.0));
        let mut left: VecDeque<_> = of_prefix.map(|(k, v)| (k.clone(), v.clone())).collect();
        let range = target.handle.prefix_with(prefix, &target.options);
        draw(range, &mut left, ends, usize::MAX)
            .map(drop)
            .map_err(|what| format!("prefix {prefix:?}: {what}"))
    }

    pub(super) fn walk(&self, at: At, moves: &[Move]) -> Check {
        let Some(target) = self.target(at) else { return Ok(()) };
        let mut cursor = match target.snapshot {
            Some(snapshot) if moves.len().is_multiple_of(2) => {
                ok("cursor", snapshot.cursor_in(target.handle))?
            }
            _ => ok("cursor", target.handle.cursor_with(&target.options))?,
        };
        walk(&mut cursor, &target.map, &mut Place::New, moves)
    }

    pub(super) fn hold_cursor(&mut self, at: At) -> Check {
        let Some(target) = self.target(at) else { return Ok(()) };
        let cursor = ok("cursor", target.handle.cursor_with(&target.options))?;
        let held = HeldCursor { cursor, map: target.map, place: Place::New };
        self.cursors.insert(0, held);
        self.cursors.truncate(MAX_HELD);
        Ok(())
    }

    pub(super) fn move_held(&mut self, which: usize, moves: &[Move]) -> Check {
        let count = self.cursors.len();
        if count == 0 {
            return Ok(());
        }
        let held = &mut self.cursors[which % count];
        walk(&mut held.cursor, &held.map, &mut held.place, moves)
            .map_err(|what| format!("held cursor: {what}"))
    }

    pub(super) fn hold_range(&mut self, at: At, span: &Span) -> Check {
        let Some(target) = self.target(at) else { return Ok(()) };
        let left = entries_of(&target.map, span);
        let range = target.handle.range_with(span.bounds(), &target.options);
        self.ranges.insert(0, HeldRange { range, left });
        self.ranges.truncate(MAX_HELD);
        Ok(())
    }

    pub(super) fn draw_held(&mut self, which: usize, ends: u64, limit: usize) -> Check {
        let count = self.ranges.len();
        if count == 0 {
            return Ok(());
        }
        let mut held = self.ranges.remove(which % count);
        held.range =
            draw(held.range, &mut held.left, ends, limit).map_err(|what| format!("held range: {what}"))?;
        self.ranges.push(held);
        Ok(())
    }

    pub(super) fn snapshot(&mut self) -> Check {
        if self.snapshots.len() < MAX_HELD {
            let snapshot = self.db()?.snapshot();
            self.snapshots.push((snapshot, self.state.clone()));
        }
        Ok(())
    }
}

/// Holds one value against the model.
fn same(key: &Key, got: Option<Slice>, expected: Option<&Held>) -> Check {
    let wanted = expected.map(|value| value.bytes());
    if got.as_deref() == wanted.as_deref() {
        return Ok(());
    }
    Err(format!("the value of {key:?} is {:?}, not {expected:?}", got.map(|v| short(&v))))
}

fn same_entry(what: &str, got: Option<(Slice, Slice)>, expected: Option<(Rc<[u8]>, Held)>) -> Check {
    let matches = match (&got, &expected) {
        (None, None) => true,
        (Some((key, value)), Some((k, v))) => key[..] == k[..] && value[..] == v.bytes()[..],
        _ => false,
    };
    if matches {
        return Ok(());
    }
    let got = got.map(|(k, v)| (short(&k), short(&v)));
    Err(format!("{what} is {got:?}, not {:?}", expected.map(|(k, v)| (short(&k), v))))
}

/// Takes entries from both ends and returns the range for more.
fn draw(
    mut range: esker::Range,
    left: &mut VecDeque<(Rc<[u8]>, Held)>,
    ends: u64,
    limit: usize,
) -> Check<esker::Range> {
    for i in 0..limit {
        let back = ends >> (i % 64) & 1 == 1;
        let (got, expected) =
            if back { (range.next_back(), left.pop_back()) } else { (range.next(), left.pop_front()) };
        let over = expected.is_none();
        same_entry(
            if back { "the last entry" } else { "the first entry" },
            ok("range", got.transpose())?,
            expected,
        )?;
        if over {
            // It stays over, at both ends.
            same_entry("after the end, next", ok("range", range.next().transpose())?, None)?;
            same_entry("after the end, next_back", ok("range", range.next_back().transpose())?, None)?;
            break;
        }
    }
    Ok(range)
}

fn walk(cursor: &mut Cursor, map: &Map, place: &mut Place, moves: &[Move]) -> Check {
    for (number, step) in moves.iter().enumerate() {
        let from = place.clone();
        *place = from.after(step, map);
        let moved = match step {
            Move::First => cursor.seek_first(),
            Move::Last => cursor.seek_last(),
            Move::Seek(key) => cursor.seek(key),
            Move::SeekForPrev(key) => cursor.seek_for_prev(key),
            Move::Next => cursor.next(),
            Move::Prev => cursor.prev(),
        };
        let valid = ok("cursor", moved)?;
        let stands = || {
            let (key, value) = (short(cursor.key()), short(cursor.value()));
            format!("move {number} ({step:?}) from {from:?} leads to {valid} {key} {value}, not to {place:?}")
        };
        let right = match &*place {
            Place::On(key) => {
                let value = map[key].bytes();
                let slice = cursor.value_slice();
                valid && *cursor.key() == key[..] && *cursor.value() == value[..] && slice[..] == value[..]
            }
            _ => !valid && cursor.key().is_empty() && cursor.value().is_empty(),
        };
        if !right || valid != cursor.valid() {
            return Err(stands());
        }
    }
    Ok(())
}
