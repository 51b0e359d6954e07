//! [`Bounds`]: the part of the key space that a read may see, always as `[lower, upper)`.

use esker_table::Slice;
use std::ops::Bound;

/// From `lower` (inclusive) to `upper` (exclusive); `None` is unbounded. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    pub(crate) lower: Option<Slice>,
    pub(crate) upper: Option<Slice>,
}

impl Bounds {
    /// Everything.
    pub(crate) fn all() -> Bounds {
        Bounds::default()
    }

    /// From any pair of bounds. The key right after `k` is `k` and a zero byte, so an excluded start and an included end
    /// become the other sort exactly.
    pub(crate) fn new(start: Bound<&[u8]>, end: Bound<&[u8]>) -> Bounds {
        let after = |key: &[u8]| {
            let mut next = Vec::with_capacity(key.len() + 1);
            next.extend_from_slice(key);
            next.push(0);
            Slice::from(next)
        };
        Bounds {
            lower: match start {
                Bound::Included(k) => (!k.is_empty()).then(|| Slice::copy_from(k)),
                Bound::Excluded(k) => Some(after(k)),
                Bound::Unbounded => None,
            },
            upper: match end {
                Bound::Included(k) => Some(after(k)),
                Bound::Excluded(k) => Some(Slice::copy_from(k)),
                Bound::Unbounded => None,
            },
        }
    }

    /// All keys that begin with `prefix`: up to the prefix with its last byte that is not 0xff raised by one.
    pub(crate) fn prefix(prefix: &[u8]) -> Bounds {
        let end = prefix.iter().rposition(|&b| b != 0xff).map(|last| {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end
        });
        Bounds::new(Bound::Included(prefix), end.as_deref().map_or(Bound::Unbounded, Bound::Excluded))
    }

    /// The lower bound, inclusive.
    pub(crate) fn lower(&self) -> Option<&[u8]> {
        self.lower.as_deref()
    }

    /// The upper bound, exclusive.
    pub(crate) fn upper(&self) -> Option<&[u8]> {
        self.upper.as_deref()
    }

    /// Whether no key can lie inside.
    pub(crate) fn is_empty(&self) -> bool {
        match (self.lower(), self.upper()) {
            (lower, Some(upper)) => lower.unwrap_or_default() >= upper,
            (_, None) => false,
        }
    }

    /// Whether `key` lies inside.
    #[cfg(test)]
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        !self.is_below(key) && !self.is_above(key)
    }

    /// Whether `key` lies before the lower bound.
    #[inline]
    pub(crate) fn is_below(&self, key: &[u8]) -> bool {
        self.lower().is_some_and(|lower| key < lower)
    }

    /// Whether `key` lies at or after the upper bound.
    #[inline]
    pub(crate) fn is_above(&self, key: &[u8]) -> bool {
        self.upper().is_some_and(|upper| key >= upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sort_of_bound() {
        let b = Bounds::new(Bound::Excluded(b"b"), Bound::Included(b"d"));
        for (key, inside) in
            [("a", false), ("b", false), ("b\0", true), ("c", true), ("d", true), ("d\0", false)]
        {
            assert_eq!(b.contains(key.as_bytes()), inside, "{key:?}");
        }
        assert!(Bounds::new(Bound::Included(b"c"), Bound::Excluded(b"c")).is_empty());
        assert!(Bounds::new(Bound::Included(b"d"), Bound::Excluded(b"c")).is_empty());
        assert!(Bounds::new(Bound::Unbounded, Bound::Excluded(b"")).is_empty());
        assert!(!Bounds::new(Bound::Included(b""), Bound::Included(b"")).is_empty());
        assert_eq!(Bounds::new(Bound::Included(b""), Bound::Unbounded), Bounds::all());
    }

    #[test]
    fn prefixes_end_where_they_should() {
        assert_eq!(Bounds::prefix(b""), Bounds::all());
        assert_eq!(Bounds::prefix(b"a\xff\xff").upper(), Some(&b"b"[..]));
        assert_eq!(Bounds::prefix(b"\xff\xff").upper(), None);
        assert!(Bounds::prefix(b"\xff\xff").contains(b"\xff\xff\x01"));
        assert!(!Bounds::prefix(b"ab").contains(b"ac"));
    }
}
