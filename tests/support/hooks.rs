//! The hooks of the model's keyspaces: [`Verdict`], a compaction filter that removes some entries and replaces others, and
//! [`Carry`], a fold by which the newest version of a key carries the digests of those that it hid.

use esker::{CompactionFilter, FilterDecision, Fold, Folded, Shadow};
use esker_table::codec::checksum::crc32c;

/// What the value of a replaced entry begins with.
const KEPT: &[u8] = b"kept:";

/// What a value begins with that carries others.
const FOLDED: &[u8] = b"folded:";

/// A filter that goes by a checksum of key and value.
#[derive(Debug)]
pub struct Verdict;

/// The value that takes another's place.
pub fn kept(value: &[u8]) -> Vec<u8> {
    [KEPT, value].concat()
}

/// What the filter says.
pub fn verdict(key: &[u8], value: &[u8]) -> FilterDecision {
    if value.starts_with(KEPT) {
        return FilterDecision::Keep;
    }
    match (crc32c(key) ^ crc32c(value)) % 4 {
        0 => FilterDecision::Remove,
        1 => FilterDecision::Replace(kept(value)),
        _ => FilterDecision::Keep,
    }
}

impl CompactionFilter for Verdict {
    fn name(&self) -> &str {
        "verdict"
    }

    fn filter(&self, user_key: &[u8], value: &[u8]) -> FilterDecision {
        verdict(user_key, value)
    }
}

/// A value and the digests of the older values that were folded into it.
///
/// ```text
/// "folded:" | deleted u8 | count u16 | count × digest u32 | the value as it was written
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried<'a> {
    /// The value as it was written.
    pub written: &'a [u8],
    /// The digests of what it hides, from the newest.
    pub older: Vec<u32>,
    /// Whether the last of them lies upon a delete: what is older still does not count.
    pub deleted: bool,
}

impl<'a> Carried<'a> {
    /// What a value carries; a value that was never folded carries nothing.
    pub fn decode(value: &'a [u8]) -> Carried<'a> {
        let folded = || {
            let (head, rest) = value.strip_prefix(FOLDED)?.split_at_checked(3)?;
            let count = usize::from(u16::from_le_bytes([head[1], head[2]]));
            let (digests, written) = rest.split_at_checked(4 * count)?;
            let older = digests.as_chunks::<4>().0.iter().map(|digest| u32::from_le_bytes(*digest)).collect();
            Some(Carried { written, older, deleted: head[0] == 1 })
        };
        folded().unwrap_or(Carried { written: value, older: Vec::new(), deleted: false })
    }

    /// The value's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = FOLDED.to_vec();
        bytes.push(u8::from(self.deleted));
        bytes.extend_from_slice(&(self.older.len() as u16).to_le_bytes());
        self.older.iter().for_each(|digest| bytes.extend_from_slice(&digest.to_le_bytes()));
        bytes.extend_from_slice(self.written);
        bytes
    }

    /// The digests of the value itself and of what it carries.
    pub fn digests(&self) -> impl Iterator<Item = u32> + '_ {
        std::iter::once(crc32c(self.written)).chain(self.older.iter().copied())
    }
}

/// The fold: nothing that was put since the last delete is forgotten, and nothing counts twice.
#[derive(Debug)]
pub struct Carry;

impl Fold for Carry {
    fn name(&self) -> &str {
        "carry"
    }

    fn fold(&self, shadow: &Shadow<'_>) -> Folded {
        let Some(newer) = shadow.newer else { return Folded::Newer };
        let mut carried = Carried::decode(newer);
        if carried.deleted {
            return Folded::Newer;
        }
        match shadow.older.map(Carried::decode) {
            Some(older) => {
                carried.older.extend(older.digests());
                carried.deleted = older.deleted;
            }
            None => carried.deleted = true,
        }
        Folded::Value(carried.encode())
    }
}
