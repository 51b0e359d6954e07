//! [`ReplicatedKeyspace`]: a keyspace that the cluster keeps, as one node serves it.
//!
//! With a ring of one member everything goes straight to the node's store, under its locks: one copy, and exact. Otherwise
//! requests go through the node, which coordinates them.

use super::entry::{Entry, now_ms};
use crate::node::NodeHandle;
use esker::{Commit, Durability, Slice};
use esker_cluster::causality::Context;
use esker_cluster::request::{Level, Operation, Request, Response};
use esker_cluster::store::{Change, KeyspaceId, Pair, StoreFailure, Update};
use std::time::Duration;

/// Which replicas have to answer, for reads and for writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Levels {
    pub(crate) read: Level,
    pub(crate) write: Level,
}

/// A keyspace that the cluster keeps.
#[derive(Debug)]
pub(crate) struct ReplicatedKeyspace {
    pub(crate) node: NodeHandle,
    name: String,
    durability: Durability,
    timeout: Duration,
}

impl ReplicatedKeyspace {
    pub(crate) fn new(
        node: NodeHandle,
        name: &str,
        durability: Durability,
        timeout: Duration,
    ) -> ReplicatedKeyspace {
        ReplicatedKeyspace { node, name: name.to_owned(), durability, timeout }
    }

    /// The same keyspace, with writes that survive a power loss.
    pub(crate) fn synced(&self) -> ReplicatedKeyspace {
        ReplicatedKeyspace::new(self.node.clone(), &self.name, Durability::Synced, self.timeout)
    }

    /// The keyspace's number. `None` while the node is not part of a cluster that has it.
    pub(crate) fn id(&self) -> Option<KeyspaceId> {
        self.node.standing(&self.name).map(|(id, _)| id)
    }

    /// The keyspace's number, if this node's store has the only copy that there is.
    pub(crate) fn single_copy(&self) -> Option<KeyspaceId> {
        self.node.standing(&self.name).and_then(|(id, alone)| alone.then_some(id))
    }

    /// Whether this node's store would have the only copy, but for the ring that is not sealed yet.
    pub(crate) fn is_unsealed_alone(&self) -> bool {
        let state = self.node.cluster_state();
        state.is_some_and(|state| state.ring.is_none() && state.members.len() == 1)
    }

    pub(crate) fn request(&self, keyspace: KeyspaceId, operation: Operation, level: Level) -> Request {
        let (durability, timeout) = (self.durability, self.timeout);
        Request { keyspace, operation, level, sloppy: false, durability, timeout }
    }

    /// Reads a key.
    pub(crate) async fn get(&self, keyspace: KeyspaceId, key: Slice, level: Level) -> Response {
        self.get_after(keyspace, key, None, level).await
    }

    /// Reads a key; the answer has seen at least what the context covers.
    pub(crate) async fn get_after(
        &self,
        keyspace: KeyspaceId,
        key: Slice,
        context: Option<Context>,
        level: Level,
    ) -> Response {
        self.node.request(self.request(keyspace, Operation::Get { key, context }, level)).await
    }

    /// Writes a key.
    pub(crate) async fn write(
        &self,
        keyspace: KeyspaceId,
        key: Slice,
        change: Change,
        context: Option<Context>,
        level: Level,
    ) -> Response {
        self.node.request(self.request(keyspace, Operation::Write { key, change, context }, level)).await
    }

    /// A piece of a scan.
    pub(crate) async fn scan(
        &self,
        keyspace: KeyspaceId,
        from: Vec<u8>,
        limit: usize,
        level: Level,
    ) -> Response {
        let operation = Operation::Scan { from, limit, values: false };
        self.node.request(self.request(keyspace, operation, level)).await
    }

    /// What a key holds in this node's store.
    pub(crate) fn get_here(&self, keyspace: KeyspaceId, key: &[u8]) -> Result<Option<Entry>, StoreFailure> {
        let found = self.node.store().get(keyspace, key, now_ms())?;
        Ok(found.map(|(value, expires_at)| Entry { value, expires_at }))
    }

    /// Reads, decides and writes in this node's store, with nobody's write in between.
    pub(crate) fn update_here<R>(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        decide: impl FnOnce(Option<Entry>) -> (Update, R),
    ) -> Result<(R, Option<Commit>), StoreFailure> {
        self.node.store().update(keyspace, key, now_ms(), self.durability, |value, expires_at| {
            decide(value.map(|value| Entry { value: Slice::copy_from(value), expires_at }))
        })
    }

    /// Writes pairs into this node's store whatever is there, all at one moment.
    pub(crate) fn put_here(
        &self,
        keyspace: KeyspaceId,
        pairs: &[Pair],
    ) -> Result<Option<Commit>, StoreFailure> {
        self.node.store().put_all(keyspace, pairs, now_ms(), self.durability)
    }
}
