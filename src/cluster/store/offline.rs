//! [`Offline`]: what a node keeps of its replicated keyspaces, read from an open engine while no node runs on it.

use super::keyspace::KeyspaceDefinition;
use super::open::OpenError;
use super::operation::{Record, StoreFailure};
use super::own::{fill_bodies, read_head};
use super::pages::record_of;
use super::replicated::{KEYSPACES_KEY, Replicated};
use super::{failure, layout, registry};
use crate::causality::SiblingSet;
use crate::ring::Token;
use esker::{Db, Error, Keyspace, Range, Snapshot};

/// The replicated keyspaces of a node's directory. They are read and never written: a record that no node wrote would be one
/// that its cluster knows nothing of.
#[derive(Debug)]
pub struct Offline {
    db: Db,
    is_node: bool,
    keyspaces: Vec<Replicated>,
}

impl Offline {
    /// Looks what an engine has of them. One that no node was ever started on has none.
    ///
    /// # Errors
    /// If the engine cannot be read, or what the store keeps of itself is damaged.
    pub fn of(db: &Db) -> Result<Offline, OpenError> {
        let mut offline = Offline { db: db.clone(), is_node: false, keyspaces: Vec::new() };
        let Some(node) = existing(db, layout::NODE)? else { return Ok(offline) };
        offline.is_node = true;
        let Some(bytes) = node.get(KEYSPACES_KEY)? else { return Ok(offline) };
        let damaged = || OpenError::Damaged { entry: format!("`{KEYSPACES_KEY}`") };
        for definition in registry::decode(&bytes).ok_or_else(damaged)? {
            let heads = existing(db, &layout::heads_of(&definition.name))?;
            let bodies = existing(db, &layout::bodies_of(&definition.name))?;
            if let (Some(heads), Some(bodies)) = (heads, bodies) {
                offline.keyspaces.push(Replicated { definition, heads, bodies });
            }
        }
        Ok(offline)
    }

    /// Whether a node was ever started on the engine.
    pub fn is_node(&self) -> bool {
        self.is_node
    }

    /// The replicated keyspaces, by number.
    pub fn keyspaces(&self) -> impl Iterator<Item = &KeyspaceDefinition> {
        self.keyspaces.iter().map(|keyspace| &keyspace.definition)
    }

    fn named(&self, name: &str) -> Option<&Replicated> {
        self.keyspaces.iter().find(|keyspace| keyspace.definition.name == name)
    }

    /// Whether there is a record in the replicated keyspace of this name.
    ///
    /// # Errors
    /// `Unreadable` if that cannot be read.
    pub fn has_records(&self, name: &str) -> Result<bool, StoreFailure> {
        let Some(keyspace) = self.named(name) else { return Ok(false) };
        Ok(keyspace.heads.first().map_err(failure::of_read)?.is_some())
    }

    /// What is known of a key, with its values. Empty if there is no such keyspace.
    ///
    /// # Errors
    /// `Unreadable` if the record, or a value, cannot be read.
    pub fn get(&self, name: &str, key: &[u8]) -> Result<SiblingSet, StoreFailure> {
        let Some(keyspace) = self.named(name) else { return Ok(SiblingSet::new()) };
        let mut stored = Vec::new();
        layout::stored_key(&mut stored, Token::of_key(key), key);
        let mut set = read_head(keyspace, &stored)?.set;
        fill_bodies(keyspace, &stored, &mut set, None)?;
        Ok(set)
    }

    /// All records of a keyspace with their values, in the order of their tokens, as they are at this moment. None if there is no
    /// such keyspace.
    pub fn records(&self, name: &str) -> impl DoubleEndedIterator<Item = Result<Record, StoreFailure>> + '_ {
        let snapshot = self.db.snapshot();
        self.named(name).into_iter().flat_map(move |keyspace| Records {
            range: snapshot.range_in(&keyspace.heads, ..),
            snapshot: snapshot.clone(),
            keyspace,
        })
    }
}

/// The records of a keyspace.
struct Records<'a> {
    keyspace: &'a Replicated,
    snapshot: Snapshot,
    range: Range,
}

impl Records<'_> {
    fn record(&self, entry: esker::Result<(esker::Slice, esker::Slice)>) -> Result<Record, StoreFailure> {
        let (stored, head) = entry.map_err(failure::of_read)?;
        record_of(self.keyspace, &self.snapshot, &stored, &head, true)
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, StoreFailure>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.range.next()?;
        Some(self.record(entry))
    }
}

impl DoubleEndedIterator for Records<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let entry = self.range.next_back()?;
        Some(self.record(entry))
    }
}

fn existing(db: &Db, name: &str) -> esker::Result<Option<Keyspace>> {
    match db.keyspace(name) {
        Err(Error::NoSuchKeyspace { .. }) => Ok(None),
        found => found.map(Some),
    }
}
