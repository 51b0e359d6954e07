//! [`Target`]: where the commands of a database go. [`Databases`]: all of them, by the numbers that `SELECT` knows.

use super::cursors::Cursors;
use super::expiry::RESERVED_SUFFIXES;
use super::plain::PlainKeyspace;
use esker::{Db, Durability};
use std::fmt;
use std::sync::Arc;

/// Where the commands of a database go.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A plain keyspace of this process: one copy, and everything is exact.
    Plain(Arc<PlainKeyspace>),
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
