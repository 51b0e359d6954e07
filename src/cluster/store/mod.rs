//! The store of a node: the engine, and on it records with versions, the node's identity and its hints.
//!
//! ```text
//!   keyspace of the engine   key                                      value
//!   esker.node               identity, keyspaces, cluster             who this store is
//!                            marks                             how far the stores of members had come
//!                            dirty ‖ target 8 ‖ bucket 2              hints that there was no room for
//!   esker.hints              target 8 ‖ keyspace 4 ‖ stored key       a hint
//!   NAME.heads               stored key = token 8 ‖ user key          what is known of the key, short values included
//!   NAME.bodies              stored key ‖ actor 8 ‖ counter 8         a longer value
//! ```
//! Numbers in keys are big-endian. How a record lies is drawn in `RECORD.md`:
//!
#![doc = include_str!("RECORD.md")]
//!
//! Whoever changes a key holds the lock of its stripe, from reading the record to handing the new one to the engine: a
//! read-modify-write is one step. Nobody waits for a device under such a lock.

mod direct;
mod failure;
mod fold;
mod heal;
mod hint_record;
mod hints;
mod identity;
mod keyspace;
mod layout;
mod marks;
mod newest;
mod offline;
mod open;
mod operation;
mod own;
mod pages;
mod pairs;
mod reader;
mod record;
mod registry;
mod replicated;
#[allow(clippy::module_inception, reason = "the room's main noun has its name")]
mod store;
#[cfg(test)]
mod tests;

pub use direct::Update;
pub use fold::PREV_FOLD_NAME;
pub use identity::{Continuity, Identity};
pub use keyspace::{KeyspaceDefinition, KeyspaceId};
pub use layout::{INTERNAL_KIND, MAX_USER_KEY_LEN, REPLICATED_KIND, is_internal, options_for};
pub use offline::Offline;
pub use open::{OpenError, StoreConfig};
pub use operation::{Change, Copy, Hint, HintKey, Page, Record, StoreFailure, StoreOperation, StoreOutcome};
pub use pairs::Pair;
pub use store::Store;
