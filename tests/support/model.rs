//! What a store must answer: a map for each keyspace, and where a cursor must stand.
//!
//! A store takes liberties with some keyspaces: it removes, changes or drops entries when it compacts. Then what it holds is
//! looked at whole, must be what it may have become, and is what it must answer from then on: see [`became`].

use crate::held::{Held, Liberties};
use crate::op::{KEYSPACES, Move, Span, Write};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Bound;
use std::rc::Rc;

/// The entries of one keyspace.
pub type Map = BTreeMap<Rc<[u8]>, Held>;

/// One keyspace. Clones share the map until one changes.
#[derive(Clone, Debug)]
pub struct Tree {
    /// No other keyspace of the case, dropped ones included, has it.
    pub id: u32,
    /// Whether it has a fold.
    pub fold: bool,
    /// Its entries.
    pub map: Rc<Map>,
}

/// A whole store at one moment. A snapshot is a clone.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// By number; `None` where there is no keyspace.
    pub trees: [Option<Tree>; KEYSPACES],
    /// The clock: the seconds that it has gone on.
    pub now: u64,
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
                let (held, before) = (Held::new(*value, self.now), map.get(key.0.as_slice()));
                let held = match before.filter(|_| tree.fold) {
                    Some(before) => held.upon(before),
                    None => held,
                };
                map.insert(key.0.as_slice().into(), held);
            }
            Write::Delete(_, key) => {
                map.remove(key.0.as_slice());
            }
            Write::DeleteRange(_, span) => map.retain(|key, _| !span.contains(key)),
        }
    }
}

/// The entries of a range.
pub fn entries_of(map: &Map, span: &Span) -> VecDeque<(Rc<[u8]>, Held)> {
    map.iter().filter(|(key, _)| span.contains(key)).map(|(key, held)| (key.clone(), held.clone())).collect()
}

/// Numbers of values that a store was seen to have removed or replaced. They do not come back.
pub type Gone = HashSet<u32>;

/// What a keyspace's entries have become, if a scan gives this content.
///
/// # Errors
/// Where the content is nothing that the entries may have become.
pub fn became(
    map: &Map,
    content: &[(Vec<u8>, Vec<u8>)],
    liberties: Liberties,
    gone: &Gone,
    now: u64,
) -> Result<Map, String> {
    let mut map_now = Map::new();
    let mut content = content.iter().peekable();
    for (key, held) in map {
        let found = content.next_if(|(k, _)| k[..] == key[..]);
        if found.is_none() && held.may_go(key, liberties, now) {
            continue;
        }
        let held_now = found.and_then(|(_, value)| held.reads_as(key, value, liberties));
        let is_back =
            held_now.as_ref().is_some_and(|held| held.is_untouched() && gone.contains(&held.value.number));
        match held_now {
            Some(held) if !is_back => map_now.insert(key.clone(), held),
            _ => {
                let got = found.or_else(|| content.peek().copied()).map(|(k, v)| (short(k), short(v)));
                return Err(format!("there is {got:?} where ({}, {held:?}) belongs", short(key)));
            }
        };
    }
    match content.next() {
        Some((key, value)) => Err(format!("there also is {} = {}", short(key), short(value))),
        None => Ok(map_now),
    }
}

/// Bytes for a finding: not all of a long key.
pub fn short(bytes: &[u8]) -> String {
    match bytes.len() {
        0..=40 => format!("\"{}\"", bytes.escape_ascii()),
        len => format!("\"{}…\"*{len}", bytes[..16].escape_ascii()),
    }
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
