//! [`Context`]: what a client has seen of a key, as bytes that it brings back.
//!
//! ```text
//! ┌───────────┬─────────┬────────┬──────────────────────────────┐
//! │ crc32c  4 │ version │ count  │ count × (actor 8, counter 8) │
//! │           │ 1 byte  │ 1 byte │ little-endian, by actor      │
//! └───────────┴─────────┴────────┴──────────────────────────────┘
//! ```
//! The checksum covers what follows it. Clients treat the bytes as opaque; in text they travel as hexadecimal digits.

use super::dot::{Actor, Dot};
use super::vector_clock::VectorClock;
use std::fmt;

const VERSION: u8 = 1;
const HEADER: usize = 6;
const ENTRY: usize = 16;

/// What a client has seen of a key. Every read and every write returns one, also of a key that has no value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context(pub VectorClock);

/// Bytes that are no context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedContext;

impl fmt::Display for MalformedContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these bytes are no context: give back one as a read or write returned it")
    }
}

impl std::error::Error for MalformedContext {}

impl Context {
    /// The most entries that are read.
    pub const MAX_ENTRIES: usize = 255;

    /// The bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
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
        let crc = crc32c::crc32c(&out[4..]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the bytes.
    ///
    /// # Errors
    /// If they are not what [`to_bytes`](Context::to_bytes) makes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Context, MalformedContext> {
        let (crc, covered) = bytes.split_at_checked(4).ok_or(MalformedContext)?;
        if covered.len() < HEADER - 4 || crc32c::crc32c(covered).to_le_bytes() != crc || covered[0] != VERSION
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
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for Context {
    type Err = MalformedContext;

    fn from_str(text: &str) -> Result<Context, MalformedContext> {
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
        Context::from_bytes(&bytes.ok_or(MalformedContext)?)
    }
}
