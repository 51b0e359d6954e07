//! [`Target`]: where the commands of a database go. [`Databases`]: all of them, by the numbers that `SELECT` knows.

use super::cursors::Cursors;
use super::expiry::RESERVED_SUFFIXES;
use super::plain::PlainKeyspace;
use super::replicated::ReplicatedKeyspace;
use crate::node::NodeHandle;
use esker::{Db, Durability};
use esker_cluster::store::is_internal;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Where the commands of a database go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    /// A plain keyspace of this process: one copy, and everything is exact.
    Plain(&'a Arc<PlainKeyspace>),
    /// A keyspace that the cluster keeps.
    Replicated(&'a Arc<ReplicatedKeyspace>),
}

impl Target<'_> {
    /// What kind of keyspace it is.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Target::Plain(_) => "plain",
            Target::Replicated(_) => "replicated",
        }
    }
}

/// A keyspace that is served under a number.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) name: String,
    plain: Option<Arc<PlainKeyspace>>,
    replicated: Arc<ReplicatedKeyspace>,
    /// The plain keyspace was made a replicated one.
    adopted: AtomicBool,
}

impl Database {
    /// Where its commands go.
    pub(crate) fn target(&self) -> Target<'_> {
        match &self.plain {
            Some(plain) if !self.adopted.load(Ordering::Acquire) => Target::Plain(plain),
            _ => Target::Replicated(&self.replicated),
        }
    }

    /// The keyspace that the cluster has of this name, or will have.
    pub(crate) fn replicated(&self) -> &Arc<ReplicatedKeyspace> {
        &self.replicated
    }

    /// From here on commands go to the replicated keyspace.
    pub(crate) fn set_adopted(&self) {
        self.adopted.store(true, Ordering::Release);
    }
}

/// The keyspaces that are served.
#[derive(Debug)]
pub(crate) struct Databases {
    list: Vec<Database>,
    pub(crate) cursors: Cursors,
}

/// Why the databases cannot be served.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The store says so.
    Store(esker::Error),
    /// A keyspace of this name is internal to another one.
    Reserved(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Store(error) => error.fmt(f),
            OpenError::Reserved(name) => write!(
                f,
                "the keyspace `{name}` cannot be served, since names that end in {} are internal; give another name in \
                 `databases`",
                RESERVED_SUFFIXES.join(", ")
            ),
        }
    }
}

impl From<esker::Error> for OpenError {
    fn from(error: esker::Error) -> OpenError {
        OpenError::Store(error)
    }
}

impl Databases {
    /// Opens the keyspaces of these names. One that holds pairs as the library writes them is plain, and any other belongs to
    /// the cluster.
    pub(crate) fn open(
        db: &Db,
        node: &NodeHandle,
        names: &[String],
        durability: Durability,
        timeout: Duration,
    ) -> Result<Databases, OpenError> {
        let open = |name: &String| {
            if is_internal(name) || RESERVED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
                return Err(OpenError::Reserved(name.clone()));
            }
            let is_plain = match db.keyspace(name) {
                Err(esker::Error::NoSuchKeyspace { .. }) => false,
                keyspace => keyspace?.first()?.is_some(),
            };
            let plain = match is_plain {
                true => Some(Arc::new(PlainKeyspace::open(db, name, durability)?)),
                false => None,
            };
            let replicated = Arc::new(ReplicatedKeyspace::new(node.clone(), name, durability, timeout));
            Ok(Database { name: name.clone(), plain, replicated, adopted: AtomicBool::new(false) })
        };
        Ok(Databases { list: names.iter().map(open).collect::<Result<_, _>>()?, cursors: Cursors::new() })
    }

    /// The database of this number.
    pub(crate) fn get(&self, number: usize) -> Option<&Database> {
        self.list.get(number)
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Database> {
        self.list.iter()
    }
}
