//! What a node does with messages: each goes to its room.

use super::{Node, REMEMBER, around, outbox};
use crate::coordinator::{Origin, Surroundings};
use crate::directory::Directory;
use crate::event::Notice;
use crate::event::{Effect, Moment};
use crate::handoff::Handoff;
use crate::id::{Address, NodeId};
use crate::membership::{Entry, Gossip, Liveness, MemberInfo, Status};
use crate::message::{Envelope, Message, Refusal};
use crate::number::{Room, room_of};
use crate::outbox::Outbox;
use crate::replica::Replica;
use crate::request::Response;
use crate::store::{Copy, HintKey};

impl Node {
    pub(super) fn receive(&mut self, now: Moment, envelope: Envelope, effects: &mut Vec<Effect>) {
        let Envelope { cluster, from, reply_to, message } = envelope;
        let mine = self.sender.cluster;
        let forms = matches!(message, Message::Join(_) | Message::Joined(_));
        if mine != 0 && cluster != 0 && cluster != mine && self.belongs_elsewhere(&message) {
            let why = match message {
                Message::Joined(Err(why)) => why,
                _ => format!("the cluster {cluster:032x} knows this address as that of a member of its own"),
            };
            let why = format!(
                "this node began a cluster of its own, {mine:032x}, and another wants it: {why}. Start it with an empty directory \
                 and `--join`, or leave `--join` out"
            );
            effects.push(Effect::Notice(Notice::Fatal(why.clone())));
            self.over = Some(why);
            return;
        }
        if (mine == 0 || cluster != mine) && !forms {
            if mine != 0 && cluster != 0 {
                let what = format!(
                    "a node at {reply_to} is of another cluster, {cluster:032x}: it is not listened to"
                );
                effects.push(Effect::Notice(Notice::Warning(what)));
            }
            return;
        }
        if matches!(message, Message::Join(_)) && cluster != 0 && cluster != mine {
            let why = format!("the node belongs to cluster {cluster:032x}, and this one is {mine:032x}");
            let mut out = outbox!(self, now, effects);
            out.send(&reply_to, Message::Joined(Err(why)));
            return;
        }
        if self.is_too_early(&message) {
            return;
        }
        // What arrives proves that its sender can be spoken to.
        self.directory.lost.remove(&reply_to);
        self.message(now, from, reply_to, message, effects);
    }

    /// Whether a message of another cluster says that this node should be there: it was told to join and is refused, or it has just
    /// begun a cluster at the address of one of the other's members, whose directory must have been lost. Gossip goes nowhere but
    /// to addresses of members, also to those of whom nothing was ever heard; but once something was written here it has to name
    /// this address.
    fn belongs_elsewhere(&self, message: &Message) -> bool {
        let alone = self.formation.state().is_some_and(|state| state.members.len() == 1);
        let here = self.config.peer_address.as_str();
        match message {
            Message::Joined(Err(_)) => true,
            Message::Gossip(gossip) => {
                let names_it = || gossip.members.iter().any(|entry| entry.info.peer == here);
                alone && self.formation.has_just_begun() && (!self.formation.is_sealed() || names_it())
            }
            _ => false,
        }
    }

    pub(super) fn message(
        &mut self,
        now: Moment,
        from: NodeId,
        reply_to: Address,
        message: Message,
        effects: &mut Vec<Effect>,
    ) {
        match message {
            Message::Gossip(gossip) => self.gossip(now, &gossip, effects),
            Message::Join(_)
            | Message::Joined(_)
            | Message::SealWanted
            | Message::State(_)
            | Message::StateKept { .. }
            | Message::SealProbe { .. }
            | Message::NotSealed { .. }
            | Message::StateWanted => self.form(now, from, &reply_to, message, effects),
            Message::Forward { question, life, .. } if !self.is_this_life(life) => {
                let why = "the write was handed to another life of this node".to_owned();
                let response = Response::Unknown { acks: 0, why };
                outbox!(self, now, effects).send(&reply_to, Message::ForwardAnswer { question, response });
            }
            Message::Forward { question, request, .. } => {
                // A message that the network brought twice is one write.
                if self.taken.insert((reply_to.clone(), question)) {
                    self.taken_at.push_back((now.monotonic, (reply_to.clone(), question)));
                    self.request(now, Origin::Peer { address: reply_to, question }, request, effects);
                }
            }
            question @ (Message::Read { .. } | Message::Write { .. } | Message::Page { .. }) => {
                let limit = self.config.max_questions;
                let mut out = outbox!(self, now, effects);
                serve(
                    question,
                    &reply_to,
                    limit,
                    &self.directory,
                    &mut self.replica,
                    &mut self.handoff,
                    &mut out,
                );
            }
            answer => self.answer(now, answer, effects),
        }
    }

    pub(super) fn gossip(&mut self, now: Moment, gossip: &Gossip, effects: &mut Vec<Effect>) {
        let Some(membership) = &mut self.membership else { return };
        let mut out = Vec::new();
        match membership.receive(now.monotonic, now.wall_millis, gossip, &mut out) {
            Ok(changes) => {
                self.send_gossip(now, out, effects);
                self.changed(now, changes, effects);
            }
            Err(e) => effects.push(Effect::Notice(Notice::Warning(e.to_string()))),
        }
        if self.directory.entries.contains_key(&gossip.from.info.id) {
            self.hear(now, gossip.from.info.id, effects);
        }
        let info = &gossip.from.info;
        let (me, actor) = (self.identity.node, self.identity.actor);
        let knows = |entry: &Entry| entry.info.id == me && entry.info.incarnation == actor.0;
        if self.directory.entries.contains_key(&info.id) && gossip.members.iter().any(knows) {
            self.told.insert(info.id, (actor, info.status.ring_epoch));
        }
        let epoch = self.formation.state().map_or(0, |state| state.epoch);
        let mut out = outbox!(self, now, effects);
        if info.status.sealed {
            self.formation.kept_by(info.id, info.status.ring_epoch);
        }
        if info.status.ring_epoch > epoch {
            out.send(&Address::from(info.peer.as_str()), Message::StateWanted);
        }
        self.compare(info, epoch, effects);
    }

    /// One epoch has one state. Should it have two, whatever is said of keyspaces is said of two things, and what the founder
    /// keeps is what goes on.
    fn compare(&mut self, info: &MemberInfo, epoch: u64, effects: &mut Vec<Effect>) {
        let Some(state) = self.formation.state() else { return };
        let Status { ring_epoch, ring_digest, .. } = info.status;
        let is_other = ring_digest != 0 && ring_digest != self.formation.digest();
        let is_member = state.members.iter().any(|member| member.id == info.id);
        if ring_epoch != epoch || !is_other || !is_member || info.id == self.identity.node {
            return;
        }
        let (founder, other) = (state.founder, info.id);
        effects.push(Effect::Notice(Notice::Divided { epoch, other }));
        if other == founder {
            let why = format!(
                "this node and the founder {founder} keep different states of the cluster as epoch {epoch}: the founder lost its \
                 directory, and gave the number again. Start this node with an empty directory, to have what the founder \
                 has; if keyspaces are missing there that this node knows, copy them from its directory first, with `esker scan`"
            );
            effects.push(Effect::Notice(Notice::Fatal(why.clone())));
            self.over = Some(why);
        }
    }

    pub(super) fn form(
        &mut self,
        now: Moment,
        from: NodeId,
        reply_to: &Address,
        message: Message,
        effects: &mut Vec<Effect>,
    ) {
        let me = self.identity.node;
        let mut out = outbox!(self, now, effects);
        match message {
            Message::Join(info) => {
                let membership = self.membership.as_ref();
                let alive = |node| membership.is_some_and(|m| m.liveness(node) == Some(Liveness::Alive));
                let generation =
                    |node| membership.and_then(|m| m.info(node)).map_or(0, |info| info.generation);
                self.formation.join(info, reply_to.clone(), me, alive, generation, &mut out);
            }
            Message::Joined(Ok(answer)) => self.formation.joined(answer),
            Message::Joined(Err(why)) if self.formation.state().is_none() => {
                // The old life of this address may not count as down yet.
                let is_early = why.contains("is alive") && now.monotonic < self.settle_at + REMEMBER;
                if !is_early {
                    let why = format!("this node cannot join: {why}");
                    out.notice(Notice::Fatal(why.clone()));
                    self.over = Some(why);
                }
            }
            Message::SealWanted => self.formation.want_seal(me, &mut out),
            Message::StateWanted => {
                if let Some(state) = self.formation.state() {
                    out.send(reply_to, Message::State(state.clone()));
                }
            }
            Message::State(state) => self.formation.take(state),
            Message::SealProbe { probe } if !self.formation.is_sealed() => {
                out.send(reply_to, Message::NotSealed { probe });
            }
            Message::NotSealed { probe } if probe == self.probe => {
                self.unsealed.insert(from);
            }
            Message::StateKept { epoch } => self.formation.kept_by(from, epoch),
            _ => {}
        }
    }

    /// An answer goes to the room that asked.
    pub(super) fn answer(&mut self, now: Moment, answer: Message, effects: &mut Vec<Effect>) {
        let mut out = outbox!(self, now, effects);
        let room = match &answer {
            Message::ReadAnswer { question, .. }
            | Message::WriteAnswer { question, .. }
            | Message::ForwardAnswer { question, .. }
            | Message::PageAnswer { question, .. } => room_of(question.0),
            _ => None,
        };
        match (room, answer) {
            (Some(Room::Coordinator), Message::ReadAnswer { question, result }) => {
                self.coordinator.read_answer(question, result, &mut around!(self), &mut out);
            }
            (Some(Room::Coordinator), Message::WriteAnswer { question, result }) => {
                self.coordinator.write_answer(question, result, &mut around!(self), &mut out);
            }
            (Some(Room::Coordinator), Message::ForwardAnswer { question, response }) => {
                self.coordinator.forward_answer(question, response, &mut around!(self), &mut out);
            }
            (Some(Room::Coordinator), Message::PageAnswer { question, result, .. }) => {
                self.coordinator.page_answer(question, result, &mut around!(self), &mut out);
            }
            (Some(Room::Handoff), Message::WriteAnswer { question, result }) => {
                if let Some(HintKey { target, keyspace, key }) =
                    self.handoff.answer(question, result, &mut out)
                {
                    self.coordinator.heal((keyspace, key, target), &mut around!(self), &mut out);
                }
            }
            (Some(Room::Handoff), Message::ForwardAnswer { question, response }) => {
                let taken = matches!(response, Response::Written { .. });
                let result = if taken { Ok(()) } else { Err(Refusal::NotReady) };
                self.handoff.answer(question, result, &mut out);
            }
            (Some(Room::Rebuild), Message::PageAnswer { question, ready, result }) => {
                if let Some(rebuild) = &mut self.rebuild {
                    rebuild.answer(question, ready, result, &mut out);
                }
            }
            // An answer to nobody: it is late, or somebody's mistake.
            _ => {}
        }
    }
}

/// Answers a question of a coordinator, or refuses it.
fn serve(
    question: Message,
    reply_to: &Address,
    limit: usize,
    directory: &Directory,
    replica: &mut Replica,
    handoff: &mut Handoff,
    out: &mut Outbox<'_>,
) {
    let is_mine = |keyspace, key: &[u8]| directory.is_replica(keyspace, key, directory.me);
    let busy = replica.len() >= limit;
    let unknown = directory.ring.is_none() || directory.away;
    match question {
        Message::Read { question, keyspace, key, bodies } => {
            let refusal = if unknown {
                Some(Refusal::NotReady)
            } else if busy {
                Some(Refusal::Overloaded)
            } else {
                (!is_mine(keyspace, &key)).then_some(Refusal::NotReplica)
            };
            match refusal {
                Some(refusal) => out.send(reply_to, Message::ReadAnswer { question, result: Err(refusal) }),
                None => replica.read(reply_to, question, (keyspace, key), bodies, out),
            }
        }
        Message::Write { question, keyspace, key, set, durability, stands_in_for, heals } => {
            let refusal = if unknown {
                Some(Refusal::NotReady)
            } else if busy {
                Some(Refusal::Overloaded)
            } else {
                (stands_in_for.is_none() && !is_mine(keyspace, &key)).then_some(Refusal::NotReplica)
            };
            if let Some(refusal) = refusal {
                out.send(reply_to, Message::WriteAnswer { question, result: Err(refusal) });
                return;
            }
            if heals && stands_in_for.is_none() {
                replica.heal(reply_to, question, (keyspace, key), set, out);
                return;
            }
            let copy = stands_in_for.map_or(Copy::Own, Copy::For);
            if let Some(target) = stands_in_for {
                handoff.kept(target);
            }
            replica.write(reply_to, question, (keyspace, key), set, durability, copy, out);
        }
        Message::Page { question, keyspace, from, records, bodies, replica: of } => {
            if unknown || busy {
                let refusal = if busy { Refusal::Overloaded } else { Refusal::NotReady };
                out.send(reply_to, Message::PageAnswer { question, ready: false, result: Err(refusal) });
                return;
            }
            replica.page(reply_to, question, keyspace, from, records, bodies, of, out);
        }
        _ => {}
    }
}
