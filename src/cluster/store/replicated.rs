//! [`Replicated`]: a replicated keyspace, open; and how those that are to exist come to exist.

use super::keyspace::{KeyspaceDefinition, KeyspaceId};
use super::operation::StoreFailure;
use super::store::{Store, locked};
use super::{failure, layout, registry};
use esker::{Db, Durability, Error, Keyspace, WriteBatch};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

pub(super) const KEYSPACES_KEY: &str = "keyspaces";
pub(super) const CLUSTER_KEY: &str = "cluster";

/// A replicated keyspace, open.
#[derive(Debug)]
pub(super) struct Replicated {
    pub(super) definition: KeyspaceDefinition,
    pub(super) heads: Keyspace,
    pub(super) bodies: Keyspace,
}

impl Replicated {
    /// Opens the engine's keyspaces of a replicated one, and creates what is missing.
    pub(super) fn open(db: &Db, definition: KeyspaceDefinition) -> esker::Result<Replicated> {
        let heads = open_or_create(db, &layout::heads_of(&definition.name))?;
        let bodies = open_or_create(db, &layout::bodies_of(&definition.name))?;
        Ok(Replicated { definition, heads, bodies })
    }
}

/// A keyspace of the store's own.
pub(super) fn open_or_create(db: &Db, name: &str) -> esker::Result<Keyspace> {
    match db.keyspace(name) {
        Err(Error::NoSuchKeyspace { .. }) => {
            db.create_keyspace(name, layout::options_for(name).unwrap_or_default())
        }
        found => found,
    }
}

impl Store {
    pub(super) fn replicated(&self, id: KeyspaceId) -> Result<Arc<Replicated>, StoreFailure> {
        let keyspaces = self.keyspaces.read().unwrap_or_else(PoisonError::into_inner);
        keyspaces.get(&id).cloned().ok_or(StoreFailure::NoSuchKeyspace(id))
    }

    /// The replicated keyspaces, by number.
    pub fn keyspaces(&self) -> Vec<KeyspaceDefinition> {
        let keyspaces = self.keyspaces.read().unwrap_or_else(PoisonError::into_inner);
        keyspaces.values().map(|replicated| replicated.definition.clone()).collect()
    }

    /// Keeps the state of the cluster, and makes the keyspaces exist. Both are durable when this returns.
    ///
    /// A keyspace that is not among those given is not served any more, but what it holds stays.
    pub(super) fn keep_cluster_state(
        &self,
        bytes: Vec<u8>,
        definitions: Vec<KeyspaceDefinition>,
    ) -> Result<(), StoreFailure> {
        let mut state = locked(&self.cluster_state);
        let known = self.keyspaces.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut next: BTreeMap<KeyspaceId, Arc<Replicated>> = BTreeMap::new();
        for definition in definitions {
            let open = match known.get(&definition.id) {
                Some(open) if open.definition == definition => open.clone(),
                Some(open) if open.definition.name == definition.name => Arc::new(Replicated {
                    definition: definition.clone(),
                    heads: open.heads.clone(),
                    bodies: open.bodies.clone(),
                }),
                _ => Arc::new(self.create_replicated(definition.clone())?),
            };
            next.insert(definition.id, open);
        }
        let mut batch = WriteBatch::new();
        self.node.put_to(&mut batch, CLUSTER_KEY, &bytes);
        let registry =
            registry::encode(next.values().map(|open| &open.definition).collect::<Vec<_>>().into_iter());
        self.node.put_to(&mut batch, KEYSPACES_KEY, registry);
        self.db.write(batch, Durability::Synced).map_err(failure::of_write)?;
        *self.keyspaces.write().unwrap_or_else(PoisonError::into_inner) = next;
        *state = Some(bytes);
        Ok(())
    }

    /// Refuses to let a new keyspace take over what an old one of the same name left.
    fn create_replicated(&self, definition: KeyspaceDefinition) -> Result<Replicated, StoreFailure> {
        let name = definition.name.clone();
        if layout::is_internal(&name) {
            let what = format!("`{name}` cannot be the name of a keyspace: it is kept for the store's own");
            return Err(StoreFailure::Engine(what));
        }
        let created = Replicated::open(&self.db, definition).map_err(failure::of_write)?;
        match created.heads.first().map_err(failure::of_read)? {
            None => Ok(created),
            Some(_) => Err(StoreFailure::Engine(format!(
                "there are records of an earlier keyspace `{name}` in the store: choose another name"
            ))),
        }
    }
}
