//! [`Block`]: the columns of a block's body, searched and read in place.
//!
//! ```text
//!    0  entries                 u32     n, at least 1
//!    4  common prefix length    u16     bytes that every key begins with
//!    6  flags                   u8      bit 0: the column `shared` is there; the others are 0
//!    7  head length             u8      0..=8: key bytes in every head; 255: the column `head lengths` is there
//!    8  trailer base            u64
//!   16  trailer width           u8      0, 1, 2, 4 or 8
//!   17  trailer shift           u8      0 or 8
//!   18  tail width              u8      0, 2 or 4
//!   19  value width             u8      0, 2 or 4
//!   20  tail size               u32     width 0: of each stored tail; otherwise of all together
//!   24  value size              u32     width 0: of each value; otherwise of all together
//!   28  buckets                 u16     0: no hash index
//!   30  zero                    u16
//!   32  ┌─────────────────────────────────────────────────────────────────────────────────────────────┐
//!       │ heads          n × u64 BE   the 8 key bytes after the common prefix, padded with zeros      │
//!       │ trailers       n × width    trailer = base + (this << shift)                                │
//!       │ head lengths   n × u8       how many bytes of the head are key                              │
//!       │ tail ends      n × width    where each stored tail ends in `tails`                          │
//!       │ shared         n × u8       tail bytes taken from the first entry of the group of 16        │
//!       │ value ends     n × width    where each value ends in `values`                               │
//!       │ buckets        buckets × u8 hash index: entry number, 254 several keys, 255 none            │
//!       │ common prefix, tails, values                                                                │
//!       └─────────────────────────────────────────────────────────────────────────────────────────────┘
//!   key(i) = common prefix ‖ head(i)[..head length(i)] ‖ tail(first of group)[..shared(i)] ‖ stored tail(i)
//! ```
//!
//! Invariant on what a writer wrote: `(head, head length, tail)` orders the keys as their bytes do, because two keys with
//! equal padded heads of which one is shorter than eight bytes are prefixes of each other, and only a full head
//! has a tail. On damaged bytes every access is checked and answers with `Corruption`.

use esker_table::key::head;
use esker_table::{Result, TableError, Trailer};
use std::cmp::Ordering;
use std::ops::Range;

/// The length of the header.
pub(crate) const HEADER: usize = 32;
/// Key bytes in a head.
pub(crate) const HEAD: usize = 8;
/// Entries in a group whose tails share with its first.
pub(crate) const GROUP: usize = 16;
/// Header flag: the column `shared` is there.
pub(crate) const FLAG_SHARED: u8 = 1;
/// Header head length: the column `head lengths` is there.
pub(crate) const HEAD_LENGTHS: u8 = 255;
/// A bucket that no key hashes to.
pub(crate) const BUCKET_NONE: u8 = 255;
/// A bucket that several keys hash to.
pub(crate) const BUCKET_SEVERAL: u8 = 254;

/// What the hash index says about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bucket {
    /// The key is not in the block.
    Absent,
    /// If the key is in the block, its first entry is this.
    At(usize),
    /// Only a search can tell.
    Unknown,
}

/// The bucket that a key with this hash belongs to.
#[inline]
pub(crate) fn bucket_of(hash: u64, buckets: usize) -> usize {
    (((hash & 0xffff_ffff) * buckets as u64) >> 32) as usize
}

/// The parts of a key that follow one another: common prefix, head bytes, what it shares with its group, its own tail.
pub(crate) type KeyParts<'a> = [&'a [u8]; 4];

/// A block's body and where its columns begin. Parsing reads the header alone, as a lookup parses three blocks and
/// touches one or two entries of each; it leaves known that every column has an element for each entry.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    body: &'a [u8],
    at: u64,
    heads: &'a [[u8; HEAD]],
    prefix: &'a [u8],
    base: u64,
    shift: u8,
    trailer_width: u8,
    head_len: u8,
    tail_width: u8,
    value_width: u8,
    has_shared: bool,
    tail_size: usize,
    value_size: usize,
    trailers_at: usize,
    head_lens_at: usize,
    tail_ends_at: usize,
    shared_at: usize,
    value_ends_at: usize,
    buckets_at: usize,
    tails_at: usize,
    values_at: usize,
    buckets: usize,
}

impl<'a> Block<'a> {
    /// Parses a body. `at` is where its block lies in the file, for errors.
    ///
    /// # Errors
    /// `Corruption` if the header contradicts itself or the body's length.
    #[inline(always)]
    pub(crate) fn parse(body: &'a [u8], at: u64) -> Result<Block<'a>> {
        match Block::columns(body, at) {
            Some(block) => Ok(block),
            None => Err(TableError::corruption(at, "a block's header contradicts its length or itself")),
        }
    }

    #[inline(always)]
    fn columns(body: &'a [u8], at: u64) -> Option<Block<'a>> {
        let (header, rest) = body.split_first_chunk::<HEADER>()?;
        let u32_at = |i: usize| u32::from_le_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]);
        let u16_at = |i: usize| u16::from_le_bytes([header[i], header[i + 1]]);
        let count = u32_at(0) as usize;
        let (flags, head_len, shift) = (header[6], header[7], header[17]);
        let (trailer_width, tail_width, value_width) = (header[16], header[18], header[19]);
        let valid = count != 0
            && flags & !FLAG_SHARED == 0
            && (head_len <= HEAD as u8 || head_len == HEAD_LENGTHS)
            && (shift == 0 || shift == 8)
            && u16_at(30) == 0
            && matches!(trailer_width, 0 | 1 | 2 | 4 | 8)
            && matches!(tail_width, 0 | 2 | 4)
            && matches!(value_width, 0 | 2 | 4)
            && count <= rest.len() / HEAD;
        if !valid {
            return None;
        }
        // No sum below can overflow: the count is below the body's length, every width at most 8, every size below 2^32.
        let (tail_size, value_size) = (u32_at(20) as usize, u32_at(24) as usize);
        let together = |width: u8, size: usize| if width == 0 { size * count } else { size };
        let has_shared = flags & FLAG_SHARED != 0;
        let trailers_at = HEADER + count * HEAD;
        let head_lens_at = trailers_at + count * usize::from(trailer_width);
        let tail_ends_at = head_lens_at + if head_len == HEAD_LENGTHS { count } else { 0 };
        let shared_at = tail_ends_at + count * usize::from(tail_width);
        let value_ends_at = shared_at + if has_shared { count } else { 0 };
        let buckets_at = value_ends_at + count * usize::from(value_width);
        let prefix_at = buckets_at + usize::from(u16_at(28));
        let tails_at = prefix_at + usize::from(u16_at(4));
        let values_at = tails_at + together(tail_width, tail_size);
        if values_at + together(value_width, value_size) != body.len() {
            return None;
        }
        Some(Block {
            body,
            at,
            heads: body.get(HEADER..trailers_at)?.as_chunks().0,
            prefix: body.get(prefix_at..tails_at)?,
            base: u64::from_le_bytes(*header[8..].first_chunk()?),
            shift,
            trailer_width,
            head_len,
            tail_width,
            value_width,
            has_shared,
            tail_size,
            value_size,
            trailers_at,
            head_lens_at,
            tail_ends_at,
            shared_at,
            value_ends_at,
            buckets_at,
            tails_at,
            values_at,
            buckets: usize::from(u16_at(28)),
        })
    }

    /// The `N` bytes at `at`, which lie in a column.
    #[inline]
    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.body[at..at + N]);
        bytes
    }

    /// Where entry `i` of the tails or the values ends.
    #[inline]
    fn end(&self, column: usize, width: u8, size: usize, i: usize) -> usize {
        match width {
            0 => (i + 1) * size,
            2 => usize::from(u16::from_le_bytes(self.bytes(column + i * 2))),
            _ => u32::from_le_bytes(self.bytes(column + i * 4)) as usize,
        }
    }

    /// Where entry `i` lies in the tails or the values.
    #[inline]
    fn range(&self, column: usize, width: u8, size: usize, i: usize) -> Range<usize> {
        let start = if i == 0 { 0 } else { self.end(column, width, size, i - 1) };
        start..self.end(column, width, size, i)
    }

    #[inline]
    fn stored_tail(&self, i: usize) -> Option<&'a [u8]> {
        let range = self.range(self.tail_ends_at, self.tail_width, self.tail_size, i);
        self.body.get(self.tails_at..self.values_at)?.get(range)
    }

    #[cold]
    fn bad(&self, what: &str, i: usize) -> TableError {
        TableError::corruption(self.at, format!("entry {i} of a block: {what}"))
    }

    /// The number of entries, at least 1.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there is a hash index.
    pub(crate) fn has_buckets(&self) -> bool {
        self.buckets != 0
    }

    /// The trailer of entry `i`, which exists.
    #[inline]
    pub(crate) fn trailer(&self, i: usize) -> Trailer {
        let at = self.trailers_at + i * usize::from(self.trailer_width);
        let distance = match self.trailer_width {
            0 => 0,
            1 => u64::from(self.body[at]),
            2 => u64::from(u16::from_le_bytes(self.bytes(at))),
            4 => u64::from(u32::from_le_bytes(self.bytes(at))),
            _ => u64::from_le_bytes(self.bytes(at)),
        };
        Trailer(self.base.wrapping_add(distance << self.shift))
    }

    #[inline]
    fn head(&self, i: usize) -> u64 {
        u64::from_be_bytes(self.heads[i])
    }

    #[inline]
    fn head_len(&self, i: usize) -> usize {
        let len =
            if self.head_len == HEAD_LENGTHS { self.body[self.head_lens_at + i] } else { self.head_len };
        usize::from(len)
    }

    /// The two parts of a tail: what is taken from the group's first entry, and what is stored.
    #[inline]
    fn tail(&self, i: usize) -> Result<(&'a [u8], &'a [u8])> {
        let parts = if self.has_shared {
            let shared = usize::from(self.body[self.shared_at + i]);
            let leader = self.stored_tail(i - i % GROUP).and_then(|tail| tail.get(..shared));
            leader.zip(self.stored_tail(i))
        } else {
            self.stored_tail(i).map(|own| (&[][..], own))
        };
        parts.ok_or_else(|| self.bad("its key lies outside", i))
    }

    /// The key of entry `i`, which exists, in parts.
    ///
    /// # Errors
    /// `Corruption` if the parts do not lie within the block.
    #[inline]
    pub(crate) fn key(&self, i: usize) -> Result<KeyParts<'a>> {
        let Some(head) = self.heads[i].get(..self.head_len(i)) else {
            return Err(self.bad("its head is too long", i));
        };
        let (shared, own) = self.tail(i)?;
        Ok([self.prefix, head, shared, own])
    }

    /// The length of the key of entry `i`.
    ///
    /// # Errors
    /// As [`key`](Block::key).
    #[inline]
    pub(crate) fn key_len(&self, i: usize) -> Result<usize> {
        Ok(self.key(i)?.iter().map(|part| part.len()).sum())
    }

    /// The key of entry `i` as one vector.
    ///
    /// # Errors
    /// As [`key`](Block::key).
    pub(crate) fn key_vec(&self, i: usize) -> Result<Vec<u8>> {
        Ok(self.key(i)?.concat())
    }

    /// Where the value of entry `i`, which exists, lies in the body.
    ///
    /// # Errors
    /// `Corruption` if that is not within the block.
    #[inline]
    pub(crate) fn value_range(&self, i: usize) -> Result<Range<usize>> {
        let range = self.range(self.value_ends_at, self.value_width, self.value_size, i);
        if range.start <= range.end && range.end <= self.body.len() - self.values_at {
            Ok(self.values_at + range.start..self.values_at + range.end)
        } else {
            Err(self.bad("its value lies outside", i))
        }
    }

    /// The value of entry `i`, which exists.
    ///
    /// # Errors
    /// As [`value_range`](Block::value_range).
    #[inline]
    pub(crate) fn value(&self, i: usize) -> Result<&'a [u8]> {
        Ok(&self.body[self.value_range(i)?])
    }

    /// The key's bytes after the common prefix; or, if the key does not begin with it, where all entries lie: after
    /// the key (`Err(0)`) or before it (`Err(n)`).
    #[inline]
    fn rest<'k>(&self, user_key: &'k [u8]) -> Result<&'k [u8], usize> {
        if let Some(rest) = user_key.strip_prefix(self.prefix) {
            return Ok(rest);
        }
        Err(if user_key < self.prefix { 0 } else { self.len() })
    }

    /// The number of heads below `bound`, without a branch that depends on them.
    #[inline]
    fn heads_below(&self, bound: u64) -> usize {
        let (mut low, mut size) = (0, self.len());
        while size > 1 {
            let half = size / 2;
            let middle = low + half;
            low = std::hint::select_unpredictable(self.head(middle) < bound, middle, low);
            size -= half;
        }
        low + usize::from(self.head(low) < bound)
    }

    /// Compares the user key of entry `i` with a key that has the same common prefix and the same head.
    #[inline]
    fn compare_behind_head(&self, i: usize, rest: &[u8]) -> Result<Ordering> {
        let by_head = self.head_len(i).cmp(&rest.len().min(HEAD));
        if by_head.is_ne() {
            return Ok(by_head);
        }
        let rest = rest.get(HEAD..).unwrap_or_default();
        let (shared, own) = self.tail(i)?;
        let (front, back) = rest.split_at(shared.len().min(rest.len()));
        Ok(shared.cmp(front).then_with(|| own.cmp(back)))
    }

    /// The number of entries before `(user_key, trailer)`.
    ///
    /// # Errors
    /// `Corruption` if an entry that was looked at is malformed.
    #[inline]
    pub(crate) fn lower_bound(&self, user_key: &[u8], trailer: Trailer) -> Result<usize> {
        let rest = match self.rest(user_key) {
            Ok(rest) => rest,
            Err(all) => return Ok(all),
        };
        let wanted = head(rest);
        let first = self.heads_below(wanted);
        let before = |i: usize| -> Result<bool> {
            let order = self.compare_behind_head(i, rest)?.then_with(|| trailer.cmp(&self.trailer(i)));
            Ok(order.is_lt())
        };
        if first == self.len() || self.head(first) != wanted || !before(first)? {
            return Ok(first);
        }
        let (mut low, mut high) = (
            first + 1,
            match wanted.checked_add(1) {
                Some(above) => self.heads_below(above),
                None => self.len(),
            },
        );
        while low < high {
            let middle = low + (high - low) / 2;
            if before(middle)? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Whether the user key of entry `i`, which exists, is this.
    ///
    /// # Errors
    /// As [`key`](Block::key).
    #[inline]
    pub(crate) fn is_key(&self, i: usize, user_key: &[u8]) -> Result<bool> {
        match user_key.strip_prefix(self.prefix) {
            Some(rest) if head(rest) == self.head(i) => Ok(self.compare_behind_head(i, rest)?.is_eq()),
            _ => Ok(false),
        }
    }

    /// For index blocks, whose keys are lower bounds of the blocks they point to: the last entry at or before
    /// `(user_key, trailer)`, or the first entry if there is none.
    ///
    /// # Errors
    /// As [`lower_bound`](Block::lower_bound).
    #[inline]
    pub(crate) fn floor(&self, user_key: &[u8], trailer: Trailer) -> Result<usize> {
        let at = self.lower_bound(user_key, trailer)?;
        if at < self.len() && self.trailer(at) == trailer && self.is_key(at, user_key)? {
            return Ok(at);
        }
        Ok(at.saturating_sub(1))
    }

    /// Asks the hash index for a key.
    #[inline]
    pub(crate) fn bucket(&self, hash: u64) -> Bucket {
        if self.buckets == 0 {
            return Bucket::Unknown;
        }
        match self.body[self.buckets_at + bucket_of(hash, self.buckets)] {
            BUCKET_NONE => Bucket::Absent,
            i if usize::from(i) < self.len() && i < BUCKET_SEVERAL => Bucket::At(usize::from(i)),
            _ => Bucket::Unknown,
        }
    }

    /// Checks everything that single accesses take on trust: every part within the block, heads padded with zeros,
    /// tails only behind full heads, ends that leave no gap.
    ///
    /// # Errors
    /// `Corruption` naming the entry.
    pub(crate) fn check(&self) -> Result<()> {
        for i in 0..self.len() {
            let [_, head, shared, own] = self.key(i)?;
            if self.heads[i][head.len()..].iter().any(|&byte| byte != 0) {
                return Err(self.bad("its head is not padded with zeros", i));
            }
            if head.len() < HEAD && shared.len() + own.len() != 0 {
                return Err(self.bad("it has a tail behind a short head", i));
            }
            if i % GROUP == 0 && !shared.is_empty() {
                return Err(self.bad("it leads its group and shares with it", i));
            }
            self.value(i)?;
        }
        let last = self.len() - 1;
        let tails = self.end(self.tail_ends_at, self.tail_width, self.tail_size, last);
        let values = self.end(self.value_ends_at, self.value_width, self.value_size, last);
        if tails != self.values_at - self.tails_at || values != self.body.len() - self.values_at {
            return Err(self.bad("bytes follow it that no entry owns", last));
        }
        Ok(())
    }
}
