//! Internal keys: a user key, a sequence number and a kind, always carried parsed.
//!
//! At every internal boundary a key travels as `(user_key: &[u8], trailer: Trailer)`. The order is: user key
//! ascending by bytes, then trailer descending, so that the newest version of a key comes first.

use std::cmp::Ordering;
use std::fmt;

/// The longest user key, in bytes.
pub const MAX_KEY_LEN: usize = 65_535;

/// The longest value, in bytes (64 MiB).
pub const MAX_VALUE_LEN: usize = 64 << 20;

/// A sequence number: the global order of writes. 56 bits are usable, see [`MAX_SEQNO`].
pub type SeqNo = u64;

/// The largest sequence number. A snapshot at `MAX_SEQNO` sees everything.
pub const MAX_SEQNO: SeqNo = (1 << 56) - 1;

/// What an entry says about its key.
///
/// The numbers are part of every on-disk format and never change. Of two entries with the same user key and the
/// same sequence number (which the engine never writes) the higher kind sorts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// The key does not exist (a tombstone).
    Delete = 0,
    /// The key has this value.
    Put = 1,
    /// Reserved: an operand to be merged into an older value.
    Merge = 2,
    /// Reserved: a value followed by the time at which it expires.
    PutExpiry = 3,
    /// Reserved: a pointer to a value that is kept elsewhere.
    ValuePointer = 4,
    /// Every key from the entry's key (inclusive) to its value (exclusive) does not exist. Found in logs and
    /// memtables; tables keep range deletions apart as [`crate::RangeTombstone`]s.
    RangeDelete = 15,
}

impl Kind {
    /// The kind with this number, if there is one.
    pub fn from_u8(number: u8) -> Option<Kind> {
        Some(match number {
            0 => Kind::Delete,
            1 => Kind::Put,
            2 => Kind::Merge,
            3 => Kind::PutExpiry,
            4 => Kind::ValuePointer,
            15 => Kind::RangeDelete,
            _ => return None,
        })
    }
}

/// A sequence number and a kind in one word: `seqno << 8 | kind`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Trailer(pub u64);

impl Trailer {
    /// The trailer that sorts before every entry of its user key.
    pub const FIRST: Trailer = Trailer(u64::MAX);
    /// The trailer that sorts after every entry of its user key.
    pub const LAST: Trailer = Trailer(0);

    /// Joins a sequence number (at most [`MAX_SEQNO`]) and a kind.
    #[inline]
    pub fn new(seqno: SeqNo, kind: Kind) -> Trailer {
        debug_assert!(seqno <= MAX_SEQNO);
        Trailer(seqno << 8 | kind as u64)
    }

    /// The trailer that a lookup at `snapshot` seeks to: it sorts before or equal to every entry of its user key
    /// that the snapshot can see, and after those it cannot.
    #[inline]
    pub fn lookup(snapshot: SeqNo) -> Trailer {
        Trailer(snapshot << 8 | 0xff)
    }

    /// The sequence number.
    #[inline]
    pub fn seqno(self) -> SeqNo {
        self.0 >> 8
    }

    /// The kind, unless the number is one that this version does not know.
    #[inline]
    pub fn kind(self) -> Option<Kind> {
        Kind::from_u8(self.0 as u8)
    }

    /// The kind's number as stored.
    #[inline]
    pub fn kind_number(self) -> u8 {
        self.0 as u8
    }

    /// The same kind under another sequence number.
    #[inline]
    pub fn with_seqno(self, seqno: SeqNo) -> Trailer {
        Trailer(seqno << 8 | (self.0 & 0xff))
    }
}

impl fmt::Debug for Trailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            Some(kind) => write!(f, "{kind:?}@{}", self.seqno()),
            None => write!(f, "kind{}@{}", self.kind_number(), self.seqno()),
        }
    }
}

/// Compares two internal keys: user key ascending, trailer descending.
#[inline]
pub fn compare(a_key: &[u8], a: Trailer, b_key: &[u8], b: Trailer) -> Ordering {
    a_key.cmp(b_key).then_with(|| b.cmp(&a))
}

/// The first eight bytes of a key as a big-endian number, padded with zero bytes.
///
/// If `head(a) < head(b)` then `a < b`; if the heads are equal the keys must be compared in full.
#[inline]
pub fn head(key: &[u8]) -> u64 {
    if let Some(first) = key.first_chunk::<8>() {
        return u64::from_be_bytes(*first);
    }
    let mut bytes = [0u8; 8];
    bytes[..key.len()].copy_from_slice(key);
    u64::from_be_bytes(bytes)
}

/// The hash of a user key that filters are built from and probed with: XXH3, 64 bits, seed 0.
#[inline]
pub fn filter_hash(user_key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(user_key)
}

/// A user key on its way through many tables, with what each of them would compute again.
#[derive(Clone, Copy, Debug)]
pub struct LookupKey<'a> {
    /// The key that is looked up.
    pub user_key: &'a [u8],
    /// [`head`] of the key.
    pub head: u64,
    /// [`filter_hash`] of the key.
    pub hash: u64,
    /// The newest sequence number that the lookup may see.
    pub snapshot: SeqNo,
}

impl<'a> LookupKey<'a> {
    /// Prepares a lookup of `user_key` that sees sequence numbers up to `snapshot`.
    #[inline]
    pub fn new(user_key: &'a [u8], snapshot: SeqNo) -> LookupKey<'a> {
        LookupKey { user_key, head: head(user_key), hash: filter_hash(user_key), snapshot }
    }

    /// The trailer to seek to.
    #[inline]
    pub fn trailer(&self) -> Trailer {
        Trailer::lookup(self.snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_version_sorts_first() {
        let old = Trailer::new(7, Kind::Put);
        let new = Trailer::new(8, Kind::Delete);
        assert_eq!(compare(b"k", new, b"k", old), Ordering::Less);
        assert_eq!(compare(b"k", old, b"l", new), Ordering::Less);
        assert_eq!(compare(b"k", Trailer::lookup(8), b"k", new), Ordering::Less);
        assert_eq!(compare(b"k", Trailer::lookup(7), b"k", new), Ordering::Greater);
    }

    #[test]
    fn heads_never_contradict_the_order() {
        let keys: [&[u8]; 8] = [
            b"",
            b"\0",
            b"\0\0",
            b"a",
            b"aaaaaaaa",
            b"aaaaaaaab",
            b"aaaaaaab",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ];
        for a in keys {
            for b in keys {
                if head(a) != head(b) {
                    assert_eq!(head(a).cmp(&head(b)), a.cmp(b), "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn kinds_keep_their_numbers() {
        for number in 0..=255u8 {
            if let Some(kind) = Kind::from_u8(number) {
                assert_eq!(kind as u8, number);
            }
        }
    }
}
