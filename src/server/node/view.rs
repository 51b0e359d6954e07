//! [`View`]: what anybody may know of the cluster without asking the driver.

use esker_cluster::ClusterState;
use esker_cluster::NodeId;
use esker_cluster::store::KeyspaceDefinition;
use std::sync::Arc;

/// What the node knew of its cluster at some moment. It never changes; the driver publishes another after each change.
#[derive(Clone, Debug)]
pub struct View {
    /// The node.
    pub id: NodeId,
    /// What the members agree on, once the node is one.
    pub state: Option<Arc<ClusterState>>,
}

impl View {
    /// The replicated keyspace of this name.
    pub fn keyspace(&self, name: &str) -> Option<&KeyspaceDefinition> {
        self.state.as_ref()?.keyspaces.iter().find(|keyspace| keyspace.name == name)
    }

    /// Whether this node's store has the only copy of all keyspaces that there is or will be: the ring is sealed, and the node is
    /// its only member.
    pub fn is_alone(&self) -> bool {
        self.state.as_ref().is_some_and(|state| {
            let alone = matches!(state.members.as_slice(), [member] if member.id == self.id);
            alone && state.ring.is_some()
        })
    }
}
