//! [`Arena`]: the memory of one memtable, and the nodes and blocks that lie in it.
//!
//! One anonymous map, zeroed by the operating system as it is touched, of which blocks and nodes are handed out from the front of
//! their parts and given back only as a whole. Not the allocator's memory: what that has in store it would zero, and so take, all at
//! once, and an empty memtable would cost as much as a full one. Places of nodes are counted in units of four bytes, so that 32 bits reach 16 GiB; blocks are
//! counted from one. A zero leads nowhere.
//!
//! ```text
//!   map          ┌─ aligned to 128 ─────────┬──────────────┬───────────────────────────┐
//!                │ block 1 │ block 2 │ free │ filter words │ node │ node │ node │ free  │
//!                └─────────┴─────────┴──────┴──────────────┴──────┴──────┴──────┴───────┘
//!
//!   unit     n-1      n     n+1     n+2                           n+3
//!            ┌────────┬─────────────┬─────────────────────────────┬─────────────┬─────┐
//!   Node(n)  │ link   │ trailer u64 │ key len u16 │ value len u16 │ key │ value │ pad │
//!            │ or none│             │             │               │     │       │     │
//!            └────────┴─────────────┴─────────────────────────────┴─────────────┴─────┘
//!   a value length of 65,535 means that a u32 with the true length lies before the key
//! ```
//!
//! This file is one of the few that hold `unsafe`. The argument, once:
//! - *In bounds.* A [`Node`] is made by [`Arena::node`], which has checked that the whole node lies in the map,
//!   or is taken out of a word that a node was put into: a node's link, a slot of a leaf, a block's bounds. Words that
//!   hold blocks (the slots of inner blocks, the links of splits) are never read as nodes: the level at which a search
//!   stands says which they are. The nodes of two arenas are never mixed: an arena belongs to one memtable, whose
//!   modules are the only ones that see nodes at all. Whether a block lies in bounds is checked at each access.
//! - *Linked.* A link is asked only of nodes that were made with one: those of the range deletions, of which alone
//!   `tombstones` knows (debug builds check the kind).
//! - *No races.* The trailer, the lengths, the key and the value are written by the thread that made the node, before
//!   any other thread can know it; a node becomes known by a word that is stored with release and loaded with acquire
//!   order. From then on they are only read. Links, the words of blocks and those of the filter are only ever touched as
//!   atomics.
//! - *Alive.* References borrow from the arena; a [`Slice`] of a node's bytes owns a reference to it.
//! - *Initialised.* The map is zeroed; what is given back piece by piece is so when nothing refers to the arena any more.

#![allow(unsafe_code)]

use super::block::{Block, Words};
#[cfg(not(loom))]
use crate::sync::Apart;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(loom))]
use esker_table::Kind;
use esker_table::{Slice, Trailer};
use std::num::NonZeroU32;
use std::ptr::NonNull;
use std::sync::Arc;

#[cfg(loom)]
pub(super) use modelled::Arena;
#[cfg(not(loom))]
pub(super) use native::Arena;

/// Bytes of a unit.
const UNIT: usize = 4;
/// Units between a node's place and its key.
const HEADER_UNITS: usize = 3;
/// The length of a value that says that the true one stands in a unit of its own.
const LONG: u16 = u16::MAX;
/// Room for the nodes that are no entries.
const RESERVED: usize = 64;

/// A node of an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node(NonZeroU32);

impl Node {
    /// The node that `word` says in its low half, if it says one.
    #[inline]
    pub(super) fn from_word(word: u64) -> Option<Node> {
        NonZeroU32::new(word as u32).map(Node)
    }

    /// The node as the low half of a word.
    #[inline]
    pub(super) fn word(self) -> u64 {
        u64::from(self.0.get())
    }

    /// The node as a link, which has no room for the other half of a word.
    fn place(self) -> u32 {
        self.0.get()
    }

    /// The node that a link leads to.
    fn at(place: u32) -> Option<Node> {
        NonZeroU32::new(place).map(Node)
    }
}

/// Whether a value has its length in a unit of its own.
fn is_long(value_len: usize) -> bool {
    value_len >= usize::from(LONG)
}

/// Whether a node with this trailer is a range deletion, or leads to the youngest of them.
#[cfg(not(loom))]
fn is_linked(trailer: Trailer) -> bool {
    trailer == Trailer::FIRST || trailer.kind_number() == Kind::RangeDelete as u8
}

/// The bytes that a node takes.
pub(super) fn node_bytes(linked: bool, key_len: usize, value_len: usize) -> usize {
    let before = usize::from(linked) + HEADER_UNITS + usize::from(is_long(value_len));
    (before + (key_len + value_len).div_ceil(UNIT)) * UNIT
}

#[cfg(not(loom))]
mod native {
    use super::*;
    #[cfg(unix)]
    use memmap2::UncheckedAdvice;
    use memmap2::{MmapMut, MmapOptions};
    use std::alloc::{Layout, handle_alloc_error};

    /// See the head of this file.
    pub(crate) struct Arena {
        /// Holds the memory; looked at otherwise only to give it back.
        #[cfg_attr(not(unix), expect(dead_code))]
        map: MmapMut,
        blocks: NonNull<Words>,
        block_limit: usize,
        filter: NonNull<AtomicU64>,
        /// How many words the filter has, at least one.
        filter_words: usize,
        /// Where units are counted from, and how many there are.
        units: NonNull<u32>,
        unit_limit: usize,
        /// Nodes made, in the high half; the first free unit, in the low half.
        used: Apart<AtomicU64>,
    }

    /// How much there is room for.
    #[derive(Clone, Copy)]
    struct Limits {
        units: usize,
        blocks: usize,
        filter_words: usize,
    }

    impl Limits {
        fn new(capacity: usize, blocks: usize, filter_words: usize) -> Limits {
            Limits {
                units: capacity.saturating_add(RESERVED).div_ceil(UNIT).min(u32::MAX as usize),
                blocks: blocks.min(u32::MAX as usize),
                filter_words: filter_words.clamp(1, u32::MAX as usize),
            }
        }

        /// All of it, and what it takes to align the first block.
        fn bytes(self) -> usize {
            let parts = [
                self.blocks.saturating_mul(size_of::<Words>()),
                self.filter_words.saturating_mul(size_of::<AtomicU64>()),
                self.units.saturating_mul(UNIT),
            ];
            parts.into_iter().fold(align_of::<Words>(), usize::saturating_add)
        }
    }

    /// How much is given back at once: a huge page, where the system has such.
    #[cfg(unix)]
    const PIECE: usize = 2 << 20;

    #[cfg(unix)]
    impl Drop for Arena {
        /// Gives the memory back piece by piece, before the map. The system lets nobody map or unmap anything while it takes back what
        /// a map holds, and a writer maps parts of the log all the time: it would wait until all pages of a memtable are gone.
        fn drop(&mut self) {
            let len = self.map.len();
            for start in (0..len).step_by(PIECE) {
                // SAFETY: nothing refers to the memory any more, and nothing will.
                let given_back = unsafe {
                    self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, PIECE.min(len - start))
                };
                // What the system does not want like this goes with the map.
                if given_back.is_err() {
                    return;
                }
            }
        }
    }

    // SAFETY: the arena owns its memory; what may be shared and when is argued in the head of this file.
    unsafe impl Send for Arena {}
    // SAFETY: as above.
    unsafe impl Sync for Arena {}

    impl Arena {
        /// Room for `capacity` bytes of nodes (at most 16 GiB), for `blocks` blocks, and for a filter of so many words.
        pub(crate) fn new(capacity: usize, blocks: usize, filter_words: usize) -> Arena {
            let limits = Limits::new(capacity, blocks, filter_words);
            let Limits { units: unit_limit, blocks: block_limit, filter_words } = limits;
            let bytes = limits.bytes();
            let Ok(mut map) = Arena::map(bytes) else {
                handle_alloc_error(Layout::from_size_align(bytes, UNIT).unwrap_or(Layout::new::<Words>()));
            };
            let base = NonNull::from(&mut map[..]).cast::<u8>();
            // SAFETY: less than an alignment further, and the blocks, words and units after, all lie in the map. Words are aligned,
            // since the blocks before them are as long as they are aligned, and so are units.
            let (blocks, filter, units) = unsafe {
                let blocks = base.add(base.align_offset(align_of::<Words>())).cast::<Words>();
                let filter = blocks.add(block_limit).cast::<AtomicU64>();
                (blocks, filter, filter.add(filter_words).cast::<u32>())
            };
            let used = Apart(AtomicU64::new(1));
            Arena { map, blocks, block_limit, filter, filter_words, units, unit_limit, used }
        }

        /// Whether the system gives that much address space.
        ///
        /// # Errors
        /// What it says against it.
        pub(crate) fn try_map(capacity: usize, blocks: usize, filter_words: usize) -> std::io::Result<()> {
            Arena::map(Limits::new(capacity, blocks, filter_words).bytes()).map(drop)
        }

        /// Memory is taken as it is filled, so none is set aside for the whole of it.
        fn map(bytes: usize) -> std::io::Result<MmapMut> {
            MmapOptions::new().len(bytes).no_reserve_swap().map_anon()
        }

        /// The bytes given out to nodes.
        #[inline]
        pub(crate) fn used(&self) -> usize {
            self.used.0.load(Ordering::Acquire) as u32 as usize * UNIT
        }

        /// The number of nodes made.
        #[inline]
        pub(crate) fn nodes(&self) -> u64 {
            self.used.0.load(Ordering::Relaxed) >> 32
        }

        /// The words of a block.
        ///
        /// # Panics
        /// If there are not so many blocks.
        #[inline]
        pub(crate) fn block(&self, block: Block) -> &Words {
            let index = block.index();
            assert!(index < self.block_limit, "the blocks are used up");
            // SAFETY: the block lies in the map, aligned, and its words are only touched as atomics.
            unsafe { self.blocks.add(index).as_ref() }
        }

        /// How many words the filter has, at least one.
        pub(crate) fn filter_words(&self) -> usize {
            self.filter_words
        }

        /// A word of the filter.
        ///
        /// # Panics
        /// If there are not so many.
        #[inline]
        pub(crate) fn filter_word(&self, index: u32) -> &AtomicU64 {
            let index = index as usize;
            assert!(index < self.filter_words, "the filter has no such word");
            // SAFETY: the word lies in the map, aligned, and is only touched as an atomic.
            unsafe { self.filter.add(index).as_ref() }
        }

        /// Makes a node. If it is `linked`, its link leads nowhere.
        ///
        /// # Panics
        /// If there is no room. Whoever inserts has reserved the entry's bound before.
        #[inline]
        pub(crate) fn node(&self, linked: bool, key: &[u8], trailer: Trailer, value: &[u8]) -> Node {
            assert!(key.len() <= usize::from(u16::MAX) && value.len() <= u32::MAX as usize);
            let units = node_bytes(linked, key.len(), value.len()) / UNIT;
            assert!(units <= self.unit_limit);
            let start = self.used.0.fetch_add(1 << 32 | units as u64, Ordering::AcqRel) as u32 as usize;
            // What was added to `used` stays; it would take a GiB of such mistakes until the count of nodes is touched.
            assert!(start + units <= self.unit_limit, "an insert without a reservation");
            let place = start + usize::from(linked);
            let short = if is_long(value.len()) { LONG } else { value.len() as u16 };
            // SAFETY: the units from `start` lie in the map (checked above), belong to this call alone, and
            // hold the header, a long length, the key and the value.
            unsafe {
                let header = self.units.as_ptr().add(place);
                header.cast::<u64>().write_unaligned(trailer.0);
                header.add(2).write(key.len() as u32 | u32::from(short) << 16);
                let mut bytes = header.add(HEADER_UNITS);
                if short == LONG {
                    bytes.write(value.len() as u32);
                    bytes = bytes.add(1);
                }
                let bytes = bytes.cast::<u8>();
                bytes.copy_from_nonoverlapping(key.as_ptr(), key.len());
                bytes.add(key.len()).copy_from_nonoverlapping(value.as_ptr(), value.len());
            }
            // Units are given out from the second on, and there are at most `u32::MAX`.
            NonZeroU32::new(place as u32).map_or_else(|| unreachable!("unit 0 is never given out"), Node)
        }

        /// Where the node's header begins.
        #[inline]
        fn header(&self, node: Node) -> *const u32 {
            // SAFETY: the header of a node lies in the map: its place came from `node`.
            unsafe { self.units.as_ptr().add(node.0.get() as usize) }
        }

        #[inline]
        fn link(&self, node: Node) -> &AtomicU32 {
            debug_assert!(is_linked(self.trailer(node)), "only range deletions are linked");
            // SAFETY: the node is linked (see the head of this file), so the unit before it is its link, which is
            // only touched as an atomic.
            unsafe { AtomicU32::from_ptr(self.units.as_ptr().add(node.0.get() as usize - 1)) }
        }

        /// Where the node's link leads.
        #[inline]
        pub(crate) fn next(&self, node: Node) -> Option<Node> {
            Node::at(self.link(node).load(Ordering::Acquire))
        }

        /// Sets the link of a node that no other thread knows.
        pub(crate) fn set_next(&self, node: Node, next: Option<Node>) {
            self.link(node).store(next.map_or(0, Node::place), Ordering::Release);
        }

        /// Sets a link if it still leads where it is expected to.
        pub(crate) fn exchange_next(&self, node: Node, expected: Option<Node>, next: Node) -> bool {
            let expected = expected.map_or(0, Node::place);
            self.link(node)
                .compare_exchange(expected, next.place(), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        }

        /// The node's sequence number and kind.
        #[inline]
        pub(crate) fn trailer(&self, node: Node) -> Trailer {
            // SAFETY: the header does not change once the node is known.
            Trailer(unsafe { self.header(node).cast::<u64>().read_unaligned() })
        }

        /// Has the beginning of a node come from memory while something else is done. Where Rust has no stable
        /// name for such an instruction it does nothing.
        #[inline]
        pub(crate) fn prefetch(&self, node: Node) {
            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                let header = self.header(node).cast::<i8>();
                // SAFETY: what is prefetched is not looked at, and so the second line may lie outside of the map.
                unsafe {
                    _mm_prefetch::<_MM_HINT_T0>(header);
                    _mm_prefetch::<_MM_HINT_T0>(header.wrapping_add(64));
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = node;
        }

        /// The lengths that the header has: of the key, and of the value unless that is [`LONG`].
        #[inline]
        fn lengths(&self, node: Node) -> (usize, u16) {
            // SAFETY: the header does not change once the node is known.
            let lengths = unsafe { self.header(node).add(2).read() };
            (usize::from(lengths as u16), (lengths >> 16) as u16)
        }

        /// `len` bytes that begin `from` bytes after the header.
        #[inline]
        fn bytes(&self, node: Node, from: usize, len: usize) -> &[u8] {
            // SAFETY: callers name a part of the node's key and value, which do not change any more.
            unsafe {
                let start = self.header(node).add(HEADER_UNITS).cast::<u8>();
                std::slice::from_raw_parts(start.add(from), len)
            }
        }

        /// The node's user key.
        #[inline]
        pub(crate) fn key(&self, node: Node) -> &[u8] {
            let (key_len, short) = self.lengths(node);
            self.bytes(node, if short == LONG { UNIT } else { 0 }, key_len)
        }

        /// The node's value.
        #[inline]
        pub(crate) fn value(&self, node: Node) -> &[u8] {
            let (key_len, short) = self.lengths(node);
            if short != LONG {
                return self.bytes(node, key_len, usize::from(short));
            }
            // SAFETY: a value that is long has its length in the unit after the header.
            let len = unsafe { self.header(node).add(HEADER_UNITS).read() };
            self.bytes(node, UNIT + key_len, len as usize)
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
}

/// The same arena for the model checker, which cannot see through raw memory: links and the words of blocks are its
/// atomics, and the rest of each node lies in a cell that reports a read that the write does not happen before.
#[cfg(loom)]
mod modelled {
    use super::*;
    use loom::cell::UnsafeCell;

    /// The most nodes of an arena.
    const NODES: usize = 8;
    /// The most blocks of an arena.
    const BLOCKS: usize = 24;

    #[derive(Default)]
    struct Body {
        trailer: Trailer,
        key: Box<[u8]>,
        value: Box<[u8]>,
    }

    /// See the head of this file.
    pub(crate) struct Arena {
        nodes: Vec<(AtomicU32, UnsafeCell<Body>)>,
        blocks: Vec<Words>,
        filter: AtomicU64,
        /// Nodes made, in the high half; the first free unit, in the low half.
        used: AtomicU64,
    }

    // SAFETY: what may be shared and when is argued in the head of this file, and what the checker checks.
    unsafe impl Send for Arena {}
    // SAFETY: as above.
    unsafe impl Sync for Arena {}

    impl Arena {
        pub(crate) fn new(_capacity: usize, _blocks: usize, _filter_words: usize) -> Arena {
            let node = |_| (AtomicU32::new(0), UnsafeCell::new(Body::default()));
            Arena {
                nodes: (0..NODES).map(node).collect(),
                blocks: (0..BLOCKS).map(|_| Words::default()).collect(),
                filter: AtomicU64::new(0),
                used: AtomicU64::new(1),
            }
        }

        pub(crate) fn used(&self) -> usize {
            self.used.load(Ordering::Acquire) as u32 as usize * UNIT
        }

        pub(crate) fn nodes(&self) -> u64 {
            self.used.load(Ordering::Relaxed) >> 32
        }

        pub(crate) fn block(&self, block: Block) -> &Words {
            &self.blocks[block.index()]
        }

        pub(crate) fn filter_words(&self) -> usize {
            1
        }

        pub(crate) fn filter_word(&self, _index: u32) -> &AtomicU64 {
            &self.filter
        }

        pub(crate) fn node(&self, linked: bool, key: &[u8], trailer: Trailer, value: &[u8]) -> Node {
            let units = (node_bytes(linked, key.len(), value.len()) / UNIT) as u64;
            let index = (self.used.fetch_add(1 << 32 | units, Ordering::AcqRel) >> 32) as usize;
            self.nodes[index].1.with_mut(|body| {
                // SAFETY: the index is this call's alone and not yet known to others.
                unsafe { *body = Body { trailer, key: key.into(), value: value.into() } }
            });
            NonZeroU32::new(index as u32 + 1).map(Node).unwrap()
        }

        fn body(&self, node: Node) -> &Body {
            // SAFETY: the body does not change once the node is known; the cell checks that it was known.
            self.nodes[node.0.get() as usize - 1].1.with(|body| unsafe { &*body })
        }

        fn link(&self, node: Node) -> &AtomicU32 {
            &self.nodes[node.0.get() as usize - 1].0
        }

        pub(crate) fn next(&self, node: Node) -> Option<Node> {
            Node::at(self.link(node).load(Ordering::Acquire))
        }

        pub(crate) fn set_next(&self, node: Node, next: Option<Node>) {
            self.link(node).store(next.map_or(0, Node::place), Ordering::Release);
        }

        pub(crate) fn exchange_next(&self, node: Node, expected: Option<Node>, next: Node) -> bool {
            let expected = expected.map_or(0, Node::place);
            self.link(node)
                .compare_exchange(expected, next.place(), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        }

        pub(crate) fn prefetch(&self, _node: Node) {}

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
