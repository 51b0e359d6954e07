//! [`Dot`]: the name of one write.

use std::fmt;

/// A store in one of its lives. A store that cannot prove that it still has everything it ever wrote takes a new actor, so
/// that no counter is ever given twice under one name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor(pub u64);

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One write: the actor that took it, and its counter there. Counters of an actor grow, with gaps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// The store that took the write.
    pub actor: Actor,
    /// A value of that store's [`super::HybridClock`].
    pub counter: u64,
}

impl Dot {
    /// The order of last-write-wins: by time, ties by actor. Total, and the same everywhere.
    pub fn age(self) -> (u64, Actor) {
        (self.counter, self.actor)
    }
}

impl fmt::Debug for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:x}", self.actor, self.counter)
    }
}
