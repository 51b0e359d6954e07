//! [`Outbox`]: where the rooms of a node put what is to be done, and the numbers they do it under.

use crate::event::{Effect, Moment, Notice, RequestId, Ticket};
use crate::id::{Address, NodeId};
use crate::message::{Envelope, Message, QuestionId};
use crate::number::{Room, of_room};
use crate::request::Response;
use crate::store::StoreOperation;
use std::collections::VecDeque;

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
        of_room(*self.last_number, room)
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
