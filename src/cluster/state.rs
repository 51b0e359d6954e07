//! [`ClusterState`]: what all members of a cluster agree on.

use crate::id::NodeId;
use crate::ring::Ring;
use crate::store::KeyspaceDefinition;

/// A member as the cluster knows it for good. What changes by the minute (liveness, heartbeats) is gossip's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRecord {
    /// Who it is.
    pub id: NodeId,
    /// Where it listened for its peers when it joined.
    pub peer_address: String,
    /// How much of the ring it takes, relative to others.
    pub weight: u32,
    /// Its zone, within its data centre.
    pub zone: String,
    /// Its data centre.
    pub dc: String,
}

/// What all members of a cluster agree on. One node, the founder, makes each next epoch; the others take what is newer.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterState {
    /// The name of the cluster, drawn at random.
    pub cluster: u128,
    /// The node that began it.
    pub founder: NodeId,
    /// Counts the changes.
    pub epoch: u64,
    /// On how many nodes each key is kept, if there are so many.
    pub replicas: u8,
    /// The number of partitions of the ring.
    pub partitions: u32,
    /// The members, by id.
    pub members: Vec<MemberRecord>,
    /// The replicated keyspaces, by number.
    pub keyspaces: Vec<KeyspaceDefinition>,
    /// Who owns what. Set when the first write sealed the ring: from then on members neither join nor leave.
    pub ring: Option<Ring>,
}
