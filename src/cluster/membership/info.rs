//! [`MemberInfo`]: what a node says of itself.
//!
//! Only the node itself writes it; everybody else passes it on as it is. Within one generation, the incarnation and the
//! peer address never change: two infos that differ in them come from two nodes.

use crate::NodeId;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// Its name.
    pub id: NodeId,
    /// Which life of the node this is: it grows at each start.
    pub generation: u64,
    /// The actor of its store. It changes when the store cannot prove that it goes on from where it was.
    pub incarnation: u64,
    /// Where other nodes reach it.
    pub peer: String,
    /// Where clients reach it by RESP.
    pub resp: String,
    /// Where it answers HTTP.
    pub http: String,
    /// The zone that it stands in.
    pub zone: String,
    /// The data centre that it stands in.
    pub dc: String,
    /// Its share of the ring, against the weights of the others.
    pub weight: u32,
    /// What may change while it runs.
    pub status: Status,
    /// Its wall clock when it said this, in milliseconds since 1970.
    pub wall_ms: u64,
}

/// What of a node may change while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// False while its store rebuilds: it neither answers nor counts for reads.
    pub ready: bool,
    /// False when its store takes no writes.
    pub writable: bool,
    /// Whether it knows the ring to be sealed.
    pub sealed: bool,
    /// The newest ring that it knows.
    pub ring_epoch: u64,
    /// The digest of that ring: equal epochs with different digests are not equal rings.
    pub ring_digest: u64,
    /// How many hints it holds for others.
    pub hints_waiting: u64,
}

impl Default for Status {
    fn default() -> Status {
        Status { ready: true, writable: true, sealed: false, ring_epoch: 0, ring_digest: 0, hints_waiting: 0 }
    }
}

impl MemberInfo {
    /// Whether `other` can come from the same life of the same node.
    pub fn same_life(&self, other: &MemberInfo) -> bool {
        self.id == other.id
            && self.generation == other.generation
            && self.incarnation == other.incarnation
            && self.peer == other.peer
    }

    /// Whether `other` says the same, whenever it was said.
    pub(super) fn says_the_same(&self, other: &MemberInfo) -> bool {
        self.same_life(other)
            && self.status == other.status
            && self.weight == other.weight
            && self.resp == other.resp
            && self.http == other.http
            && self.zone == other.zone
            && self.dc == other.dc
    }
}
