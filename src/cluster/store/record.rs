//! [`HeadRecord`]: what a store knows of one key, as bytes. How they lie is drawn in `RECORD.md`.
//!
//! Decoding takes any bytes: it never panics, and allocates no more than a few times their length.

use super::reader::{Reader, put_varint};
use crate::causality::{Actor, Body, Content, Dot, Sibling, SiblingSet, VectorClock};
use esker::Slice;
use std::borrow::Cow;
use std::fmt;
use xxhash_rust::xxh3::xxh3_64;

pub(super) const VERSION: u8 = 1;
pub(super) const TOMBSTONE: u8 = 1;
pub(super) const EXPIRES: u8 = 2;
pub(super) const APART: u8 = 4;

/// A dot of a state that was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplacedDot {
    pub(super) dot: Dot,
    pub(super) tombstone: bool,
    pub(super) expires_at: Option<u64>,
}

impl From<&Sibling> for ReplacedDot {
    fn from(sibling: &Sibling) -> ReplacedDot {
        let (tombstone, expires_at) = (sibling.is_tombstone(), sibling.expires_at);
        ReplacedDot { dot: sibling.dot, tombstone, expires_at }
    }
}

/// What is known of a key, and the dots of what that replaced on this store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HeadRecord {
    pub(super) set: SiblingSet,
    pub(super) prev: Vec<ReplacedDot>,
}

/// Bytes that are no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RecordError {
    /// A version that is not known.
    Version(u8),
    /// What is wrong, and where.
    Malformed(&'static str, usize),
    /// A value's bytes are not those that were written.
    WrongHash(Dot),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Version(version) => {
                write!(f, "its version is {version}; a newer Esker can read it, or it is damaged")
            }
            RecordError::Malformed(what, at) => write!(f, "it is damaged: {what}, before byte {at}"),
            RecordError::WrongHash(dot) => {
                write!(f, "it is damaged: the value of {dot:?} is not what was written")
            }
        }
    }
}

impl std::error::Error for RecordError {}

/// Appends the bytes of a record. `apart` says of which values the bytes are not to be in it; those of all others must be
/// in the set.
pub(super) fn encode(
    out: &mut Vec<u8>,
    set: &SiblingSet,
    prev: &[ReplacedDot],
    apart: impl Fn(&Sibling) -> bool,
) {
    let clock = set.clock().entries();
    // The clock's actors are those of the siblings too. Only prev may name others, which a truncated clock has forgotten.
    let mut actors: Cow<'_, [Dot]> = Cow::Borrowed(clock);
    for replaced in prev {
        if let Err(at) = actors.binary_search_by_key(&replaced.dot.actor, |dot| dot.actor) {
            actors.to_mut().insert(at, replaced.dot);
        }
    }
    let index =
        |actor: Actor| actors.binary_search_by_key(&actor, |dot| dot.actor).unwrap_or_default() as u64;
    out.push(VERSION);
    put_varint(out, actors.len() as u64);
    actors.iter().for_each(|dot| out.extend_from_slice(&dot.actor.0.to_le_bytes()));
    let put_dot = |out: &mut Vec<u8>, dot: Dot| {
        put_varint(out, index(dot.actor));
        out.extend_from_slice(&dot.counter.to_le_bytes());
    };
    put_varint(out, clock.len() as u64);
    clock.iter().for_each(|&dot| put_dot(out, dot));
    put_varint(out, set.siblings().len() as u64);
    for sibling in set.siblings() {
        let flags = flags(sibling.is_tombstone(), sibling.expires_at);
        let Content::Value { hash, len, body } = &sibling.content else {
            out.push(flags);
            put_dot(out, sibling.dot);
            continue;
        };
        let here = match body {
            Body::Here(bytes) if !apart(sibling) => Some(bytes),
            _ => None,
        };
        out.push(if here.is_some() { flags } else { flags | APART });
        put_dot(out, sibling.dot);
        sibling.expires_at.iter().for_each(|&at| put_varint(out, at));
        out.extend_from_slice(&hash.to_le_bytes());
        put_varint(out, u64::from(*len));
        here.into_iter().for_each(|bytes| out.extend_from_slice(bytes));
    }
    put_varint(out, prev.len() as u64);
    for replaced in prev {
        out.push(flags(replaced.tombstone, replaced.expires_at));
        put_dot(out, replaced.dot);
        replaced.expires_at.iter().for_each(|&at| put_varint(out, at));
    }
}

fn flags(tombstone: bool, expires_at: Option<u64>) -> u8 {
    match (tombstone, expires_at) {
        (true, _) => TOMBSTONE,
        (false, Some(_)) => EXPIRES,
        (false, None) => 0,
    }
}

/// Whether these are the bytes of a record that a newer version wrote.
pub(super) fn is_newer(bytes: &Slice) -> bool {
    bytes.first().is_some_and(|version| *version > VERSION)
}

impl HeadRecord {
    /// Reads a record. Values share the bytes' owner.
    pub(super) fn decode(bytes: &Slice) -> Result<HeadRecord, RecordError> {
        Decoder { bytes, reader: Reader::new(bytes), actors: Vec::new(), used: 0 }.record()
    }
}

struct Decoder<'a> {
    bytes: &'a Slice,
    reader: Reader<'a>,
    actors: Vec<Actor>,
    /// Actors named so far by clock or prev.
    used: usize,
}

impl Decoder<'_> {
    fn malformed(&self, what: &'static str) -> RecordError {
        RecordError::Malformed(what, self.reader.offset())
    }

    fn or<T>(&self, found: Option<T>, what: &'static str) -> Result<T, RecordError> {
        found.ok_or_else(|| self.malformed(what))
    }

    fn record(mut self) -> Result<HeadRecord, RecordError> {
        match self.reader.u8() {
            Some(VERSION) => {}
            Some(other) => return Err(RecordError::Version(other)),
            None => return Err(self.malformed("it is empty")),
        }
        self.read_actors()?;
        let clock = self.clock()?;
        let siblings = self.siblings(&clock)?;
        let prev = self.prev(&clock)?;
        if self.used != self.actors.len() {
            return Err(self.malformed("an actor is not used"));
        }
        if self.reader.left() != 0 {
            return Err(self.malformed("something follows it"));
        }
        Ok(HeadRecord { set: SiblingSet::from_parts(clock, siblings), prev })
    }

    fn read_actors(&mut self) -> Result<(), RecordError> {
        let count = self.reader.count(8);
        let count = self.or(count, "there are not so many actors")?;
        let mut actors = Vec::with_capacity(count);
        for _ in 0..count {
            let actor = self.reader.u64();
            actors.push(Actor(self.or(actor, "an actor is cut off")?));
        }
        if !actors.is_sorted_by(|a, b| a < b) {
            return Err(self.malformed("actors are out of order"));
        }
        self.actors = actors;
        Ok(())
    }

    fn dot(&mut self) -> Result<Dot, RecordError> {
        let index = self.reader.varint().and_then(|index| usize::try_from(index).ok());
        let actor = index.and_then(|index| self.actors.get(index)).copied();
        let actor = self.or(actor, "a dot names no actor")?;
        let counter = self.reader.u64().filter(|&counter| counter != 0);
        Ok(Dot { actor, counter: self.or(counter, "a dot has no counter")? })
    }

    fn clock(&mut self) -> Result<VectorClock, RecordError> {
        let count = self.reader.count(9);
        let count = self.or(count, "the clock has not so many entries")?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push(self.dot()?);
        }
        if !entries.is_sorted_by(|a, b| a.actor < b.actor) {
            return Err(self.malformed("the clock is out of order"));
        }
        self.used = entries.len();
        Ok(entries.into_iter().collect())
    }

    fn siblings(&mut self, clock: &VectorClock) -> Result<Vec<Sibling>, RecordError> {
        let count = self.reader.count(10);
        let count = self.or(count, "there are not so many siblings")?;
        let mut siblings: Vec<Sibling> = Vec::with_capacity(count);
        for _ in 0..count {
            let sibling = self.sibling()?;
            if siblings.last().is_some_and(|before| before.dot >= sibling.dot) {
                return Err(self.malformed("siblings are out of order"));
            }
            if !clock.covers(sibling.dot) {
                return Err(self.malformed("the clock does not cover a sibling"));
            }
            siblings.push(sibling);
        }
        Ok(siblings)
    }

    fn sibling(&mut self) -> Result<Sibling, RecordError> {
        let flags = self.reader.u8();
        let flags = self.or(flags, "a sibling is cut off")?;
        let dot = self.dot()?;
        if flags == TOMBSTONE {
            return Ok(Sibling::tombstone(dot));
        }
        if flags & !(EXPIRES | APART) != 0 {
            return Err(self.malformed("a flag is not known"));
        }
        let expires_at = self.expires_at(flags)?;
        let hash = self.reader.u64();
        let hash = self.or(hash, "a hash is cut off")?;
        let len = self.reader.varint().and_then(|len| u32::try_from(len).ok());
        let len = self.or(len, "a length is no length")?;
        let body = if flags & APART != 0 { Body::Elsewhere } else { Body::Here(self.value(dot, hash, len)?) };
        Ok(Sibling { dot, content: Content::Value { hash, len, body }, expires_at })
    }

    fn value(&mut self, dot: Dot, hash: u64, len: u32) -> Result<Slice, RecordError> {
        let start = self.reader.offset();
        let taken = self.reader.take(len as usize);
        let taken = self.or(taken, "a value is cut off")?;
        if xxh3_64(taken) != hash {
            return Err(RecordError::WrongHash(dot));
        }
        Ok(self.bytes.slice(start..start + taken.len()))
    }

    fn expires_at(&mut self, flags: u8) -> Result<Option<u64>, RecordError> {
        if flags & EXPIRES == 0 {
            return Ok(None);
        }
        let at = self.reader.varint();
        self.or(at, "an expiry is cut off").map(Some)
    }

    fn prev(&mut self, clock: &VectorClock) -> Result<Vec<ReplacedDot>, RecordError> {
        let count = self.reader.count(10);
        let count = self.or(count, "prev has not so many dots")?;
        let mut prev: Vec<ReplacedDot> = Vec::with_capacity(count);
        for _ in 0..count {
            let flags = self.reader.u8();
            let flags = self.or(flags, "prev is cut off")?;
            let dot = self.dot()?;
            if flags > EXPIRES {
                return Err(self.malformed("a flag of prev is not known"));
            }
            let last = prev.last().map(|last| last.dot);
            if last.is_some_and(|last| last >= dot) {
                return Err(self.malformed("prev is out of order"));
            }
            if clock.counter(dot.actor) == 0 && last.is_none_or(|last| last.actor != dot.actor) {
                self.used += 1;
            }
            let expires_at = self.expires_at(flags)?;
            prev.push(ReplacedDot { dot, tombstone: flags == TOMBSTONE, expires_at });
        }
        Ok(prev)
    }
}
