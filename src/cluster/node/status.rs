//! [`NodeStatus`]: what a node knows of its cluster, for those who look after it.

use super::Node;
use crate::causality::ConflictMode;
use crate::coordinator::Counters;
use crate::id::NodeId;
use crate::membership::Liveness;
use crate::rebuild::Rebuild;
use crate::state::{ClusterState, MemberRecord};
use std::collections::BTreeMap;

/// A member, as one node sees it.
#[derive(Clone, Debug)]
pub struct MemberStatus {
    /// Who it is.
    pub id: NodeId,
    /// Where its peers reach it.
    pub peer_address: String,
    /// Where clients reach it by RESP.
    pub resp_address: String,
    /// Where it answers HTTP.
    pub http_address: String,
    /// Its zone.
    pub zone: String,
    /// Its data centre.
    pub dc: String,
    /// How much of the ring it takes, relative to others.
    pub weight: u32,
    /// Whether it is alive.
    pub liveness: Liveness,
    /// Whether it has all its data.
    pub ready: bool,
    /// Whether it takes writes.
    pub writable: bool,
    /// Its share of all replica places, in thousandths.
    pub share_per_mille: u32,
    /// Hints that the node which was asked keeps for it.
    pub hints_for_it: u64,
    /// Hints that it keeps for others.
    pub hints_kept: u64,
    /// Its wall clock minus that of the node which was asked, in milliseconds.
    pub skew_millis: Option<i64>,
}

/// What a node knows of its cluster.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// The node.
    pub id: NodeId,
    /// The cluster; 0 if it is of none yet.
    pub cluster: u128,
    /// The epoch of the state of the cluster.
    pub epoch: u64,
    /// Whether the ring is sealed.
    pub sealed: bool,
    /// Whether requests are taken.
    pub open: bool,
    /// On how many nodes each key is kept.
    pub replicas: u8,
    /// Whether the node has all its data.
    pub ready: bool,
    /// Why its store takes no writes, if it does not.
    pub read_only: Option<String>,
    /// Records that the rebuild which is under way has pulled.
    pub rebuilding: Option<u64>,
    /// Requests that wait for their answer.
    pub open_requests: usize,
    /// What it has coordinated.
    pub counters: Counters,
    /// Hints that there was no room for, since the node started.
    pub hints_overflowed: u64,
    /// Hints that were given back, since the node started.
    pub hints_replayed: u64,
    /// The members, by id.
    pub members: Vec<MemberStatus>,
}

impl Node {
    /// What this node knows of its cluster.
    pub fn status(&self) -> NodeStatus {
        let state = self.formation.state();
        let (hints_overflowed, hints_replayed) = self.handoff.totals();
        NodeStatus {
            id: self.identity.node,
            cluster: self.sender.cluster,
            epoch: state.map_or(0, |state| state.epoch),
            sealed: self.formation.is_sealed(),
            open: self.formation.is_open(),
            replicas: state.map_or(0, |state| state.replicas),
            ready: self.replica.ready,
            read_only: self.replica.read_only.clone(),
            rebuilding: self.rebuild.as_ref().map(Rebuild::records),
            open_requests: self.coordinator.open(),
            counters: self.coordinator.counters(),
            hints_overflowed,
            hints_replayed,
            members: self.member_statuses(),
        }
    }

    fn member_statuses(&self) -> Vec<MemberStatus> {
        let Some(state) = self.formation.state() else { return Vec::new() };
        let hints: BTreeMap<NodeId, u64> = self.handoff.waiting().collect();
        let places: BTreeMap<NodeId, u32> = state
            .ring
            .iter()
            .flat_map(|ring| ring.shares())
            .map(|(node, places, _)| (node, places))
            .collect();
        let all: u64 = places.values().map(|n| u64::from(*n)).sum::<u64>().max(1);
        let status = |member: &MemberRecord| {
            let membership = self.membership.as_ref();
            let info = membership.and_then(|membership| membership.info(member.id));
            let is_me = member.id == self.identity.node;
            let share = u64::from(places.get(&member.id).copied().unwrap_or(0)) * 1000 / all;
            MemberStatus {
                id: member.id,
                peer_address: info.map_or_else(|| member.peer_address.clone(), |info| info.peer.clone()),
                resp_address: info.map(|info| info.resp.clone()).unwrap_or_default(),
                http_address: info.map(|info| info.http.clone()).unwrap_or_default(),
                zone: member.zone.clone(),
                dc: member.dc.clone(),
                weight: member.weight,
                liveness: membership.and_then(|m| m.liveness(member.id)).unwrap_or(Liveness::Down),
                ready: if is_me { self.replica.ready } else { info.is_some_and(|info| info.status.ready) },
                writable: info.is_some_and(|info| info.status.writable),
                share_per_mille: share as u32,
                hints_for_it: hints.get(&member.id).copied().unwrap_or(0),
                hints_kept: info.map_or(0, |info| info.status.hints_waiting),
                skew_millis: membership.and_then(|membership| membership.skew_ms(member.id)),
            }
        };
        state.members.iter().map(status).collect()
    }

    /// The state that the members agree on, once this node is one.
    pub fn cluster_state(&self) -> Option<&ClusterState> {
        self.formation.state()
    }

    /// Defines a replicated keyspace, for which this node has to be the founder of its cluster.
    ///
    /// # Errors
    /// A sentence that says who the founder is, if it is another.
    pub fn define_keyspace(&mut self, name: &str, mode: ConflictMode, replicas: u8) -> Result<(), String> {
        let Some(state) = self.formation.state() else {
            return Err("this node is not part of a cluster yet".to_owned());
        };
        if state.founder != self.identity.node {
            let at = state.members.iter().find(|member| member.id == state.founder);
            let at = at.map_or("an unknown address", |member| member.peer_address.as_str());
            return Err(format!(
                "keyspaces are defined at the node that began the cluster: {} at {at}",
                state.founder
            ));
        }
        self.formation.define(name.to_owned(), mode, replicas);
        Ok(())
    }
}
