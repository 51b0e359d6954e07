//! [`Outbox`]: where the rooms of a node put what is to be done, and the numbers they do it under.

use crate::coordinator::Response;
use crate::event::{Address, Effect, Moment, Notice, RequestId, Ticket};
use crate::id::NodeId;
use crate::message::{Envelope, Message, QuestionId};
use crate::store::StoreOperation;
use std::collections::VecDeque;

/// The room that a ticket or question belongs to: its outcome goes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Replica = 0,
    Coordinator = 1,
    Handoff = 2,
    Rebuild = 3,
    Formation = 4,
}

/// The low bits of a number that name the room.
const ROOM_BITS: u32 = 3;

fn room_of(number: u64) -> Option<Room> {
    match number & ((1 << ROOM_BITS) - 1) {
        0 => Some(Room::Replica),
        1 => Some(Room::Coordinator),
        2 => Some(Room::Handoff),
        3 => Some(Room::Rebuild),
        4 => Some(Room::Formation),
        _ => None,
    }
}

/// The room that asked this question.
pub(crate) fn asked_by(question: QuestionId) -> Option<Room> {
    room_of(question.0)
}

/// The room that this ticket was given to.
pub(crate) fn held_by(ticket: Ticket) -> Option<Room> {
    room_of(ticket.0)
}

/// Who speaks.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) cluster: u128,
    pub(crate) me: NodeId,
    pub(crate) reply_to: Address,
}

/// Where the rooms of a node put what is to be done. Messages to itself go round without leaving the node.
pub(crate) struct Outbox<'a> {
    pub(crate) now: Moment,
    pub(crate) sender: &'a Sender,
    pub(crate) effects: &'a mut Vec<Effect>,
    pub(crate) local: &'a mut VecDeque<Message>,
    pub(crate) last_number: &'a mut u64,
}

impl Outbox<'_> {
    /// A number that was never given before, not in an earlier life of the node either.
    fn number(&mut self, room: Room) -> u64 {
        *self.last_number += 1;
        *self.last_number << ROOM_BITS | room as u64
    }

    /// A number for a question.
    pub(crate) fn question(&mut self, room: Room) -> QuestionId {
        QuestionId(self.number(room))
    }

    /// Runs an operation on the store.
    pub(crate) fn store(&mut self, room: Room, operation: StoreOperation) -> Ticket {
        let ticket = Ticket(self.number(room));
        self.effects.push(Effect::Store { ticket, operation });
        ticket
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, to: &Address, message: Message) {
        if *to == self.sender.reply_to {
            self.local.push_back(message);
            return;
        }
        let envelope = Envelope {
            cluster: self.sender.cluster,
            from: self.sender.me,
            reply_to: self.sender.reply_to.clone(),
            message,
        };
        self.effects.push(Effect::Send { to: to.clone(), envelope });
    }

    /// Sends a message on behalf of another, who gets the answer.
    pub(crate) fn pass_on(&mut self, to: &Address, reply_to: Address, message: Message) {
        let Sender { cluster, me, .. } = *self.sender;
        let envelope = Envelope { cluster, from: me, reply_to, message };
        self.effects.push(Effect::Send { to: to.clone(), envelope });
    }

    /// Answers a client.
    pub(crate) fn respond(&mut self, id: RequestId, response: Response) {
        self.effects.push(Effect::Respond { id, response });
    }

    /// Tells the operator.
    pub(crate) fn notice(&mut self, notice: Notice) {
        self.effects.push(Effect::Notice(notice));
    }
}
