//! [`Directory`]: for each member where it is and what can be asked of it at the moment.

use crate::id::{Address, NodeId};
use crate::request::Quota;
use crate::request::{Impossible, Level};
use crate::ring::{Ring, Token};
use crate::store::{KeyspaceDefinition, KeyspaceId};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a member at the moment.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) address: Address,
    pub(crate) dc: String,
    /// Its generation, if anything was heard of it.
    pub(crate) life: Option<u64>,
    /// Not down, as gossip judges.
    pub(crate) alive: bool,
    /// It says that it has all its data.
    pub(crate) ready: bool,
    /// It says that it takes writes.
    pub(crate) writable: bool,
}

/// For each member where it is and what can be asked of it, and the ring that says who owns what.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    pub(crate) me: NodeId,
    pub(crate) entries: BTreeMap<NodeId, Entry>,
    /// Addresses to which nothing can be sent for now.
    pub(crate) lost: BTreeSet<Address>,
    /// The epoch of the state that ring and keyspaces are of.
    pub(crate) epoch: u64,
    /// This node is not where the cluster knows it: its directory may be a copy of one that is in use there. It does nothing
    /// in the name of the member.
    pub(crate) away: bool,
    pub(crate) ring: Option<Ring>,
    pub(crate) keyspaces: Vec<KeyspaceDefinition>,
}

impl Directory {
    pub(crate) fn my_dc(&self) -> &str {
        self.entries.get(&self.me).map_or("", |entry| entry.dc.as_str())
    }

    pub(crate) fn address(&self, node: NodeId) -> Option<&Address> {
        self.entries.get(&node).map(|entry| &entry.address)
    }

    /// Whether it makes sense to send something to this node.
    pub(crate) fn is_reachable(&self, node: NodeId) -> bool {
        let entry = self.entries.get(&node);
        node == self.me || entry.is_some_and(|entry| entry.alive && !self.lost.contains(&entry.address))
    }

    /// Whether it can be read from.
    pub(crate) fn is_readable(&self, node: NodeId) -> bool {
        self.is_reachable(node) && self.entries.get(&node).is_some_and(|entry| entry.ready)
    }

    /// Whether it takes writes of others.
    pub(crate) fn is_writable(&self, node: NodeId) -> bool {
        self.is_reachable(node) && self.entries.get(&node).is_some_and(|entry| entry.writable)
    }

    /// The generation of a node of which something was heard.
    pub(crate) fn life(&self, node: NodeId) -> Option<u64> {
        self.entries.get(&node).and_then(|entry| entry.life)
    }

    pub(crate) fn keyspace(&self, id: KeyspaceId) -> Option<&KeyspaceDefinition> {
        self.keyspaces.iter().find(|keyspace| keyspace.id == id)
    }

    /// The replicas of a key, in the order of its preference list. Empty without a ring, or for an unknown keyspace.
    pub(crate) fn replicas(&self, keyspace: KeyspaceId, key: &[u8]) -> Vec<NodeId> {
        let (Some(ring), Some(keyspace)) = (&self.ring, self.keyspace(keyspace)) else { return Vec::new() };
        let partition = ring.partition_of(Token::of_key(key));
        ring.preference_list(partition).take(usize::from(keyspace.replicas)).collect()
    }

    /// Whether a node is a replica of a key.
    pub(crate) fn is_replica(&self, keyspace: KeyspaceId, key: &[u8], node: NodeId) -> bool {
        let (Some(ring), Some(keyspace)) = (&self.ring, self.keyspace(keyspace)) else { return false };
        let partition = ring.partition_of(Token::of_key(key));
        ring.preference_list(partition).take(usize::from(keyspace.replicas)).any(|replica| replica == node)
    }

    /// The nodes that stand in for absent replicas of a key, in order.
    pub(crate) fn fallbacks(&self, keyspace: KeyspaceId, key: &[u8]) -> Vec<NodeId> {
        let (Some(ring), Some(definition)) = (&self.ring, self.keyspace(keyspace)) else { return Vec::new() };
        let partition = ring.partition_of(Token::of_key(key));
        let further = ring.preference_list(partition).skip(usize::from(definition.replicas));
        further.chain(ring.fallbacks(partition)).collect()
    }

    /// What a level means for these replicas.
    pub(crate) fn quota(&self, level: Level, replicas: &[NodeId]) -> Result<Quota, Impossible> {
        let with_dc: Vec<(NodeId, &str)> = replicas
            .iter()
            .map(|node| (*node, self.entries.get(node).map_or("", |entry| entry.dc.as_str())))
            .collect();
        Quota::new(level, &with_dc, self.my_dc())
    }
}
