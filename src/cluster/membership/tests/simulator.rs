//! [`World`]: memberships, their clocks, and a network that loses, delays, repeats, reorders and cuts, all from one seed.
//!
//! A node is a slot with an address. It may be running or not, stopped for a while, or run under an id that another slot
//! has too. Messages find their slot by the address that the sender knows, as they would in a real network.

use super::super::encoding::{decode, encode};
use super::super::{Change, Gossip, GossipConfig, Liveness, MemberInfo, Membership, Status, Target};
use crate::{NodeId, Random};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

pub(super) const CLUSTER: u128 = 0xc0ffee;
const EPOCH_MS: u64 = 1_700_000_000_000;

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// What an info says, but for what a test changes.
pub(super) fn info(id: u64, generation: u64, address: &str) -> MemberInfo {
    MemberInfo {
        id: NodeId(id),
        generation,
        incarnation: id << 8,
        peer: address.to_owned(),
        resp: format!("{address}1"),
        http: format!("{address}2"),
        zone: "zone-a".to_owned(),
        dc: "dc1".to_owned(),
        weight: 100,
        status: Status::default(),
        wall_ms: 0,
    }
}

pub(super) fn address(slot: usize) -> String {
    format!("10.0.{}.{}:7000", slot / 250, slot % 250)
}

pub(super) struct Network {
    pub(super) loss_per_mille: u32,
    pub(super) repeat_per_mille: u32,
    pub(super) delay_ms: (u64, u64),
    /// Ways, from slot to slot, that nothing takes.
    pub(super) cut: BTreeSet<(usize, usize)>,
}

pub(super) struct Slot {
    pub(super) id: NodeId,
    pub(super) generation: u64,
    pub(super) incarnation: u64,
    pub(super) skew_ms: i64,
    pub(super) node: Option<Membership>,
    started_at: Duration,
    paused_until: Duration,
    /// Grows with each start, so that what is due for an earlier life is not done to this one.
    life: u64,
}

enum Event {
    Wake { slot: usize, life: u64 },
    Arrive { slot: usize, gossip: Rc<Gossip> },
}

pub(super) struct World {
    pub(super) slots: Vec<Slot>,
    pub(super) network: Network,
    pub(super) config: GossipConfig,
    pub(super) now: Duration,
    pub(super) random: Random,
    /// Every change that any node reported.
    pub(super) log: Vec<(Duration, usize, Change)>,
    pub(super) messages: u64,
    pub(super) answers: u64,
    /// A digest of everything that was sent, and when.
    pub(super) trace: u64,
    /// Whether messages go through their bytes.
    pub(super) wire: bool,
    queue: BTreeMap<(Duration, u64), Event>,
    sequence: u64,
}

impl World {
    /// A world of `slots` nodes that are not started, which all know the first one's address.
    pub(super) fn new(seed: u64, slots: usize) -> World {
        let slot = |slot: usize| Slot {
            id: NodeId(1000 + slot as u64),
            generation: 0,
            incarnation: 1,
            skew_ms: 0,
            node: None,
            started_at: Duration::ZERO,
            paused_until: Duration::ZERO,
            life: 0,
        };
        World {
            slots: (0..slots).map(slot).collect(),
            network: Network {
                loss_per_mille: 0,
                repeat_per_mille: 0,
                delay_ms: (1, 20),
                cut: BTreeSet::new(),
            },
            config: GossipConfig { seeds: vec![address(0)], ..GossipConfig::default() },
            now: secs(1),
            random: Random::new(seed),
            log: Vec::new(),
            messages: 0,
            answers: 0,
            trace: 0,
            wire: slots <= 8,
            queue: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// A world whose nodes have all started within a second and know each other.
    pub(super) fn formed(seed: u64, slots: usize) -> World {
        let mut world = World::new(seed, slots);
        world.start_all();
        assert!(world.until(secs(30), World::all_know_all).is_some(), "seed {seed}: no cluster came about");
        world
    }

    pub(super) fn start_all(&mut self) {
        for slot in 0..self.slots.len() {
            let pause = self.random.below(1000 / self.slots.len() as u64 + 1);
            self.run_for(ms(pause));
            self.start(slot);
        }
    }

    pub(super) fn id(&self, slot: usize) -> NodeId {
        self.slots[slot].id
    }

    /// Starts a slot in its next generation.
    pub(super) fn start(&mut self, slot: usize) {
        self.slots[slot].generation += 1;
        self.start_again(slot);
    }

    /// Starts a slot in the generation that it has.
    pub(super) fn start_again(&mut self, slot: usize) {
        let seed = self.random.next_u64();
        let place = &mut self.slots[slot];
        let mut me = info(place.id.0, place.generation, &address(slot));
        me.incarnation = place.incarnation;
        place.node = Some(Membership::new(CLUSTER, me, self.config.clone(), seed, Duration::ZERO).unwrap());
        place.started_at = self.now;
        place.paused_until = self.now;
        place.life += 1;
        let life = place.life;
        self.schedule(self.now, Event::Wake { slot, life });
    }

    pub(super) fn kill(&mut self, slot: usize) {
        self.slots[slot].node = None;
    }

    /// Stops a slot for a while: what is due or arrives meanwhile waits.
    pub(super) fn pause(&mut self, slot: usize, pause: Duration) {
        self.slots[slot].paused_until = self.now + pause;
    }

    /// Cuts all ways between two sets of slots, both ways.
    pub(super) fn separate(&mut self, left: &[usize], right: &[usize]) {
        for &l in left {
            for &r in right {
                self.network.cut.extend([(l, r), (r, l)]);
            }
        }
    }

    pub(super) fn node(&self, slot: usize) -> &Membership {
        self.slots[slot].node.as_ref().unwrap()
    }

    pub(super) fn liveness(&self, observer: usize, of: usize) -> Option<Liveness> {
        self.node(observer).liveness(self.id(of))
    }

    pub(super) fn running(&self) -> impl Iterator<Item = usize> {
        (0..self.slots.len()).filter(|slot| self.slots[*slot].node.is_some())
    }

    /// Whether every running node holds every running node to be alive.
    pub(super) fn all_know_all(&self) -> bool {
        self.running().all(|a| self.running().all(|b| self.liveness(a, b) == Some(Liveness::Alive)))
    }

    /// Whether every running node holds `of` to be down.
    pub(super) fn down_at_all(&self, of: usize) -> bool {
        self.running().all(|a| a == of || self.liveness(a, of) == Some(Liveness::Down))
    }

    /// The changes since `since` that are verdicts.
    pub(super) fn downs_since(&self, since: Duration) -> Vec<(Duration, usize, NodeId)> {
        let down = |(at, slot, change): &(Duration, usize, Change)| match change {
            Change::Down(id) if *at >= since => Some((*at, *slot, *id)),
            _ => None,
        };
        self.log.iter().filter_map(down).collect()
    }

    pub(super) fn conflicts_seen_by(&self, slot: usize) -> usize {
        self.log.iter().filter(|(_, s, change)| *s == slot && matches!(change, Change::Conflict(_))).count()
    }

    /// Runs until `done`, which is looked at every 50 ms; says how long that took, or `None` after `limit`.
    pub(super) fn until(&mut self, limit: Duration, done: impl Fn(&World) -> bool) -> Option<Duration> {
        let begin = self.now;
        while !done(self) {
            if self.now - begin > limit {
                return None;
            }
            self.run_for(ms(50));
        }
        Some(self.now - begin)
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.queue.first_entry() {
            if next.key().0 > end {
                break;
            }
            let ((at, _), event) = next.remove_entry();
            self.now = at;
            self.handle(event);
        }
        self.now = end;
    }

    fn schedule(&mut self, at: Duration, event: Event) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), event);
    }

    fn handle(&mut self, event: Event) {
        let (Event::Wake { slot, .. } | Event::Arrive { slot, .. }) = event;
        if self.slots[slot].paused_until > self.now {
            self.schedule(self.slots[slot].paused_until, event);
            return;
        }
        let place = &mut self.slots[slot];
        let local = self.now - place.started_at;
        let wall_ms = (EPOCH_MS + self.now.as_millis() as u64).saturating_add_signed(place.skew_ms);
        let Some(node) = place.node.as_mut() else { return };
        let mut out = Vec::new();
        let changes = match event {
            Event::Wake { life, .. } => {
                if life != place.life {
                    return;
                }
                let changes = node.tick(local, wall_ms, &mut out);
                let wake = node.next_wake(local).max(ms(1));
                self.schedule(self.now + wake, Event::Wake { slot, life });
                changes
            }
            Event::Arrive { gossip, .. } => {
                let changes = node.receive(local, wall_ms, &gossip, &mut out).unwrap();
                assert!(out.len() <= usize::from(!gossip.answer), "an answer is not answered");
                changes
            }
        };
        let now = self.now;
        self.log.extend(changes.into_iter().map(|change| (now, slot, change)));
        for (target, gossip) in out {
            self.send(slot, &target, gossip);
        }
    }

    fn send(&mut self, from: usize, target: &Target, gossip: Gossip) {
        self.messages += 1;
        self.answers += u64::from(gossip.answer);
        let peer = match target {
            Target::Node(id) => self.node(from).info(*id).unwrap().peer.clone(),
            Target::Address(address) => address.clone(),
        };
        let Some(to) = (0..self.slots.len()).find(|slot| address(*slot) == peer) else { return };
        let gossip = if self.wire { self.through_bytes(to, gossip) } else { gossip };
        let network = &self.network;
        if network.cut.contains(&(from, to)) || self.random.chance(network.loss_per_mille) {
            return;
        }
        let copies = 1 + u64::from(self.random.chance(network.repeat_per_mille));
        let gossip = Rc::new(gossip);
        let (least, most) = network.delay_ms;
        for _ in 0..copies {
            let delay = ms(least + self.random.below(most - least + 1));
            self.schedule(self.now + delay, Event::Arrive { slot: to, gossip: gossip.clone() });
        }
    }

    fn through_bytes(&mut self, to: usize, gossip: Gossip) -> Gossip {
        let mut bytes = Vec::new();
        encode(&gossip, &mut bytes);
        let at = self.now.as_nanos() as u64;
        self.trace = xxhash_rust::xxh3::xxh3_64_with_seed(&bytes, self.trace ^ at ^ to as u64);
        decode(&bytes).unwrap()
    }
}
