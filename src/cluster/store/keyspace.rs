//! [`KeyspaceDefinition`]: what all nodes agree on about a replicated keyspace.

use crate::causality::{ConflictMode, ContextKey};
use std::fmt;

/// The number of a replicated keyspace in its cluster, given once and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyspaceId(pub u32);

impl KeyspaceId {
    /// What binds the contexts of a key of this keyspace to it.
    pub fn context_key(self, key: &[u8]) -> ContextKey {
        ContextKey::new(self.0, key)
    }
}

impl fmt::Display for KeyspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A replicated keyspace, the same on every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyspaceDefinition {
    /// Its number.
    pub id: KeyspaceId,
    /// Its name.
    pub name: String,
    /// What becomes of concurrent writes.
    pub mode: ConflictMode,
    /// On how many nodes each key is kept, at most the ring's number.
    pub replicas: u8,
}
