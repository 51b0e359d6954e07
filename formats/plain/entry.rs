//! [`Entry`]: how an entry lies in the data.
//!
//! ```text
//!   ┌────────────────────┬──────────────────────┬─────────────┬─────┬───────┬───────────┐
//!   │ key length  varint │ value length  varint │ trailer u64 │ key │ value │ 0–3 zeros │
//!   └────────────────────┴──────────────────────┴─────────────┴─────┴───────┴───────────┘
//!   ▲ a multiple of 4: its place in the data, divided by 4, is the entry's *location*, a u32
//! ```
//!
//! Lengths come first and mostly take a byte each, so that walking from entry to entry reads one cache line of each.

use esker_table::codec::varint;
use esker_table::key::{MAX_KEY_LEN, MAX_VALUE_LEN};
use esker_table::{Slice, Trailer};

/// Entries begin at multiples of this.
pub(crate) const UNIT: usize = 4;

/// The most bytes before an entry's key.
pub(crate) const MAX_HEADER: usize = 2 * varint::MAX_LEN + 8;

/// Where the parts of an entry lie, from the beginning of whatever it was decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) trailer: Trailer,
    pub(crate) key_start: usize,
    pub(crate) key_len: usize,
    pub(crate) value_len: usize,
    /// Where the next entry begins.
    pub(crate) end: usize,
}

impl Entry {
    /// Decodes the lengths and the trailer of the entry at `at`. What they describe may lie beyond `bytes`. `None` if even they do,
    /// or are beyond the limits of keys and values, so that nothing that is computed from them overflows.
    #[inline]
    pub(crate) fn decode(bytes: &[u8], at: usize) -> Option<Entry> {
        let rest = bytes.get(at..)?;
        let (key_len, value_len, header) = match rest {
            [key_len @ 0..0x80, value_len @ 0..0x80, ..] => {
                (usize::from(*key_len), usize::from(*value_len), 2)
            }
            _ => Entry::long_lengths(rest)?,
        };
        if key_len > MAX_KEY_LEN || value_len > MAX_VALUE_LEN {
            return None;
        }
        let trailer = Trailer(u64::from_le_bytes(*rest.get(header..)?.first_chunk()?));
        let key_start = at + header + 8;
        let end = (key_start + key_len + value_len + UNIT - 1) & !(UNIT - 1);
        Some(Entry { trailer, key_start, key_len, value_len, end })
    }

    #[cold]
    fn long_lengths(rest: &[u8]) -> Option<(usize, usize, usize)> {
        let mut reader = varint::Reader::new(rest);
        let key_len = usize::try_from(reader.varint()?).ok()?;
        let value_len = usize::try_from(reader.varint()?).ok()?;
        Some((key_len, value_len, rest.len() - reader.rest().len()))
    }

    /// Appends an entry to data of which `out` is the end. The data before `out` must be as long as a multiple of [`UNIT`].
    pub(crate) fn encode(user_key: &[u8], trailer: Trailer, value: &[u8], out: &mut Vec<u8>) {
        varint::put(out, user_key.len() as u64);
        varint::put(out, value.len() as u64);
        out.extend_from_slice(&trailer.0.to_le_bytes());
        out.extend_from_slice(user_key);
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(UNIT), 0);
    }

    #[inline]
    pub(crate) fn value_start(&self) -> usize {
        self.key_start + self.key_len
    }

    #[inline]
    pub(crate) fn value_end(&self) -> usize {
        self.value_start() + self.value_len
    }

    /// The key. The entry must lie in `bytes` whole, here and below.
    #[inline]
    pub(crate) fn key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.key_start..self.value_start()]
    }

    /// The value, borrowed.
    #[inline]
    pub(crate) fn value_bytes<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.value_start()..self.value_end()]
    }

    /// The value, sharing `bytes`.
    #[inline]
    pub(crate) fn value(&self, bytes: &Slice) -> Slice {
        bytes.slice(self.value_start()..self.value_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_and_begin_at_multiples_of_four() {
        let mut data = Vec::new();
        let mut written = Vec::new();
        for (key_len, value_len) in
            [(0, 0), (1, 2), (16, 100), (127, 127), (128, 127), (127, 128), (65_535, 70_000)]
        {
            let (key, value) = (vec![b'k'; key_len], vec![b'v'; value_len]);
            written.push((data.len(), key.clone(), value.clone()));
            Entry::encode(&key, Trailer(written.len() as u64), &value, &mut data);
        }
        let mut at = 0;
        for (i, (start, key, value)) in written.iter().enumerate() {
            assert_eq!((*start, start % UNIT), (at, 0));
            let entry = Entry::decode(&data, at).unwrap();
            assert_eq!(entry.trailer, Trailer(i as u64 + 1));
            assert_eq!((entry.key(&data), entry.value_bytes(&data)), (&key[..], &value[..]));
            at = entry.end;
        }
        assert_eq!(at, data.len());
    }

    #[test]
    fn what_is_no_entry_is_none() {
        assert_eq!(Entry::decode(&[], 0), None);
        assert_eq!(Entry::decode(&[1, 1, 0, 0, 0, 0, 0, 0, 0], 0), None);
        assert_eq!(Entry::decode(&[0xff; 40], 0), None);
        assert_eq!(Entry::decode(&[1; 40], 41), None);
        // The longest key there is, one that is longer by a byte, and the longest length that can be written.
        assert_eq!(Entry::decode(&[&[0xff, 0xff, 0x03][..], &[1; 20]].concat(), 0).unwrap().key_len, 65_535);
        assert_eq!(Entry::decode(&[&[0x80, 0x80, 0x04][..], &[1; 20]].concat(), 0), None);
        assert_eq!(Entry::decode(&[&[0xff; 9][..], &[1; 20]].concat(), 0), None);
    }
}
