//! What the server serves: [`Databases`], numbered as `SELECT` counts them, each on a [`Target`] that knows how to read and write.
//!
//! Commands see a target through three kinds of operation, and no other: pure reads, pure writes, and read-modify-writes. A
//! target that cannot do the last exactly refuses them by name.

mod adoption;
mod cursors;
mod entry;
mod expiry;
mod glob;
mod locks;
mod plain;
mod replicated;
mod scan;
mod target;

pub(crate) use adoption::Progress;
pub(crate) use cursors::Ground;
pub(crate) use entry::{Change, Entry, Expiry, now_ms};
pub(crate) use expiry::Companion;
pub(crate) use glob::Glob;
pub(crate) use locks::Stripes;
pub(crate) use plain::{ADOPTING, PlainKeyspace, hash};
pub(crate) use replicated::{Levels, ReplicatedKeyspace};
pub(crate) use scan::{Page, Wanted};
pub(crate) use target::{Database, Databases, OpenError, Target};
