//! [`Properties`]: what is known of a table without reading its data.
//!
//! Encoded as tag-length-value, so that a later version may add a property and this one skips it:
//!
//! ```text
//!   ┌────────────┬────────────┬─────────────┐
//!   │ tag varint │ len varint │ value (len) │   repeated; tags ascending, but for `collected`, which repeats
//!   └────────────┴────────────┴─────────────┘
//!   numbers are varints; `collected` is: name length varint, name, bytes
//! ```

use crate::codec::varint::{self, Reader};
use crate::{RangeTombstone, Result, SeqNo, TableError, Trailer, key::Kind};

/// Counts, bounds and collected bytes of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Properties {
    /// Entries, deletes among them, range tombstones not.
    pub entries: u64,
    /// Entries of kind `Delete`.
    pub deletes: u64,
    /// Distinct user keys.
    pub user_keys: u64,
    /// Range tombstones.
    pub range_tombstones: u64,
    /// Length of all user keys together, in bytes.
    pub key_bytes: u64,
    /// Length of all values together, in bytes.
    pub value_bytes: u64,
    /// The smallest sequence number of any entry or range tombstone; 0 if there is none.
    pub min_seqno: SeqNo,
    /// The largest sequence number of any entry or range tombstone; 0 if there is none.
    pub max_seqno: SeqNo,
    /// The smallest user key of any entry, or start of a range tombstone. Empty if the table is.
    pub smallest: Vec<u8>,
    /// The largest user key of any entry, or end of a range tombstone.
    pub largest: Vec<u8>,
    /// Whether `largest` is the end of a range tombstone, and so not itself part of the table.
    pub largest_exclusive: bool,
    /// Bytes of data blocks as stored.
    pub data_bytes: u64,
    /// Number of data blocks.
    pub data_blocks: u64,
    /// What collectors left, by name.
    pub collected: Vec<(String, Vec<u8>)>,
    /// Whether the table uses a feature that this version can read past but not write: the engine reads such a table and
    /// does not compact it. Not stored.
    pub read_only: bool,
}

const TAG_ENTRIES: u64 = 1;
const TAG_SMALLEST: u64 = 11;
const TAG_LARGEST: u64 = 12;
const TAG_LARGEST_EXCLUSIVE: u64 = 13;
const TAG_COLLECTED: u64 = 20;

impl Properties {
    /// Says what they count in one line, for tools.
    pub fn summary(&self) -> String {
        format!(
            "{} entries of {} user keys, {} of them deletes, sequence numbers {} to {}",
            self.entries, self.user_keys, self.deletes, self.min_seqno, self.max_seqno
        )
    }

    /// Memory on the heap, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let collected: usize = self.collected.iter().map(|(name, bytes)| name.len() + bytes.len() + 48).sum();
        self.smallest.len() + self.largest.len() + collected
    }

    /// The collected bytes of this name.
    pub fn collected(&self, name: &str) -> Option<&[u8]> {
        self.collected.iter().find(|(n, _)| n == name).map(|(_, bytes)| bytes.as_slice())
    }

    /// Whether there is neither an entry nor a range tombstone.
    pub fn is_empty(&self) -> bool {
        self.entries == 0 && self.range_tombstones == 0
    }

    /// For writers: counts an entry. `new_key` says whether its user key differs from the entry before. Bounds are set
    /// apart, by [`widen`](Properties::widen).
    pub fn count(&mut self, user_key: &[u8], trailer: Trailer, value: &[u8], new_key: bool) {
        self.count_seqno(trailer.seqno());
        self.entries += 1;
        self.user_keys += u64::from(new_key);
        self.deletes += u64::from(trailer.kind() == Some(Kind::Delete));
        self.key_bytes += user_key.len() as u64;
        self.value_bytes += value.len() as u64;
    }

    /// For writers: counts a range tombstone and widens the bounds by it.
    pub fn count_range_tombstone(&mut self, tombstone: &RangeTombstone) {
        self.widen(&tombstone.start, &tombstone.end, true);
        self.count_seqno(tombstone.seqno);
        self.range_tombstones += 1;
    }

    /// For writers: counts everything that another table's part counts, bounds excepted.
    pub fn count_part(&mut self, part: &Properties) {
        if part.entries == 0 {
            return;
        }
        self.count_seqno(part.min_seqno);
        self.max_seqno = self.max_seqno.max(part.max_seqno);
        self.entries += part.entries;
        self.deletes += part.deletes;
        self.user_keys += part.user_keys;
        self.key_bytes += part.key_bytes;
        self.value_bytes += part.value_bytes;
    }

    fn count_seqno(&mut self, seqno: SeqNo) {
        if self.is_empty() {
            (self.min_seqno, self.max_seqno) = (seqno, seqno);
        } else {
            self.min_seqno = self.min_seqno.min(seqno);
            self.max_seqno = self.max_seqno.max(seqno);
        }
    }

    /// For writers: makes the bounds include `smallest` to `largest`. Call before counting what lies there.
    pub fn widen(&mut self, smallest: &[u8], largest: &[u8], exclusive: bool) {
        let unbounded =
            self.smallest.is_empty() && self.largest.is_empty() && !self.largest_exclusive && self.is_empty();
        if unbounded || smallest < self.smallest.as_slice() {
            self.smallest = smallest.to_vec();
        }
        let further = match largest.cmp(&self.largest) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => self.largest_exclusive && !exclusive,
            std::cmp::Ordering::Greater => true,
        };
        if unbounded || further {
            self.largest = largest.to_vec();
            self.largest_exclusive = exclusive;
        }
    }

    fn numbers(&mut self) -> [&mut u64; 10] {
        [
            &mut self.entries,
            &mut self.deletes,
            &mut self.user_keys,
            &mut self.range_tombstones,
            &mut self.key_bytes,
            &mut self.value_bytes,
            &mut self.min_seqno,
            &mut self.max_seqno,
            &mut self.data_bytes,
            &mut self.data_blocks,
        ]
    }

    /// Appends the encoding to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for (tag, number) in (TAG_ENTRIES..).zip(self.clone().numbers()) {
            varint::put(out, tag);
            varint::put(out, varint::len(*number) as u64);
            varint::put(out, *number);
        }
        for (tag, key) in [(TAG_SMALLEST, &self.smallest), (TAG_LARGEST, &self.largest)] {
            varint::put(out, tag);
            varint::put_bytes(out, key);
        }
        varint::put(out, TAG_LARGEST_EXCLUSIVE);
        varint::put_bytes(out, &[u8::from(self.largest_exclusive)]);
        for (name, bytes) in &self.collected {
            let mut value = Vec::with_capacity(name.len() + bytes.len() + 5);
            varint::put_bytes(&mut value, name.as_bytes());
            value.extend_from_slice(bytes);
            varint::put(out, TAG_COLLECTED);
            varint::put_bytes(out, &value);
        }
    }

    /// Decodes what [`encode`](Properties::encode) wrote. `at` is where the bytes begin in the file.
    ///
    /// # Errors
    /// `Corruption` if the bytes are not such an encoding.
    pub fn decode(bytes: &[u8], at: u64) -> Result<Properties> {
        let bad = |what: &str| TableError::corruption(at, format!("properties: {what}"));
        let mut properties = Properties::default();
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            let tag = reader.varint().ok_or_else(|| bad("a tag is cut off"))?;
            let value = reader.bytes().ok_or_else(|| bad("a value is cut off"))?;
            match tag {
                TAG_SMALLEST => properties.smallest = value.to_vec(),
                TAG_LARGEST => properties.largest = value.to_vec(),
                TAG_LARGEST_EXCLUSIVE => properties.largest_exclusive = value == [1],
                TAG_COLLECTED => {
                    let mut inner = Reader::new(value);
                    let name = inner.bytes().and_then(|n| std::str::from_utf8(n).ok());
                    let name = name.ok_or_else(|| bad("a collector's name is not text"))?;
                    properties.collected.push((name.to_owned(), inner.rest().to_vec()));
                }
                _ => {
                    let slot = usize::try_from(tag).ok().and_then(|t| t.checked_sub(TAG_ENTRIES as usize));
                    if let Some(number) = slot.and_then(|i| properties.numbers().into_iter().nth(i)) {
                        *number = Reader::new(value).varint().ok_or_else(|| bad("a number is cut off"))?;
                    }
                }
            }
        }
        Ok(properties)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_with_an_unknown_tag() {
        let mut p = Properties::default();
        p.widen(b"b", b"k", false);
        p.count(b"b", Trailer::new(9, Kind::Put), b"value", true);
        p.count(b"k", Trailer::new(3, Kind::Delete), b"", true);
        p.count_range_tombstone(&RangeTombstone { start: b"a".to_vec(), end: b"k".to_vec(), seqno: 12 });
        p.collected.push(("digest".into(), vec![1, 2, 3]));
        assert_eq!(
            (p.smallest.as_slice(), p.largest.as_slice(), p.largest_exclusive),
            (&b"a"[..], &b"k"[..], false)
        );
        assert_eq!((p.min_seqno, p.max_seqno), (3, 12));
        let mut bytes = Vec::new();
        p.encode(&mut bytes);
        varint::put(&mut bytes, 99);
        varint::put_bytes(&mut bytes, b"from the future");
        let back = Properties::decode(&bytes, 0).unwrap();
        assert_eq!(back, p);
        assert_eq!(back.collected("digest"), Some(&[1u8, 2, 3][..]));
        for cut in 0..bytes.len() {
            let _ = Properties::decode(&bytes[..cut], 0);
        }
    }
}
