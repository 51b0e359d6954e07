//! [`Context`]: what a client has seen of a key, as bytes that it brings back.
//!
//! ```text
//! ┌───────────┬─────────┬────────┬────────┬───────────────────────────────┬─────────────────────────────────┐
//! │ crc32c  4 │ version │ actors │ beside │ actors × (actor 8, counter 8) │ beside × (place 1, counter 8)   │
//! │           │ 1 byte  │ 1 byte │ 1 byte │ by actor                      │ by place among the actors, then │
//! │           │         │        │        │                               │ by counter                      │
//! └───────────┴─────────┴────────┴────────┴───────────────────────────────┴─────────────────────────────────┘
//! ```
//! Numbers are little-endian. The checksum covers what follows it and then the four bytes of the [`ContextKey`], which are
//! not sent: the counters of a store are common to all its keys, so that the context of one key, given with another, would cover
//! values there that nobody has seen. Clients treat the bytes as opaque; in text they travel as hexadecimal digits.
//!
//! A version vector alone cannot say what a client that only writes has seen: the dot of its own write lies above those of
//! writes that the same store took for others. The dots of the siblings that its write was put beside are therefore named as
//! exceptions to what the store knew. They are few, since siblings are.

use super::dot::{Actor, Dot};
use super::sibling_set::SiblingSet;
use super::vector_clock::VectorClock;
use std::fmt;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const VERSION: u8 = 1;
const HEADER: usize = 7;
const ENTRY: usize = 16;
const EXCEPTION: usize = 9;

/// The key that a context is of, as far as its bytes know: the lower 32 bits of XXH3 of the user key, with the number of the
/// keyspace as seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextKey(u32);

impl ContextKey {
    /// Of a key in the keyspace of this number.
    pub fn new(keyspace: u32, key: &[u8]) -> ContextKey {
        ContextKey(xxh3_64_with_seed(key, u64::from(keyspace)) as u32)
    }
}

/// What a client has seen of a key. Every read and every write returns one, also of a key that has no value.
///
/// Invariant: the exceptions are sorted, no dot twice, and the clock covers each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    clock: VectorClock,
    exceptions: Vec<Dot>,
}

impl From<VectorClock> for Context {
    /// All that the clock covers was seen.
    fn from(clock: VectorClock) -> Context {
        Context { clock, exceptions: Vec::new() }
    }
}

/// Bytes that are no context, or that of another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedContext;

impl fmt::Display for MalformedContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "these bytes are no context of this key: give back one as a read or write of the same key returned it",
        )
    }
}

impl std::error::Error for MalformedContext {}

impl Context {
    /// The most actors that are sent, and the most exceptions.
    pub const MAX_ENTRIES: usize = 255;

    /// What the clock covers but for these writes. Those that it does not cover anyway are left out.
    pub fn new(clock: VectorClock, mut exceptions: Vec<Dot>) -> Context {
        exceptions.retain(|&dot| clock.covers(dot));
        exceptions.sort_unstable();
        exceptions.dedup();
        Context { clock, exceptions }
    }

    /// What the writer of `own` has seen when that is in a set: all that the set knows, but for the siblings beside the write.
    ///
    /// The clock is that of the whole set. The least one that covers the write and what its writer had seen would cover others of
    /// the same store too, and say nothing of those that had replaced them: whoever joined it would know of a write and
    /// still hold what that write had seen.
    pub(crate) fn after_write(own: Dot, set: &SiblingSet) -> Context {
        let beside = set.siblings().iter().map(|sibling| sibling.dot).filter(|&dot| dot != own);
        Context::new(set.clock().clone(), beside.collect())
    }

    /// The clock, which covers the exceptions too.
    pub fn clock(&self) -> &VectorClock {
        &self.clock
    }

    /// Writes that the clock covers and the client has not seen.
    pub fn exceptions(&self) -> &[Dot] {
        &self.exceptions
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.clock.is_empty()
    }

    /// Whether the client has seen the write, or what replaced it.
    pub fn covers(&self, dot: Dot) -> bool {
        self.clock.covers(dot) && self.exceptions.binary_search(&dot).is_err()
    }

    /// As much of it as its bytes hold: the oldest entries go, and an actor with too many exceptions is known less far. What
    /// is left covers no more than before.
    fn bounded(&self) -> Context {
        let mut clock = self.clock.clone();
        clock.truncate(Context::MAX_ENTRIES, |_| false);
        let mut bounded = Context::new(clock, self.exceptions.clone());
        while let Some(&first_left_out) = bounded.exceptions.get(Context::MAX_ENTRIES) {
            let lower = |dot: &Dot| match dot.actor == first_left_out.actor {
                true => Dot { counter: dot.counter.min(first_left_out.counter - 1), ..*dot },
                false => *dot,
            };
            let clock = bounded.clock.entries().iter().map(lower).filter(|dot| dot.counter > 0).collect();
            bounded = Context::new(clock, bounded.exceptions);
        }
        bounded
    }

    /// The bytes, for whoever asked for this key.
    pub fn to_bytes(&self, key: ContextKey) -> Vec<u8> {
        let is_bounded = self.clock.len().max(self.exceptions.len()) <= Context::MAX_ENTRIES;
        let Context { clock, exceptions } = if is_bounded { self.clone() } else { self.bounded() };
        let entries = clock.entries();
        let mut out = vec![0; 4];
        out.extend([VERSION, entries.len() as u8, exceptions.len() as u8]);
        for dot in entries {
            out.extend_from_slice(&dot.actor.0.to_le_bytes());
            out.extend_from_slice(&dot.counter.to_le_bytes());
        }
        for dot in &exceptions {
            let place = entries.partition_point(|entry| entry.actor < dot.actor);
            out.push(place as u8);
            out.extend_from_slice(&dot.counter.to_le_bytes());
        }
        let crc = checksum(&out[4..], key);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the bytes that came with this key.
    ///
    /// # Errors
    /// If they are not what [`to_bytes`](Context::to_bytes) makes for the same key.
    pub fn from_bytes(bytes: &[u8], key: ContextKey) -> Result<Context, MalformedContext> {
        let (crc, covered) = bytes.split_at_checked(4).ok_or(MalformedContext)?;
        if checksum(covered, key).to_le_bytes() != crc {
            return Err(MalformedContext);
        }
        let &[VERSION, actors, beside, ref rest @ ..] = covered else { return Err(MalformedContext) };
        let (actors, beside) = (usize::from(actors), usize::from(beside));
        if rest.len() != actors * ENTRY + beside * EXCEPTION {
            return Err(MalformedContext);
        }
        let (entries, exceptions) = rest.split_at(actors * ENTRY);
        let number = |b: &[u8]| b.iter().rev().fold(0u64, |n, &byte| n << 8 | u64::from(byte));
        let dots: Vec<Dot> = entries
            .chunks_exact(ENTRY)
            .map(|e| Dot { actor: Actor(number(&e[..8])), counter: number(&e[8..]) })
            .collect();
        let exceptions: Option<Vec<Dot>> = exceptions
            .chunks_exact(EXCEPTION)
            .map(|e| {
                let known = dots.get(usize::from(e[0]))?;
                let exception = Dot { actor: known.actor, counter: number(&e[1..]) };
                (exception.counter <= known.counter).then_some(exception)
            })
            .collect();
        let exceptions = exceptions.ok_or(MalformedContext)?;
        let is_in_order =
            dots.is_sorted_by(|a, b| a.actor < b.actor) && exceptions.is_sorted_by(|a, b| a < b);
        if !is_in_order || dots.iter().chain(&exceptions).any(|dot| dot.counter == 0) {
            return Err(MalformedContext);
        }
        Ok(Context { clock: dots.into_iter().collect(), exceptions })
    }

    /// The bytes as hexadecimal digits.
    pub fn to_text(&self, key: ContextKey) -> String {
        self.to_bytes(key).iter().flat_map(|byte| [byte >> 4, byte & 15]).map(hex_digit).collect()
    }

    /// Reads the hexadecimal digits that came with this key.
    ///
    /// # Errors
    /// If they are not what [`to_text`](Context::to_text) makes for the same key.
    pub fn from_text(text: &str, key: ContextKey) -> Result<Context, MalformedContext> {
        if !text.len().is_multiple_of(2)
            || text.len() > 2 * (HEADER + Context::MAX_ENTRIES * (ENTRY + EXCEPTION))
        {
            return Err(MalformedContext);
        }
        let digits = text.as_bytes().chunks_exact(2);
        let bytes: Option<Vec<u8>> = digits
            .map(|pair| {
                let high = (pair[0] as char).to_digit(16)?;
                let low = (pair[1] as char).to_digit(16)?;
                u8::try_from(high << 4 | low).ok()
            })
            .collect();
        Context::from_bytes(&bytes.ok_or(MalformedContext)?, key)
    }
}

fn checksum(covered: &[u8], key: ContextKey) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(covered), &key.0.to_le_bytes())
}

fn hex_digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}
