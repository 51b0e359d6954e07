//! [`KeyLocks`]: what makes a read-modify-write exact.
//!
//! The engine has no conditional write, so whoever writes what depends on what it read must keep others from writing that key in
//! between. Keys are spread over stripes by their hash; each stripe has a readers-writer lock, used like this:
//!
//! - A read-modify-write holds the stripes of its keys *exclusively* from before it reads until its write is visible.
//! - A blind write holds them *shared* while it becomes visible: blind writes do not hinder each other, since the engine orders
//!   them, but none of them comes between the read and the write of somebody who holds the stripe exclusively.
//! - A read takes none: it sees one moment of the store, and every write becomes visible at one moment.
//!
//! So the writes of a key can be ordered such that each read-modify-write comes directly after the write whose value it read:
//! it is exact. Nobody waits for durability while holding a stripe.
//!
//! Stripes are taken in ascending order, and nobody who holds some takes more: there is no circle to wait in.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Stripes; a set of them is the bits of a `u64`.
const STRIPES: usize = 64;

/// The readers-writer locks of a keyspace's stripes.
#[derive(Debug)]
pub(crate) struct KeyLocks {
    stripes: [RwLock<()>; STRIPES],
}

/// A set of stripes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stripes(u64);

impl Stripes {
    pub(crate) const ALL: Stripes = Stripes(u64::MAX);

    /// The stripe of a key with this hash.
    pub(crate) fn of(hash: u64) -> Stripes {
        Stripes(1 << (hash >> 58))
    }

    /// These and those.
    pub(crate) fn add(&mut self, others: Stripes) {
        self.0 |= others.0;
    }
}

/// Holds what it was given until it is dropped. The one stripe of most writes needs no list.
#[derive(Debug)]
#[must_use = "the stripes are held as long as this lives"]
pub(crate) struct Held<G> {
    _first: Option<G>,
    _others: Vec<G>,
}

impl KeyLocks {
    pub(crate) fn new() -> KeyLocks {
        KeyLocks { stripes: [const { RwLock::new(()) }; STRIPES] }
    }

    fn hold<'a, G>(&'a self, stripes: Stripes, take: impl Fn(&'a RwLock<()>) -> G) -> Held<G> {
        let mut rest = stripes.0;
        let mut next = || {
            let at = rest.trailing_zeros() as usize;
            rest &= rest.wrapping_sub(1);
            self.stripes.get(at).map(&take)
        };
        let first = next();
        Held { _first: first, _others: std::iter::from_fn(next).collect() }
    }

    /// Holds stripes for blind writes.
    pub(crate) fn shared(&self, stripes: Stripes) -> Held<RwLockReadGuard<'_, ()>> {
        // The locks guard no data, so that a panic of their holder leaves nothing half done behind them.
        self.hold(stripes, |lock| lock.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Holds stripes for a read-modify-write.
    pub(crate) fn exclusive(&self, stripes: Stripes) -> Held<RwLockWriteGuard<'_, ()>> {
        self.hold(stripes, |lock| lock.write().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_are_held_and_let_go() {
        let locks = KeyLocks::new();
        let mut two = Stripes::of(0);
        two.add(Stripes::of(u64::MAX));
        assert_eq!(two, Stripes(1 | 1 << 63));
        let held = locks.exclusive(two);
        let free = |locks: &KeyLocks| locks.stripes.iter().filter(|lock| lock.try_read().is_ok()).count();
        assert_eq!(free(&locks), 62);
        drop(held);
        assert_eq!(free(&locks), 64);
        let held = locks.shared(Stripes::ALL);
        assert_eq!(free(&locks), 64);
        assert!(locks.stripes.iter().all(|lock| lock.try_write().is_err()));
        drop(held);
        drop(locks.exclusive(Stripes::ALL));
        drop(locks.shared(Stripes::default()));
    }
}
