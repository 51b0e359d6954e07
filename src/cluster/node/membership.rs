//! What a node does about its membership: gossip, and the directory that follows from it.

use super::{Node, outbox};
use crate::directory::Entry;
use crate::event::Notice;
use crate::event::{Effect, Moment};
use crate::id::{Address, NodeId};
use crate::membership::{Change, Gossip, GossipConfig, Liveness, MemberInfo, Membership, Status, Target};
use crate::message::Message;
use crate::outbox::Outbox;
use crate::rebuild::Rebuild;
use crate::state::MemberRecord;
use crate::store::Identity;

impl Node {
    pub(super) fn tick_membership(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let Some(membership) = &mut self.membership else { return };
        let (ready, writable) = (self.replica.ready, self.replica.read_only.is_none());
        let sealed = self.formation.is_sealed();
        let (epoch, digest) =
            (self.formation.state().map_or(0, |state| state.epoch), self.formation.digest());
        let hints_waiting = self.handoff.waiting().map(|(_, waiting)| waiting).sum();
        membership.update_me(|status| {
            *status =
                Status { ready, writable, sealed, ring_epoch: epoch, ring_digest: digest, hints_waiting };
        });
        let mut out = Vec::new();
        let changes = membership.tick(now.monotonic, now.wall_millis, &mut out);
        self.send_gossip(now, out, effects);
        self.changed(now, changes, effects);
        let me = self.directory.me;
        if let Some(entry) = self.directory.entries.get_mut(&me) {
            (entry.ready, entry.writable) = (ready, writable);
        }
    }

    pub(super) fn send_gossip(
        &mut self,
        now: Moment,
        gossip: Vec<(Target, Gossip)>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(membership) = &self.membership else { return };
        let mut out = outbox!(self, now, effects);
        for (target, gossip) in gossip {
            let address = match target {
                Target::Address(address) => Some(Address::from(address.as_str())),
                Target::Node(node) => membership.info(node).map(|info| Address::from(info.peer.as_str())),
            };
            if let Some(address) = address.filter(|address| *address != out.sender.reply_to) {
                out.send(&address, Message::Gossip(gossip));
            }
        }
    }

    /// Membership changed.
    pub(super) fn changed(&mut self, now: Moment, changes: Vec<Change>, effects: &mut Vec<Effect>) {
        if changes.is_empty() {
            return;
        }
        for change in changes {
            let what = match change {
                Change::Down(node) => format!("node {node} is down"),
                Change::Alive(node) => format!("node {node} is alive"),
                Change::Restarted(node) => {
                    // Whatever was said of its connection was said of its life before.
                    if let Some(address) = self.directory.address(node).cloned() {
                        self.directory.lost.remove(&address);
                    }
                    format!("node {node} was started again")
                }
                Change::Conflict(conflict) => {
                    self.conflict(now, &conflict, effects);
                    continue;
                }
                _ => continue,
            };
            effects.push(Effect::Notice(Notice::Info(what)));
        }
        self.refresh();
    }

    /// What this node says of itself.
    pub(super) fn my_info(&self) -> MemberInfo {
        MemberInfo {
            id: self.identity.node,
            generation: self.identity.generation,
            incarnation: self.identity.actor.0,
            peer: self.config.peer_address.clone(),
            resp: self.config.resp_address.clone(),
            http: self.config.http_address.clone(),
            zone: self.config.zone.clone(),
            dc: self.config.dc.clone(),
            weight: self.config.weight.max(1),
            status: Status { ready: self.replica.ready, ..Status::default() },
            wall_ms: 0,
        }
    }

    /// The state of the cluster is in force: membership and directory follow it.
    pub(super) fn in_force(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let Some(state) = self.formation.state() else { return };
        if self.identity.cluster != state.cluster {
            return;
        }
        self.sender.cluster = state.cluster;
        self.sender.me = self.identity.node;
        self.directory.me = self.identity.node;
        let addresses = state.members.iter().filter(|member| member.id != self.identity.node);
        let seeds: Vec<String> = addresses.map(|member| member.peer_address.clone()).collect();
        let permanent: Vec<NodeId> = state.members.iter().map(|member| member.id).collect();
        if state.members.len() == 1 || state.ring.is_none() {
            // Nobody else knows anything, or there is nothing to know.
            self.replica.settled = true;
            self.replica.ready |= !self.past.behind;
        }
        if self.membership.is_none() {
            let config = GossipConfig {
                interval: self.config.gossip_interval,
                suspect_after: self.config.suspect_after,
                seeds: seeds.clone(),
                ..GossipConfig::default()
            };
            let seed = self.random.next_u64();
            match Membership::new(state.cluster, self.my_info(), config, seed, now.monotonic) {
                Ok(membership) => self.membership = Some(membership),
                Err(e) => {
                    let why = format!("this node cannot take part: {e}");
                    effects.push(Effect::Notice(Notice::Fatal(why.clone())));
                    self.over = Some(why);
                    return;
                }
            }
        }
        if let Some(membership) = &mut self.membership {
            seeds.into_iter().for_each(|seed| membership.add_seed(seed));
            membership.set_permanent(&permanent, now.monotonic);
        }
        let was_away = self.directory.away;
        self.refresh();
        if self.directory.away && !was_away {
            let recorded = self
                .formation
                .state()
                .and_then(|state| state.members.iter().find(|m| m.id == self.identity.node));
            let at = recorded.map_or("another address", |member| member.peer_address.as_str());
            let what = format!(
                "the cluster knows the node {} at {at}, and this one listens at {}: it stores and answers nothing here. Start \
                 it at that address; if its directory is a copy, start with an empty one",
                self.identity.node, self.config.peer_address
            );
            effects.push(Effect::Notice(Notice::Warning(what)));
        }
    }

    /// Brings the directory up to what is known.
    pub(super) fn refresh(&mut self) {
        let (Some(state), Some(membership)) = (self.formation.state(), &self.membership) else { return };
        let me = self.identity.node;
        let entry = |member: &MemberRecord| {
            let info = membership.info(member.id);
            // Not where gossip says: a copy of the member's directory that was started elsewhere says it too.
            let address = match member.id == me {
                true => self.sender.reply_to.clone(),
                false => Address::from(member.peer_address.as_str()),
            };
            let entry = Entry {
                address,
                dc: member.dc.clone(),
                life: info.map(|info| info.generation),
                // Of whom nothing was heard yet it is assumed that he is there: he can refuse.
                alive: member.id == me || membership.liveness(member.id) != Some(Liveness::Down),
                ready: if member.id == me { self.replica.ready } else { info.is_none_or(|i| i.status.ready) },
                writable: info.is_none_or(|info| info.status.writable),
            };
            (member.id, entry)
        };
        let recorded = state.members.iter().find(|member| member.id == me);
        // Nobody looks for a node that is alone, so it may stand where it likes.
        let has_others = state.members.len() > 1;
        self.directory.away =
            has_others && recorded.is_some_and(|member| *member.peer_address != *self.sender.reply_to);
        self.directory.entries = state.members.iter().map(entry).collect();
        if self.directory.keyspaces != state.keyspaces {
            self.directory.keyspaces.clone_from(&state.keyspaces);
        }
        if self.directory.epoch != state.epoch {
            self.directory.epoch = state.epoch;
            self.directory.ring.clone_from(&state.ring);
        }
    }

    pub(super) fn tick_rebuild(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.replica.ready || self.directory.ring.is_none() || self.is_adopting() {
            return;
        }
        let mut out = outbox!(self, now, effects);
        let rebuild = self.rebuild.get_or_insert_with(|| {
            let what =
                "this store lost data, or cannot prove that it did not: it is pulled from the other replicas";
            out.notice(Notice::Warning(what.to_owned()));
            Rebuild::begin(&self.directory)
        });
        rebuild.tick(&self.directory, &mut out);
        // What is ready has nothing left to learn, of epochs neither.
        if rebuild.is_done(&self.directory) && !self.formation.must_skip(self.identity.node) {
            let what = format!("the rebuild is done, {} records were pulled", rebuild.records());
            out.notice(Notice::Info(what));
            self.rebuild = None;
            self.past.rebuilt = true;
            let identity = Identity { ready: true, ..self.next_identity().clone() };
            self.adopt(now, identity, effects);
        }
    }
}
