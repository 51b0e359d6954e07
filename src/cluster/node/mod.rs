//! [`Node`]: one member of a cluster, put together from its rooms.
//!
//! [`step`](Node::step) takes one event and says what is to be done. Everything that a node knows of the world outside comes
//! in by events, so that the same events in the same order always have the same effects.

mod identity;
mod membership;
mod messages;
mod outcomes;
mod requests;
mod status;
#[cfg(test)]
mod tests;

pub use status::{MemberStatus, NodeStatus};

use crate::causality::Actor;
use crate::config::{NodeConfig, protected};
use crate::coordinator::{Coordinator, Origin, Surroundings};
use crate::directory::Directory;
use crate::event::{Effect, Event, Moment};
use crate::formation::{Formation, Others};
use crate::handoff::Handoff;
use crate::id::{Address, NodeId};
use crate::membership::Membership;
use crate::message::{Message, QuestionId};
use crate::number::{Room, room_of};
use crate::outbox::{Outbox, Sender};
use crate::random::Random;
use crate::rebuild::Rebuild;
use crate::replica::Replica;
use crate::request::{Rejection, Request, Response};
use crate::state::ClusterState;
use crate::store::Identity;
use identity::Past;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A request that waits for the ring to be sealed.
#[derive(Debug)]
struct Parked {
    origin: Origin,
    request: Request,
    until: Duration,
    /// The last probe that was sent before it came: its answers are too old for it.
    probe: u64,
}

/// One member of a cluster.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    identity: Identity,
    sender: Sender,
    random: Random,
    last_number: u64,
    formation: Formation,
    membership: Option<Membership>,
    pub(crate) directory: Directory,
    replica: Replica,
    coordinator: Coordinator,
    handoff: Handoff,
    rebuild: Option<Rebuild>,
    parked: VecDeque<Parked>,
    /// Members that say that the ring is not sealed, for reads that wait to know.
    unsealed: BTreeSet<NodeId>,
    probe_at: Duration,
    /// The number of the last probe.
    probe: u64,
    /// When this node has waited long enough to hear of its own past from others.
    settle_at: Duration,
    /// The generations that this life of the node has had: gossip may make it take a later one while it runs. Those in between
    /// may be of other lives.
    generations: Vec<u64>,
    /// Writes that were handed over in this life, so that none is taken twice.
    taken: BTreeSet<(Address, QuestionId)>,
    /// The same, the oldest first.
    taken_at: VecDeque<(Duration, (Address, QuestionId))>,
    past: Past,
    /// The epochs of members, as they told since they know of this node's store, and the name by which they know it.
    told: BTreeMap<NodeId, (Actor, u64)>,
    /// When timers were looked at last.
    ticked_at: Duration,
    local: VecDeque<Message>,
    /// Why the node takes part no more.
    over: Option<String>,
}

/// Numbers of one life of a node: more than it can give.
const GENERATION_BITS: u32 = 40;

/// The least time between two looks at the timers.
const TICK_PAUSE: Duration = Duration::from_millis(1);

/// The most handed-over writes that are remembered.
const TAKEN_MAX: usize = 200_000;

/// How long a handed-over write is remembered.
const REMEMBER: Duration = Duration::from_secs(120);

macro_rules! outbox {
    ($node:ident, $now:expr, $effects:expr) => {
        Outbox {
            now: $now,
            sender: &$node.sender,
            effects: $effects,
            local: &mut $node.local,
            last_number: &mut $node.last_number,
        }
    };
}

macro_rules! around {
    ($node:ident) => {
        Surroundings {
            config: &$node.config,
            directory: &$node.directory,
            may_mint: $node.replica.answers() && $node.replica.read_only.is_none() && !$node.directory.away,
            replica: &mut $node.replica,
            handoff: &mut $node.handoff,
        }
    };
}

use {around, outbox};

impl Node {
    /// A node on a store with this identity, the state of the cluster that the store keeps, the hints that it has, and the marks
    /// that it remembers.
    ///
    /// `kept` is what [`crate::formation::kept`] reads from the store; a state of another cluster than the identity's is
    /// one that a crash left half taken, and does not count.
    pub fn new(
        config: NodeConfig,
        identity: Identity,
        kept: Option<(ClusterState, bool)>,
        hints: BTreeMap<NodeId, u64>,
        marks: Vec<(NodeId, u64)>,
        seed: u64,
        now: Moment,
    ) -> Node {
        let kept = kept.filter(|(state, _)| state.cluster == identity.cluster && identity.cluster != 0);
        let (state, confirmed) = kept.map_or((None, false), |(state, confirmed)| (Some(state), confirmed));
        let reply_to = Address::from(config.peer_address.as_str());
        let sender = Sender { cluster: state.as_ref().map_or(0, |s| s.cluster), me: identity.node, reply_to };
        let ready = identity.ready || !protected!(config, Incarnations);
        let mut node = Node {
            sender,
            random: Random::new(seed),
            last_number: identity.generation << GENERATION_BITS,
            formation: Formation::new(state, confirmed, !identity.ready, seed),
            membership: None,
            directory: Directory { me: identity.node, ..Directory::default() },
            replica: Replica::new(ready),
            coordinator: Coordinator::default(),
            handoff: Handoff::resumed(hints),
            rebuild: None,
            parked: VecDeque::new(),
            unsealed: BTreeSet::new(),
            probe_at: Duration::ZERO,
            probe: 0,
            settle_at: now.monotonic + config.settle_after,
            generations: vec![identity.generation],
            taken: BTreeSet::new(),
            taken_at: VecDeque::new(),
            past: Past::default(),
            told: BTreeMap::new(),
            ticked_at: Duration::ZERO,
            local: VecDeque::new(),
            over: None,
            config,
            identity,
        };
        node.in_force(now, &mut Vec::new());
        if let Some(membership) = &mut node.membership {
            marks.into_iter().for_each(|(id, number)| membership.note_mark(id, number));
        }
        node
    }

    /// Who this node is.
    pub fn id(&self) -> NodeId {
        self.identity.node
    }

    /// The configuration it runs with.
    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Takes an event; what is to be done is added to `effects`.
    pub fn step(&mut self, now: Moment, event: Event, effects: &mut Vec<Effect>) {
        if let Some(why) = &self.over {
            if let Event::Request { id, .. } = event {
                let response = Response::Rejected(Rejection::NotReady(why.clone()));
                effects.push(Effect::Respond { id, response });
            }
            return;
        }
        let is_light = self.is_light(&event);
        match event {
            Event::Tick => {}
            Event::Request { id, request } => self.request(now, Origin::client(id), request, effects),
            Event::Seal => {
                let mut out = outbox!(self, now, effects);
                self.formation.want_seal(self.identity.node, &mut out);
            }
            Event::Received(envelope) => self.receive(now, envelope, effects),
            Event::Stored { ticket, outcome } => self.stored(now, ticket, outcome, effects),
            Event::Durable { ticket, result } => self.durable(now, ticket, result, effects),
            Event::PeerLost(address) => {
                self.directory.lost.insert(address.clone());
                let mut out = outbox!(self, now, effects);
                self.coordinator.lost(&address, &mut around!(self), &mut out);
                self.handoff.lost(&address, &self.directory, now.monotonic);
                if let Some(rebuild) = &mut self.rebuild {
                    rebuild.lost(&address, &self.directory, now.monotonic);
                }
            }
            Event::PeerFound(address) => {
                self.directory.lost.remove(&address);
            }
        }
        self.run_local(now, effects);
        if !is_light {
            self.tick(now, effects);
            self.run_local(now, effects);
        }
    }

    /// Whether nothing but requests can have gone on by an event: timers, members and hints are looked at with the others.
    fn is_light(&self, event: &Event) -> bool {
        match event {
            Event::Request { .. } => self.formation.is_open(),
            Event::Received(envelope) => envelope.message.is_of_a_request(),
            Event::Stored { ticket, .. } | Event::Durable { ticket, .. } => {
                room_of(ticket.0) == Some(Room::Replica)
            }
            _ => false,
        }
    }

    /// Messages of this node to itself.
    fn run_local(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        while let Some(message) = self.local.pop_front() {
            let (me, reply_to) = (self.identity.node, self.sender.reply_to.clone());
            self.message(now, me, reply_to, message, effects);
        }
    }

    /// When [`Event::Tick`] is due, on the monotonic clock.
    pub fn next_wake(&self, now: Moment) -> Duration {
        let at = now.monotonic;
        let mut wake = at + Duration::from_millis(500);
        let timers = [
            self.coordinator.next_timer(),
            self.formation.next_timer(),
            self.handoff.next_timer(&self.directory),
            self.rebuild
                .as_ref()
                .filter(|_| !self.is_adopting())
                .and_then(|rebuild| rebuild.next_timer(&self.directory)),
            self.membership.as_ref().map(|membership| at + membership.next_wake(at)),
            self.parked.iter().map(|parked| parked.until).min(),
            (!self.replica.settled).then_some(self.settle_at),
        ];
        for timer in timers.into_iter().flatten() {
            wake = wake.min(timer.max(at));
        }
        // A timer whose cause lasts is looked at again, but not without a pause.
        wake.max(self.ticked_at + TICK_PAUSE)
    }

    fn tick(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.ticked_at = now.monotonic;
        self.tick_membership(now, effects);
        self.settle(now, effects);
        self.tick_marks(now, effects);
        let mine = self.my_info();
        let mut out = outbox!(self, now, effects);
        let actor = self.identity.actor;
        let since =
            |node: NodeId| self.told.get(&node).filter(|(told, _)| *told == actor).map(|(_, epoch)| *epoch);
        let others = |state: &ClusterState| others(state, &self.directory, self.membership.as_ref(), since);
        self.formation.tick(self.identity.node, &mine, &self.config, others, &mut out);
        self.coordinator.tick(&mut around!(self), &mut out);
        self.handoff.tick(&self.directory, &mut out);
        self.handoff.drained(&mut out);
        self.tick_rebuild(now, effects);
        self.tick_parked(now, effects);
        let is_old = |at: Duration| at + REMEMBER <= now.monotonic;
        while self.taken_at.len() > TAKEN_MAX || self.taken_at.front().is_some_and(|(at, _)| is_old(*at)) {
            if let Some((_, taken)) = self.taken_at.pop_front() {
                self.taken.remove(&taken);
            }
        }
    }
}

/// What the other members keep, as far as they told since this node started. `since` gives the epoch of those who know of its
/// store.
fn others(
    state: &ClusterState,
    directory: &Directory,
    membership: Option<&Membership>,
    since: impl Fn(NodeId) -> Option<u64>,
) -> Others {
    let told = |node: NodeId| Some(membership?.info(node)?.status.ring_epoch);
    let members = || state.members.iter().map(|member| member.id).filter(|id| *id != directory.me);
    let keeps = |epoch: &u64| *epoch >= state.epoch;
    Others {
        kept: members().filter_map(told).filter(keeps).count(),
        kept_since: members().filter_map(&since).filter(keeps).count(),
        // A copy of the founder's directory that stands elsewhere makes nothing.
        later: directory.away
            || members().any(|id| told(id).max(since(id)).is_some_and(|epoch| epoch > state.epoch)),
    }
}
