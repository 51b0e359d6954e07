//! [`BlockBuilder`]: collects entries in order and lays out the body that [`crate::block`] draws.
//!
//! The layout is a pure function of the entries: every width is the smallest that fits, and an optional column is there
//! exactly if it makes the block smaller.

use crate::block::{BUCKET_NONE, BUCKET_SEVERAL, FLAG_SHARED, GROUP, HEAD, HEAD_LENGTHS, HEADER, bucket_of};
use esker_table::Trailer;

/// Buckets for four keys out of three, so that most keys have one of their own.
const fn buckets_for(keys: usize) -> usize {
    keys + keys / 3 + 1
}

/// Buffers that grew beyond this for one large entry are given back.
const KEEP_CAPACITY: usize = 1 << 20;

/// What an entry takes besides its key's tail and its value, about.
const ENTRY_OVERHEAD: usize = HEAD + 4;

/// About how long the body of `n` entries is whose keys have `common` bytes in common.
fn estimate(n: usize, common: usize, key_bytes: usize, value_bytes: usize) -> usize {
    let tails = key_bytes.saturating_sub(n * (common + HEAD));
    HEADER + common + n * ENTRY_OVERHEAD + tails + value_bytes
}

/// Collects the entries of one block.
#[derive(Default)]
pub(crate) struct BlockBuilder {
    keys: Vec<u8>,
    key_ends: Vec<usize>,
    trailers: Vec<u64>,
    values: Vec<u8>,
    value_ends: Vec<usize>,
    /// Length of what all keys begin with.
    common: usize,
    /// The hash of each entry's user key, if the block gets a hash index.
    hashes: Vec<u64>,
    tails: Vec<u8>,
}

impl BlockBuilder {
    pub(crate) fn is_empty(&self) -> bool {
        self.trailers.is_empty()
    }

    /// Adds an entry after those that are there.
    pub(crate) fn add(&mut self, user_key: &[u8], trailer: Trailer, value: &[u8]) {
        self.common = self.common_with(user_key);
        self.keys.extend_from_slice(user_key);
        self.key_ends.push(self.keys.len());
        self.trailers.push(trailer.0);
        self.values.extend_from_slice(value);
        self.value_ends.push(self.values.len());
    }

    /// As [`add`](BlockBuilder::add), for a block that gets a hash index; all its entries are added this way.
    pub(crate) fn add_hashed(&mut self, user_key: &[u8], trailer: Trailer, value: &[u8], hash: u64) {
        self.add(user_key, trailer, value);
        self.hashes.push(hash);
    }

    /// The user key of entry `i`.
    pub(crate) fn key(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.key_ends[i - 1] };
        &self.keys[start..self.key_ends[i]]
    }

    /// The trailer of entry `i`.
    pub(crate) fn trailer(&self, i: usize) -> Trailer {
        Trailer(self.trailers[i])
    }

    /// The length of what all keys begin with once `user_key` is among them.
    fn common_with(&self, user_key: &[u8]) -> usize {
        if self.is_empty() { user_key.len() } else { common_len(&self.key(0)[..self.common], user_key) }
    }

    /// About how long the body would be now.
    pub(crate) fn estimate(&self) -> usize {
        estimate(self.trailers.len(), self.common, self.keys.len(), self.values.len())
    }

    /// About how long the body would be with one more entry. An entry that begins with something else makes every key
    /// that is there longer.
    pub(crate) fn estimate_with(&self, user_key: &[u8], value_len: usize) -> usize {
        let (keys, values) = (self.keys.len() + user_key.len(), self.values.len() + value_len);
        estimate(self.trailers.len() + 1, self.common_with(user_key), keys, values)
    }

    /// The bytes of the keys, which the builder holds whole.
    pub(crate) fn key_bytes(&self) -> usize {
        self.keys.len()
    }

    /// Appends the body of the entries, of which there is at least one, to `out`, and starts over.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        let n = self.trailers.len();
        let (base, shift, width) = self.trailer_layout();
        let (shared, tail_ends) = self.share_tails();
        let head_len = (0..n).map(|i| (self.key(i).len() - self.common).min(HEAD) as u8);
        let uniform_head = uniform(head_len.clone());
        let (tail_width, tail_size) = ends_layout(&tail_ends);
        let (value_width, value_size) = ends_layout(&self.value_ends);
        let buckets = self.buckets();

        out.reserve(self.estimate() + n * 4 + buckets.len());
        out.extend_from_slice(&(n as u32).to_le_bytes());
        out.extend_from_slice(&(self.common as u16).to_le_bytes());
        out.push(if shared.is_empty() { 0 } else { FLAG_SHARED });
        out.push(uniform_head.unwrap_or(HEAD_LENGTHS));
        out.extend_from_slice(&base.to_le_bytes());
        out.extend_from_slice(&[width, shift, tail_width, value_width]);
        out.extend_from_slice(&tail_size.to_le_bytes());
        out.extend_from_slice(&value_size.to_le_bytes());
        out.extend_from_slice(&(buckets.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0, 0]);

        for i in 0..n {
            let rest = &self.key(i)[self.common..];
            out.extend_from_slice(&esker_table::key::head(rest).to_be_bytes());
        }
        for &trailer in &self.trailers {
            out.extend_from_slice(&((trailer - base) >> shift).to_le_bytes()[..usize::from(width)]);
        }
        if uniform_head.is_none() {
            out.extend(head_len);
        }
        put_ends(out, &tail_ends, tail_width);
        out.extend_from_slice(&shared);
        put_ends(out, &self.value_ends, value_width);
        out.extend_from_slice(&buckets);
        out.extend_from_slice(&self.key(0)[..self.common]);
        out.extend_from_slice(&self.tails);
        out.extend_from_slice(&self.values);
        self.clear();
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.key_ends.clear();
        self.trailers.clear();
        self.values.clear();
        self.value_ends.clear();
        self.hashes.clear();
        self.tails.clear();
        self.keys.shrink_to(KEEP_CAPACITY);
        self.values.shrink_to(KEEP_CAPACITY);
    }

    /// The base, the shift and the width of the trailers' distances.
    fn trailer_layout(&self) -> (u64, u8, u8) {
        let base = self.trailers.iter().copied().min().unwrap_or(0);
        let (mut largest, mut bits) = (0, 0);
        for &trailer in &self.trailers {
            largest = largest.max(trailer - base);
            bits |= trailer - base;
        }
        // Entries of one kind differ in the sequence number alone, which saves a byte each.
        let shift = if bits != 0 && bits & 0xff == 0 { 8 } else { 0 };
        let width = match largest >> shift {
            0 => 0,
            1..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xffff_ffff => 4,
            _ => 8,
        };
        (base, shift, width)
    }

    /// Fills `tails` and returns the column `shared` (empty if it does not pay) and where each stored tail ends.
    fn share_tails(&mut self) -> (Vec<u8>, Vec<usize>) {
        let n = self.trailers.len();
        let mut tails = std::mem::take(&mut self.tails);
        let skip = self.common + HEAD;
        let tail = |i: usize| self.key(i).get(skip..).unwrap_or_default();
        let mut shared = Vec::with_capacity(n);
        for i in 0..n {
            let leader = i - i % GROUP;
            shared.push(if i == leader { 0 } else { common_len(tail(leader), tail(i)).min(255) as u8 });
        }
        let stored = |shared: &[u8]| {
            let mut end = 0;
            let lengths = (0..n).map(|i| tail(i).len() - shared.get(i).map_or(0, |&s| usize::from(s)));
            lengths
                .map(|len| {
                    end += len;
                    end
                })
                .collect::<Vec<usize>>()
        };
        let size = |ends: &[usize]| {
            let (width, _) = ends_layout(ends);
            ends.last().copied().unwrap_or(0) + usize::from(width) * n
        };
        let (whole, cut) = (stored(&[]), stored(&shared));
        let (shared, ends) = if size(&cut) + n < size(&whole) { (shared, cut) } else { (Vec::new(), whole) };
        for i in 0..n {
            tails.extend_from_slice(&tail(i)[shared.get(i).map_or(0, |&s| usize::from(s))..]);
        }
        self.tails = tails;
        (shared, ends)
    }

    /// The hash index; empty if the block has none. Entry numbers have to fit below the two special ones.
    fn buckets(&self) -> Vec<u8> {
        let n = self.trailers.len();
        if self.hashes.len() != n || n > usize::from(BUCKET_SEVERAL) {
            return Vec::new();
        }
        let mut buckets = vec![BUCKET_NONE; buckets_for(n)];
        let len = buckets.len();
        for i in 0..n {
            if i > 0 && self.key(i) == self.key(i - 1) {
                continue;
            }
            let bucket = &mut buckets[bucket_of(self.hashes[i], len)];
            *bucket = if *bucket == BUCKET_NONE { i as u8 } else { BUCKET_SEVERAL };
        }
        buckets
    }
}

/// The length of the longest common prefix.
pub(crate) fn common_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn uniform(mut numbers: impl Iterator<Item = u8>) -> Option<u8> {
    let first = numbers.next()?;
    numbers.all(|number| number == first).then_some(first)
}

/// The width and the header's size of a column of ends: width 0 and the one length if all lengths are equal.
fn ends_layout(ends: &[usize]) -> (u8, u32) {
    let total = ends.last().copied().unwrap_or(0);
    let each = total / ends.len().max(1);
    if ends.iter().zip(1..).all(|(&end, i): (&usize, usize)| end == i * each) {
        return (0, each as u32);
    }
    (if total <= usize::from(u16::MAX) { 2 } else { 4 }, total as u32)
}

fn put_ends(out: &mut Vec<u8>, ends: &[usize], width: u8) {
    for &end in ends {
        out.extend_from_slice(&(end as u32).to_le_bytes()[..usize::from(width)]);
    }
}
