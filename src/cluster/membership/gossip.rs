//! [`Gossip`]: the one message that members exchange.
//!
//! It says what the sender knows: of each member the newest info with its heartbeat, and who found whom silent. A
//! suspicion names the generation and heartbeat at which the member fell silent. It is a fact that no later event makes
//! false, so suspicions of one heartbeat only ever add up, and all of them are void as soon as a later heartbeat is known.
//! That is why they need no order of their own: late, repeated and reordered messages do no harm.

use super::info::MemberInfo;
use crate::NodeId;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The most observers that a message names for one suspected member. Two suffice for a verdict; more are there in case that
/// some of them are not alive for the receiver.
pub const OBSERVERS_MAX: usize = 8;

/// What a node knows of the members, told to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gossip {
    /// The cluster that the sender belongs to.
    pub cluster: u128,
    /// Whether this answers another gossip. Answers are never answered.
    pub answer: bool,
    /// The sender, as it is at the time of sending.
    pub from: Entry,
    /// Other members: all of them, or in an answer those of which the receiver knew less.
    pub members: Vec<Entry>,
    /// Who is silent, and who says so.
    pub suspicions: Vec<Suspicion>,
    /// How far each member's store had come, as the sender remembers it: what a directory has to have that goes on under
    /// the member's name.
    pub marks: Vec<(NodeId, u64)>,
}

/// A member, as the sender of a gossip knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the member says of itself.
    pub info: Arc<MemberInfo>,
    /// Counts up while the member lives. With the generation before it, it orders all that is known of a member.
    pub heartbeat: u64,
    /// For how long this heartbeat has been known to anybody the sender heard of.
    pub silent: Duration,
}

impl Entry {
    /// The age of the knowledge: the greater one is the newer one.
    pub fn version(&self) -> (u64, u64) {
        (self.info.generation, self.heartbeat)
    }
}

/// A member that has been silent since a certain heartbeat for as long as silence is excused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// Who is silent.
    pub suspect: NodeId,
    /// The last generation and heartbeat that the observers know.
    pub version: (u64, u64),
    /// Who says so; at most [`OBSERVERS_MAX`] of them.
    pub observers: Vec<NodeId>,
}

/// Whom a gossip goes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A member, at the peer address that is known of it.
    Node(NodeId),
    /// Whoever listens at this peer address.
    Address(String),
}

/// Why a gossip was refused. Nothing of it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GossipError {
    /// It comes from a node of another cluster.
    OtherCluster {
        /// The cluster of this node.
        ours: u128,
        /// The cluster of the sender.
        theirs: u128,
    },
}

impl fmt::Display for GossipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GossipError::OtherCluster { ours, theirs } => write!(
                f,
                "this node belongs to the cluster {ours:032x} and the other to {theirs:032x}: a node whose directory \
                 belongs to one cluster cannot talk to another; check the addresses to join, or start it with an empty \
                 directory"
            ),
        }
    }
}

impl std::error::Error for GossipError {}
