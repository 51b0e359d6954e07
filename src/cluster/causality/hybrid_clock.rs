//! [`HybridClock`]: counters that never go back and stay near the time of day.
//!
//! A counter is 48 bits of milliseconds since 1970 above 16 bits that count within one (Kulkarni and others, "Logical
//! Physical Clocks", 2014). A wall clock that goes back, or a write that must come after one of a faster clock, moves the
//! counter on from the last one given instead.

/// Bits below the milliseconds.
pub const MILLIS_SHIFT: u32 = 16;

/// How long a lease is.
pub const LEASE_MILLIS: u64 = 500;

/// The milliseconds since 1970 that a counter stands for.
pub fn millis_of(counter: u64) -> u64 {
    counter >> MILLIS_SHIFT
}

/// Gives the counters of one actor.
///
/// Counters up to the `lease` may be given. The lease is written before, so that after a restart the clock goes on
/// above every counter of a write that is still there.
#[derive(Clone, Debug)]
pub struct HybridClock {
    last: u64,
    lease: u64,
}

impl HybridClock {
    /// A clock that goes on above `lease`, which is all that a restarted store knows of what it gave before.
    pub fn resumed(lease: u64) -> HybridClock {
        HybridClock { last: lease, lease }
    }

    /// The last counter given, or the lease of the life before.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The next counter: above all given before and above `floor`. `None` if that is beyond the lease; take a longer one
    /// with [`extend`](HybridClock::extend) first.
    pub fn next(&mut self, wall_millis: u64, floor: u64) -> Option<u64> {
        let next = self.peek(wall_millis, floor);
        if next > self.lease {
            return None;
        }
        self.last = next;
        Some(next)
    }

    /// What [`next`](HybridClock::next) would give under a lease that is long enough.
    pub fn peek(&self, wall_millis: u64, floor: u64) -> u64 {
        let wall = wall_millis.min(u64::MAX >> MILLIS_SHIFT) << MILLIS_SHIFT;
        wall.max(self.last.saturating_add(1)).max(floor.saturating_add(1))
    }

    /// The lease to write before `counter` is given: some way ahead, so that it is seldom written, and no further, since after a
    /// crash the clock starts there, ahead of the time of day.
    pub fn lease_for(counter: u64) -> u64 {
        counter.saturating_add(LEASE_MILLIS << MILLIS_SHIFT)
    }

    /// A longer lease was written.
    pub fn extend(&mut self, lease: u64) {
        self.lease = self.lease.max(lease);
    }
}
