//! The bytes of a [`Gossip`].
//!
//! ```text
//! gossip      version u8 = 1 │ kind u8: 0 push, 1 answer │ cluster u128 │ count ─ entry … │ count ─ suspicion … │ count ─ mark …
//!             the first entry is the sender
//! entry       id u64 │ generation v │ heartbeat v │ silent v, in ms │ incarnation u64
//!             peer text │ RESP text │ HTTP text │ zone text │ data centre text │ weight v
//!             flags u8: 1 ready, 2 writable, 4 sealed │ ring epoch v │ ring digest u64 │ hints v │ wall v, in ms
//! suspicion   suspect u64 │ generation v │ heartbeat v │ count ─ observer u64 …
//! mark        member u64 │ number v
//! text        length v │ UTF-8
//! ```
//!
//! Fixed numbers are little-endian; `v` and each count are LEB128 numbers of at most ten bytes. Nothing follows the last
//! mark. What a reader allocates is a small multiple of the bytes before it, and at most [`MEMBERS_MAX`] of anything.

use super::config::{MEMBERS_MAX, TEXT_MAX};
use super::gossip::{Entry, Gossip, OBSERVERS_MAX, Suspicion};
use super::info::{MemberInfo, Status};
use crate::NodeId;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const VERSION: u8 = 1;
const READY: u8 = 1;
const WRITABLE: u8 = 2;
const SEALED: u8 = 4;

/// The fewest bytes of an entry: three fixed numbers, a byte for each of five texts and seven varints, and the flags.
const ENTRY_MIN: usize = 3 * 8 + 5 + 7 + 1;
/// The fewest bytes of a suspicion: the suspect, two varints and a count.
const SUSPICION_MIN: usize = 8 + 2 + 1;
/// The fewest bytes of a mark: the member and a varint.
const MARK_MIN: usize = 8 + 1;

/// Why bytes are no gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MalformedGossip {
    /// They say that they are of a version that this node does not know.
    UnknownVersion(u8),
    /// They break the layout.
    Broken {
        /// Where, in bytes from the beginning.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

impl fmt::Display for MalformedGossip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MalformedGossip::UnknownVersion(version) => write!(
                f,
                "a gossip of version {version}, and this node knows {VERSION}: run the same release on all nodes"
            ),
            MalformedGossip::Broken { at, what } => write!(f, "not a gossip: {what} at byte {at}"),
        }
    }
}

impl std::error::Error for MalformedGossip {}

/// Appends the bytes of `gossip` to `out`. Members, suspicions and marks beyond [`MEMBERS_MAX`] are left out; a [`super::Membership`]
/// makes none.
pub fn encode(gossip: &Gossip, out: &mut Vec<u8>) {
    out.push(VERSION);
    out.push(u8::from(gossip.answer));
    out.extend_from_slice(&gossip.cluster.to_le_bytes());
    let others = &gossip.members[..gossip.members.len().min(MEMBERS_MAX - 1)];
    put_varint(out, 1 + others.len() as u64);
    put_entry(out, &gossip.from);
    for entry in others {
        put_entry(out, entry);
    }
    let suspicions = &gossip.suspicions[..gossip.suspicions.len().min(MEMBERS_MAX)];
    put_varint(out, suspicions.len() as u64);
    for suspicion in suspicions {
        put_suspicion(out, suspicion);
    }
    let marks = &gossip.marks[..gossip.marks.len().min(MEMBERS_MAX)];
    put_varint(out, marks.len() as u64);
    for (member, number) in marks {
        out.extend_from_slice(&member.0.to_le_bytes());
        put_varint(out, *number);
    }
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    let info = &*entry.info;
    out.extend_from_slice(&info.id.0.to_le_bytes());
    put_varint(out, info.generation);
    put_varint(out, entry.heartbeat);
    put_varint(out, u64::try_from(entry.silent.as_millis()).unwrap_or(u64::MAX));
    out.extend_from_slice(&info.incarnation.to_le_bytes());
    for text in [&info.peer, &info.resp, &info.http, &info.zone, &info.dc] {
        put_text(out, text);
    }
    put_varint(out, u64::from(info.weight));
    let status = &info.status;
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.push(flag(status.ready, READY) | flag(status.writable, WRITABLE) | flag(status.sealed, SEALED));
    put_varint(out, status.ring_epoch);
    out.extend_from_slice(&status.ring_digest.to_le_bytes());
    put_varint(out, status.hints_waiting);
    put_varint(out, info.wall_ms);
}

fn put_suspicion(out: &mut Vec<u8>, suspicion: &Suspicion) {
    out.extend_from_slice(&suspicion.suspect.0.to_le_bytes());
    put_varint(out, suspicion.version.0);
    put_varint(out, suspicion.version.1);
    let observers = &suspicion.observers[..suspicion.observers.len().min(OBSERVERS_MAX)];
    put_varint(out, observers.len() as u64);
    for observer in observers {
        out.extend_from_slice(&observer.0.to_le_bytes());
    }
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Writes a text, cut at a character if it is longer than a reader takes.
fn put_text(out: &mut Vec<u8>, text: &str) {
    let mut len = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(len) {
        len -= 1;
    }
    put_varint(out, len as u64);
    out.extend_from_slice(&text.as_bytes()[..len]);
}

/// Reads the gossip that all of `bytes` are.
///
/// # Errors
/// The bytes are none; the error says where and why.
pub fn decode(bytes: &[u8]) -> Result<Gossip, MalformedGossip> {
    let mut input = Input { bytes, at: 0 };
    let version = input.byte()?;
    if version != VERSION {
        return Err(MalformedGossip::UnknownVersion(version));
    }
    let answer = match input.byte()? {
        0 => false,
        1 => true,
        _ => return Err(input.broken("an unknown kind ends")),
    };
    let cluster = u128::from_le_bytes(input.array()?);
    let count = input.count(MEMBERS_MAX, ENTRY_MIN)?;
    if count == 0 {
        return Err(input.broken("the sender is missing"));
    }
    let from = input.entry()?;
    let mut members = Vec::with_capacity(count - 1);
    for _ in 1..count {
        members.push(input.entry()?);
    }
    let count = input.count(MEMBERS_MAX, SUSPICION_MIN)?;
    let mut suspicions = Vec::with_capacity(count);
    for _ in 0..count {
        suspicions.push(input.suspicion()?);
    }
    let count = input.count(MEMBERS_MAX, MARK_MIN)?;
    let mut marks = Vec::with_capacity(count);
    for _ in 0..count {
        marks.push((NodeId(input.fixed()?), input.varint()?));
    }
    if input.at != bytes.len() {
        return Err(input.broken("bytes follow the end"));
    }
    Ok(Gossip { cluster, answer, from, members, suspicions, marks })
}

/// The bytes that are read, and how far they are.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn broken(&self, what: &'static str) -> MalformedGossip {
        MalformedGossip::Broken { at: self.at, what }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], MalformedGossip> {
        let rest = &self.bytes[self.at..];
        let Some(taken) = rest.get(..len) else { return Err(self.broken("the bytes end too soon")) };
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MalformedGossip> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, MalformedGossip> {
        Ok(self.array::<1>()?[0])
    }

    fn fixed(&mut self) -> Result<u64, MalformedGossip> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn varint(&mut self) -> Result<u64, MalformedGossip> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.broken("a number of more than 64 bits ends"))
    }

    /// A count of things that take at least `min` bytes each.
    fn count(&mut self, most: usize, min: usize) -> Result<usize, MalformedGossip> {
        let count = self.varint()?;
        match usize::try_from(count) {
            Ok(count) if count > most => Err(self.broken("a count above the limit ends")),
            Ok(count) if count * min > self.bytes.len() - self.at => {
                Err(self.broken("the bytes end too soon"))
            }
            Ok(count) => Ok(count),
            Err(_) => Err(self.broken("a count above the limit ends")),
        }
    }

    fn text(&mut self) -> Result<String, MalformedGossip> {
        let len = self.count(TEXT_MAX, 1)?;
        match std::str::from_utf8(self.take(len)?) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(self.broken("a text that is not UTF-8 ends")),
        }
    }

    fn entry(&mut self) -> Result<Entry, MalformedGossip> {
        let id = NodeId(self.fixed()?);
        let generation = self.varint()?;
        let heartbeat = self.varint()?;
        let silent = Duration::from_millis(self.varint()?);
        let incarnation = self.fixed()?;
        let (peer, resp, http) = (self.text()?, self.text()?, self.text()?);
        let (zone, dc) = (self.text()?, self.text()?);
        let Ok(weight) = u32::try_from(self.varint()?) else {
            return Err(self.broken("a weight of more than 32 bits ends"));
        };
        let flags = self.byte()?;
        if flags & !(READY | WRITABLE | SEALED) != 0 {
            return Err(self.broken("unknown flags end"));
        }
        let status = Status {
            ready: flags & READY != 0,
            writable: flags & WRITABLE != 0,
            sealed: flags & SEALED != 0,
            ring_epoch: self.varint()?,
            ring_digest: self.fixed()?,
            hints_waiting: self.varint()?,
        };
        let wall_ms = self.varint()?;
        let info =
            MemberInfo { id, generation, incarnation, peer, resp, http, zone, dc, weight, status, wall_ms };
        Ok(Entry { info: Arc::new(info), heartbeat, silent })
    }

    fn suspicion(&mut self) -> Result<Suspicion, MalformedGossip> {
        let suspect = NodeId(self.fixed()?);
        let version = (self.varint()?, self.varint()?);
        let count = self.count(OBSERVERS_MAX, 8)?;
        let mut observers = Vec::with_capacity(count);
        for _ in 0..count {
            observers.push(NodeId(self.fixed()?));
        }
        Ok(Suspicion { suspect, version, observers })
    }
}
