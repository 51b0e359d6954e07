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
use esker_table::{Result, Run, TableError, Trailer};
use std::cmp::Ordering;
use std::ops::Range;

/// The length of the header.
pub(crate) const HEADER: usize = 32;
/// Key bytes in a head.
pub(crate) const HEAD: usize = 8;
/// Entries in a group whose tails share with its first.
pub(crate) const GROUP: usize = 16;
/// Key parts up to this length are copied as if they had it.
const PAD: usize = 16;
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

/// Where the columns of a block begin and how wide they are: all that its header says. Plain numbers, so that the layout of
/// a block that is used again and again can be kept without its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    count: usize,
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
    prefix_at: usize,
    tails_at: usize,
    values_at: usize,
    body_len: usize,
}

impl Layout {
    /// Reads the header at the beginning of `front`, the front of a body of `len` bytes; `None` if it contradicts itself or that
    /// length.
    ///
    /// Inlined, because a lookup parses a handful of blocks and then uses few of these numbers.
    #[inline(always)]
    pub(crate) fn parse(front: &[u8], len: usize) -> Option<Layout> {
        let header = front.first_chunk::<HEADER>()?;
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
            && count <= len.checked_sub(HEADER)? / HEAD;
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
        let body_len = values_at + together(value_width, value_size);
        let base = u64::from_le_bytes(*header[8..].first_chunk()?);
        (body_len == len).then_some(Layout {
            count,
            base,
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
            prefix_at,
            tails_at,
            values_at,
            body_len,
        })
    }

    /// Where the values begin: what is before finds an entry and says where its value lies.
    pub(crate) fn values_at(&self) -> usize {
        self.values_at
    }
}

/// A block's body with its layout. That every column has an element for each entry is known; what the elements say is
/// checked at each access, which answers `None` where it is malformed. [`Block::ok`] makes an error of that.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    body: &'a [u8],
    at: u64,
    heads: &'a [[u8; HEAD]],
    prefix: &'a [u8],
    layout: Layout,
}

impl<'a> Block<'a> {
    /// Parses a body. `at` is where its block lies in the file, for errors.
    ///
    /// # Errors
    /// `Corruption` if the header contradicts itself or the body's length.
    #[inline(always)]
    pub(crate) fn parse(body: &'a [u8], at: u64) -> Result<Block<'a>> {
        match Layout::parse(body, body.len()).and_then(|layout| Block::with_layout(body, at, layout)) {
            Some(block) => Ok(block),
            None => Err(malformed_header(at)),
        }
    }

    /// A block whose layout was parsed before. `None` if it is another block's.
    #[inline(always)]
    pub(crate) fn with_layout(body: &'a [u8], at: u64, layout: Layout) -> Option<Block<'a>> {
        if layout.body_len == body.len() { Block::of_front(body, at, layout) } else { None }
    }

    /// A block of which only the front of the body is there, without all of the values. `None` if less is there.
    #[inline(always)]
    pub(crate) fn of_front(body: &'a [u8], at: u64, layout: Layout) -> Option<Block<'a>> {
        if body.len() < layout.values_at {
            return None;
        }
        let heads = body.get(HEADER..layout.trailers_at)?.as_chunks().0;
        let prefix = body.get(layout.prefix_at..layout.tails_at)?;
        Some(Block { body, at, heads, prefix, layout })
    }

    /// Where the columns are.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// What an access answered, or the error that it is malformed.
    ///
    /// # Errors
    /// `Corruption` for `None`.
    #[inline]
    pub(crate) fn ok<T>(&self, answer: Option<T>) -> Result<T> {
        match answer {
            Some(answer) => Ok(answer),
            None => Err(self.malformed()),
        }
    }

    #[cold]
    fn malformed(&self) -> TableError {
        TableError::corruption(self.at, "an entry of a block lies outside the block")
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
        let range = self.range(self.layout.tail_ends_at, self.layout.tail_width, self.layout.tail_size, i);
        self.body.get(self.layout.tails_at..self.layout.values_at)?.get(range)
    }

    /// The number of entries, at least 1.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.layout.count
    }

    #[inline]
    fn buckets(&self) -> usize {
        self.layout.prefix_at - self.layout.buckets_at
    }

    /// Whether there is a hash index.
    pub(crate) fn has_buckets(&self) -> bool {
        self.buckets() != 0
    }

    /// The trailer of entry `i`, which exists.
    #[inline]
    pub(crate) fn trailer(&self, i: usize) -> Trailer {
        let at = self.layout.trailers_at + i * usize::from(self.layout.trailer_width);
        let distance = match self.layout.trailer_width {
            0 => 0,
            1 => u64::from(self.body[at]),
            2 => u64::from(u16::from_le_bytes(self.bytes(at))),
            4 => u64::from(u32::from_le_bytes(self.bytes(at))),
            _ => u64::from_le_bytes(self.bytes(at)),
        };
        Trailer(self.layout.base.wrapping_add(distance << self.layout.shift))
    }

    #[inline]
    fn head(&self, i: usize) -> u64 {
        u64::from_be_bytes(self.heads[i])
    }

    #[inline]
    fn head_len(&self, i: usize) -> usize {
        let len = if self.layout.head_len == HEAD_LENGTHS {
            self.body[self.layout.head_lens_at + i]
        } else {
            self.layout.head_len
        };
        usize::from(len)
    }

    /// The two parts of a tail: what is taken from the group's first entry, and what is stored.
    #[inline]
    fn tail(&self, i: usize) -> Option<(&'a [u8], &'a [u8])> {
        let own = self.stored_tail(i)?;
        if !self.layout.has_shared {
            return Some((&[], own));
        }
        let shared = usize::from(self.body[self.layout.shared_at + i]);
        Some((self.stored_tail(i - i % GROUP)?.get(..shared)?, own))
    }

    /// The key of entry `i`, which exists, in parts.
    #[inline]
    pub(crate) fn key(&self, i: usize) -> Option<KeyParts<'a>> {
        let head = self.heads[i].get(..self.head_len(i))?;
        let (shared, own) = self.tail(i)?;
        Some([self.prefix, head, shared, own])
    }

    /// The length of the key of entry `i`, which exists.
    #[inline]
    pub(crate) fn key_len(&self, i: usize) -> Option<usize> {
        Some(self.key(i)?.iter().map(|part| part.len()).sum())
    }

    /// No keys of so many entries are longer together.
    #[inline]
    pub(crate) fn most_key_bytes(&self, entries: usize) -> usize {
        let shared = if self.layout.has_shared { usize::from(u8::MAX) } else { 0 };
        let tails = self.layout.values_at - self.layout.tails_at;
        entries.saturating_mul(self.prefix.len() + HEAD + shared).saturating_add(tails)
    }

    /// The first of the entries before `to`, which is above 0, whose keys together are no longer than `max_keys`; but at least `limit`
    /// and, however long its key, at most the last.
    pub(crate) fn fitting_backwards(&self, to: usize, limit: usize, max_keys: usize) -> Option<usize> {
        let (mut from, mut bytes) = (to - 1, self.key_len(to - 1)?);
        while from > limit {
            bytes += self.key_len(from - 1)?;
            if bytes > max_keys {
                break;
            }
            from -= 1;
        }
        Some(from)
    }

    /// The key of entry `i`, which exists, as one vector.
    ///
    /// # Errors
    /// `Corruption` if it is malformed.
    pub(crate) fn key_vec(&self, i: usize) -> Result<Vec<u8>> {
        Ok(self.ok(self.key(i))?.concat())
    }

    /// Where the value of entry `i`, which exists, lies in the body.
    #[inline]
    pub(crate) fn value_range(&self, i: usize) -> Option<Range<usize>> {
        let Layout { value_ends_at, value_width, value_size, values_at, body_len, .. } = self.layout;
        let range = self.range(value_ends_at, value_width, value_size, i);
        let within = range.start <= range.end && range.end <= body_len - values_at;
        within.then(|| values_at + range.start..values_at + range.end)
    }

    /// The value of entry `i`, which exists.
    #[inline]
    pub(crate) fn value(&self, i: usize) -> Option<&'a [u8]> {
        self.body.get(self.value_range(i)?)
    }

    /// Pushes the entries `from..limit` onto a run over this body, fewer if their keys together grow beyond `max_keys`, but
    /// at least one. Returns where it ended.
    ///
    /// A scan spends its time here: where a tail and a value begin is carried from entry to entry.
    pub(crate) fn fill(&self, from: usize, limit: usize, run: &mut Run, max_keys: usize) -> Option<usize> {
        let Layout { tail_ends_at, tail_width, tail_size, tails_at, values_at, body_len, .. } = self.layout;
        let Layout { value_ends_at, value_width, value_size, .. } = self.layout;
        let tails = self.body.get(tails_at..values_at)?;
        let prefix = (self.prefix.len() <= PAD).then(|| {
            let mut padded = [0; PAD];
            padded[..self.prefix.len()].copy_from_slice(self.prefix);
            padded
        });
        let mut tail_start = self.range(tail_ends_at, tail_width, tail_size, from).start;
        let mut value_start = self.range(value_ends_at, value_width, value_size, from).start;
        for i in from..limit {
            let tail_end = self.end(tail_ends_at, tail_width, tail_size, i);
            let value_end = self.end(value_ends_at, value_width, value_size, i);
            let own = tails.get(tail_start..tail_end)?;
            let shared = if self.layout.has_shared { self.tail(i)?.0 } else { &[][..] };
            let head = self.heads[i].get(..self.head_len(i))?;
            if value_start > value_end || value_end > body_len - values_at {
                return None;
            }
            let key_len = self.prefix.len() + head.len() + shared.len() + own.len();
            if i > from && run.key_bytes() + key_len > max_keys {
                return Some(i);
            }
            let (trailer, value) = (self.trailer(i), (values_at + value_start, value_end - value_start));
            // Short parts are copied with the bytes that follow them in the body, whatever these are.
            let padded = self.body.get(tails_at + tail_start..).and_then(|bytes| bytes.first_chunk::<PAD>());
            match (padded, prefix) {
                (Some(tail), Some(prefix)) if own.len() <= PAD && shared.is_empty() => {
                    let head = (&self.heads[i], head.len());
                    let parts = ((&prefix, self.prefix.len()), head, (tail, own.len()));
                    run.push_padded(parts, trailer, value.0, value.1);
                }
                _ => run.push([self.prefix, head, shared, own], trailer, value.0, value.1),
            }
            (tail_start, value_start) = (tail_end, value_end);
        }
        Some(limit)
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
    ///
    /// Halving waits for memory at each step. So it ends early: then one head of each line is looked at, none of which waits for
    /// another, and then those of the line that the bound is in.
    #[inline]
    fn heads_below(&self, bound: u64) -> usize {
        const LINE: usize = 64 / HEAD;
        let (mut low, mut size) = (0, self.len());
        while size > 32 * LINE {
            let half = size / 2;
            let middle = low + half;
            low = std::hint::select_unpredictable(self.head(middle) < bound, middle, low);
            size -= half;
        }
        let below = |head: &[u8; HEAD]| usize::from(u64::from_be_bytes(*head) < bound);
        let heads = &self.heads[low..low + size];
        let whole_lines: &[[_; LINE]] = heads.as_chunks().0;
        let lines: usize = whole_lines.iter().map(|line| below(&line[LINE - 1])).sum();
        let rest = &heads[lines * LINE..];
        low + lines * LINE + rest[..rest.len().min(LINE)].iter().map(below).sum::<usize>()
    }

    /// Compares the user key of entry `i` with a key that has the same common prefix and the same head.
    #[inline]
    fn compare_behind_head(&self, i: usize, rest: &[u8]) -> Option<Ordering> {
        let by_head = self.head_len(i).cmp(&rest.len().min(HEAD));
        if by_head.is_ne() {
            return Some(by_head);
        }
        let rest = rest.get(HEAD..).unwrap_or_default();
        let (shared, own) = self.tail(i)?;
        if shared.is_empty() {
            return Some(own.cmp(rest));
        }
        let (front, back) = rest.split_at(shared.len().min(rest.len()));
        Some(shared.cmp(front).then_with(|| own.cmp(back)))
    }

    /// The number of entries before `(user_key, trailer)`, and whether the entry of that number has this user key.
    #[inline]
    pub(crate) fn search(&self, user_key: &[u8], trailer: Trailer) -> Option<(usize, bool)> {
        let rest = match self.rest(user_key) {
            Ok(rest) => rest,
            Err(all) => return Some((all, false)),
        };
        let wanted = head(rest);
        let first = self.heads_below(wanted);
        if first == self.len() || self.head(first) != wanted {
            return Some((first, false));
        }
        match self.compare_behind_head(first, rest)? {
            Ordering::Less => {}
            Ordering::Equal if self.trailer(first) > trailer => {}
            order => return Some((first, order.is_eq())),
        }
        self.search_among_equal_heads(first + 1, wanted, rest, trailer)
    }

    /// The rest of a search, from entry `low` on, when several entries may have the head that is wanted.
    fn search_among_equal_heads(
        &self,
        mut low: usize,
        wanted: u64,
        rest: &[u8],
        trailer: Trailer,
    ) -> Option<(usize, bool)> {
        let end = wanted.checked_add(1).map_or(self.len(), |above| self.heads_below(above));
        let mut high = end;
        while low < high {
            let middle = low + (high - low) / 2;
            let order = self.compare_behind_head(middle, rest)?;
            if order.then_with(|| trailer.cmp(&self.trailer(middle))).is_lt() {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Some((low, low < end && self.compare_behind_head(low, rest)?.is_eq()))
    }

    /// The number of entries before `(user_key, trailer)`.
    #[inline]
    pub(crate) fn lower_bound(&self, user_key: &[u8], trailer: Trailer) -> Option<usize> {
        Some(self.search(user_key, trailer)?.0)
    }

    /// Whether the user key of entry `i`, which exists, is this.
    #[inline]
    pub(crate) fn is_key(&self, i: usize, user_key: &[u8]) -> Option<bool> {
        match user_key.strip_prefix(self.prefix) {
            Some(rest) if head(rest) == self.head(i) => Some(self.compare_behind_head(i, rest)?.is_eq()),
            _ => Some(false),
        }
    }

    /// For index blocks, whose keys are lower bounds of the blocks they point to: the last entry at or before
    /// `(user_key, trailer)`, or the first entry if there is none.
    #[inline]
    pub(crate) fn floor(&self, user_key: &[u8], trailer: Trailer) -> Option<usize> {
        let (at, is_key) = self.search(user_key, trailer)?;
        Some(if is_key && self.trailer(at) == trailer { at } else { at.saturating_sub(1) })
    }

    /// Asks the hash index for a key.
    #[inline]
    pub(crate) fn bucket(&self, hash: u64) -> Bucket {
        if self.buckets() == 0 {
            return Bucket::Unknown;
        }
        match self.body[self.layout.buckets_at + bucket_of(hash, self.buckets())] {
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
        let bad = |what: &str, i: usize| {
            Err(TableError::corruption(self.at, format!("entry {i} of a block: {what}")))
        };
        for i in 0..self.len() {
            let Some([_, head, shared, own]) = self.key(i) else { return bad("its key lies outside", i) };
            if self.heads[i][head.len()..].iter().any(|&byte| byte != 0) {
                return bad("its head is not padded with zeros", i);
            }
            if head.len() < HEAD && shared.len() + own.len() != 0 {
                return bad("it has a tail behind a short head", i);
            }
            if i % GROUP == 0 && !shared.is_empty() {
                return bad("it leads its group and shares with it", i);
            }
            if self.value(i).is_none() {
                return bad("its value lies outside", i);
            }
        }
        let last = self.len() - 1;
        let Layout { tail_ends_at, tail_width, tail_size, value_ends_at, value_width, value_size, .. } =
            self.layout;
        let tails = self.end(tail_ends_at, tail_width, tail_size, last);
        let values = self.end(value_ends_at, value_width, value_size, last);
        if tails != self.layout.values_at - self.layout.tails_at
            || values != self.layout.body_len - self.layout.values_at
        {
            return bad("bytes follow it that no entry owns", last);
        }
        Ok(())
    }
}

#[cold]
pub(crate) fn malformed_header(at: u64) -> TableError {
    TableError::corruption(at, "a block's header contradicts its length or itself")
}
