//! What a store must answer: a map for each keyspace, and where a cursor must stand.

use crate::op::{KEYSPACES, Move, Span, Value, Write};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::rc::Rc;

/// The entries of one keyspace.
pub type Map = BTreeMap<Rc<[u8]>, Value>;

/// One keyspace. Clones share the map until one changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// No other keyspace of the case, dropped ones included, has it.
    pub id: u32,
    /// Its entries.
    pub map: Rc<Map>,
}

/// A whole store at one moment. A snapshot is a clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// By number; `None` where there is no keyspace.
    pub trees: [Option<Tree>; KEYSPACES],
}

impl State {
    /// What this state holds of the keyspace that has this id now: nothing if it was not there then.
    pub fn map_of(&self, keyspace: usize, id: u32) -> Rc<Map> {
        match &self.trees[keyspace] {
            Some(tree) if tree.id == id => tree.map.clone(),
            _ => Rc::default(),
        }
    }

    /// Does one write.
    pub fn apply(&mut self, write: &Write) {
        let Some(tree) = &mut self.trees[write.keyspace()] else { return };
        let map = Rc::make_mut(&mut tree.map);
        match write {
            Write::Put(_, key, value) => {
                map.insert(key.0.as_slice().into(), *value);
            }
            Write::Delete(_, key) => {
                map.remove(key.0.as_slice());
            }
            Write::DeleteRange(_, span) => map.retain(|key, _| !span.contains(key)),
        }
    }
}

/// The entries of a range.
pub fn entries_of(map: &Map, span: &Span) -> VecDeque<(Rc<[u8]>, Value)> {
    map.iter().filter(|(key, _)| span.contains(key)).map(|(key, value)| (key.clone(), *value)).collect()
}

/// Where a cursor stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere yet: `next` goes to the first key, `prev` to the last.
    New,
    /// Before the first key.
    Before,
    /// On a key.
    On(Rc<[u8]>),
    /// After the last key.
    After,
}

impl Place {
    /// Where it stands after a move.
    pub fn after(&self, step: &Move, map: &Map) -> Place {
        let first = || map.keys().next();
        let last = || map.keys().next_back();
        let forward = |key: Option<&Rc<[u8]>>| key.map_or(Place::After, |key| Place::On(key.clone()));
        let backward = |key: Option<&Rc<[u8]>>| key.map_or(Place::Before, |key| Place::On(key.clone()));
        let above =
            |bound: Bound<&[u8]>| map.range::<[u8], _>((bound, Bound::Unbounded)).next().map(|(k, _)| k);
        let below =
            |bound: Bound<&[u8]>| map.range::<[u8], _>((Bound::Unbounded, bound)).next_back().map(|(k, _)| k);
        match (step, self) {
            (Move::First, _) => forward(first()),
            (Move::Last, _) => backward(last()),
            (Move::Seek(key), _) => forward(above(Bound::Included(&key.0))),
            (Move::SeekForPrev(key), _) => backward(below(Bound::Included(&key.0))),
            (Move::Next, Place::New | Place::Before) => forward(first()),
            (Move::Next, Place::On(key)) => forward(above(Bound::Excluded(key))),
            (Move::Next, Place::After) => Place::After,
            (Move::Prev, Place::New | Place::After) => backward(last()),
            (Move::Prev, Place::On(key)) => backward(below(Bound::Excluded(key))),
            (Move::Prev, Place::Before) => Place::Before,
        }
    }
}
