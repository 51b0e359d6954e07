//! [`Source`]: where the pairs of a keyspace are read from, in a directory that no process has open: from a keyspace of the
//! engine, or from the records that a node keeps of a replicated one.

use super::failure::Failure;
use super::store::{KeyspaceName, Location, open_for_reading};
use crate::database::{Companion, now_ms};
use esker::{Db, Keyspace, Slice};
use esker_cluster::causality::Sibling;
use esker_cluster::store::{Offline, OpenError, StoreFailure, is_internal};
use std::ops::{Bound, RangeBounds as _};

/// Where pairs are read from.
pub(super) enum Source {
    /// A keyspace as the library writes it, with when its keys expire if a server noted that.
    Plain(Keyspace, Companion),
    /// The replicated keyspace of this name.
    Replicated(Offline, String),
}

/// A key and one of its values.
pub(super) type Pair = (Slice, Slice);

/// Why there are no more pairs.
pub(super) type Read<T> = Result<T, Failure>;

impl From<StoreFailure> for Failure {
    fn from(failure: StoreFailure) -> Failure {
        Failure::new(format!(
            "{failure}; the other nodes have copies: empty this node's directory and start it to get them"
        ))
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Failure {
        match error {
            OpenError::Engine(error) => error.into(),
            other => Failure::new(other.to_string()),
        }
    }
}

impl Source {
    /// Opens a keyspace for reading. As for a server, one with plain pairs is plain.
    pub(super) fn open(location: &Location, keyspace: &KeyspaceName) -> Read<Source> {
        let db = open_for_reading(location)?;
        let name = keyspace.keyspace.as_str();
        let offline = Offline::of(&db)?;
        let plain = match db.keyspace(name) {
            Err(error @ esker::Error::NoSuchKeyspace { .. }) => Err(error),
            found => Ok(found?),
        };
        let has_pairs = plain.as_ref().is_ok_and(|plain| !matches!(plain.first(), Ok(None)));
        if !has_pairs && offline.keyspaces().any(|known| known.name == name) {
            return Ok(Source::Replicated(offline, name.to_owned()));
        }
        Ok(Source::Plain(plain?, Companion::of(&db, name)?))
    }

    /// The values of a key, the newest last. Several are siblings.
    pub(super) fn get(&self, key: &[u8]) -> Read<Vec<Slice>> {
        match self {
            Source::Plain(keyspace, companion) => {
                let value = keyspace.get(key)?;
                let expired = value.is_some() && companion.is_expired(key, now_ms())?;
                Ok(value.filter(|_| !expired).into_iter().collect())
            }
            Source::Replicated(offline, name) => Ok(values(offline.get(name, key)?.siblings())),
        }
    }

    /// The pairs whose keys lie within the bounds: in the order of their keys, or for a replicated keyspace of their tokens.
    pub(super) fn pairs(
        &self,
        bounds: (Bound<Vec<u8>>, Bound<Vec<u8>>),
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Read<Pair>> + '_> {
        match self {
            Source::Plain(keyspace, companion) => {
                let (range, now) = (keyspace.range(bounds), now_ms());
                let pairs = directed(range, reverse);
                Box::new(pairs.filter_map(move |pair| {
                    let pair = match pair {
                        Ok(pair) => pair,
                        Err(error) => return Some(Err(error.into())),
                    };
                    match companion.is_expired(&pair.0, now) {
                        Ok(expired) => (!expired).then_some(Ok(pair)),
                        Err(error) => Some(Err(error.into())),
                    }
                }))
            }
            Source::Replicated(offline, name) => {
                let records = directed(offline.records(name), reverse);
                Box::new(records.flat_map(move |record| {
                    match record {
                        Ok(record) if bounds.contains(&record.key.to_vec()) => values(record.set.siblings())
                            .into_iter()
                            .map(|value| Ok((record.key.clone(), value)))
                            .collect(),
                        Ok(_) => Vec::new(),
                        Err(failure) => vec![Err(failure.into())],
                    }
                }))
            }
        }
    }
}

fn directed<'a, I: DoubleEndedIterator + 'a>(
    items: I,
    reverse: bool,
) -> Box<dyn Iterator<Item = I::Item> + 'a> {
    if reverse { Box::new(items.rev()) } else { Box::new(items) }
}

/// The values that a reader sees, the newest last.
fn values(siblings: &[Sibling]) -> Vec<Slice> {
    let now = now_ms();
    let mut visible: Vec<&Sibling> = siblings.iter().filter(|sibling| sibling.is_visible(now)).collect();
    visible.sort_by_key(|sibling| sibling.dot.age());
    visible.iter().filter_map(|sibling| sibling.bytes().cloned()).collect()
}

/// The keyspaces that a user has in a store: those that a node or a server keeps for itself are left out, and a replicated
/// keyspace counts as one.
pub(super) fn keyspaces_of_users(db: &Db) -> Read<Vec<String>> {
    let offline = Offline::of(db)?;
    let all = db.keyspaces();
    let internal = |name: &String| {
        offline.is_node() && is_internal(name)
            || Companion::is_name(name, |base| all.iter().any(|other| other == base))
    };
    let mut names: Vec<String> = all.iter().filter(|name| !internal(name)).cloned().collect();
    names.extend(offline.keyspaces().map(|keyspace| keyspace.name.clone()));
    names.sort();
    names.dedup();
    Ok(names)
}

/// Refuses to write pairs where a node keeps records: they would be writes that its cluster knows nothing of.
pub(super) fn refuse_replicated(db: &Db, name: &str) -> Read<()> {
    let offline = Offline::of(db)?;
    if offline.has_records(name)? {
        return Err(Failure::new(format!(
            "the keyspace `{name}` is replicated, and what is written to the files of one of its nodes is no write of the cluster; \
             start the node and write to it, or give another keyspace"
        )));
    }
    if offline.is_node() && is_internal(name) {
        return Err(Failure::new(format!("the keyspace `{name}` is the node's own; give another one")));
    }
    Ok(())
}
