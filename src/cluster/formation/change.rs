//! [`Change`]: what leads from one state of the cluster to the next, and the state that a cluster begins with.

use super::DEFAULT_KEYSPACE;
use crate::causality::ConflictMode;
use crate::config::NodeConfig;
use crate::id::{Address, NodeId};
use crate::membership::MemberInfo;
use crate::message::encoding::encode_state;
use crate::random::Random;
use crate::ring::RingMember;
use crate::state::{ClusterState, MemberRecord};
use crate::store::KeyspaceDefinition;
use xxhash_rust::xxh3::xxh3_64;

/// A change that waits for its turn.
#[derive(Debug)]
pub(super) enum Change {
    Found,
    Join {
        info: Box<MemberInfo>,
        reply_to: Address,
    },
    Seal,
    Define {
        name: String,
        mode: ConflictMode,
        replicas: u8,
    },
    /// Passes over the number that may have been given before it was lost.
    Skip,
    Take {
        state: Box<ClusterState>,
        joined: bool,
    },
    Confirm,
}

impl Change {
    /// Whether it makes a new epoch.
    pub(super) fn makes_epoch(&self) -> bool {
        matches!(self, Change::Join { .. } | Change::Seal | Change::Define { .. } | Change::Skip)
    }
}

/// What is known of the states that the other members keep.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Others {
    /// So many keep this node's epoch, or a later one.
    pub(crate) kept: usize,
    /// So many of them said so themselves, and since they know of this store: what they gave for its predecessor is in it.
    pub(crate) kept_since: usize,
    /// One keeps a later one.
    pub(crate) later: bool,
}

/// Names a state: nodes that keep one epoch have one.
pub(super) fn digest_of(state: &ClusterState) -> u64 {
    let mut bytes = Vec::new();
    encode_state(state, &mut bytes);
    xxh3_64(&bytes)
}

/// A cluster of one.
pub(super) fn founded(seed: u64, me: NodeId, mine: &MemberInfo, config: &NodeConfig) -> ClusterState {
    let mut random = Random::new(seed ^ me.0.rotate_left(32));
    let cluster = (u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())).max(1);
    ClusterState {
        cluster,
        founder: me,
        epoch: 1,
        replicas: config.replicas.max(1),
        partitions: config.partitions,
        members: vec![record_of(mine)],
        keyspaces: vec![KeyspaceDefinition {
            id: DEFAULT_KEYSPACE,
            name: "default".to_owned(),
            mode: config.mode,
            replicas: config.replicas.max(1),
        }],
        ring: None,
    }
}

pub(super) fn record_of(info: &MemberInfo) -> MemberRecord {
    MemberRecord {
        id: info.id,
        peer_address: info.peer.clone(),
        weight: info.weight.max(1),
        zone: info.zone.clone(),
        dc: info.dc.clone(),
    }
}

pub(super) fn ring_member(member: &MemberRecord) -> RingMember {
    let MemberRecord { id, weight, zone, dc, .. } = member.clone();
    RingMember { id, weight, zone, dc }
}
