//! [`Slice`]: bytes with a reference count, wherever they live.
//!
//! ```text
//!   Slice ┌───────────┐
//!         │ data  ────┼──────────────┐
//!         │ len       │              ▼
//!         │ owner ────┼──► Arc<  ...[bytes]...  >    a map, a decoded block, a memtable's arena, a Vec
//!         └───────────┘
//! ```
//!
//! This file is one of the few that hold `unsafe`. The argument, once: `data` and `len` describe bytes that `owner`
//! keeps alive and unchanged for as long as any clone of the owner exists. Safe constructors obtain the bytes by
//! borrowing from the owner behind its `Arc`; the borrow stays valid because the `Arc` is never given up while the
//! slice lives and nobody can reach `&mut T` while two references exist. The one unsafe constructor passes that duty
//! to its caller. Memory that is being written is a `Growing`'s alone; of what it becomes, a slice covers what was initialised.

#![allow(unsafe_code)]

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::MaybeUninit;
use std::ops::{Bound, Deref, RangeBounds};
use std::ptr::NonNull;
use std::sync::Arc;

/// Whatever keeps a slice's bytes alive.
pub type Owner = Arc<dyn Send + Sync>;

/// An owner, or bytes on the heap, whose count of references lies right in front of them: whoever looks at their beginning has
/// the count at hand too.
#[derive(Clone)]
enum Holder {
    Owner(#[allow(dead_code, reason = "it is held and not looked at")] Owner),
    Bytes(#[allow(dead_code, reason = "it is held and not looked at")] Arc<[u8]>),
    Lines(#[allow(dead_code, reason = "it is held and not looked at")] Lines),
}

/// What memory that is to be filled is counted in.
const LINE: usize = 64;

/// Memory of which a part is written.
type Lines = Arc<[MaybeUninit<[u8; LINE]>]>;

/// Immutable bytes that are shared by counting references. Cloning and sub-slicing copy nothing.
///
/// A slice keeps its whole owner alive: a small value out of a mapped table keeps that table's file mapped (and, once
/// the table is obsolete, its disk space in use) until the slice is dropped. Use [`Slice::detach`] for values that
/// are kept for long.
///
/// ```
/// use esker_table::Slice;
/// let whole = Slice::from(b"hello world".to_vec());
/// let word = whole.slice(6..);
/// assert_eq!(word, b"world");
/// ```
#[derive(Clone)]
pub struct Slice {
    data: NonNull<u8>,
    len: usize,
    owner: Option<Holder>,
}

// SAFETY: a slice is a shared view of bytes that never change, and its owner is Send and Sync.
unsafe impl Send for Slice {}
// SAFETY: as above; no method gives mutable access.
unsafe impl Sync for Slice {}

impl Slice {
    /// No bytes.
    pub const fn new() -> Slice {
        Slice::from_static(&[])
    }

    /// Bytes that live as long as the program.
    pub const fn from_static(bytes: &'static [u8]) -> Slice {
        // SAFETY: a reference is never null.
        let data = unsafe { NonNull::new_unchecked(bytes.as_ptr().cast_mut()) };
        Slice { data, len: bytes.len(), owner: None }
    }

    /// A copy of `bytes` on the heap.
    pub fn copy_from(bytes: &[u8]) -> Slice {
        if bytes.is_empty() {
            return Slice::new();
        }
        Slice::from(Arc::<[u8]>::from(bytes))
    }

    /// All the bytes of `owner`, kept alive by it.
    pub fn from_owner<T>(owner: Arc<T>) -> Slice
    where
        T: AsRef<[u8]> + Send + Sync + 'static,
    {
        let bytes: &[u8] = (*owner).as_ref();
        let (data, len) = (NonNull::from(bytes).cast::<u8>(), bytes.len());
        Slice { data, len, owner: Some(Holder::Owner(owner)) }
    }

    /// The `len` bytes at `data`, kept alive by `owner`.
    ///
    /// # Safety
    /// The bytes must be initialised, and valid and unchanged for as long as any clone of `owner` exists.
    #[inline]
    pub unsafe fn from_raw(data: NonNull<u8>, len: usize, owner: Owner) -> Slice {
        Slice { data, len, owner: Some(Holder::Owner(owner)) }
    }

    /// The bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: see the head of this file.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }

    /// A part of this slice that shares its owner.
    ///
    /// # Panics
    /// If the range does not lie within the slice.
    #[inline]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Slice {
        let start = match range.start_bound() {
            Bound::Included(&n) => n,
            Bound::Excluded(&n) => n + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&n) => n + 1,
            Bound::Excluded(&n) => n,
            Bound::Unbounded => self.len,
        };
        let part = &self.as_bytes()[start..end];
        Slice { data: NonNull::from(part).cast(), len: part.len(), owner: self.owner.clone() }
    }

    /// As [`slice`](Slice::slice), but gives up this slice instead of counting another reference.
    ///
    /// # Panics
    /// If the range does not lie within the slice.
    #[inline]
    pub fn into_part(self, range: std::ops::Range<usize>) -> Slice {
        let part = &self.as_bytes()[range];
        let (data, len) = (NonNull::from(part).cast(), part.len());
        Slice { data, len, owner: self.owner }
    }

    /// A slice with the same bytes that keeps nothing else alive: a copy on the heap.
    pub fn detach(&self) -> Slice {
        Slice::copy_from(self)
    }

    /// A copy of the bytes as a vector.
    pub fn to_vec(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

/// What may be written behind the capacity of a [`Growing`], and is no part of it: copies may go on to the end of a step.
pub(crate) const SLACK: usize = 32;

/// Bytes on the heap that are written once, from front to back, and then become a slice.
pub(crate) struct Growing {
    lines: Lines,
    capacity: usize,
    /// So many bytes are initialised.
    len: usize,
}

impl Growing {
    /// Room for so many bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Growing {
        let lines = Arc::new_uninit_slice(capacity.saturating_add(SLACK).div_ceil(LINE));
        Growing { lines, capacity, len: 0 }
    }

    /// How many bytes there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many were written.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What was written.
    pub(crate) fn written(&self) -> &[u8] {
        // SAFETY: `len` bytes are initialised.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }

    /// Where the bytes lie. The capacity and [`SLACK`] behind it may be written.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        // Nobody else has the lines before they are a slice's.
        match Arc::get_mut(&mut self.lines) {
            Some(lines) => lines.as_mut_ptr().cast(),
            None => unreachable!("memory that is being written is shared"),
        }
    }

    /// Takes note of what was written.
    ///
    /// # Safety
    /// The first `len` bytes are initialised, and there is room for so many.
    pub(crate) unsafe fn set_len(&mut self, len: usize) {
        debug_assert!(len <= self.capacity);
        self.len = len;
    }

    /// `len` bytes that `fill` writes, all of them zero before.
    ///
    /// # Errors
    /// Those of `fill`.
    pub(crate) fn filled<E>(len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Growing, E> {
        let mut growing = Growing::with_capacity(len);
        let base = growing.as_mut_ptr();
        // SAFETY: there is room for so many bytes, and they are initialised before they are lent.
        fill(unsafe {
            base.write_bytes(0, len);
            std::slice::from_raw_parts_mut(base, len)
        })?;
        growing.len = len;
        Ok(growing)
    }

    /// What was written, as a slice.
    pub(crate) fn freeze(self) -> Slice {
        let data = NonNull::from(&*self.lines).cast();
        Slice { data, len: self.len, owner: Some(Holder::Lines(self.lines)) }
    }
}

impl fmt::Debug for Growing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.len, self.capacity)
    }
}

impl Default for Slice {
    fn default() -> Slice {
        Slice::new()
    }
}

impl Deref for Slice {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<[u8]> for Slice {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Borrow<[u8]> for Slice {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl From<Vec<u8>> for Slice {
    fn from(bytes: Vec<u8>) -> Slice {
        if bytes.is_empty() { Slice::new() } else { Slice::from_owner(Arc::new(bytes)) }
    }
}

impl From<Arc<[u8]>> for Slice {
    fn from(bytes: Arc<[u8]>) -> Slice {
        let (data, len) = (NonNull::from(&*bytes).cast::<u8>(), bytes.len());
        Slice { data, len, owner: Some(Holder::Bytes(bytes)) }
    }
}

impl From<String> for Slice {
    fn from(text: String) -> Slice {
        Slice::from(text.into_bytes())
    }
}

impl From<&[u8]> for Slice {
    fn from(bytes: &[u8]) -> Slice {
        Slice::copy_from(bytes)
    }
}

impl From<&str> for Slice {
    fn from(text: &str) -> Slice {
        Slice::copy_from(text.as_bytes())
    }
}

impl From<Slice> for Vec<u8> {
    fn from(slice: Slice) -> Vec<u8> {
        slice.to_vec()
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Slice {
    fn eq(&self, other: &T) -> bool {
        self.as_bytes() == other.as_ref()
    }
}

impl Eq for Slice {}

impl PartialOrd for Slice {
    fn partial_cmp(&self, other: &Slice) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Slice {
    fn cmp(&self, other: &Slice) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Slice {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_the_owner() {
        let whole = Slice::from((0u8..100).collect::<Vec<_>>());
        let part = whole.slice(10..20);
        assert_eq!(part.as_ptr(), whole[10..].as_ptr());
        let inner = part.slice(..=1);
        drop((whole, part));
        assert_eq!(inner, [10u8, 11]);
        assert_eq!(inner.into_part(1..2), [11u8]);
    }

    #[test]
    fn memory_is_filled_where_it_stays() {
        for len in [0, 1, 63, 64, 65, 4096, 5000] {
            let filled = Growing::filled(len, |out| {
                assert!(out.len() == len && out.iter().all(|&byte| byte == 0));
                out.fill(7);
                Ok::<(), ()>(())
            });
            assert_eq!(filled.unwrap().freeze(), vec![7u8; len]);
        }
        assert_eq!(Growing::filled(5, |_| Err("no")).unwrap_err(), "no");
    }

    #[test]
    fn empty_slices_need_no_owner() {
        assert!(Slice::from(Vec::new()).owner.is_none());
        assert!(Slice::copy_from(b"").owner.is_none());
        assert_eq!(Slice::new().slice(0..0), b"");
    }

    #[test]
    #[should_panic]
    fn a_range_outside_panics() {
        let _ = Slice::from_static(b"abc").slice(2..5);
    }

    #[test]
    fn the_owner_dies_with_the_last_slice() {
        let owner = Arc::new(vec![1u8, 2, 3]);
        let slice = Slice::from_owner(owner.clone());
        let part = slice.slice(1..);
        assert_eq!(Arc::strong_count(&owner), 3);
        drop(slice);
        assert_eq!(part, [2u8, 3]);
        drop(part);
        assert_eq!(Arc::strong_count(&owner), 1);
    }
}
