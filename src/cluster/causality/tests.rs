//! The algebra of sibling sets, over states that replicas really reach; and contexts as bytes.

use super::*;
use esker::Slice;
use std::collections::BTreeSet;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

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
        set.put(seen, sibling, self.mode);
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

fn key() -> ContextKey {
    ContextKey::new(7, b"key")
}

#[test]
fn contexts_round_trip_as_bytes_and_as_text() {
    let mut dice = Dice(1);
    for entries in [0, 1, 2, 5, 255] {
        let clock: VectorClock =
            (0..entries).map(|i| Dot { actor: Actor(i * 977), counter: 1 + dice.below(1 << 31) }).collect();
        let context = Context(clock);
        assert_eq!(Context::from_bytes(&context.to_bytes(key()), key()), Ok(context.clone()));
        assert_eq!(Context::from_text(&context.to_text(key()), key()), Ok(context));
    }
    let long = Context((0..300).map(|i| Dot { actor: Actor(i), counter: i + 1 }).collect());
    let read = Context::from_bytes(&long.to_bytes(key()), key()).unwrap();
    assert_eq!(read.0.len(), 255);
    assert_eq!((read.0.counter(Actor(299)), read.0.counter(Actor(44))), (300, 0), "the oldest are not shown");
}

/// Counters are common to all keys of a store: the context of one would cover what nobody has seen of another.
#[test]
fn the_context_of_another_key_is_refused() {
    for entries in [0, 1, 3] {
        let context = Context((0..entries).map(|i| Dot { actor: Actor(i), counter: i + 9 }).collect());
        let (bytes, text) = (context.to_bytes(key()), context.to_text(key()));
        for (keyspace, key) in [(7, "kez"), (7, "ke"), (7, ""), (8, "key"), (0, "key"), (7 << 8, "key")] {
            let other = ContextKey::new(keyspace, key.as_bytes());
            assert_eq!(Context::from_bytes(&bytes, other), Err(MalformedContext), "{keyspace} {key}");
            assert_eq!(Context::from_text(&text, other), Err(MalformedContext), "{keyspace} {key}");
        }
    }
}

#[test]
fn what_is_no_context_is_refused() {
    let context = Context((1..4).map(|i| Dot { actor: Actor(i), counter: i << 40 }).collect());
    let bytes = context.to_bytes(key());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Context::from_bytes(&flipped, key()), Err(MalformedContext), "bit {bit}");
    }
    for cut in 0..bytes.len() {
        assert_eq!(Context::from_bytes(&bytes[..cut], key()), Err(MalformedContext));
    }
    let mut dice = Dice(2);
    for _ in 0..5_000 {
        let noise: Vec<u8> = (0..dice.below(60)).map(|_| dice.below(256) as u8).collect();
        assert_eq!(Context::from_bytes(&noise, key()), Err(MalformedContext));
        let text: String = noise.iter().map(|&b| char::from(b)).collect();
        assert_eq!(Context::from_text(&text, key()), Err(MalformedContext));
    }
    let digits = context.to_text(key());
    for text in ["", "0", "zz", "é", &format!("{digits}0"), &format!("{digits}00"), &"00".repeat(5000)] {
        assert_eq!(Context::from_text(text, key()), Err(MalformedContext), "{text}");
    }
    // Rightly summed up, but out of order, or with a counter that nobody gives.
    for entries in [vec![(2u64, 1u64), (1, 1)], vec![(1, 1), (1, 2)], vec![(1, 0)]] {
        let mut covered = vec![1, entries.len() as u8];
        entries.iter().for_each(|(a, c)| covered.extend([a.to_le_bytes(), c.to_le_bytes()].concat()));
        assert_eq!(Context::from_bytes(&summed_up(&covered), key()), Err(MalformedContext));
    }
    // The form, written out: whoever changes it breaks contexts that clients keep.
    let covered: Vec<u8> = [&[1, 1][..], &5u64.to_le_bytes(), &9u64.to_le_bytes()].concat();
    let read = Context::from_bytes(&summed_up(&covered), key());
    assert_eq!(read, Ok(Context([Dot { actor: Actor(5), counter: 9 }].into_iter().collect())));
}

/// The bytes with the checksum that those of [`key`] have.
fn summed_up(covered: &[u8]) -> Vec<u8> {
    let hash = xxhash_rust::xxh3::xxh3_64_with_seed(b"key", 7) as u32;
    let crc = crc32c::crc32c(&[covered, &hash.to_le_bytes()].concat());
    [&crc.to_le_bytes()[..], covered].concat()
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
