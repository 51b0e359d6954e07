//! How nodes come to be one cluster, and what they then agree on.
//!
//! A node without `join` begins a cluster and is its founder. Others ask to become members; the founder, and nobody else, makes
//! each next [`ClusterState`], one change at a time, durable before it is told to anybody. So all members see one history.
//!
//! ```text
//!   Alone ──► Founding ─────────────► Member ── first write: the founder places the ring ──► sealed
//!     │                                  ▲                                                      │
//!     └────► Joining ── the founder ─────┘                      a majority keeps it: requests are taken
//! ```
//! The first write seals the ring: the founder places it over the members that there are, and a node that asks later is
//! refused. Requests are taken once a majority of the members keeps the sealed state, so that it is known whatever single
//! node is lost. A node whose data directory is gone and that comes back at its old address gets its old identity back.

mod change;

pub(crate) use change::Others;

use crate::config::NodeConfig;
use crate::event::{Notice, Ticket};
use crate::id::{Address, NodeId};
use crate::membership::MemberInfo;
use crate::message::encoding::{decode_state, encode_state};
use crate::message::{JoinAnswer, Message};
use crate::number::Room;
use crate::outbox::Outbox;
use crate::request::majority;
use crate::ring::{Ring, RingMember};
use crate::state::ClusterState;
use crate::store::{KeyspaceDefinition, KeyspaceId, StoreFailure, StoreOperation, StoreOutcome};
use change::{Change, digest_of, founded, record_of, ring_member};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// The keyspace that every cluster has.
pub const DEFAULT_KEYSPACE: KeyspaceId = KeyspaceId(0);

/// How often a question of this room is asked again.
const AGAIN: Duration = Duration::from_millis(300);

/// The bytes in which a store keeps the state: whether a majority is known to keep it, then the state.
pub fn keep(state: &ClusterState, confirmed: bool) -> Vec<u8> {
    let mut bytes = vec![u8::from(confirmed)];
    encode_state(state, &mut bytes);
    bytes
}

/// Reads them.
///
/// # Errors
/// A sentence, if they are damaged.
pub fn kept(bytes: &[u8]) -> Result<(ClusterState, bool), String> {
    let (confirmed, state) =
        bytes.split_first().ok_or_else(|| "the state of the cluster is empty".to_owned())?;
    let state = decode_state(state).map_err(|e| format!("the state of the cluster is damaged: {e}"))?;
    Ok((state, *confirmed == 1))
}

/// What the node does after a change is durable.
#[derive(Debug)]
pub(crate) enum Turn {
    /// The state is in force.
    InForce,
    /// The state is in force, and with it this node is a member under this identity.
    Joined { you: NodeId, generation: u64 },
}

/// Brings nodes together, and keeps what they agree on.
#[derive(Debug)]
pub(crate) struct Formation {
    state: Option<ClusterState>,
    /// Whether a majority of the members keeps the sealed ring.
    confirmed: bool,
    queue: VecDeque<Change>,
    /// The change that is being made durable, and the state that it leads to.
    under_way: Option<(Ticket, ClusterState, Change)>,
    /// Members that keep the sealed state.
    keepers: BTreeSet<NodeId>,
    /// What a joining node was told, until it is durable.
    identity: Option<(NodeId, u64)>,
    next_try: Duration,
    /// A request waits for the sealed ring.
    seal_wanted: bool,
    greeted: bool,
    /// This node began the cluster in this life.
    began: bool,
    /// The directory is not what it was: this node may have made epochs that it does not know of.
    lost: bool,
    /// The first change of the queue has to wait until others are heard of.
    waits: bool,
    /// Of the state.
    digest: u64,
    seed: u64,
}

impl Formation {
    pub(crate) fn new(state: Option<ClusterState>, confirmed: bool, lost: bool, seed: u64) -> Formation {
        Formation {
            confirmed,
            queue: VecDeque::new(),
            under_way: None,
            keepers: BTreeSet::new(),
            identity: None,
            next_try: Duration::ZERO,
            seal_wanted: false,
            // Whoever joins in this life has spoken to them.
            greeted: state.is_none(),
            began: false,
            lost,
            waits: false,
            digest: state.as_ref().map_or(0, digest_of),
            state,
            seed,
        }
    }

    pub(crate) fn state(&self) -> Option<&ClusterState> {
        self.state.as_ref()
    }

    /// Whether requests can be taken: the ring is sealed, and that is known to a majority.
    pub(crate) fn is_open(&self) -> bool {
        self.confirmed && self.state.as_ref().is_some_and(|state| state.ring.is_some())
    }

    /// Whether the ring is sealed here.
    pub(crate) fn is_sealed(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.ring.is_some())
    }

    /// A digest of the state: nodes that keep one epoch have one.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Whether this node, the founder, may have made an epoch that it lost.
    pub(crate) fn must_skip(&self, me: NodeId) -> bool {
        self.lost && self.is_founder(me)
    }

    /// The directory turned out to be not what it was.
    pub(crate) fn has_lost(&mut self) {
        self.lost = true;
    }

    /// Whether this node began its cluster since it started.
    pub(crate) fn has_just_begun(&self) -> bool {
        self.began
    }

    /// A request waits: the ring is to be sealed.
    pub(crate) fn want_seal(&mut self, me: NodeId, out: &mut Outbox<'_>) {
        if !self.seal_wanted {
            self.seal_wanted = true;
            self.next_try = out.now.monotonic;
        }
        if self.is_founder(me) && !self.is_sealed() && !self.is_pending(|c| matches!(c, Change::Seal)) {
            self.queue.push_back(Change::Seal);
        }
    }

    fn is_pending(&self, is_it: impl Fn(&Change) -> bool) -> bool {
        self.queue.iter().any(&is_it) || self.under_way.as_ref().is_some_and(|(_, _, change)| is_it(change))
    }

    fn is_founder(&self, me: NodeId) -> bool {
        self.state.as_ref().is_some_and(|state| state.founder == me)
    }

    /// Where the founder is, if that is somebody else.
    fn founder_address(&self, me: NodeId) -> Option<Address> {
        let state = self.state.as_ref()?;
        let founder = state.members.iter().find(|member| member.id == state.founder && member.id != me)?;
        Some(Address::from(founder.peer_address.as_str()))
    }

    /// Asks to become a member. `reply_to` is where the answer goes, `alive` whether the member at that address is alive.
    pub(crate) fn join(
        &mut self,
        info: MemberInfo,
        reply_to: Address,
        me: NodeId,
        alive: impl Fn(NodeId) -> bool,
        generation_of: impl Fn(NodeId) -> u64,
        out: &mut Outbox<'_>,
    ) {
        let Some(state) = &self.state else {
            // It has joined nothing itself yet; whoever asked asks again.
            return;
        };
        let there = state.members.iter().find(|member| member.peer_address == info.peer).cloned();
        if let Some(member) = there.as_ref().filter(|member| {
            // Without its founder a cluster that is not sealed could never be.
            (state.ring.is_some() || member.id == state.founder) && member.id != me
        }) {
            if alive(member.id) && member.id != info.id {
                let why = format!(
                    "the member {} at {} is alive, and another node wants to join under its address: give each node an \
                     address of its own, or wait until the old one counts as down",
                    member.id, member.peer_address
                );
                out.send(&reply_to, Message::Joined(Err(why)));
                return;
            }
            let generation = generation_of(member.id).max(info.generation) + 1;
            let answer = JoinAnswer { you: member.id, generation, state: state.clone() };
            out.send(&reply_to, Message::Joined(Ok(answer)));
            return;
        }
        if state.ring.is_some() {
            let why = format!(
                "cluster {:032x} took its first write with {} members and takes no others: a node joins while the cluster is \
                 empty",
                state.cluster,
                state.members.len()
            );
            out.send(&reply_to, Message::Joined(Err(why)));
            return;
        }
        if let Some(twin) = state.members.iter().find(|m| m.id == info.id && m.peer_address != info.peer) {
            let why = format!(
                "the id {} is that of the member at {}: a data directory was copied; start the new node with an empty one",
                twin.id, twin.peer_address
            );
            out.send(&reply_to, Message::Joined(Err(why)));
            return;
        }
        if there.as_ref() == Some(&record_of(&info)) {
            // It is a member, and did not hear the answer.
            let answer = JoinAnswer { you: info.id, generation: info.generation, state: state.clone() };
            out.send(&reply_to, Message::Joined(Ok(answer)));
        } else if self.is_founder(me) {
            let asked_before =
                |c: &Change| matches!(c, Change::Join { info: other, .. } if other.id == info.id);
            if !self.is_pending(asked_before) {
                self.queue.push_back(Change::Join { info: Box::new(info), reply_to });
            }
        } else if let Some(founder) = self.founder_address(me) {
            // The answer goes to the one who asked, not to this node.
            out.pass_on(&founder, reply_to, Message::Join(info));
        }
    }

    /// The answer to this node's wish to join.
    pub(crate) fn joined(&mut self, answer: JoinAnswer) {
        if self.state.is_none() && self.identity.is_none() {
            self.identity = Some((answer.you, answer.generation));
            self.queue.push_back(Change::Take { state: Box::new(answer.state), joined: true });
        }
    }

    /// Another node's state.
    pub(crate) fn take(&mut self, theirs: ClusterState) {
        let newer =
            self.state.as_ref().is_some_and(|s| s.cluster == theirs.cluster && s.epoch < theirs.epoch);
        if newer
            && !self.is_pending(|c| matches!(c, Change::Take { state, .. } if state.epoch >= theirs.epoch))
        {
            self.queue.push_back(Change::Take { state: Box::new(theirs), joined: false });
        }
    }

    /// Defines a replicated keyspace; only the founder can.
    pub(crate) fn define(&mut self, name: String, mode: crate::causality::ConflictMode, replicas: u8) {
        self.queue.push_back(Change::Define { name, mode, replicas });
    }

    /// A member keeps the state of this epoch.
    pub(crate) fn kept_by(&mut self, node: NodeId, epoch: u64) {
        let Some(state) = &self.state else { return };
        let is_member = state.members.iter().any(|member| member.id == node);
        if state.ring.is_some() && epoch >= state.epoch && is_member && self.keepers.insert(node) {
            self.confirm();
        }
    }

    fn confirm(&mut self) {
        let Some(state) = &self.state else { return };
        if !self.confirmed && state.ring.is_some() && self.keepers.len() >= majority(state.members.len()) {
            self.confirmed = true;
            self.queue.push_back(Change::Confirm);
        }
    }

    /// Time went on, or something changed: begins the next change, asks again what was not answered.
    pub(crate) fn tick(
        &mut self,
        me: NodeId,
        mine: &MemberInfo,
        config: &NodeConfig,
        others: impl Fn(&ClusterState) -> Others,
        out: &mut Outbox<'_>,
    ) {
        if self.is_sealed() && !self.confirmed && self.under_way.is_none() {
            // What is in force here is durable here, also if it was so before this node started.
            let is_member = self.state.as_ref().is_some_and(|s| s.members.iter().any(|m| m.id == me));
            if is_member && self.keepers.insert(me) {
                self.confirm();
            }
        }
        self.greet(mine, config, out);
        if self.state.is_none() && self.under_way.is_none() && self.queue.is_empty() {
            if config.join.is_empty() {
                self.queue.push_back(Change::Found);
            } else if out.now.monotonic >= self.next_try {
                self.next_try = out.now.monotonic + AGAIN;
                for address in config.join.iter().filter(|address| **address != config.peer_address) {
                    out.send(&Address::from(address.as_str()), Message::Join(mine.clone()));
                }
            }
        }
        if self.must_skip(me) && !self.is_pending(|change| matches!(change, Change::Skip)) {
            self.queue.push_front(Change::Skip);
        }
        while self.under_way.is_none() {
            let may = self.may_make_epoch(&others);
            let next = self.queue.iter().position(|change| may || !change.makes_epoch());
            self.waits = next.is_none() && !self.queue.is_empty();
            let Some(change) = next.and_then(|at| self.queue.remove(at)) else { break };
            self.begin(change, me, mine, config, out);
        }
        if out.now.monotonic < self.next_try {
            return;
        }
        if self.is_sealed() && !self.confirmed {
            self.next_try = out.now.monotonic + AGAIN;
            self.spread(me, out);
        } else if self.seal_wanted && !self.is_sealed() && self.state.is_some() {
            self.next_try = out.now.monotonic + AGAIN;
            match self.founder_address(me) {
                Some(founder) => out.send(&founder, Message::SealWanted),
                None => self.want_seal(me, out),
            }
        }
    }

    /// Whether this node can know what epoch was the last. One that lost its directory may have told any minority of it: more
    /// members than can be without it have to say what they keep, and to say so since they know of its loss. One that did not
    /// goes on once a majority keeps what it made last: so at most one epoch is known to fewer.
    fn may_make_epoch(&self, others: impl Fn(&ClusterState) -> Others) -> bool {
        let Some(state) = self.state.as_ref().filter(|state| state.members.len() > 1) else { return true };
        let (members, others) = (state.members.len(), others(state));
        if others.later {
            false
        } else if self.lost {
            others.kept_since >= (members - majority(members) + 1).min(members - 1)
        } else {
            (self.began && state.ring.is_none()) || others.kept + 1 >= majority(members)
        }
    }

    /// Tells the nodes that this one was to join, if they are none of its cluster, so that they say what is wrong. Once.
    fn greet(&mut self, mine: &MemberInfo, config: &NodeConfig, out: &mut Outbox<'_>) {
        let Some(state) = self.state.as_ref().filter(|_| !self.greeted) else { return };
        self.greeted = true;
        let is_member = |address: &str| state.members.iter().any(|member| member.peer_address == address);
        for address in config.join.iter().filter(|address| !is_member(address) && **address != mine.peer) {
            out.send(&Address::from(address.as_str()), Message::Join(mine.clone()));
        }
    }

    /// When it wants to be called again.
    pub(crate) fn next_timer(&self) -> Option<Duration> {
        // What waits for the store needs no timer: its outcome comes as an event.
        let begins =
            self.under_way.is_none() && (self.state.is_none() || !(self.queue.is_empty() || self.waits));
        let asks_again = self.state.is_some()
            && ((self.is_sealed() && !self.confirmed) || (self.seal_wanted && !self.is_sealed()));
        (begins || asks_again).then_some(self.next_try)
    }

    /// Tells everybody the state, and that it is kept here.
    fn spread(&self, me: NodeId, out: &mut Outbox<'_>) {
        let Some(state) = &self.state else { return };
        for member in state.members.iter().filter(|member| member.id != me) {
            let address = Address::from(member.peer_address.as_str());
            if !self.keepers.contains(&member.id) {
                out.send(&address, Message::State(state.clone()));
            }
            out.send(&address, Message::StateKept { epoch: state.epoch });
        }
    }

    /// Makes the state durable that a change leads to.
    fn begin(
        &mut self,
        change: Change,
        me: NodeId,
        mine: &MemberInfo,
        config: &NodeConfig,
        out: &mut Outbox<'_>,
    ) {
        let Some(next) = self.next_state(&change, me, mine, config, out) else { return };
        let bytes = keep(&next, self.confirmed);
        let operation = StoreOperation::KeepClusterState { bytes, keyspaces: next.keyspaces.clone() };
        let ticket = out.store(Room::Formation, operation);
        self.under_way = Some((ticket, next, change));
    }

    /// The state that a change leads to. `None` if it changes nothing.
    fn next_state(
        &self,
        change: &Change,
        me: NodeId,
        mine: &MemberInfo,
        config: &NodeConfig,
        out: &mut Outbox<'_>,
    ) -> Option<ClusterState> {
        if let Change::Found = change {
            return Some(founded(self.seed, me, mine, config));
        }
        if let Change::Take { state, .. } = change {
            let newer = self.state.as_ref().is_none_or(|mine| mine.epoch < state.epoch);
            return newer.then(|| (**state).clone());
        }
        let mut state = self.state.clone()?;
        match change {
            Change::Confirm => return Some(state),
            Change::Join { info, reply_to } => {
                if state.ring.is_some() {
                    let why =
                        "the cluster took its first write in this moment and takes no others".to_owned();
                    out.send(reply_to, Message::Joined(Err(why)));
                    return None;
                }
                // An address that comes again under another id is a node whose directory was emptied meanwhile.
                state.members.retain(|member| member.id != info.id && member.peer_address != info.peer);
                state.members.push(record_of(info));
                state.members.sort_by_key(|member| member.id);
            }
            Change::Seal => {
                if state.ring.is_some() {
                    return None;
                }
                let members: Vec<RingMember> = state.members.iter().map(ring_member).collect();
                match Ring::place(state.partitions, usize::from(state.replicas), &members, None) {
                    Ok(ring) => state.ring = Some(ring),
                    Err(e) => {
                        out.notice(Notice::Fatal(format!("the ring cannot be placed: {e}")));
                        return None;
                    }
                }
            }
            Change::Define { name, mode, replicas } => {
                if state.keyspaces.iter().any(|keyspace| keyspace.name == *name) {
                    return None;
                }
                // Like the epoch, no number is given twice.
                let last = state.keyspaces.iter().map(|keyspace| keyspace.id.0).max().unwrap_or(0);
                let id = u32::try_from(state.epoch + 1).unwrap_or(u32::MAX).max(last.saturating_add(1));
                let (name, mode, replicas) = (name.clone(), *mode, (*replicas).clamp(1, state.replicas));
                state.keyspaces.push(KeyspaceDefinition { id: KeyspaceId(id), name, mode, replicas });
            }
            Change::Skip => state.epoch += 1,
            Change::Found | Change::Take { .. } => {}
        }
        state.epoch += 1;
        Some(state)
    }

    /// A change is durable, or could not be made so.
    pub(crate) fn stored(
        &mut self,
        ticket: Ticket,
        outcome: StoreOutcome,
        me: NodeId,
        out: &mut Outbox<'_>,
    ) -> Option<Turn> {
        if self.under_way.as_ref().is_none_or(|(expected, _, _)| *expected != ticket) {
            return None;
        }
        let (_, state, change) = self.under_way.take()?;
        if let StoreOutcome::Failed(failure) = outcome {
            self.not_kept(&failure, out);
            return None;
        }
        self.began |= matches!(change, Change::Found);
        self.lost &= !matches!(change, Change::Skip);
        self.digest = digest_of(&state);
        let sealed_now = state.ring.is_some() && !self.is_sealed();
        self.state = Some(state.clone());
        if sealed_now {
            self.keepers.clear();
            out.notice(Notice::Info(format!(
                "the ring is sealed at epoch {} with {} members",
                state.epoch,
                state.members.len()
            )));
        }
        match change {
            Change::Confirm => return None,
            Change::Take { joined: true, .. } => {
                self.lost = true;
                let (you, generation) = self.identity.take()?;
                return Some(Turn::Joined { you, generation });
            }
            Change::Join { info, reply_to } => {
                let (you, generation) = (info.id, info.generation);
                let answer = JoinAnswer { you, generation, state: state.clone() };
                out.send(&reply_to, Message::Joined(Ok(answer)));
            }
            _ => {}
        }
        if state.ring.is_some() && state.members.iter().any(|member| member.id == me) {
            self.keepers.insert(me);
            self.confirm();
        }
        self.spread(me, out);
        Some(Turn::InForce)
    }

    fn not_kept(&mut self, failure: &StoreFailure, out: &mut Outbox<'_>) {
        let what = format!(
            "the state of the cluster cannot be stored: {failure}; make room, and start the node again"
        );
        out.notice(Notice::Fatal(what));
    }
}
