//! [`KeyRange`]: every range of the standard library, over anything that is bytes.

use super::bounds::Bounds;
use std::ops::{Bound, Range, RangeBounds, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

mod sealed {
    use super::Bounds;

    /// Not to be implemented elsewhere.
    pub trait Sealed {
        /// The range as inclusive start and exclusive end.
        fn bounds(&self) -> Bounds;
    }
}

pub(crate) use sealed::Sealed;

/// A range of keys: any of the standard ranges over anything that is bytes, a pair of [`Bound`]s, or `..` for everything.
///
/// An inverted or empty range is no error: it holds no key.
///
/// ```
/// fn takes(range: impl esker::KeyRange) {}
/// takes("a".."b");
/// takes(b"a".to_vec()..);
/// takes(..="z");
/// takes([1u8, 2]..[3, 4]);
/// takes(vec![1]..);
/// takes(..);
/// ```
pub trait KeyRange: Sealed {}

impl Sealed for RangeFull {
    fn bounds(&self) -> Bounds {
        Bounds::all()
    }
}

impl KeyRange for RangeFull {}

macro_rules! key_ranges {
    ($($range:ty),* $(,)?) => {$(
        impl<K: AsRef<[u8]>> Sealed for $range {
            fn bounds(&self) -> Bounds {
                let bytes = |bound: Bound<&K>| -> Bound<Vec<u8>> { bound.map(|k| k.as_ref().to_vec()) };
                let (start, end) = (bytes(self.start_bound()), bytes(self.end_bound()));
                Bounds::new(start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice))
            }
        }

        impl<K: AsRef<[u8]>> KeyRange for $range {}
    )*};
}

key_ranges!(Range<K>, RangeFrom<K>, RangeTo<K>, RangeInclusive<K>, RangeToInclusive<K>, (Bound<K>, Bound<K>),);

#[cfg(test)]
mod tests {
    use super::*;
    use esker_table::Slice;

    fn bounds(range: impl KeyRange) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let b = range.bounds();
        (b.lower().map(<[u8]>::to_vec), b.upper().map(<[u8]>::to_vec))
    }

    #[test]
    fn no_annotation_is_needed() {
        let k = |s: &str| Some(s.as_bytes().to_vec());
        assert_eq!(bounds(..), (None, None));
        assert_eq!(bounds("a".."b"), (k("a"), k("b")));
        assert_eq!(bounds("a"..="b"), (k("a"), k("b\0")));
        assert_eq!(bounds(.."b"), (None, k("b")));
        assert_eq!(bounds(..=b"b"), (None, k("b\0")));
        assert_eq!(bounds(vec![1]..), (Some(vec![1]), None));
        assert_eq!(bounds([1, 2]..[3, 4]), (Some(vec![1, 2]), Some(vec![3, 4])));
        assert_eq!(bounds(&b"x"[..]..), (k("x"), None));
        assert_eq!(bounds(String::from("x")..), (k("x"), None));
        assert_eq!(bounds(Slice::from("x")..), (k("x"), None));
        assert_eq!(bounds((Bound::Excluded("a"), Bound::Unbounded)), (k("a\0"), None));
        assert_eq!(bounds((Bound::Excluded(&b"a"[..]), Bound::Included(&b"c"[..]))), (k("a\0"), k("c\0")));
    }
}
