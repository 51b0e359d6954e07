//! The body of the block that holds a table's range tombstones.
//!
//! ```text
//!   repeated, ascending, not overlapping:
//!   ┌──────────────────┬────────────────┬─────────────────┬──────────────────────────────┐
//!   │ start: len, bytes│ end: len, bytes│ count n  varint │ n × seqno varint, descending │
//!   └──────────────────┴────────────────┴─────────────────┴──────────────────────────────┘
//! ```

use super::sections::Section;
use super::tail::read_section;
use crate::codec::compression::MAX_PLAIN_LEN;
use crate::codec::varint::{self, Reader};
use crate::key::{MAX_KEY_LEN, MAX_SEQNO};
use crate::range_tombstone::Fragment;
use crate::{BlockSource, Fragments, RangeTombstone, Result, TableError};
use std::sync::{Arc, OnceLock};

/// The range tombstones that a writer was given so far.
#[derive(Debug, Default)]
pub struct Tombstones {
    list: Vec<RangeTombstone>,
    bytes: usize,
}

impl Tombstones {
    /// Adds one.
    ///
    /// # Errors
    /// `Invalid` if it is empty, beyond the limits, out of order, or one too many.
    pub fn add(&mut self, tombstone: &RangeTombstone) -> Result<()> {
        if tombstone.start >= tombstone.end
            || tombstone.start.len().max(tombstone.end.len()) > MAX_KEY_LEN
            || tombstone.seqno > MAX_SEQNO
        {
            return Err(TableError::invalid("a range tombstone is empty or beyond the limits"));
        }
        let last = self.list.last();
        if !follows(last, tombstone) {
            return Err(TableError::invalid("a range tombstone is out of order"));
        }
        self.bytes += encoded_len(last, tombstone);
        if self.bytes > MAX_PLAIN_LEN / 2 {
            return Err(TableError::invalid("a table has too many range tombstones"));
        }
        self.list.push(tombstone.clone());
        Ok(())
    }

    /// All of them.
    pub fn as_slice(&self) -> &[RangeTombstone] {
        &self.list
    }

    /// The most bytes that they take.
    pub fn estimate(&self) -> usize {
        self.bytes
    }

    /// The body of their block; `None` if there are none.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        encode(&self.list, &mut body);
        (!body.is_empty()).then_some(body)
    }
}

/// The range tombstones of an open table, read when they are first asked for.
#[derive(Debug, Default)]
pub struct Loaded(OnceLock<Arc<Fragments>>);

impl Loaded {
    /// The tombstones that lie in `section`.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    pub fn get(&self, source: &BlockSource, section: Option<Section>) -> Result<Arc<Fragments>> {
        if let Some(fragments) = self.0.get() {
            return Ok(fragments.clone());
        }
        let fragments = match section {
            Some(section) => decode(&read_section(source, &section)?, section.offset)?,
            None => Fragments::default(),
        };
        Ok(self.0.get_or_init(|| Arc::new(fragments)).clone())
    }

    /// Memory on the heap, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let fragments = self.0.get().map_or(&[][..], |fragments| fragments.as_slice());
        fragments.iter().map(|f| f.start.len() + f.end.len() + f.seqnos.len() * 8 + 72).sum()
    }
}

/// Checks that `next` may follow `last`: by start, then newest first, equal ranges or none in common.
fn follows(last: Option<&RangeTombstone>, next: &RangeTombstone) -> bool {
    last.is_none_or(|last| {
        if last.start == next.start {
            last.end == next.end && last.seqno > next.seqno
        } else {
            last.end <= next.start
        }
    })
}

/// The most bytes that `next` adds to the encoding after `last`: a range's keys are written once for all its numbers.
fn encoded_len(last: Option<&RangeTombstone>, next: &RangeTombstone) -> usize {
    let seqno = varint::MAX_LEN;
    let same_range = last.is_some_and(|last| last.start == next.start);
    if same_range { seqno } else { next.start.len() + next.end.len() + 4 * seqno }
}

/// Appends the encoding of tombstones, each of which follows the one before as [`Tombstones::add`] asks.
pub fn encode(tombstones: &[RangeTombstone], out: &mut Vec<u8>) {
    for fragment in tombstones.chunk_by(|a, b| a.start == b.start) {
        varint::put_bytes(out, &fragment[0].start);
        varint::put_bytes(out, &fragment[0].end);
        varint::put(out, fragment.len() as u64);
        for tombstone in fragment {
            varint::put(out, tombstone.seqno);
        }
    }
}

/// Decodes what [`encode`] wrote. `at` is where the block lies.
///
/// # Errors
/// `Corruption` if the bytes are not such an encoding.
pub fn decode(bytes: &[u8], at: u64) -> Result<Fragments> {
    let bad = |what: &str| TableError::corruption(at, format!("range tombstones: {what}"));
    let mut reader = Reader::new(bytes);
    let mut fragments: Vec<Fragment> = Vec::new();
    while !reader.is_empty() {
        let start = reader.bytes().ok_or_else(|| bad("a start is cut off"))?;
        let end = reader.bytes().ok_or_else(|| bad("an end is cut off"))?;
        let count = reader.varint().ok_or_else(|| bad("a count is cut off"))?;
        if start >= end || start.len().max(end.len()) > MAX_KEY_LEN || count == 0 {
            return Err(bad("a range is empty or too long"));
        }
        let mut seqnos = Vec::new();
        for _ in 0..count {
            let seqno = reader.varint().filter(|&seqno| seqno <= MAX_SEQNO);
            seqnos.push(seqno.ok_or_else(|| bad("a sequence number is cut off or too large"))?);
        }
        fragments.push(Fragment { start: start.to_vec(), end: end.to_vec(), seqnos });
    }
    Fragments::from_sorted(fragments).ok_or_else(|| bad("they are out of order"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_damage() {
        let t =
            |start: &str, end: &str, seqno| RangeTombstone { start: start.into(), end: end.into(), seqno };
        let list = [t("a", "c", 9), t("a", "c", 4), t("c", "d", 7), t("x", "z", 300)];
        let mut bytes = Vec::new();
        encode(&list, &mut bytes);
        assert_eq!(decode(&bytes, 0).unwrap().iter().collect::<Vec<_>>(), list);
        for cut in 1..bytes.len() {
            // A cut between two ranges leaves a shorter, valid list; the block's checksum tells.
            if let Ok(fragments) = decode(&bytes[..cut], 0) {
                assert!(fragments.len() < 3);
            }
        }
        assert!(!follows(Some(&list[1]), &list[0]));
        assert!(!follows(Some(&t("a", "c", 9)), &t("b", "c", 9)));
    }
}
