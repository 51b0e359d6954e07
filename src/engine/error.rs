//! [`Error`]: everything that can go wrong, each with what it belongs to and what to do about it.

use esker_table::TableError;
use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

/// The result of an operation of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. Cheap to clone: many writers may wait for one log write, and each gets its error.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused or failed: a full disk, missing rights, a failing device.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was being done, as in "cannot `create` ...".
        action: &'static str,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// A file is damaged.
    Corruption {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A file that the store needs is not there.
    MissingFile {
        /// The file.
        path: PathBuf,
        /// Who needs it.
        what: String,
    },
    /// The file or store is intact but needs a newer version, an unknown format or a feature that is not built in.
    Unsupported {
        /// The file or directory.
        path: PathBuf,
        /// What is needed.
        what: String,
    },
    /// Another process, or another handle of this one, has the store open.
    Locked {
        /// The store's directory.
        path: PathBuf,
    },
    /// The directory holds no store, and the options say not to create one.
    NoStore {
        /// The directory.
        path: PathBuf,
    },
    /// The directory holds something else, or a store where there must be none.
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// What is in the way.
        what: String,
    },
    /// Writing is not possible: the store was opened read-only, or an earlier write or sync failed. Reads go on. After a
    /// failure, reopening the store recovers everything that was acknowledged.
    ReadOnly {
        /// Why.
        reason: String,
    },
    /// The store was closed.
    Closed,
    /// Code that the engine was given (a hook, a listener) panicked, or the engine itself did, where no caller could meet
    /// the panic. The store takes no more writes then.
    Panicked {
        /// Where: `background work`, or whose code it is.
        who: &'static str,
        /// What the panic said.
        what: String,
    },
    /// Accepting the write now would mean to wait, and the caller asked not to.
    Busy {
        /// What the store is waiting for.
        what: &'static str,
    },
    /// A key is longer than [`crate::MAX_KEY_LEN`].
    KeyTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A value is longer than [`crate::MAX_VALUE_LEN`].
    ValueTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A batch of several operations is larger than half the memory budget; see [`Db::max_batch_bytes`].
    ///
    /// [`Db::max_batch_bytes`]: crate::Db::max_batch_bytes
    BatchTooLarge {
        /// Its size in bytes.
        len: usize,
        /// The largest that is accepted.
        max: usize,
    },
    /// There is no keyspace of this name, or it was dropped.
    NoSuchKeyspace {
        /// The name.
        name: String,
    },
    /// There already is a keyspace of this name.
    KeyspaceExists {
        /// The name.
        name: String,
    },
    /// An option, argument or batch is not acceptable.
    Invalid {
        /// Which option or argument.
        option: &'static str,
        /// What is wrong, and what would be right.
        what: String,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, action: &'static str, source: io::Error) -> Error {
        Error::Io { path: path.to_owned(), action, source: Arc::new(source) }
    }

    pub(crate) fn corruption(path: &Path, offset: u64, what: impl Into<String>) -> Error {
        Error::Corruption { path: path.to_owned(), offset, what: what.into() }
    }

    pub(crate) fn invalid(option: &'static str, what: impl Into<String>) -> Error {
        Error::Invalid { option, what: what.into() }
    }

    /// A panic that was caught.
    pub(crate) fn panicked(who: &'static str, panic: &(dyn Any + Send)) -> Error {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Error::Panicked { who, what: text.unwrap_or("it does not say why").to_owned() }
    }

    /// Adds the path to what a table format reported.
    pub(crate) fn table(path: &Path, error: TableError) -> Error {
        match error {
            TableError::Corruption { offset, what } => Error::corruption(path, offset, what),
            TableError::Io(source) => Error::io(path, "read or write", source),
            TableError::Unsupported { what } => Error::Unsupported { path: path.to_owned(), what },
            TableError::Invalid { what } => Error::Invalid { option: "table entry", what },
            other => Error::corruption(path, 0, other.to_string()),
        }
    }

    /// Whether a file is damaged or missing.
    pub fn is_corruption(&self) -> bool {
        matches!(self, Error::Corruption { .. } | Error::MissingFile { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { path, action, source } => {
                write!(f, "cannot {action} {}: {source}", path.display())?;
                if source.kind() == io::ErrorKind::StorageFull {
                    f.write_str("; free some space and open the store again")?;
                }
                Ok(())
            }
            Error::Corruption { path, offset, what } => {
                write!(f, "{} is damaged at offset {offset}: {what}", path.display())
            }
            Error::MissingFile { path, what } => {
                write!(f, "{} is missing: {what}; restore it, or run `esker repair`", path.display())
            }
            Error::Unsupported { path, what } => write!(f, "{}: {what}", path.display()),
            Error::Locked { path } => {
                write!(
                    f,
                    "the store in {} is in use, by another process or by another handle; close it there first",
                    path.display()
                )
            }
            Error::NoStore { path } => {
                write!(
                    f,
                    "there is no Esker store in {}; check the path, or create one first",
                    path.display()
                )
            }
            Error::NotEmpty { path, what } => write!(f, "{}: {what}", path.display()),
            Error::ReadOnly { reason } => write!(f, "the store is read-only: {reason}"),
            Error::Closed => f.write_str("the store was closed; open it again"),
            Error::Panicked { who, what } => write!(f, "{who} panicked: {what}"),
            Error::Busy { what } => write!(f, "the store is busy: {what}; try again later"),
            Error::KeyTooLong { len } => {
                write!(f, "a key of {len} bytes is too long; the limit is {} bytes", crate::MAX_KEY_LEN)
            }
            Error::ValueTooLong { len } => {
                write!(f, "a value of {len} bytes is too long; the limit is {} bytes", crate::MAX_VALUE_LEN)
            }
            Error::BatchTooLarge { len, max } => write!(
                f,
                "a batch of {len} bytes is too large; with this memory budget the limit is {max} bytes: split the batch or raise the budget"
            ),
            Error::NoSuchKeyspace { name } => {
                write!(f, "there is no keyspace `{name}`; create it, or give the name of one that is there")
            }
            Error::KeyspaceExists { name } => write!(f, "there already is a keyspace `{name}`"),
            Error::Invalid { option, what } => write!(f, "{option}: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source.as_ref()),
            _ => None,
        }
    }
}
