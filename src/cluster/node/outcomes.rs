//! What a node does with what its store says.

use super::{Node, around, outbox};
use crate::coordinator::Surroundings;
use crate::event::Ticket;
use crate::event::{Effect, Moment};
use crate::formation::Turn;
use crate::id::NodeId;
use crate::number::{Room, room_of};
use crate::outbox::Outbox;
use crate::store::{HintKey, StoreFailure, StoreOutcome};

impl Node {
    pub(super) fn stored(
        &mut self,
        now: Moment,
        ticket: Ticket,
        outcome: StoreOutcome,
        effects: &mut Vec<Effect>,
    ) {
        let mut out = outbox!(self, now, effects);
        match room_of(ticket.0) {
            Some(Room::Replica) => {
                // Only from here on a list of the target's hints shows it.
                if let Some(target) = self.replica.stands_in_for(ticket) {
                    self.handoff.kept(target);
                }
                if let Some(told) = self.replica.stored(ticket, outcome, &self.directory, &mut out) {
                    self.coordinator.told(told, &mut around!(self), &mut out);
                }
            }
            Some(Room::Handoff) => {
                let me = self.identity.node;
                let unreadable =
                    self.handoff.stored(ticket, outcome, &self.directory, &self.config, &mut out);
                for HintKey { keyspace, key, .. } in unreadable {
                    self.coordinator.heal((keyspace, key, me), &mut around!(self), &mut out);
                }
            }
            Some(Room::Rebuild) => {
                if let Some(rebuild) = &mut self.rebuild {
                    rebuild.stored(ticket, &outcome, now.monotonic);
                }
            }
            Some(Room::Marks) => self.marked(ticket, &outcome),
            Some(Room::Formation) => {
                if self.adopted(now, ticket, &outcome, effects) {
                    return;
                }
                let mut out = outbox!(self, now, effects);
                match self.formation.stored(ticket, outcome, self.identity.node, &mut out) {
                    Some(Turn::InForce) => {
                        self.turned(now, self.identity.node, self.identity.generation, effects)
                    }
                    Some(Turn::Joined { you, generation }) => self.turned(now, you, generation, effects),
                    None => {}
                }
            }
            _ => {}
        }
    }

    /// A state of the cluster is durable: the identity follows it where it has to.
    pub(super) fn turned(&mut self, now: Moment, you: NodeId, generation: u64, effects: &mut Vec<Effect>) {
        let Some(state) = self.formation.state() else { return };
        let mut identity = self.next_identity().clone();
        identity.cluster = state.cluster;
        identity.alone = state.members.len() == 1;
        if you != identity.node || identity.cluster != self.next_identity().cluster {
            identity.node = you;
            identity.generation = generation.max(identity.generation);
            // Who comes into a cluster that holds data has none of it.
            identity.ready = state.ring.is_none() || identity.alone;
        }
        if identity == *self.next_identity() {
            self.in_force(now, effects);
        } else {
            self.adopt(now, identity, effects);
            // Until that is durable the node goes on under what it has.
            if self.membership.is_some() {
                self.in_force(now, effects);
            }
        }
    }

    pub(super) fn durable(
        &mut self,
        now: Moment,
        ticket: Ticket,
        result: Result<(), StoreFailure>,
        effects: &mut Vec<Effect>,
    ) {
        let mut out = outbox!(self, now, effects);
        match room_of(ticket.0) {
            Some(Room::Replica) => self.replica.durable(ticket, result, &mut out),
            Some(Room::Marks) => self.mark_is_durable(ticket, &result),
            Some(Room::Rebuild) => {
                if let Some(rebuild) = &mut self.rebuild {
                    rebuild.durable(ticket, result.is_ok(), now.monotonic);
                }
            }
            _ => {}
        }
    }
}
