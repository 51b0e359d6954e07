//! [`Context`]: what a client has seen of a key, as bytes that it brings back.
//!
//! ```text
//! ┌───────────┬─────────┬────────┬──────────────────────────────┐
//! │ crc32c  4 │ version │ count  │ count × (actor 8, counter 8) │
//! │           │ 1 byte  │ 1 byte │ little-endian, by actor      │
//! └───────────┴─────────┴────────┴──────────────────────────────┘
//! ```
//! The checksum covers what follows it and then, little-endian, the four bytes of the [`ContextKey`], which are not sent: the
//! counters of a store are common to all its keys, so that the context of one key, given with another, would cover values
//! there that nobody has seen. Clients treat the bytes as opaque; in text they travel as hexadecimal digits.

use super::dot::{Actor, Dot};
use super::vector_clock::VectorClock;
use std::fmt;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const VERSION: u8 = 1;
const HEADER: usize = 6;
const ENTRY: usize = 16;

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context(pub VectorClock);

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
    /// The most entries that are read.
    pub const MAX_ENTRIES: usize = 255;

    /// The bytes, for whoever asked for this key.
    pub fn to_bytes(&self, key: ContextKey) -> Vec<u8> {
        let entries = self.0.entries();
        // Clocks are truncated far below this; a longer one loses its oldest entries here rather than its form.
        let mut shown: Vec<Dot> = entries.to_vec();
        if shown.len() > Context::MAX_ENTRIES {
            shown.sort_by_key(|dot| std::cmp::Reverse(dot.age()));
            shown.truncate(Context::MAX_ENTRIES);
            shown.sort();
        }
        let mut out = vec![0; 4];
        out.push(VERSION);
        out.push(shown.len() as u8);
        for dot in shown {
            out.extend_from_slice(&dot.actor.0.to_le_bytes());
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
        if covered.len() < HEADER - 4 || checksum(covered, key).to_le_bytes() != crc || covered[0] != VERSION
        {
            return Err(MalformedContext);
        }
        let entries = &covered[2..];
        if entries.len() != usize::from(covered[1]) * ENTRY {
            return Err(MalformedContext);
        }
        let number = |b: &[u8]| b.iter().rev().fold(0u64, |n, &byte| n << 8 | u64::from(byte));
        let dots: Vec<Dot> = entries
            .chunks_exact(ENTRY)
            .map(|e| Dot { actor: Actor(number(&e[..8])), counter: number(&e[8..]) })
            .collect();
        if !dots.is_sorted_by(|a, b| a.actor < b.actor) || dots.iter().any(|dot| dot.counter == 0) {
            return Err(MalformedContext);
        }
        Ok(Context(dots.into_iter().collect()))
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
        if !text.len().is_multiple_of(2) || text.len() > 2 * (HEADER + Context::MAX_ENTRIES * ENTRY) {
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
