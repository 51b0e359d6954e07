//! [`Target`]: where the commands of a database go. [`Databases`]: all of them, by the numbers that `SELECT` knows.

use super::cursors::Cursors;
use super::expiry::RESERVED_SUFFIXES;
use super::glob::Glob;
use super::plain::PlainKeyspace;
use super::scan::{Page, Wanted};
use esker::{Commit, Db, Durability};
use std::fmt;
use std::sync::Arc;

/// Where the commands of a database go.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A plain keyspace of this process: one copy, and everything is exact.
    Plain(Arc<PlainKeyspace>),
}

/// What is done to a keyspace as a whole, by work that may take long. What is done to keys is in the operations of commands.
impl Target {
    /// What kind of keyspace it is.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Target::Plain(_) => "plain",
        }
    }

    /// How many keys there are, and how many of them expire.
    pub(crate) fn count(&self) -> esker::Result<(u64, u64)> {
        match self {
            Target::Plain(keyspace) => keyspace.count(),
        }
    }

    /// The keys that are wanted, among the next ones from `from` on.
    pub(crate) fn page(&self, from: &[u8], wanted: &Wanted) -> esker::Result<Page> {
        match self {
            Target::Plain(keyspace) => keyspace.page(from, wanted),
        }
    }

    /// Shows the keys that match in order, until `visit` says that it has enough.
    pub(crate) fn visit_matching(
        &self,
        pattern: &Glob,
        visit: impl FnMut(&[u8]) -> bool,
    ) -> esker::Result<()> {
        match self {
            Target::Plain(keyspace) => keyspace.visit_matching(pattern, visit),
        }
    }

    /// Some key.
    pub(crate) fn random_key(&self, random: u64) -> esker::Result<Option<Vec<u8>>> {
        match self {
            Target::Plain(keyspace) => keyspace.random_key(random),
        }
    }

    /// Removes every key.
    pub(crate) fn clear(&self) -> esker::Result<Commit> {
        match self {
            Target::Plain(keyspace) => keyspace.clear(),
        }
    }

    /// Whether there may be keys to sweep.
    pub(crate) fn may_expire(&self) -> bool {
        match self {
            Target::Plain(keyspace) => !keyspace.expiries.hint.is_empty(),
        }
    }

    /// Removes keys that have expired, among the next `limit` from `from` on. Returns where to go on, and how many were removed.
    pub(crate) fn sweep(&self, from: &[u8], limit: usize) -> esker::Result<(Option<Vec<u8>>, usize)> {
        match self {
            Target::Plain(keyspace) => keyspace.sweep(from, limit),
        }
    }
}

/// A keyspace that is served under a number.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) target: Target,
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
    /// Opens the keyspaces of these names, which are created if they are not there.
    pub(crate) fn open(db: &Db, names: &[String], durability: Durability) -> Result<Databases, OpenError> {
        let open = |name: &String| {
            if RESERVED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
                return Err(OpenError::Reserved(name.clone()));
            }
            let keyspace = PlainKeyspace::open(db, name, durability)?;
            Ok(Database { name: name.clone(), target: Target::Plain(Arc::new(keyspace)) })
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
