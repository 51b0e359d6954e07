//! [`TableCursor`] and [`Run`]: ordered iteration with one dynamic call per run of entries.
//!
//! A cursor stands around a *run*: the entries it filled last, which lie next to each other in the table and in one
//! block. The caller walks inside the run without any call; at its end it asks for the next run, at its front for
//! the previous one. Changing direction inside a run therefore costs nothing.
//!
//! ```text
//!   table   a a b c d | e f g h | i j k          | = block boundary
//!                       ▲─────▲
//!                       run after seek(e)        next() → i j k       prev() → a a b c d
//! ```

use crate::{Result, SeqNo, Slice, Trailer};

/// Ordered iteration over a table's entries.
///
/// Every method fills `run` (cleared first) with at most `want` entries (at least one where there is one) in ascending
/// internal order, whatever the direction. An empty run means that there is no entry on that side. `want` is a
/// hint of how many the caller may use: small after a seek, larger as a scan goes on.
///
/// After an error the cursor has no position: only the positioning methods may be called.
pub trait TableCursor: Send + Sync {
    /// Fills with the first entries at or after `(user_key, trailer)`.
    ///
    /// # Errors
    /// `Corruption` or `Io`, here and below.
    fn seek(&mut self, user_key: &[u8], trailer: Trailer, run: &mut Run, want: usize) -> Result<()>;

    /// Fills with the last entries strictly before `(user_key, trailer)`.
    ///
    /// # Errors
    /// As [`seek`](TableCursor::seek).
    fn seek_before(&mut self, user_key: &[u8], trailer: Trailer, run: &mut Run, want: usize) -> Result<()>;

    /// Fills with the first entries of the table.
    ///
    /// # Errors
    /// As [`seek`](TableCursor::seek).
    fn first(&mut self, run: &mut Run, want: usize) -> Result<()>;

    /// Fills with the last entries of the table.
    ///
    /// # Errors
    /// As [`seek`](TableCursor::seek).
    fn last(&mut self, run: &mut Run, want: usize) -> Result<()>;

    /// Fills with the entries after the last run. If that was empty because the table ended, it stays empty; if it was
    /// empty because the table began, these are the first entries.
    ///
    /// # Errors
    /// As [`seek`](TableCursor::seek).
    fn next(&mut self, run: &mut Run, want: usize) -> Result<()>;

    /// Fills with the entries before the last run. If that was empty because the table began, it stays empty; if it was
    /// empty because the table ended, these are the last entries.
    ///
    /// # Errors
    /// As [`seek`](TableCursor::seek).
    fn prev(&mut self, run: &mut Run, want: usize) -> Result<()>;
}

/// Entries that lie next to each other in one block: values borrowed from the block, keys joined together or borrowed too.
///
/// Owned by the caller and filled by the format; its memory is reused from run to run, so that iterating allocates
/// nothing once the buffers have grown.
#[derive(Debug, Default)]
pub struct Run {
    keys: Vec<u8>,
    entries: Vec<RunEntry>,
    block: Slice,
    /// Whether keys lie in the block as they are, and not in `keys`.
    borrowed: bool,
}

#[derive(Clone, Copy, Debug)]
struct RunEntry {
    trailer: Trailer,
    key_start: u32,
    key_len: u32,
    value_start: u32,
    value_len: u32,
}

impl Run {
    /// A run without entries.
    pub fn new() -> Run {
        Run::default()
    }

    /// The number of entries.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The user key of entry `i`.
    #[inline]
    pub fn key(&self, i: usize) -> &[u8] {
        let e = &self.entries[i];
        let bytes: &[u8] = if self.borrowed { &self.block } else { &self.keys };
        &bytes[e.key_start as usize..e.key_start as usize + e.key_len as usize]
    }

    /// The length of all joined keys together. A format ends a run early when this grows large.
    #[inline]
    pub fn key_bytes(&self) -> usize {
        self.keys.len()
    }

    /// The trailer of entry `i`.
    #[inline]
    pub fn trailer(&self, i: usize) -> Trailer {
        self.entries[i].trailer
    }

    /// The value of entry `i`.
    #[inline]
    pub fn value(&self, i: usize) -> &[u8] {
        let e = &self.entries[i];
        &self.block[e.value_start as usize..e.value_start as usize + e.value_len as usize]
    }

    /// The value of entry `i`, sharing the block.
    #[inline]
    pub fn value_slice(&self, i: usize) -> Slice {
        let e = &self.entries[i];
        self.block.slice(e.value_start as usize..e.value_start as usize + e.value_len as usize)
    }

    /// Removes all entries and lets go of the block.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.entries.clear();
        self.block = Slice::new();
    }

    /// For formats: starts a run over `block`, which every value of the run lies in.
    pub fn begin(&mut self, block: Slice) {
        self.keys.clear();
        self.entries.clear();
        self.block = block;
        self.borrowed = false;
    }

    /// For formats whose blocks hold keys as they are: starts a run over `block`, which every key and every value of the run lies
    /// in, right behind each other; entries are added by [`push_borrowed`](Run::push_borrowed) alone.
    pub fn begin_borrowed(&mut self, block: Slice) {
        self.begin(block);
        self.borrowed = true;
    }

    /// For formats: adds an entry whose key begins at `key_start` of the block and is followed by its value.
    ///
    /// # Panics
    /// If they do not lie within the block.
    #[inline]
    pub fn push_borrowed(&mut self, key_start: usize, key_len: usize, value_len: usize, trailer: Trailer) {
        let value_start = key_start + key_len;
        assert!(self.borrowed && value_start + value_len <= self.block.len());
        self.entries.push(RunEntry {
            trailer,
            key_start: key_start as u32,
            key_len: key_len as u32,
            value_start: value_start as u32,
            value_len: value_len as u32,
        });
    }

    /// For formats: adds an entry after those that are there. Its key is the concatenation of `key_parts`, its value
    /// the given range of the block.
    ///
    /// # Panics
    /// If the value's range does not lie within the block.
    #[inline]
    pub fn push<const N: usize>(
        &mut self,
        key_parts: [&[u8]; N],
        trailer: Trailer,
        value_start: usize,
        value_len: usize,
    ) {
        assert!(value_start.checked_add(value_len).is_some_and(|end| end <= self.block.len()));
        let key_start = self.keys.len();
        for part in key_parts {
            self.keys.extend_from_slice(part);
        }
        self.push_entry(key_start, trailer, value_start, value_len);
    }

    /// As [`push`](Run::push), for a key in three short parts.
    ///
    /// # Panics
    /// If the value's range does not lie within the block.
    #[inline]
    pub fn push_padded<const A: usize, const B: usize, const C: usize>(
        &mut self,
        key_parts: (Padded<'_, A>, Padded<'_, B>, Padded<'_, C>),
        trailer: Trailer,
        value_start: usize,
        value_len: usize,
    ) {
        assert!(value_start.checked_add(value_len).is_some_and(|end| end <= self.block.len()));
        let key_start = self.keys.len();
        self.keys.reserve(A + B + C);
        append_padded(&mut self.keys, key_parts.0);
        append_padded(&mut self.keys, key_parts.1);
        append_padded(&mut self.keys, key_parts.2);
        self.push_entry(key_start, trailer, value_start, value_len);
    }

    #[inline]
    fn push_entry(&mut self, key_start: usize, trailer: Trailer, value_start: usize, value_len: usize) {
        self.entries.push(RunEntry {
            trailer,
            key_start: key_start as u32,
            key_len: (self.keys.len() - key_start) as u32,
            value_start: value_start as u32,
            value_len: value_len as u32,
        });
    }

    /// Gives every entry this sequence number: for tables whose sequence number the MANIFEST overrides.
    pub fn override_seqno(&mut self, seqno: SeqNo) {
        for entry in &mut self.entries {
            entry.trailer = entry.trailer.with_seqno(seqno);
        }
    }

    /// Keeps the entries `from..to` and drops the others.
    ///
    /// # Panics
    /// If the range does not lie within the run.
    pub fn keep(&mut self, from: usize, to: usize) {
        self.entries.truncate(to);
        self.entries.drain(..from);
    }

    /// The first entry at or after `(user_key, trailer)`, or the number of entries.
    pub fn lower_bound(&self, user_key: &[u8], trailer: Trailer) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let mid = low + (high - low) / 2;
            if crate::key::compare(self.key(mid), self.trailer(mid), user_key, trailer).is_lt() {
                low = mid + 1;
            } else {
                high = mid;
            }
        }
        low
    }
}

/// Key bytes at the front of a longer array: the array and how many of its bytes count. Copying a whole array costs a
/// few instructions where copying a length that is only known at run time costs a call.
pub type Padded<'a, const N: usize> = (&'a [u8; N], usize);

#[inline]
fn append_padded<const N: usize>(out: &mut Vec<u8>, (bytes, len): Padded<'_, N>) {
    let end = out.len() + len.min(N);
    out.extend_from_slice(bytes);
    out.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_joined_from_their_parts() {
        let bytes: [u8; 8] = std::array::from_fn(|i| i as u8);
        let mut run = Run::new();
        run.begin(Slice::from_static(b"value"));
        for len in 0..8 {
            run.push([&bytes[..len], &[], &bytes[len..]], Trailer(1), 1, 3);
            run.push_padded(((&bytes, len), (&[9; 3], len % 4), (&bytes, 8)), Trailer(2), 0, 0);
        }
        for len in 0..8 {
            assert_eq!(run.key(2 * len), bytes);
            assert_eq!((run.trailer(2 * len), run.value(2 * len)), (Trailer(1), &b"alu"[..]));
            assert_eq!(run.key(2 * len + 1), [&bytes[..len], &[9; 3][..len % 4], &bytes].concat());
            assert_eq!(run.value(2 * len + 1), b"");
        }
    }
}
