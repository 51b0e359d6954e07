//! [`Arena`]: the memory of one memtable, and the nodes that lie in it.
//!
//! One allocation, zeroed lazily by the operating system, handed out from the front and given back only as a whole.
//! Places are counted in units of eight bytes, so that 32 bits reach 32 GiB. Offset 0 is nobody's.
//!
//! ```text
//!   unit     n-h            n-1      n         n+1                          n+2
//!            ┌────────┬─···─┬────────┬─────────┬────────────────────────────┬─────────────┬─────┐
//!   Node(n)  │ link   │     │ link   │ trailer │ value len u32 │ key len u16│ key │ value │ pad │
//!            │ h-1    │     │ 0      │ u64     │ height u8     │ unused u8  │     │       │     │
//!            └────────┴─···─┴────────┴─────────┴────────────────────────────┴─────────────┴─────┘
//!   link     key head (first 4 bytes, big endian) u32 : node u32      a number in the high : low half of an AtomicU64
//! ```
//!
//! The tower grows downwards from the node, so that the key lies at a fixed place and the lowest link shares a cache
//! line with the key.
//!
//! This file is one of the few that hold `unsafe`. The argument, once:
//! - *In bounds.* A [`Node`] is made only by [`Arena::node`], which has checked that the whole node lies in the
//!   allocation, and by loading a link, which holds nothing but such nodes. The nodes of two arenas are never mixed:
//!   an arena belongs to one memtable, whose modules are the only ones that see nodes at all.
//! - *In the tower.* A link at level `l` is stored only after a check that its node is higher than `l`, and the
//!   callers ask a node for level `l` only if they reached it at level `l` or above (debug builds check this too).
//! - *No races.* The trailer, the lengths, the key and the value are written by the thread that made the node, before
//!   any other thread can know it; a node becomes known by a link that is stored with release and loaded with acquire
//!   order. From then on they are only read. Links are only ever touched as atomics.
//! - *Alive.* References borrow from the arena; a [`Slice`] of a value owns a reference to it.
//! - *Initialised.* The allocation is zeroed.

#![allow(unsafe_code)]

use crate::sync::{AtomicU64, Ordering};
use esker_table::{Slice, Trailer};
use std::num::NonZeroU32;
use std::ptr::NonNull;
use std::sync::Arc;

#[cfg(loom)]
pub(super) use modelled::Arena;
#[cfg(not(loom))]
pub(super) use native::Arena;

/// The highest tower. With one node in four rising a level, twelve levels serve sixteen million entries; more only
/// get slower by degrees.
#[cfg(not(loom))]
pub(super) const MAX_HEIGHT: usize = 12;
/// Low enough for the model checker to see every case.
#[cfg(loom)]
pub(super) const MAX_HEIGHT: usize = 2;

/// Bytes of a unit.
const UNIT: usize = 8;
/// Units between a node's place and its key.
const HEADER_UNITS: usize = 2;

/// A node of an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node(NonZeroU32);

/// Where a link leads: to a node, together with the head of its key, or to the end.
///
/// The end has the greatest head, so that searching by heads stops there without a case of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Link(u64);

impl Link {
    pub(super) const END: Link = Link((u32::MAX as u64) << 32);

    #[inline]
    pub(super) fn new(head: u32, node: Node) -> Link {
        Link(u64::from(head) << 32 | u64::from(node.0.get()))
    }

    #[inline]
    pub(super) fn head(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline]
    pub(super) fn node(self) -> Option<Node> {
        NonZeroU32::new(self.0 as u32).map(Node)
    }
}

/// The units that a node takes.
fn node_units(height: usize, key_len: usize, value_len: usize) -> usize {
    height + HEADER_UNITS + (key_len + value_len).div_ceil(UNIT)
}

/// The most bytes that an entry takes in an arena.
pub(crate) fn entry_bound(key_len: usize, value_len: usize) -> usize {
    node_units(MAX_HEIGHT, key_len, value_len) * UNIT
}

/// What of an arena's bytes is given out before the first entry: the unit that is nobody's, and the nodes that carry
/// only links.
const RESERVED: usize = UNIT * (1 + 3 * (MAX_HEIGHT + HEADER_UNITS));

#[cfg(not(loom))]
mod native {
    use super::*;
    use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

    /// See the head of this file.
    pub(crate) struct Arena {
        base: NonNull<u8>,
        layout: Layout,
        /// Nodes made, in the high half; the first free unit, in the low half.
        used: AtomicU64,
    }

    // SAFETY: the arena owns its memory; what may be shared and when is argued in the head of this file.
    unsafe impl Send for Arena {}
    // SAFETY: as above.
    unsafe impl Sync for Arena {}

    impl Arena {
        /// Room for entries whose bounds sum up to `capacity` bytes (at most 32 GiB).
        pub(crate) fn new(capacity: usize) -> Arena {
            let bytes = capacity.saturating_add(RESERVED).min((u32::MAX as usize - 1).saturating_mul(UNIT));
            let bytes = bytes.next_multiple_of(UNIT);
            let Ok(layout) = Layout::from_size_align(bytes, UNIT) else {
                handle_alloc_error(Layout::new::<u64>());
            };
            // SAFETY: the size is not zero.
            let base = unsafe { alloc_zeroed(layout) };
            let Some(base) = NonNull::new(base) else { handle_alloc_error(layout) };
            Arena { base, layout, used: AtomicU64::new(1) }
        }

        /// The bytes that can be given out.
        pub(crate) fn capacity(&self) -> usize {
            self.layout.size()
        }

        /// The bytes given out.
        #[inline]
        pub(crate) fn used(&self) -> usize {
            self.used.load(Ordering::Acquire) as u32 as usize * UNIT
        }

        /// The number of nodes made.
        pub(crate) fn nodes(&self) -> u64 {
            self.used.load(Ordering::Relaxed) >> 32
        }

        /// Makes a node. Its links are not yet set.
        ///
        /// # Panics
        /// If there is no room. Whoever inserts has reserved the entry's bound before.
        #[inline]
        pub(crate) fn node(&self, height: usize, key: &[u8], trailer: Trailer, value: &[u8]) -> Node {
            assert!((1..=MAX_HEIGHT).contains(&height) && key.len() <= usize::from(u16::MAX));
            let units = node_units(height, key.len(), value.len());
            assert!(value.len() <= u32::MAX as usize && units <= self.layout.size() / UNIT);
            let start = self.used.fetch_add(1 << 32 | units as u64, Ordering::AcqRel) as u32 as usize;
            assert!(start + units <= self.layout.size() / UNIT, "an insert without a reservation");
            let lengths = value.len() as u64 | (key.len() as u64) << 32 | (height as u64) << 48;
            let place = start + height;
            // SAFETY: the units from `start` lie in the allocation (checked above), belong to this call alone, and
            // hold the header, the key and the value. The base is aligned to a unit.
            unsafe {
                let header = self.base.as_ptr().add(place * UNIT);
                header.cast::<u64>().write(trailer.0);
                header.cast::<u64>().add(1).write(lengths);
                let bytes = header.add(HEADER_UNITS * UNIT);
                bytes.copy_from_nonoverlapping(key.as_ptr(), key.len());
                bytes.add(key.len()).copy_from_nonoverlapping(value.as_ptr(), value.len());
            }
            // The place is at least the height, which is not zero, and at most the number of units, which fits.
            NonZeroU32::new(place as u32).map_or_else(|| unreachable!("unit 0 is never given out"), Node)
        }

        #[inline]
        fn word(&self, node: Node, index: usize) -> u64 {
            // SAFETY: the header of a node lies in the allocation and does not change once the node is known.
            unsafe { self.base.as_ptr().add((node.0.get() as usize + index) * UNIT).cast::<u64>().read() }
        }

        #[inline]
        fn height(&self, node: Node) -> usize {
            (self.word(node, 1) >> 48) as u8 as usize
        }

        #[inline]
        fn slot(&self, node: Node, level: usize) -> &AtomicU64 {
            debug_assert!(level < self.height(node));
            // SAFETY: the node has this level (see the head of this file); its link lies in the allocation, aligned,
            // and is only touched as an atomic.
            unsafe {
                AtomicU64::from_ptr(self.base.as_ptr().add((node.0.get() as usize - 1 - level) * UNIT).cast())
            }
        }

        /// Where the node's link at `level` leads.
        #[inline]
        pub(crate) fn next(&self, node: Node, level: usize) -> Link {
            Link(self.slot(node, level).load(Ordering::Acquire))
        }

        #[inline]
        fn check_level(&self, link: Link, level: usize) {
            assert!(link.node().is_none_or(|node| level < self.height(node)));
        }

        /// Sets a link that no other thread sets at the same time, or of which any value will do.
        #[inline]
        pub(crate) fn set_next(&self, node: Node, level: usize, link: Link) {
            self.check_level(link, level);
            self.slot(node, level).store(link.0, Ordering::Release);
        }

        /// Sets a link if it still leads where it is expected to.
        #[inline]
        pub(crate) fn exchange_next(&self, node: Node, level: usize, expected: Link, link: Link) -> bool {
            self.check_level(link, level);
            self.slot(node, level)
                .compare_exchange(expected.0, link.0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        }

        /// The node's sequence number and kind.
        #[inline]
        pub(crate) fn trailer(&self, node: Node) -> Trailer {
            Trailer(self.word(node, 0))
        }

        #[inline]
        fn bytes(&self, node: Node, from: usize, len: usize) -> &[u8] {
            // SAFETY: callers name a part of the node's key and value, which do not change any more.
            unsafe {
                let place = node.0.get() as usize + HEADER_UNITS;
                std::slice::from_raw_parts(self.base.as_ptr().add(place * UNIT + from), len)
            }
        }

        /// The node's user key.
        #[inline]
        pub(crate) fn key(&self, node: Node) -> &[u8] {
            self.bytes(node, 0, usize::from((self.word(node, 1) >> 32) as u16))
        }

        /// The node's value.
        #[inline]
        pub(crate) fn value(&self, node: Node) -> &[u8] {
            let lengths = self.word(node, 1);
            self.bytes(node, usize::from((lengths >> 32) as u16), lengths as u32 as usize)
        }

        /// `part`, which lies in this arena, keeping it alive.
        #[inline]
        fn share(self: &Arc<Self>, part: &[u8]) -> Slice {
            if part.is_empty() {
                return Slice::new();
            }
            // SAFETY: the bytes lie in the arena, which lives while the owner does, and do not change any more.
            unsafe { Slice::from_raw(NonNull::from(part).cast(), part.len(), self.clone()) }
        }

        /// The node's user key, keeping the arena alive.
        #[inline]
        pub(crate) fn key_slice(self: &Arc<Self>, node: Node) -> Slice {
            self.share(self.key(node))
        }

        /// The node's value, keeping the arena alive.
        #[inline]
        pub(crate) fn value_slice(self: &Arc<Self>, node: Node) -> Slice {
            self.share(self.value(node))
        }
    }

    impl Drop for Arena {
        fn drop(&mut self) {
            // SAFETY: allocated in `new` with this layout.
            unsafe { dealloc(self.base.as_ptr(), self.layout) }
        }
    }
}

/// The same arena for the model checker, which cannot see through raw memory: each node's links are its atomics, and
/// each body lies in a cell that reports a read that the write of the body does not happen before.
#[cfg(loom)]
mod modelled {
    use super::*;
    use loom::cell::UnsafeCell;

    /// The most nodes of an arena.
    const NODES: usize = 9;

    #[derive(Default)]
    struct Body {
        height: usize,
        trailer: Trailer,
        key: Box<[u8]>,
        value: Box<[u8]>,
    }

    struct Cell {
        links: [AtomicU64; MAX_HEIGHT],
        body: UnsafeCell<Body>,
    }

    /// See the head of this file.
    pub(crate) struct Arena {
        cells: Vec<Cell>,
        capacity: usize,
        /// Nodes made, in the high half; the first free unit, in the low half.
        used: AtomicU64,
    }

    // SAFETY: what may be shared and when is argued in the head of this file, and what the checker checks.
    unsafe impl Send for Arena {}
    // SAFETY: as above.
    unsafe impl Sync for Arena {}

    impl Arena {
        pub(crate) fn new(capacity: usize) -> Arena {
            let cell = || Cell {
                links: std::array::from_fn(|_| AtomicU64::new(0)),
                body: UnsafeCell::new(Body::default()),
            };
            Arena {
                cells: (0..NODES).map(|_| cell()).collect(),
                capacity: capacity + RESERVED,
                used: AtomicU64::new(1),
            }
        }

        pub(crate) fn capacity(&self) -> usize {
            self.capacity
        }

        pub(crate) fn used(&self) -> usize {
            self.used.load(Ordering::Acquire) as u32 as usize * UNIT
        }

        pub(crate) fn nodes(&self) -> u64 {
            self.used.load(Ordering::Relaxed) >> 32
        }

        pub(crate) fn node(&self, height: usize, key: &[u8], trailer: Trailer, value: &[u8]) -> Node {
            let units = node_units(height, key.len(), value.len()) as u64;
            let index = (self.used.fetch_add(1 << 32 | units, Ordering::AcqRel) >> 32) as usize;
            self.cells[index].body.with_mut(|body| {
                // SAFETY: the index is this call's alone and not yet known to others.
                unsafe { *body = Body { height, trailer, key: key.into(), value: value.into() } }
            });
            NonZeroU32::new(index as u32 + 1).map(Node).unwrap()
        }

        fn cell(&self, node: Node) -> &Cell {
            &self.cells[node.0.get() as usize - 1]
        }

        fn body(&self, node: Node) -> &Body {
            // SAFETY: the body does not change once the node is known; the cell checks that it was known.
            self.cell(node).body.with(|body| unsafe { &*body })
        }

        pub(crate) fn next(&self, node: Node, level: usize) -> Link {
            Link(self.cell(node).links[level].load(Ordering::Acquire))
        }

        pub(crate) fn set_next(&self, node: Node, level: usize, link: Link) {
            assert!(link.node().is_none_or(|node| level < self.body(node).height));
            self.cell(node).links[level].store(link.0, Ordering::Release);
        }

        pub(crate) fn exchange_next(&self, node: Node, level: usize, expected: Link, link: Link) -> bool {
            assert!(link.node().is_none_or(|node| level < self.body(node).height));
            self.cell(node).links[level]
                .compare_exchange(expected.0, link.0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        }

        pub(crate) fn trailer(&self, node: Node) -> Trailer {
            self.body(node).trailer
        }

        pub(crate) fn key(&self, node: Node) -> &[u8] {
            &self.body(node).key
        }

        pub(crate) fn value(&self, node: Node) -> &[u8] {
            &self.body(node).value
        }

        fn share(self: &Arc<Self>, part: &[u8]) -> Slice {
            // SAFETY: the bytes lie in a box of the arena, which lives while the owner does, and do not change.
            unsafe { Slice::from_raw(NonNull::from(part).cast(), part.len(), self.clone()) }
        }

        pub(crate) fn key_slice(self: &Arc<Self>, node: Node) -> Slice {
            self.share(self.key(node))
        }

        pub(crate) fn value_slice(self: &Arc<Self>, node: Node) -> Slice {
            self.share(self.value(node))
        }
    }
}
