//! What commands see of a key, and what they do to it.

use esker::Slice;
use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 by the system's clock: the time in which expiries are given and kept.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A key's value and when it expires. What has expired is no entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) value: Slice,
    /// In milliseconds since 1970.
    pub(crate) expires_at: Option<u64>,
}

/// What becomes of a key's expiry when its value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// The key does not expire from here on.
    Never,
    /// It stays as it is.
    Keep,
    /// In milliseconds since 1970.
    At(u64),
}

/// What a read-modify-write does to its key.
#[derive(Clone, Debug)]
pub(crate) enum Change<'a> {
    /// Nothing.
    None,
    /// A value, and what becomes of the expiry.
    Put(Cow<'a, [u8]>, Expiry),
    /// The same value with another expiry.
    Expire(Expiry),
    /// The key goes.
    Delete,
}
