//! What all tasks share: where a request came from, whom they asked, and the [`Desk`] that they work at.

use super::heal::Damaged;
use super::latency::Latencies;
use super::{Counters, Task};
use crate::causality::SiblingSet;
use crate::config::NodeConfig;
use crate::directory::Directory;
use crate::event::RequestId;
use crate::handoff::Handoff;
use crate::id::{Address, NodeId};
use crate::message::{Message, QuestionId};
use crate::number::Room;
use crate::outbox::Outbox;
use crate::replica::Replica;
use crate::request::{Level, Quota, Rejection, Response};
use crate::store::KeyspaceId;
use esker::{Durability, Slice};
use std::collections::BTreeMap;
use std::time::Duration;

/// The number of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskId(pub(super) u64);

/// Where a request came from, and so where its answer goes.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A client of this node.
    Client(RequestId),
    /// Another node, which handed it over.
    Peer {
        /// Where the answer goes.
        address: Address,
        /// The other node's number for it.
        question: QuestionId,
    },
}

impl Origin {
    /// Answers the request.
    pub(crate) fn answer(&self, response: Response, out: &mut Outbox<'_>) {
        match self {
            Origin::Client(id) => out.respond(*id, response),
            Origin::Peer { address, question } => {
                out.send(address, Message::ForwardAnswer { question: *question, response });
            }
        }
    }

    /// Whether it may be handed on: once, by the node that the client spoke to.
    pub(super) fn is_client(&self) -> bool {
        matches!(self, Origin::Client(_))
    }
}

/// The replicas of a key, and which of them a request's level needs.
pub(super) struct Place {
    pub(super) replicas: Vec<NodeId>,
    pub(super) quota: Quota,
}

/// A question that was asked of a node.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) task: TaskId,
    pub(super) node: NodeId,
    pub(super) at: Duration,
}

/// What becomes of a task after it heard something.
#[derive(Debug)]
pub(super) enum Progress {
    /// It waits for more.
    Going,
    /// It goes on as another.
    Becomes(Box<Task>),
    /// Nothing is left to do.
    Done,
}

/// What a task works with while it hears something.
pub(super) struct Desk<'a, 'b> {
    pub(super) id: TaskId,
    pub(super) out: &'a mut Outbox<'b>,
    pub(super) config: &'a NodeConfig,
    pub(super) directory: &'a Directory,
    pub(super) replica: &'a mut Replica,
    pub(super) handoff: &'a mut Handoff,
    pub(super) may_mint: bool,
    pub(super) asked: &'a mut BTreeMap<QuestionId, Asked>,
    pub(super) latencies: &'a mut Latencies,
    pub(super) counters: &'a mut Counters,
    /// Records that replicas said they cannot read.
    pub(super) damaged: &'a mut Vec<Damaged>,
    /// The request was answered.
    pub(super) answered: bool,
}

impl Desk<'_, '_> {
    pub(super) fn me(&self) -> NodeId {
        self.directory.me
    }

    pub(super) fn now(&self) -> Duration {
        self.out.now.monotonic
    }

    /// Where a request takes place. `None` if its level is not possible there, which is its answer then.
    pub(super) fn place(
        &mut self,
        origin: &Origin,
        keyspace: KeyspaceId,
        key: &[u8],
        level: Level,
    ) -> Option<Place> {
        let replicas = self.directory.replicas(keyspace, key);
        match self.directory.quota(level, &replicas) {
            Ok(quota) => Some(Place { replicas, quota }),
            Err(impossible) => {
                let why = format!("level {level} is not possible on {} replicas", impossible.have);
                let (have, need) = (impossible.have as u32, impossible.need as u32);
                self.respond(origin, Response::Rejected(Rejection::Unavailable { have, need, why }));
                None
            }
        }
    }

    /// A number for a question of `node`, whose answer this task will hear.
    pub(super) fn question(&mut self, node: NodeId) -> QuestionId {
        let question = self.out.question(Room::Coordinator);
        self.asked.insert(question, Asked { task: self.id, node, at: self.out.now.monotonic });
        question
    }

    /// Asks a node. Returns whether it has an address to be asked at.
    pub(super) fn ask(&mut self, node: NodeId, message: impl FnOnce(QuestionId) -> Message) -> bool {
        let directory = self.directory;
        let Some(address) = directory.address(node) else { return false };
        let question = self.question(node);
        self.out.send(address, message(question));
        true
    }

    /// Tells a node what is known of a key, for itself or for the absent replica that it stands in for.
    pub(super) fn tell(
        &mut self,
        node: NodeId,
        (keyspace, key): (KeyspaceId, &Slice),
        set: SiblingSet,
        durability: Durability,
        stands_in_for: Option<NodeId>,
    ) -> bool {
        let (key, heals) = (key.clone(), false);
        self.ask(node, |question| Message::Write {
            question,
            keyspace,
            key,
            set,
            durability,
            stands_in_for,
            heals,
        })
    }

    /// This node said that it cannot read its record of a key: it is to be given what the others have.
    pub(super) fn heal(&mut self, keyspace: KeyspaceId, key: &Slice, node: NodeId) {
        self.damaged.push((keyspace, key.clone(), node));
    }

    /// Answers the request. Once.
    pub(super) fn respond(&mut self, origin: &Origin, response: Response) {
        debug_assert!(!self.answered, "a request is answered once");
        self.answered = true;
        if matches!(response, Response::Unknown { .. }) {
            self.counters.unknown += 1;
        }
        origin.answer(response, self.out);
    }

    /// Nodes in the order in which to ask them: this one, those of its data centre, the fastest.
    pub(super) fn by_preference(&self, nodes: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = nodes.into_iter().collect();
        let my_dc = self.directory.my_dc();
        nodes.sort_by_cached_key(|&node| {
            let is_far = self.directory.entries.get(&node).is_none_or(|entry| entry.dc != my_dc);
            (node != self.me(), is_far, self.latencies.mean(node))
        });
        nodes
    }
}
