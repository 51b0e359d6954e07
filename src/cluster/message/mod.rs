//! What nodes say to each other. The bytes are specified in [`WIRE.md`](../WIRE.md) and made in `encoding`.

pub mod encoding;

use crate::causality::SiblingSet;
use crate::id::{Address, NodeId};
use crate::membership::{Gossip, MemberInfo};
use crate::number::{Room, room_of};
use crate::request::{Request, Response};
use crate::state::ClusterState;
use crate::store::{KeyspaceId, Page, StoreFailure};
use esker::{Durability, Slice};

/// The number under which the sender of a question knows it. Answers bring it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionId(pub u64);

/// A message with where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// The cluster that the sender is of; 0 if it is of none yet.
    pub cluster: u128,
    /// The sender; 0 if it has no identity yet.
    pub from: NodeId,
    /// Where answers go.
    pub reply_to: Address,
    /// The message.
    pub message: Message,
}

/// What one node says to another.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Who is here, and who is alive.
    Gossip(Gossip),
    /// A node asks to become a member.
    Join(MemberInfo),
    /// The answer.
    Joined(Result<JoinAnswer, String>),
    /// Asks the founder to seal the ring, so that writes can begin.
    SealWanted,
    /// The state of the cluster, for whoever has an older one.
    State(ClusterState),
    /// The state of this epoch is durable here.
    StateKept {
        /// The epoch.
        epoch: u64,
    },
    /// Asks for the state of the cluster.
    StateWanted,
    /// Asks whether the ring is not sealed yet.
    SealProbe {
        /// The sender's number for it.
        probe: u64,
    },
    /// The answer, given only where it is not.
    NotSealed {
        /// The number of the question.
        probe: u64,
    },
    /// Asks a replica for a key.
    Read {
        /// The sender's number for it.
        question: QuestionId,
        /// The keyspace.
        keyspace: KeyspaceId,
        /// The user key.
        key: Slice,
        /// Whether values are wanted, or only what the record says of them.
        bodies: bool,
    },
    /// The answer.
    ReadAnswer {
        /// The number of the question.
        question: QuestionId,
        /// What the replica knows of the key.
        result: Result<SiblingSet, Refusal>,
    },
    /// Tells a replica what is known of a key.
    Write {
        /// The sender's number for it.
        question: QuestionId,
        /// The keyspace.
        keyspace: KeyspaceId,
        /// The user key.
        key: Slice,
        /// What is known; every value with its bytes.
        set: SiblingSet,
        /// How durable it has to be before the answer.
        durability: Durability,
        /// If given, the receiver stands in for this absent replica.
        stands_in_for: Option<NodeId>,
        /// Whether this is what enough other replicas have, so that it takes the place of what the receiver cannot read.
        heals: bool,
    },
    /// The answer: it is as durable as it was to be.
    WriteAnswer {
        /// The number of the question.
        question: QuestionId,
        /// Whether it is.
        result: Result<(), Refusal>,
    },
    /// Hands a client's write to a node that is a replica of the key.
    Forward {
        /// The sender's number for it.
        question: QuestionId,
        /// The generation of the receiver that it is meant for. A later life cannot know whether this one took it.
        life: u64,
        /// The request, with the time that is left for it.
        request: Request,
    },
    /// The answer.
    ForwardAnswer {
        /// The number of the question.
        question: QuestionId,
        /// What became of the request.
        response: Response,
    },
    /// Asks for records in the order of their stored keys.
    Page {
        /// The sender's number for it.
        question: QuestionId,
        /// The keyspace.
        keyspace: KeyspaceId,
        /// Records with stored keys from this one on; empty for all.
        from: Vec<u8>,
        /// About how many.
        records: u32,
        /// Whether values are wanted.
        bodies: bool,
        /// Only records that this node is a replica of.
        replica: Option<NodeId>,
    },
    /// The answer.
    PageAnswer {
        /// The number of the question.
        question: QuestionId,
        /// Whether the sender has all its data.
        ready: bool,
        /// The records.
        result: Result<Page, Refusal>,
    },
}

impl Message {
    /// Tells a replica of the key what is known of it, to be synced; to heal it, or to be joined.
    pub(crate) fn known(
        question: QuestionId,
        keyspace: KeyspaceId,
        key: Slice,
        set: SiblingSet,
        heals: bool,
    ) -> Message {
        let (durability, stands_in_for) = (Durability::Synced, None);
        Message::Write { question, keyspace, key, set, durability, stands_in_for, heals }
    }

    /// Whether it is a question or an answer about keys: by far the most are.
    pub(crate) fn is_of_a_request(&self) -> bool {
        let question = match self {
            Message::Read { .. } | Message::Write { .. } | Message::Forward { .. } | Message::Page { .. } => {
                return true;
            }
            Message::ReadAnswer { question, .. }
            | Message::WriteAnswer { question, .. }
            | Message::ForwardAnswer { question, .. }
            | Message::PageAnswer { question, .. } => *question,
            _ => return false,
        };
        room_of(question.0) == Some(Room::Coordinator)
    }
}

/// How a node becomes a member.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinAnswer {
    /// Who the new node is: a member of before whose data directory is gone gets its old identity back.
    pub you: NodeId,
    /// A generation above all that were seen of it.
    pub generation: u64,
    /// The state of the cluster, with the new member in it.
    pub state: ClusterState,
}

/// Why a replica does not answer a question.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// It does not have all its data: it is being rebuilt, or has no identity.
    NotReady,
    /// It is not a replica of this key.
    NotReplica,
    /// It has too much to do.
    Overloaded,
    /// Its store refused or failed.
    Store(StoreFailure),
}
