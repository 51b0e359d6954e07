//! Clients that chain their puts by the contexts that puts return, held against a model that keeps every history in full.

use super::super::*;
use super::Dice;
use esker::Slice;
use std::collections::{BTreeMap, BTreeSet};

const REPLICAS: u64 = 4;

/// Writes, one by one.
type History = BTreeSet<Dot>;

#[derive(Clone, Default)]
struct Client {
    context: Context,
    /// What it was shown and what it wrote.
    seen: History,
}

struct World {
    dice: Dice,
    /// What each replica has, and every write that it has heard of.
    replicas: Vec<(SiblingSet, History)>,
    clients: Vec<Client>,
    /// Each write, with what its writer had seen.
    written: BTreeMap<Dot, History>,
    /// Writes that the writer of a later one had seen.
    replaced: History,
    /// How often a replica could not take a write before it had heard of others.
    behind: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let replicas = vec![(SiblingSet::new(), History::new()); REPLICAS as usize];
        let clients = vec![Client::default(); 3];
        let (written, replaced) = (BTreeMap::new(), History::new());
        World { dice: Dice(seed), replicas, clients, written, replaced, behind: 0 }
    }

    fn join(&mut self, at: usize, from: usize) {
        let (set, history) = self.replicas[from].clone();
        self.replicas[at].0.join(&set, ConflictMode::Causal);
        self.replicas[at].1.extend(history);
    }

    fn read(&mut self, client: usize, at: usize) {
        let (set, history) = &self.replicas[at];
        self.clients[client] = Client { context: Context::from(set.clock().clone()), seen: history.clone() };
    }

    fn put(&mut self, client: usize, at: usize) {
        let Client { context, seen } = self.clients[client].clone();
        if self.replicas[at].0.unknown_to(&context).is_some() {
            self.behind += 1;
            (0..REPLICAS as usize).for_each(|from| self.join(at, from));
        }
        assert_eq!(self.replicas[at].0.unknown_to(&context), None, "somebody knows of what stands beside");
        let (set, history) = &mut self.replicas[at];
        let dot = Dot { actor: Actor(at as u64 + 1), counter: self.written.len() as u64 + 1 };
        let before: History = set.siblings().iter().map(|sibling| sibling.dot).collect();
        let sibling = Sibling::value(dot, Slice::copy_from(&dot.counter.to_le_bytes()), None);
        set.put(&context, sibling, ConflictMode::Causal);
        let left: History = set.siblings().iter().map(|sibling| sibling.dot).collect();
        let gone: History = before.difference(&left).copied().collect();
        let may_go = |gone: &Dot| seen.contains(gone) || self.replaced.contains(gone);
        assert!(gone.iter().all(may_go), "{gone:?} went, and the writer had seen {seen:?}");
        assert!(left.is_disjoint(&seen), "{left:?} are left of {seen:?}");
        let context = Context::after_write(dot, set);
        history.extend(&seen);
        history.insert(dot);
        self.replaced.extend(&seen);
        self.written.insert(dot, seen);
        let client = &mut self.clients[client];
        client.context = context;
        client.seen.insert(dot);
    }

    fn step(&mut self) {
        let (client, at) = (self.dice.below(3) as usize, self.dice.below(REPLICAS) as usize);
        match self.dice.below(10) {
            0 => self.read(client, at),
            1..=3 => {
                let from = self.dice.below(REPLICAS) as usize;
                self.join(at, from);
            }
            _ => self.put(client, at),
        }
    }
}

/// No write goes but by one whose writer was shown it or wrote it, and all that such a writer had seen goes, wherever the
/// writes meet.
#[test]
fn a_chain_of_puts_replaces_what_its_client_has_seen_and_nothing_else() {
    let mut behind = 0;
    for seed in 0..600 {
        let mut world = World::new(seed);
        for _ in 0..40 {
            world.step();
            for (set, _) in &world.replicas {
                let left: History = set.siblings().iter().map(|sibling| sibling.dot).collect();
                for (dot, seen) in world.written.iter().filter(|(dot, _)| set.clock().covers(**dot)) {
                    assert!(
                        left.is_disjoint(seen),
                        "seed {seed}: {dot:?} is known, and had seen one of {left:?}"
                    );
                }
            }
            for client in &world.clients {
                for &dot in world.written.keys() {
                    let has_seen = client.seen.contains(&dot);
                    assert!(client.context.covers(dot) || !has_seen, "seed {seed}: {dot:?} was seen");
                    let is_gone = world.replaced.contains(&dot);
                    assert!(
                        !client.context.covers(dot) || has_seen || is_gone,
                        "seed {seed}: {dot:?} was not seen"
                    );
                }
            }
        }
        let mut all = SiblingSet::new();
        for (set, _) in &world.replicas {
            all.join(set, ConflictMode::Causal);
        }
        let left: History = all.siblings().iter().map(|sibling| sibling.dot).collect();
        let written: History = world.written.keys().copied().collect();
        assert_eq!(left, written.difference(&world.replaced).copied().collect(), "seed {seed}");
        behind += world.behind;
    }
    assert!(behind > 100, "replicas were behind {behind} times");
}
