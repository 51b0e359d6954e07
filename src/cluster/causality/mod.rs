//! The order of writes: which value replaces which, and which stand beside each other.
//!
//! Each key has a [`SiblingSet`]: a version vector ([`VectorClock`]) that says which writes are known, and the values that
//! no known write has replaced, each with the [`Dot`] of the write that made it. This is the dotted version vector of
//! Preguiça, Baquero and others ("Dotted Version Vectors: Logical Clocks for Optimistic Replication", 2010) with explicit
//! dots, whose counters may leave gaps, so that they can be values of a hybrid logical clock ([`HybridClock`]).
//!
//! The join of two sets is commutative, associative and idempotent. Replicas that have seen the same writes, in whatever
//! order and however often, are equal.

mod context;
mod dot;
mod hybrid_clock;
mod sibling;
mod sibling_set;
#[cfg(test)]
mod tests;
mod vector_clock;

pub use context::{Context, ContextKey, MalformedContext};
pub use dot::{Actor, Dot};
pub use hybrid_clock::{HybridClock, LEASE_MILLIS, MILLIS_SHIFT, millis_of};
pub use sibling::{Body, Content, Sibling};
pub use sibling_set::{ConflictMode, SiblingSet};
pub use vector_clock::VectorClock;
