//! Tests of this room.

mod algebra;
mod chains;
mod contexts;

use super::{HybridClock, MILLIS_SHIFT, millis_of};

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[test]
fn a_hybrid_clock_never_goes_back_and_keeps_to_its_lease() {
    let mut clock = HybridClock::resumed(1000 << MILLIS_SHIFT);
    assert_eq!(clock.next(5, 0), None, "nothing was leased");
    let lease = HybridClock::lease_for(clock.peek(5, 0));
    clock.extend(lease);
    let (mut dice, mut last) = (Dice(3), clock.last());
    for _ in 0..10_000 {
        let wall = 900 + dice.below(100_000);
        match clock.next(wall, last.saturating_sub(dice.below(9))) {
            Some(counter) => {
                assert!(counter > last && counter <= lease && counter >= wall << MILLIS_SHIFT);
                last = counter;
            }
            None => assert!(wall.max(millis_of(last)) << MILLIS_SHIFT >= millis_of(lease) << MILLIS_SHIFT),
        }
    }
    assert_eq!(
        HybridClock::resumed(u64::MAX).next(0, 0),
        Some(u64::MAX),
        "at the end of time it stands still"
    );
}
