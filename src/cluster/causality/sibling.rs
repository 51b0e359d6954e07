//! [`Sibling`]: a value, or a delete, that no known write has replaced.

use super::dot::Dot;
use esker::Slice;
use xxhash_rust::xxh3::xxh3_64;

/// Where the bytes of a value are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Here.
    Here(Slice),
    /// In the store, apart from the record: whoever looked at the record alone did not bring them.
    Elsewhere,
}

/// What a write left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A value.
    Value {
        /// The hash of its bytes: XXH3, 64 bits.
        hash: u64,
        /// Its length in bytes.
        len: u32,
        /// Its bytes.
        body: Body,
    },
    /// A delete: kept so that older values do not come back.
    Tombstone,
}

/// A value, or a delete, and the write that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sibling {
    /// The write.
    pub dot: Dot,
    /// What it left.
    pub content: Content,
    /// When the value ends to be visible, in milliseconds since 1970.
    pub expires_at: Option<u64>,
}

impl Sibling {
    /// A value.
    pub fn value(dot: Dot, bytes: Slice, expires_at: Option<u64>) -> Sibling {
        let (hash, len) = (xxh3_64(&bytes), u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        Sibling { dot, content: Content::Value { hash, len, body: Body::Here(bytes) }, expires_at }
    }

    /// A delete.
    pub fn tombstone(dot: Dot) -> Sibling {
        Sibling { dot, content: Content::Tombstone, expires_at: None }
    }

    /// Whether it is a delete.
    pub fn is_tombstone(&self) -> bool {
        matches!(self.content, Content::Tombstone)
    }

    /// The value's bytes, if it has them here.
    pub fn bytes(&self) -> Option<&Slice> {
        match &self.content {
            Content::Value { body: Body::Here(bytes), .. } => Some(bytes),
            _ => None,
        }
    }

    /// Whether a reader sees a value at this time.
    pub fn is_visible(&self, wall_millis: u64) -> bool {
        !self.is_tombstone() && self.expires_at.is_none_or(|end| end > wall_millis)
    }
}
