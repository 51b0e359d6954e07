//! [`Chunk`]: some neighbouring entries, parsed. See the crate's documentation for the bytes.

use esker_table::codec::varint::{self, Reader};
use esker_table::key;
use esker_table::{Result, Slice, TableError, Trailer};
use std::ops::Range;

/// A chunk, with the place of each of its entries.
pub(crate) struct Chunk {
    body: Slice,
    entries: Vec<Entry>,
}

struct Entry {
    trailer: Trailer,
    key: Range<usize>,
    value: Range<usize>,
}

/// Appends an entry to the body of a chunk.
pub(crate) fn append(body: &mut Vec<u8>, user_key: &[u8], trailer: Trailer, value: &[u8]) {
    varint::put(body, user_key.len() as u64);
    varint::put(body, value.len() as u64);
    body.extend_from_slice(&trailer.0.to_le_bytes());
    body.extend_from_slice(user_key);
    body.extend_from_slice(value);
}

impl Chunk {
    /// Finds the entries in the body of the chunk that lies at `at` in the file.
    ///
    /// # Errors
    /// `Corruption` if an entry is cut off or there is none. The checksum has been checked, so that the writer was wrong.
    pub(crate) fn parse(body: Slice, at: u64) -> Result<Chunk> {
        let mut entries = Vec::new();
        let mut reader = Reader::new(&body);
        while !reader.is_empty() {
            let entry = entry(&mut reader, body.len());
            entries.push(entry.ok_or_else(|| TableError::corruption(at, "a chunk's entry is cut off"))?);
        }
        if entries.is_empty() {
            return Err(TableError::corruption(at, "a chunk has no entry"));
        }
        Ok(Chunk { body, entries })
    }

    /// What the values lie in.
    pub(crate) fn body(&self) -> &Slice {
        &self.body
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn key(&self, i: usize) -> &[u8] {
        &self.body[self.entries[i].key.clone()]
    }

    pub(crate) fn trailer(&self, i: usize) -> Trailer {
        self.entries[i].trailer
    }

    /// Where in the body the value lies.
    pub(crate) fn value(&self, i: usize) -> Range<usize> {
        self.entries[i].value.clone()
    }

    /// The number of entries before `(user_key, trailer)`.
    pub(crate) fn lower_bound(&self, user_key: &[u8], trailer: Trailer) -> usize {
        let before =
            |e: &Entry| key::compare(&self.body[e.key.clone()], e.trailer, user_key, trailer).is_lt();
        self.entries.partition_point(before)
    }
}

fn entry(reader: &mut Reader<'_>, len: usize) -> Option<Entry> {
    let key_len = usize::try_from(reader.varint()?).ok()?;
    let value_len = usize::try_from(reader.varint()?).ok()?;
    let trailer = Trailer(reader.u64()?);
    let key_at = len - reader.rest().len();
    reader.take(key_len)?;
    let value_at = len - reader.rest().len();
    reader.take(value_len)?;
    Some(Entry { trailer, key: key_at..value_at, value: value_at..value_at + value_len })
}
