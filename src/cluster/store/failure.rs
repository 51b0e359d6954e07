//! What the engine's errors mean to whoever asked the store.

use super::operation::StoreFailure;
use esker::Error;

/// A write or a sync failed, or was refused.
pub(super) fn of_write(error: Error) -> StoreFailure {
    match error {
        Error::ReadOnly { reason } => StoreFailure::ReadOnly(reason),
        // The engine takes no writes after these, until it is opened again.
        Error::Io { .. } | Error::Closed | Error::Panicked { .. } => {
            StoreFailure::ReadOnly(error.to_string())
        }
        Error::KeyTooLong { .. } | Error::ValueTooLong { .. } | Error::BatchTooLarge { .. } => {
            StoreFailure::TooLong(error.to_string())
        }
        Error::Busy { .. } => StoreFailure::Busy(error.to_string()),
        other => StoreFailure::Engine(other.to_string()),
    }
}

/// A read failed: whether there is a record is not known. Only what is proven to be damaged is given up for what others have;
/// a device or a system that fails now may read it later.
pub(super) fn of_read(error: Error) -> StoreFailure {
    match error {
        Error::Corruption { .. } | Error::MissingFile { .. } => StoreFailure::Unreadable(error.to_string()),
        other => StoreFailure::Engine(other.to_string()),
    }
}

/// The bytes of a record are none.
pub(super) fn of_record(what: &str, error: &dyn std::error::Error) -> StoreFailure {
    StoreFailure::Unreadable(format!("{what}: {error}"))
}
