//! What can be wrong with a table: always with an offset, never with a path (the engine adds that).

use std::{fmt, io};

/// The result of a table operation.
pub type Result<T, E = TableError> = std::result::Result<T, E>;

/// What went wrong while reading or writing a table.
#[derive(Debug)]
#[non_exhaustive]
pub enum TableError {
    /// The bytes at `offset` are not what the format says they must be.
    Corruption {
        /// Where in the file, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The device or the file system failed.
    Io(io::Error),
    /// The table is intact but needs something that this program cannot do: a newer version, an unknown feature,
    /// a compression that was not built in, or an operation that the format does not support.
    Unsupported {
        /// What is needed.
        what: String,
    },
    /// The caller broke the contract: entries out of order, a key or value beyond the limits.
    Invalid {
        /// Which rule was broken.
        what: String,
    },
}

impl TableError {
    /// Damage at `offset`.
    pub fn corruption(offset: u64, what: impl Into<String>) -> TableError {
        TableError::Corruption { offset, what: what.into() }
    }

    /// Something this program cannot do.
    pub fn unsupported(what: impl Into<String>) -> TableError {
        TableError::Unsupported { what: what.into() }
    }

    /// A broken rule.
    pub fn invalid(what: impl Into<String>) -> TableError {
        TableError::Invalid { what: what.into() }
    }

    /// Whether this is damage in the file.
    pub fn is_corruption(&self) -> bool {
        matches!(self, TableError::Corruption { .. })
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableError::Corruption { offset, what } => write!(f, "corruption at offset {offset}: {what}"),
            TableError::Io(source) => write!(f, "input or output failed: {source}"),
            TableError::Unsupported { what } => write!(f, "unsupported: {what}"),
            TableError::Invalid { what } => write!(f, "invalid: {what}"),
        }
    }
}

impl std::error::Error for TableError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TableError::Io(source) => Some(source),
            _ => None,
        }
    }
}

impl From<io::Error> for TableError {
    fn from(source: io::Error) -> TableError {
        TableError::Io(source)
    }
}
