//! [`Target`]: where the commands of a database go. [`Databases`]: all of them, by the numbers that `SELECT` knows.

use super::adoption::{self, Adoption, Progress, Stage};
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
    adoption: Adoption,
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

    /// How far it is from plain to replicated, and how many pairs are at their replicas.
    pub(crate) fn adoption(&self) -> (Progress, u64) {
        match self.plain {
            Some(_) => self.adoption.progress(),
            None => (Progress::Done, 0),
        }
    }

    /// Begins to make the plain keyspace a replicated one, or goes on with that where it stopped. `false` if it is under way or
    /// done; otherwise [`adopt`](Database::adopt) is to be called.
    pub(crate) fn begin_adoption(&self) -> bool {
        self.plain.is_some() && self.adoption.begin()
    }

    /// Makes the plain keyspace a replicated one. Returns when it is done, or failed; [`adoption`](Database::adoption) tells which.
    pub(crate) async fn adopt(&self, max_pair_bytes: u64) {
        let Some(plain) = &self.plain else { return };
        let copied = self.adoption.copy(&self.name, plain, &self.replicated, max_pair_bytes).await;
        let ended = copied.and_then(|()| {
            // From here on commands go to the replicated keyspace: it has all the pairs, and that is noted.
            self.adopted.store(true, Ordering::Release);
            tokio::task::block_in_place(|| adoption::remove(plain, &self.name)).map_err(|e| e.to_string())
        });
        self.adoption.end(ended);
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
            let plain = open_plain(db, name, durability)?.map(Arc::new);
            let replicated = Arc::new(ReplicatedKeyspace::new(node.clone(), name, durability, timeout));
            let (adopted, adoption) = (AtomicBool::new(false), Adoption::default());
            Ok(Database { name: name.clone(), plain, replicated, adopted, adoption })
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

/// The plain keyspace of this name, if there is one with pairs in it. What an adoption left is brought to its end, or kept as it
/// was: one that was copying takes no writes until it is asked for again.
pub(super) fn open_plain(
    db: &Db,
    name: &str,
    durability: Durability,
) -> esker::Result<Option<PlainKeyspace>> {
    let is_plain = match db.keyspace(name) {
        Err(esker::Error::NoSuchKeyspace { .. }) => false,
        keyspace => keyspace?.first()?.is_some(),
    };
    if !is_plain {
        return Ok(None);
    }
    let plain = PlainKeyspace::open(db, name, durability)?;
    match adoption::noted(db, name)? {
        None => {}
        Some(Stage::Copying) => {
            plain.close();
            tracing::warn!(
                "the adoption of the keyspace `{name}` was interrupted; it takes no writes until `esker cluster adopt {name}` has \
                 finished"
            );
        }
        Some(Stage::Copied) => {
            adoption::remove(&plain, name)?;
            return Ok(None);
        }
    }
    Ok(Some(plain))
}
