//! The algebra of sibling sets, over states that replicas really reach.

use super::super::*;
use super::Dice;
use esker::Slice;
use std::collections::BTreeSet;

/// Replicas of one key, which put and join at random. Counters are unique over all of them, as a hybrid clock's are for one.
struct World {
    dice: Dice,
    replicas: Vec<SiblingSet>,
    mode: ConflictMode,
    limit: usize,
    counter: u64,
    /// Every state that ever was.
    reached: Vec<SiblingSet>,
}

impl World {
    fn new(seed: u64, mode: ConflictMode, limit: usize) -> World {
        let replicas = vec![SiblingSet::new(); 4];
        World { dice: Dice(seed), replicas, mode, limit, counter: 0, reached: vec![SiblingSet::new()] }
    }

    fn put(&mut self, at: usize, seen: &VectorClock) -> Dot {
        let set = &mut self.replicas[at];
        let actor = Actor(at as u64 + 1);
        let floor = set.counter(actor).max(seen.counter(actor));
        let floor = match self.mode {
            ConflictMode::Causal => floor,
            ConflictMode::LastWriteWins => floor.max(set.clock().max_counter()).max(seen.max_counter()),
        };
        self.counter = self.counter.max(floor) + 1 + self.dice.below(3);
        let dot = Dot { actor, counter: self.counter };
        let sibling = match self.dice.below(4) {
            0 => Sibling::tombstone(dot),
            _ => Sibling::value(dot, Slice::copy_from(&self.counter.to_le_bytes()), None),
        };
        set.put(&Context::from(seen.clone()), sibling, self.mode);
        set.truncate_clock(self.limit);
        dot
    }

    fn step(&mut self) {
        let at = self.dice.below(4) as usize;
        match self.dice.below(3) {
            0 => {
                let from = self.dice.below(self.reached.len() as u64) as usize;
                let other = self.reached[from].clone();
                self.replicas[at].join(&other, self.mode);
            }
            blind => {
                let from = self.dice.below(self.reached.len() as u64) as usize;
                let seen = if blind == 1 { self.replicas[at].clock() } else { self.reached[from].clock() };
                let seen = seen.clone();
                self.put(at, &seen);
                let set = &self.replicas[at];
                assert!(
                    set.siblings().iter().filter(|s| seen.covers(s.dot)).count() == 0,
                    "what was seen is replaced"
                );
            }
        }
        self.reached.push(self.replicas[at].clone());
    }
}

fn joined(a: &SiblingSet, b: &SiblingSet, mode: ConflictMode) -> SiblingSet {
    let mut set = a.clone();
    let changed = set.join(b, mode);
    assert_eq!(changed, set != *a, "a join says whether it changed anything");
    set
}

#[test]
fn joins_commute_associate_and_are_idempotent() {
    for mode in [ConflictMode::Causal, ConflictMode::LastWriteWins] {
        for limit in [usize::MAX, 2, 1] {
            for seed in 0..60 {
                let mut world = World::new(seed, mode, limit);
                (0..25).for_each(|_| world.step());
                for _ in 0..60 {
                    let mut any = || world.dice.below(world.reached.len() as u64) as usize;
                    let [a, b, c] = [any(), any(), any()].map(|at| &world.reached[at]);
                    let ab = joined(a, b, mode);
                    assert_eq!(ab, joined(b, a, mode), "seed {seed}, limit {limit}");
                    assert_eq!(joined(&ab, b, mode), ab);
                    assert_eq!(joined(a, a, mode), *a);
                    let (left, right) = (joined(&ab, c, mode), joined(a, &joined(b, c, mode), mode));
                    assert_eq!(left, right, "seed {seed}, limit {limit}");
                    for sibling in left.siblings() {
                        assert!(left.clock().covers(sibling.dot));
                    }
                }
            }
        }
    }
}

/// Without truncation no value goes but by a write that has seen it: all replicas, joined, have exactly the dots that no
/// write replaced.
#[test]
fn nothing_is_lost_and_nothing_comes_back() {
    for seed in 0..200 {
        let mut world = World::new(seed, ConflictMode::Causal, usize::MAX);
        let (mut written, mut replaced): (BTreeSet<Dot>, BTreeSet<Dot>) = Default::default();
        for _ in 0..40 {
            let at = world.dice.below(4) as usize;
            let from = world.dice.below(world.reached.len() as u64) as usize;
            if world.dice.below(2) == 0 {
                let other = world.reached[from].clone();
                world.replicas[at].join(&other, world.mode);
            } else {
                let seen = world.reached[from].clock().clone();
                replaced.extend(written.iter().filter(|&&dot| seen.covers(dot)));
                let dot = world.put(at, &seen);
                written.insert(dot);
            }
            let set = world.replicas[at].clone();
            world.reached.push(set);
        }
        let all =
            world.replicas.iter().fold(SiblingSet::new(), |all, set| joined(&all, set, ConflictMode::Causal));
        let left: BTreeSet<Dot> = all.siblings().iter().map(|sibling| sibling.dot).collect();
        assert_eq!(left, written.difference(&replaced).copied().collect(), "seed {seed}");
    }
}

/// Clients that read before they write, and replicas that hear of every write: as many siblings as clients that wrote at the
/// same time, at most.
#[test]
fn siblings_are_no_more_than_concurrent_writers() {
    for seed in 0..100 {
        let mut world = World::new(seed, ConflictMode::Causal, usize::MAX);
        for _ in 0..20 {
            let writers = 1 + world.dice.below(4) as usize;
            let seen: Vec<VectorClock> = (0..writers).map(|_| world.replicas[0].clock().clone()).collect();
            for seen in &seen {
                let at = world.dice.below(4) as usize;
                world.put(at, seen);
            }
            let all = world.replicas.iter().fold(SiblingSet::new(), |all, set| joined(&all, set, world.mode));
            assert!((1..=writers).contains(&all.siblings().len()), "seed {seed}");
            world.replicas.fill(all);
        }
    }
}

#[test]
fn last_write_wins_keeps_one_and_the_last() {
    for seed in 0..100 {
        let mut world = World::new(seed, ConflictMode::LastWriteWins, 3);
        let mut last = None;
        for _ in 0..30 {
            let at = world.dice.below(4) as usize;
            let dot = world.put(at, &VectorClock::new());
            last = last.max(Some(dot.age()));
            assert_eq!(world.replicas[at].siblings().len(), 1);
        }
        let all = world.replicas.iter().fold(SiblingSet::new(), |all, set| joined(&all, set, world.mode));
        assert_eq!(Some(all.siblings()[0].dot.age()), last);
    }
}

#[test]
fn the_digest_is_of_the_values_and_not_of_the_clock() {
    let mut world = World::new(7, ConflictMode::Causal, usize::MAX);
    (0..30).for_each(|_| world.step());
    for set in &world.reached {
        let mut truncated = set.clone();
        truncated.truncate_clock(1);
        assert_eq!(truncated.digest(), set.digest());
        assert!(truncated.siblings().iter().all(|sibling| truncated.clock().covers(sibling.dot)));
    }
    for (a, b) in world.reached.iter().zip(&world.reached[1..]) {
        assert_eq!(a.digest() == b.digest(), a.same_dots(b));
    }
}
