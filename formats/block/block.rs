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

/// A column of ends, or the one length that makes it unnecessary.
#[derive(Clone, Copy)]
enum Ends<'a> {
    Uniform(usize),
    Two(&'a [[u8; 2]]),
    Four(&'a [[u8; 4]]),
}

impl Ends<'_> {
    #[inline]
    fn end(self, i: usize) -> Option<usize> {
        Some(match self {
            Ends::Uniform(size) => (i + 1) * size,
            Ends::Two(column) => usize::from(u16::from_le_bytes(*column.get(i)?)),
            Ends::Four(column) => u32::from_le_bytes(*column.get(i)?) as usize,
        })
    }

    #[inline]
    fn range(self, i: usize) -> Option<Range<usize>> {
        let start = match i.checked_sub(1) {
            Some(before) => self.end(before)?,
            None => 0,
        };
        Some(start..self.end(i)?)
    }
}

/// A column of trailers as distances from the base.
#[derive(Clone, Copy)]
enum Distances<'a> {
    Zero,
    One(&'a [u8]),
    Two(&'a [[u8; 2]]),
    Four(&'a [[u8; 4]]),
    Eight(&'a [[u8; 8]]),
}

impl Distances<'_> {
    #[inline]
    fn get(self, i: usize) -> u64 {
        match self {
            Distances::Zero => 0,
            Distances::One(column) => u64::from(column[i]),
            Distances::Two(column) => u64::from(u16::from_le_bytes(column[i])),
            Distances::Four(column) => u64::from(u32::from_le_bytes(column[i])),
            Distances::Eight(column) => u64::from_le_bytes(column[i]),
        }
    }
}

/// Cuts columns off the front of a body.
struct Columns<'a> {
    rest: &'a [u8],
}

impl<'a> Columns<'a> {
    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (column, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(column)
    }

    fn chunks<const N: usize>(&mut self, count: usize) -> Option<&'a [[u8; N]]> {
        Some(self.bytes(count.checked_mul(N)?)?.as_chunks().0)
    }

    fn ends(&mut self, width: u8, count: usize, size: usize) -> Option<Ends<'a>> {
        Some(match width {
            0 => Ends::Uniform(size),
            2 => Ends::Two(self.chunks(count)?),
            4 => Ends::Four(self.chunks(count)?),
            _ => return None,
        })
    }

    fn distances(&mut self, width: u8, count: usize) -> Option<Distances<'a>> {
        Some(match width {
            0 => Distances::Zero,
            1 => Distances::One(self.bytes(count)?),
            2 => Distances::Two(self.chunks(count)?),
            4 => Distances::Four(self.chunks(count)?),
            8 => Distances::Eight(self.chunks(count)?),
            _ => return None,
        })
    }
}

/// The parts of a key that follow one another: common prefix, head bytes, what it shares with its group, its own tail.
pub(crate) type KeyParts<'a> = [&'a [u8]; 4];

/// A block's body, parsed as far as its header. All columns but the prefix, the tails and the values are known to have
/// an element for each entry.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    at: u64,
    prefix: &'a [u8],
    heads: &'a [[u8; HEAD]],
    base: u64,
    shift: u8,
    distances: Distances<'a>,
    head_len: u8,
    head_lens: &'a [u8],
    tail_ends: Ends<'a>,
    shared: Option<&'a [u8]>,
    value_ends: Ends<'a>,
    buckets: &'a [u8],
    tails: &'a [u8],
    values: &'a [u8],
    values_at: usize,
}

impl<'a> Block<'a> {
    /// Parses a body. `at` is where its block lies in the file, for errors.
    ///
    /// # Errors
    /// `Corruption` if the header contradicts itself or the body's length.
    #[inline]
    pub(crate) fn parse(body: &'a [u8], at: u64) -> Result<Block<'a>> {
        match Block::columns(body, at) {
            Some(block) => Ok(block),
            None => Err(TableError::corruption(at, "a block's header contradicts its length or itself")),
        }
    }

    fn columns(body: &'a [u8], at: u64) -> Option<Block<'a>> {
        let (header, rest) = body.split_first_chunk::<HEADER>()?;
        let u32_at = |i: usize| u32::from_le_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]);
        let u16_at = |i: usize| u16::from_le_bytes([header[i], header[i + 1]]);
        let count = u32_at(0) as usize;
        let flags = header[6];
        let head_len = header[7];
        let shift = header[17];
        if count == 0
            || flags & !FLAG_SHARED != 0
            || (head_len > HEAD as u8 && head_len != HEAD_LENGTHS)
            || (shift != 0 && shift != 8)
            || u16_at(30) != 0
        {
            return None;
        }
        let (tail_width, value_width) = (header[18], header[19]);
        let (tail_size, value_size) = (u32_at(20) as usize, u32_at(24) as usize);
        let together = |width: u8, size: usize| if width == 0 { size.checked_mul(count) } else { Some(size) };
        let mut columns = Columns { rest };
        let heads = columns.chunks(count)?;
        let distances = columns.distances(header[16], count)?;
        let head_lens = columns.bytes(if head_len == HEAD_LENGTHS { count } else { 0 })?;
        let tail_ends = columns.ends(tail_width, count, tail_size)?;
        let shared = if flags & FLAG_SHARED != 0 { Some(columns.bytes(count)?) } else { None };
        let value_ends = columns.ends(value_width, count, value_size)?;
        let buckets = columns.bytes(usize::from(u16_at(28)))?;
        let prefix = columns.bytes(usize::from(u16_at(4)))?;
        let tails = columns.bytes(together(tail_width, tail_size)?)?;
        let values = columns.bytes(together(value_width, value_size)?)?;
        if !columns.rest.is_empty() {
            return None;
        }
        Some(Block {
            at,
            prefix,
            heads,
            base: u64::from_le_bytes(*header[8..].first_chunk()?),
            shift,
            distances,
            head_len,
            head_lens,
            tail_ends,
            shared,
            value_ends,
            buckets,
            tails,
            values,
            values_at: body.len() - values.len(),
        })
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
        !self.buckets.is_empty()
    }

    /// The trailer of entry `i`, which exists.
    #[inline]
    pub(crate) fn trailer(&self, i: usize) -> Trailer {
        Trailer(self.base.wrapping_add(self.distances.get(i) << self.shift))
    }

    #[inline]
    fn head(&self, i: usize) -> u64 {
        u64::from_be_bytes(self.heads[i])
    }

    #[inline]
    fn head_len(&self, i: usize) -> usize {
        let len = if self.head_len == HEAD_LENGTHS { self.head_lens[i] } else { self.head_len };
        usize::from(len)
    }

    /// The two parts of a tail: what is taken from the group's first entry, and what is stored.
    #[inline]
    fn tail(&self, i: usize) -> Result<(&'a [u8], &'a [u8])> {
        let stored = |i: usize| self.tail_ends.range(i).and_then(|range| self.tails.get(range));
        let parts = match self.shared {
            None => stored(i).map(|own| (&[][..], own)),
            Some(shared) => {
                let leader = stored(i - i % GROUP).and_then(|tail| tail.get(..usize::from(shared[i])));
                leader.zip(stored(i))
            }
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
        match self.value_ends.range(i) {
            Some(range) if range.start <= range.end && range.end <= self.values.len() => {
                Ok(self.values_at + range.start..self.values_at + range.end)
            }
            _ => Err(self.bad("its value lies outside", i)),
        }
    }

    /// The value of entry `i`, which exists.
    ///
    /// # Errors
    /// As [`value_range`](Block::value_range).
    #[inline]
    pub(crate) fn value(&self, i: usize) -> Result<&'a [u8]> {
        let value = self.value_ends.range(i).and_then(|range| self.values.get(range));
        value.ok_or_else(|| self.bad("its value lies outside", i))
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
        if self.buckets.is_empty() {
            return Bucket::Unknown;
        }
        match self.buckets[bucket_of(hash, self.buckets.len())] {
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
        let ends = (self.tail_ends.end(last), self.value_ends.end(last));
        if ends != (Some(self.tails.len()), Some(self.values.len())) {
            return Err(self.bad("bytes follow it that no entry owns", last));
        }
        Ok(())
    }
}
