//! What a node does about its identity: it finds out whether its directory is what it was, and takes another one if not.
//!
//! A directory may be an older copy of itself, put back in the same place. Others know: they remember the lives of this node and
//! how far its store had come. Until they had their say, nothing is answered that counts.
//!
//! | heard of | the node goes on |
//! |---|---|
//! | all other members | at once, under the name that its store has |
//! | some of them, and the others are not there or silent for `settle_after` | under a new name: those who are not there may remember more |
//! | nobody, for `settle_after` | under a new name, and *alone*: it takes no part in what others read until it hears from one |

use super::{GENERATION_BITS, Node, outbox};
use crate::causality::Actor;
use crate::config::protected;
use crate::event::{Effect, Moment, Notice, Ticket};
use crate::id::{Address, NodeId};
use crate::membership::{Conflict, Liveness};
use crate::message::Message;
use crate::number::{Room, room_of};
use crate::outbox::Outbox;
use crate::store::{Identity, StoreFailure, StoreOperation, StoreOutcome};
use std::collections::BTreeSet;
use std::time::Duration;

/// What a node knows of its own past, and what it is about to be.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// The identity that is being made durable.
    adopting: Option<(Ticket, Identity)>,
    /// The one that is to follow it.
    next: Option<Identity>,
    /// Members that were heard of since this node started.
    heard: BTreeSet<NodeId>,
    /// This node went on although it had heard nobody.
    alone: bool,
    /// Everything was pulled from others in this life: whatever they remember of earlier ones, it is here.
    pub(super) rebuilt: bool,
    /// Others remember more than this store has.
    pub(super) behind: bool,
    /// The highest mark that this life told others.
    told: u64,
    /// A mark that is being made durable.
    marking: Option<(Ticket, u64)>,
    mark_at: Duration,
}

impl Node {
    /// Two nodes have one id.
    pub(super) fn conflict(&mut self, now: Moment, conflict: &Conflict, effects: &mut Vec<Effect>) {
        effects.push(Effect::Notice(Notice::Warning(conflict.to_string())));
        if conflict.known.id != self.identity.node {
            return;
        }
        let recorded = self.formation.state().and_then(|state| {
            state
                .members
                .iter()
                .find(|member| member.id == self.identity.node)
                .map(|m| m.peer_address.clone())
        });
        let mine = self.config.peer_address.as_str();
        let is_my_past = conflict.other.peer == mine;
        if !is_my_past && recorded.as_deref() != Some(mine) {
            // The other stands where the cluster knows this id to be, so this is the copy.
            let why = conflict.to_string();
            effects.push(Effect::Notice(Notice::Fatal(why.clone())));
            self.over = Some(why);
            return;
        }
        let mut identity = self.next_identity().clone();
        identity.generation = conflict.other.generation.max(identity.generation) + 1;
        if is_my_past && protected!(self.config, Incarnations) {
            // Others remember a later life of this directory: it is an older copy of itself.
            identity.actor = Actor(self.random.next_u64());
            identity.ready = false;
            self.formation.has_lost();
        }
        self.replica.ready = identity.ready;
        self.adopt(now, identity, effects);
    }

    /// The identity that this node has once everything that is under way is durable.
    pub(super) fn next_identity(&self) -> &Identity {
        let adopting = self.past.adopting.as_ref().map(|(_, identity)| identity);
        self.past.next.as_ref().or(adopting).unwrap_or(&self.identity)
    }

    /// Whether an identity is being made durable.
    pub(super) fn is_adopting(&self) -> bool {
        self.past.adopting.is_some()
    }

    /// Takes an identity and makes it durable, after the one that is under way.
    pub(super) fn adopt(&mut self, now: Moment, identity: Identity, effects: &mut Vec<Effect>) {
        if self.is_adopting() {
            self.past.next = Some(identity);
            return;
        }
        let mut out = outbox!(self, now, effects);
        let ticket = out.store(Room::Formation, StoreOperation::Adopt(identity.clone()));
        self.past.adopting = Some((ticket, identity));
    }

    /// An identity is durable, or could not be made so. Gives false if the ticket is not of one.
    pub(super) fn adopted(
        &mut self,
        now: Moment,
        ticket: Ticket,
        outcome: &StoreOutcome,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some((_, identity)) = self.past.adopting.take_if(|(expected, _)| *expected == ticket) else {
            return false;
        };
        if let StoreOutcome::Failed(failure) = outcome {
            let why = format!("the identity of this node cannot be stored: {failure}");
            effects.push(Effect::Notice(Notice::Fatal(why.clone())));
            self.over = Some(why);
            return true;
        }
        self.has_adopted(now, identity, effects);
        if let Some(next) = self.past.next.take() {
            self.adopt(now, next, effects);
        }
        true
    }

    fn has_adopted(&mut self, now: Moment, identity: Identity, effects: &mut Vec<Effect>) {
        let joined = self.membership.is_none() || identity.node != self.identity.node;
        self.identity = identity;
        if joined {
            // Under its name another may have taken writes before.
            self.generations.clear();
        }
        if !self.is_this_life(self.identity.generation) {
            self.generations.push(self.identity.generation);
        }
        // No number is given again that an earlier life of this node gave.
        self.last_number = self.last_number.max(self.identity.generation << GENERATION_BITS);
        self.replica.ready = self.identity.ready || !protected!(self.config, Incarnations);
        self.replica.settled |= self.identity.vouched;
        if joined {
            self.membership = None;
            self.in_force(now, effects);
        } else if let Some(membership) = &mut self.membership
            && self.identity.generation > membership.me().generation
            && !membership.renew(self.identity.generation, self.identity.actor.0)
        {
            // Others remember a still later life, and would not listen to this one.
            let later = membership.remembered().map_or(0, |info| info.generation);
            let generation = self.next_identity().generation.max(later) + 1;
            let identity = Identity { generation, ..self.next_identity().clone() };
            self.past.next = Some(identity);
        }
        self.refresh();
    }

    /// Whether a generation is of this life.
    pub(super) fn is_this_life(&self, generation: u64) -> bool {
        self.generations.contains(&generation)
    }

    /// A member told what it remembers.
    pub(super) fn hear(&mut self, now: Moment, from: NodeId, effects: &mut Vec<Effect>) {
        self.past.heard.insert(from);
        self.past.alone = false;
        let Some(membership) = &self.membership else { return };
        let (remembered, identity) = (membership.mark(self.identity.node), self.next_identity().clone());
        if remembered <= identity.claim.max(self.past.told) {
            return;
        }
        let protections = [protected!(self.config, Incarnations), protected!(self.config, Marks)];
        if protections.contains(&false) {
            return;
        }
        if self.past.rebuilt {
            self.adopt(now, Identity { claim: remembered, ..identity }, effects);
            return;
        }
        if identity.ready {
            let what =
                "others remember more of this store than it has: its directory is an older copy of itself";
            effects.push(Effect::Notice(Notice::Warning(what.to_owned())));
        }
        let identity = Identity {
            actor: Actor(self.random.next_u64()),
            generation: identity.generation + 1,
            claim: remembered,
            ready: false,
            ..identity
        };
        (self.replica.ready, self.past.behind) = (false, true);
        self.formation.has_lost();
        self.adopt(now, identity, effects);
    }

    /// Whether a message is of reads that more than this node have a part in, while it does not know whether it has what others
    /// saw of it.
    pub(super) fn is_too_early(&self, message: &Message) -> bool {
        let of_reads = match message {
            Message::Read { .. } | Message::ReadAnswer { .. } | Message::Page { replica: None, .. } => true,
            Message::PageAnswer { question, .. } => room_of(question.0) == Some(Room::Coordinator),
            _ => false,
        };
        of_reads && self.past.alone
    }

    /// Finds out whether those who may know more of this node than itself had their say. A node that has all there is to have
    /// says so for good.
    pub(super) fn settle(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.is_adopting() || self.membership.is_none() {
            return;
        }
        let identity = self.identity.clone();
        if self.replica.ready && !identity.ready && protected!(self.config, Incarnations) {
            self.adopt(now, Identity { ready: true, ..identity }, effects);
            return;
        }
        if identity.vouched {
            return;
        }
        let me = identity.node;
        let silent: Vec<(NodeId, &Address)> = self
            .directory
            .entries
            .iter()
            .filter(|(node, _)| **node != me && !self.past.heard.contains(node))
            .map(|(node, entry)| (*node, &entry.address))
            .collect();
        if self.replica.settled || silent.is_empty() {
            self.replica.settled = true;
            self.adopt(now, Identity { vouched: true, ..identity }, effects);
            return;
        }
        let is_gone = |(node, address): &(NodeId, &Address)| {
            let liveness = self.membership.as_ref().and_then(|membership| membership.liveness(*node));
            self.directory.lost.contains(*address) || liveness == Some(Liveness::Down)
        };
        let heard_nobody = self.past.heard.is_empty();
        if now.monotonic >= self.settle_at || (!heard_nobody && silent.iter().all(is_gone)) {
            self.past.alone = heard_nobody;
            let (actor, generation) = (Actor(self.random.next_u64()), identity.generation + 1);
            self.adopt(now, Identity { actor, generation, vouched: true, ..identity }, effects);
        }
    }

    /// Finds out how far the store has come, and has it keep what is known of others.
    pub(super) fn tick_marks(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let Some(membership) = &self.membership else { return };
        if self.past.marking.is_some()
            || now.monotonic < self.past.mark_at
            || self.replica.read_only.is_some()
        {
            return;
        }
        self.past.mark_at = now.monotonic + self.config.gossip_interval;
        let operation = StoreOperation::KeepMarks(membership.all_marks());
        let ticket = outbox!(self, now, effects).store(Room::Marks, operation);
        self.past.marking = Some((ticket, 0));
    }

    /// The store said how far it has come.
    pub(super) fn marked(&mut self, ticket: Ticket, outcome: &StoreOutcome) {
        if let Some((_, mark)) = self.past.marking.as_mut().filter(|(expected, _)| *expected == ticket) {
            match outcome {
                StoreOutcome::Mark(number) => *mark = *number,
                _ => self.past.marking = None,
            }
        }
    }

    /// Whether every other member told what it remembers.
    fn has_heard_all(&self) -> bool {
        let me = self.identity.node;
        self.directory.entries.keys().all(|node| *node == me || self.past.heard.contains(node))
    }

    /// Everything up to the mark is durable: others may rely on it.
    pub(super) fn mark_is_durable(&mut self, ticket: Ticket, result: &Result<(), StoreFailure>) {
        let Some((_, mark)) = self.past.marking.take_if(|(expected, _)| *expected == ticket) else { return };
        // Before all others had their say it could hide what they remember; and a copy elsewhere speaks for nobody.
        if result.is_ok()
            && self.identity.vouched
            && self.has_heard_all()
            && !self.directory.away
            && let Some(membership) = &mut self.membership
        {
            membership.note_mark(self.identity.node, mark);
            self.past.told = self.past.told.max(mark);
        }
    }
}
