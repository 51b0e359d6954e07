//! Clocks, contexts and sets of siblings.
//!
//! ```text
//!   clock    ┌───────┬──────────────────────────────┐
//!            │ count │ count × (actor 8, counter 8) │   by actor, each once, no counter 0
//!            └───────┴──────────────────────────────┘
//!   set      ┌───────┬───────┬──────────────────┐
//!            │ clock │ count │ count × sibling  │       by dot, each once, each covered by the clock
//!            └───────┴───────┴──────────────────┘
//!   context  ┌───────┬───────┬──────────────────────────────┐
//!            │ clock │ count │ count × (actor 8, counter 8) │   by dot, each once, each covered by the clock
//!            └───────┴───────┴──────────────────────────────┘
//!   sibling  ┌─────────┬───────────┬──────┬────────────┬────────┬────────┬───────┐
//!            │ actor 8 │ counter 8 │ what │ expires at │ hash 8 │ length │ bytes │
//!            └─────────┴───────────┴──────┴────────────┴────────┴────────┴───────┘
//!                         1 byte, bits:    if bit 7     values   values   values that
//!                         see below        is set       only     only     are here
//! ```
//! The low bits of `what`: 0 a tombstone, 1 a value whose bytes are elsewhere, 2 a value. The hash travels with the value
//! and is checked against the bytes, so that a value that was damaged where it was stored does not spread.

use super::limits::{CLOCK_MAX, SIBLINGS_MAX};
use super::malformed::MalformedMessage;
use super::reader::{Read, Reader};
use super::writer::Writer;
use crate::causality::{Body, Content, Context, Sibling, SiblingSet, VectorClock};
use xxhash_rust::xxh3::xxh3_64;

const TOMBSTONE: u8 = 0;
const ELSEWHERE: u8 = 1;
const HERE: u8 = 2;
const EXPIRES: u8 = 0x80;

/// The bytes of a dot.
pub(super) const DOT_LEN: usize = 16;
/// The fewest bytes of a sibling.
const SIBLING_LEAST: usize = DOT_LEN + 1;
/// The fewest bytes of a set: no actors, no siblings.
pub(super) const SET_LEAST: usize = 2;

/// Appends the bytes of a set, as they are within messages.
pub fn encode_set(set: &SiblingSet, out: &mut Vec<u8>) {
    put_set(&mut Writer::new(out), set);
}

/// Reads the bytes of a set.
///
/// # Errors
/// If they are not what [`encode_set`] makes.
pub fn decode_set(bytes: &[u8]) -> Result<SiblingSet, MalformedMessage> {
    let mut reader = Reader::new(bytes);
    let set = set(&mut reader)?;
    reader.end()?;
    Ok(set)
}

pub(super) fn put_clock(w: &mut Writer<'_>, clock: &VectorClock) {
    w.list(clock.entries(), |w, dot| w.dot(*dot));
}

pub(super) fn clock(r: &mut Reader<'_>) -> Read<VectorClock> {
    let dots = r.list(CLOCK_MAX, DOT_LEN, Reader::dot)?;
    if !dots.is_sorted_by(|a, b| a.actor < b.actor) {
        return r.wrong("the actors of a clock are not in order");
    }
    Ok(dots.into_iter().collect())
}

pub(super) fn put_context(w: &mut Writer<'_>, context: &Context) {
    put_clock(w, context.clock());
    w.list(context.exceptions(), |w, dot| w.dot(*dot));
}

pub(super) fn context(r: &mut Reader<'_>) -> Read<Context> {
    let clock = clock(r)?;
    let exceptions = r.list(SIBLINGS_MAX, DOT_LEN, Reader::dot)?;
    if !exceptions.is_sorted_by(|a, b| a < b) || !exceptions.iter().all(|&dot| clock.covers(dot)) {
        return r.wrong("the exceptions of a context are not in order, or not covered by its clock");
    }
    Ok(Context::new(clock, exceptions))
}

pub(super) fn put_set(w: &mut Writer<'_>, set: &SiblingSet) {
    put_clock(w, set.clock());
    w.list(set.siblings(), put_sibling);
}

pub(super) fn set(r: &mut Reader<'_>) -> Read<SiblingSet> {
    let clock = clock(r)?;
    let siblings = r.list(SIBLINGS_MAX, SIBLING_LEAST, sibling)?;
    if !siblings.is_sorted_by(|a, b| a.dot < b.dot) {
        return r.wrong("the siblings of a set are not in order");
    }
    if !siblings.iter().all(|sibling| clock.covers(sibling.dot)) {
        return r.wrong("a sibling is not covered by its clock");
    }
    Ok(SiblingSet::from_parts(clock, siblings))
}

fn put_sibling(w: &mut Writer<'_>, sibling: &Sibling) {
    w.dot(sibling.dot);
    let what = match &sibling.content {
        Content::Tombstone => TOMBSTONE,
        Content::Value { body: Body::Elsewhere, .. } => ELSEWHERE,
        Content::Value { body: Body::Here(_), .. } => HERE,
    };
    w.u8(if sibling.expires_at.is_some() { what | EXPIRES } else { what });
    if let Some(end) = sibling.expires_at {
        w.varint(end);
    }
    if let Content::Value { hash, len, body } = &sibling.content {
        w.u64(*hash);
        match body {
            Body::Here(bytes) => w.bytes(bytes),
            Body::Elsewhere => w.varint(u64::from(*len)),
        }
    }
}

fn sibling(r: &mut Reader<'_>) -> Read<Sibling> {
    let dot = r.dot()?;
    let what = r.u8()?;
    let expires_at = if what & EXPIRES == 0 { None } else { Some(r.varint()?) };
    let content = match what & !EXPIRES {
        TOMBSTONE => Content::Tombstone,
        ELSEWHERE => Content::Value { hash: r.u64()?, len: r.length_elsewhere()?, body: Body::Elsewhere },
        HERE => {
            let hash = r.u64()?;
            let bytes = r.value()?;
            if xxh3_64(&bytes) != hash {
                return r.wrong("a value does not have its hash");
            }
            // The length is within the limit of values, which fits.
            Content::Value { hash, len: bytes.len() as u32, body: Body::Here(bytes) }
        }
        _ => return r.wrong("a sibling is neither a value nor a tombstone"),
    };
    Ok(Sibling { dot, content, expires_at })
}
