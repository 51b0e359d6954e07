//! [`VectorClock`]: for each actor how far its writes are known.

use super::dot::{Actor, Dot};
use std::fmt;

/// For each actor the highest counter known. It covers every dot of that actor up to it.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct VectorClock {
    /// Sorted by actor, one entry each.
    entries: Vec<Dot>,
}

impl VectorClock {
    /// Knows nothing.
    pub fn new() -> VectorClock {
        VectorClock::default()
    }

    /// Whether it knows nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of actors known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries, by actor.
    pub fn entries(&self) -> &[Dot] {
        &self.entries
    }

    /// How far this actor is known; 0 if it is not.
    pub fn counter(&self, actor: Actor) -> u64 {
        self.position(actor).map_or(0, |at| self.entries[at].counter)
    }

    fn position(&self, actor: Actor) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&actor, |dot| dot.actor)
    }

    /// Whether the write is known.
    pub fn covers(&self, dot: Dot) -> bool {
        self.counter(dot.actor) >= dot.counter
    }

    /// Whether everything that `other` knows is known.
    pub fn covers_all(&self, other: &VectorClock) -> bool {
        other.entries.iter().all(|&dot| self.covers(dot))
    }

    /// Learns of this write and all before it of its actor.
    pub fn insert(&mut self, dot: Dot) {
        match self.position(dot.actor) {
            Ok(at) => self.entries[at].counter = self.entries[at].counter.max(dot.counter),
            Err(at) => self.entries.insert(at, dot),
        }
    }

    /// Learns what `other` knows.
    pub fn join(&mut self, other: &VectorClock) {
        if self.entries.is_empty() {
            return self.entries.clone_from(&other.entries);
        }
        for &dot in &other.entries {
            self.insert(dot);
        }
    }

    /// The highest counter of all actors; 0 if nothing is known.
    pub fn max_counter(&self) -> u64 {
        self.entries.iter().map(|dot| dot.counter).max().unwrap_or(0)
    }

    /// Forgets the oldest entries until `limit` are left, sparing the actors that `keep` names. Returns how many went.
    ///
    /// What was forgotten may be taken for concurrent later; it is never taken for known.
    pub fn truncate(&mut self, limit: usize, keep: impl Fn(Actor) -> bool) -> usize {
        let before = self.entries.len();
        while self.entries.len() > limit {
            let oldest =
                self.entries.iter().filter(|dot| !keep(dot.actor)).min_by_key(|dot| dot.age()).copied();
            let Some(oldest) = oldest else { break };
            self.entries.retain(|dot| dot.actor != oldest.actor);
        }
        before - self.entries.len()
    }
}

impl FromIterator<Dot> for VectorClock {
    fn from_iter<T: IntoIterator<Item = Dot>>(dots: T) -> VectorClock {
        let dots: Vec<Dot> = dots.into_iter().collect();
        // As clocks are stored and sent: in order, each actor once.
        if dots.is_sorted_by(|a, b| a.actor < b.actor) {
            return VectorClock { entries: dots };
        }
        let mut clock = VectorClock::new();
        dots.into_iter().for_each(|dot| clock.insert(dot));
        clock
    }
}

impl fmt::Debug for VectorClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.entries).finish()
    }
}
