//! [`SiblingSet`]: what a replica knows of one key.
//!
//! ```text
//!   clock     {a:7, b:3}            every write that is known, by actor
//!   siblings  a:7 → "x"             the values that no known write replaced;
//!             b:3 → "y"             each one's dot is covered by the clock
//! ```

use super::context::Context;
use super::dot::{Actor, Dot};
use super::sibling::{Body, Content, Sibling};
use super::vector_clock::VectorClock;
use xxhash_rust::xxh3::xxh3_128;

/// What becomes of values that were written without knowledge of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConflictMode {
    /// They all stay, as siblings, until a write that has seen them replaces them.
    Causal,
    /// The last by the clocks of the stores stays. Concurrent writes are lost.
    LastWriteWins,
}

/// What a replica knows of one key: a version vector, and the values that nothing in it replaced.
///
/// Invariants: siblings are sorted by dot, no dot twice, and the clock covers each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiblingSet {
    clock: VectorClock,
    siblings: Vec<Sibling>,
}

impl SiblingSet {
    /// A key that was never written.
    pub fn new() -> SiblingSet {
        SiblingSet::default()
    }

    /// A set from its parts, put in order. The clock learns of all the siblings.
    pub fn from_parts(mut clock: VectorClock, mut siblings: Vec<Sibling>) -> SiblingSet {
        if !siblings.is_sorted_by(|a, b| a.dot < b.dot) {
            siblings.sort_by_key(|sibling| sibling.dot);
            siblings.dedup_by_key(|sibling| sibling.dot);
        }
        for sibling in &siblings {
            clock.insert(sibling.dot);
        }
        SiblingSet { clock, siblings }
    }

    /// Every write that is known.
    pub fn clock(&self) -> &VectorClock {
        &self.clock
    }

    /// The values and deletes that nothing replaced, by dot.
    pub fn siblings(&self) -> &[Sibling] {
        &self.siblings
    }

    /// The same, to fill in bodies.
    pub fn siblings_mut(&mut self) -> impl Iterator<Item = (Dot, &mut Content)> {
        self.siblings.iter_mut().map(|sibling| (sibling.dot, &mut sibling.content))
    }

    /// Whether the key was never written.
    pub fn is_empty(&self) -> bool {
        self.clock.is_empty()
    }

    /// The values that a reader sees at this time.
    pub fn visible(&self, wall_millis: u64) -> impl Iterator<Item = &Sibling> {
        self.siblings.iter().filter(move |sibling| sibling.is_visible(wall_millis))
    }

    fn find(&self, dot: Dot) -> Option<&Sibling> {
        self.siblings.binary_search_by_key(&dot, |sibling| sibling.dot).ok().map(|at| &self.siblings[at])
    }

    /// A write that a context excepts and that is not known here, if there is one. Then the set must not take a write with that
    /// context: its clock would cover what it does not hold, and that would be dropped wherever the two meet.
    pub fn unknown_to(&self, seen: &Context) -> Option<Dot> {
        seen.exceptions().iter().copied().find(|&dot| !self.clock.covers(dot))
    }

    /// Takes a new write that has seen what `seen` covers: that goes, the rest stays beside it. The write's dot must be
    /// new: above all counters of its actor in the clock. Nothing of what `seen` excepts may be
    /// [unknown](SiblingSet::unknown_to), unless the last write wins, over which it is.
    pub fn put(&mut self, seen: &Context, sibling: Sibling, mode: ConflictMode) {
        debug_assert!(!self.clock.covers(sibling.dot), "a dot is given once");
        debug_assert!(mode == ConflictMode::LastWriteWins || self.unknown_to(seen).is_none());
        self.clock.join(seen.clock());
        self.clock.insert(sibling.dot);
        self.siblings.retain(|old| !seen.covers(old.dot));
        let at = self.siblings.partition_point(|old| old.dot < sibling.dot);
        self.siblings.insert(at, sibling);
        self.settle(mode);
    }

    /// Learns all that `other` knows. Returns whether anything changed.
    pub fn join(&mut self, other: &SiblingSet, mode: ConflictMode) -> bool {
        let mut joined: Vec<Sibling> = Vec::with_capacity(self.siblings.len().max(other.siblings.len()));
        for mine in &self.siblings {
            if let Some(theirs) = other.find(mine.dot) {
                joined.push(with_body(mine, theirs));
            } else if !other.clock.covers(mine.dot) {
                joined.push(mine.clone());
            }
        }
        for theirs in &other.siblings {
            if !self.clock.covers(theirs.dot) {
                joined.push(theirs.clone());
            }
        }
        joined.sort_by_key(|sibling| sibling.dot);
        let is_new = !self.clock.covers_all(&other.clock);
        self.clock.join(&other.clock);
        let before = std::mem::replace(&mut self.siblings, joined);
        self.settle(mode);
        is_new || !same_dots(&self.siblings, &before)
    }

    /// Last-write-wins keeps one.
    fn settle(&mut self, mode: ConflictMode) {
        if mode == ConflictMode::LastWriteWins
            && let Some(last) = self.siblings.iter().map(|sibling| sibling.dot).max_by_key(|dot| dot.age())
        {
            self.siblings.retain(|sibling| sibling.dot == last);
        }
    }

    /// Whether both hold the same values. Clocks may differ: one may be truncated.
    pub fn same_dots(&self, other: &SiblingSet) -> bool {
        same_dots(&self.siblings, &other.siblings)
    }

    /// A digest of the dots of the surviving siblings, for comparing replicas. Of the clock it says nothing, since that
    /// may be truncated. 0 if there are none.
    pub fn digest(&self) -> u128 {
        self.siblings.iter().fold(0u128, |sum, sibling| {
            let mut bytes = [0; 17];
            bytes[..8].copy_from_slice(&sibling.dot.actor.0.to_le_bytes());
            bytes[8..16].copy_from_slice(&sibling.dot.counter.to_le_bytes());
            bytes[16] = u8::from(sibling.is_tombstone());
            sum.wrapping_add(xxh3_128(&bytes))
        })
    }

    /// Keeps the clock to `limit` entries, the oldest go first; actors of siblings stay. Returns how many went.
    ///
    /// Only while a put is coordinated: a join that truncated would give other results in other orders.
    pub fn truncate_clock(&mut self, limit: usize) -> usize {
        let siblings = &self.siblings;
        self.clock.truncate(limit, |actor| siblings.iter().any(|sibling| sibling.dot.actor == actor))
    }

    /// The highest counter of this actor in it.
    pub fn counter(&self, actor: Actor) -> u64 {
        self.clock.counter(actor)
    }
}

fn same_dots(a: &[Sibling], b: &[Sibling]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.dot == b.dot)
}

/// The one of two equal siblings that has its bytes.
fn with_body(mine: &Sibling, theirs: &Sibling) -> Sibling {
    match &mine.content {
        Content::Value { body: Body::Elsewhere, .. } if theirs.bytes().is_some() => theirs.clone(),
        _ => mine.clone(),
    }
}
