//! [`StoreOperation`]: what the state machine asks of its store, and what it gets back.
//!
//! The machine never touches the engine itself: it emits an operation under a ticket, its driver runs it
//! ([`super::Store::execute`]), and the outcome comes back as an event. Each operation is whole: a read-modify-write of one
//! key happens inside of the store, one at a time for each key.

use super::keyspace::KeyspaceId;
use crate::causality::{Context, Dot, SiblingSet};
use crate::id::NodeId;
use esker::{Durability, Slice};
use std::fmt;

/// What a write leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A value, until `expires_at` (milliseconds since 1970) if that is given.
    Put {
        /// The value.
        value: Slice,
        /// When it ends to be visible.
        expires_at: Option<u64>,
    },
    /// Nothing: the key is deleted.
    Delete,
}

/// Whose copy of a key is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Copy {
    /// The one that this store keeps as a replica.
    Own,
    /// One that it keeps for an absent replica, as a fallback.
    For(NodeId),
}

/// An operation on a store.
#[derive(Clone, Debug)]
pub enum StoreOperation {
    /// Reads a key. Answered by [`StoreOutcome::Set`].
    Read {
        /// The keyspace.
        keyspace: KeyspaceId,
        /// The user key.
        key: Slice,
        /// Whether values are wanted, or only what the record says of them.
        bodies: bool,
    },
    /// Takes a new write: gives it a dot, stores it. Answered by [`StoreOutcome::Minted`]; what was written is visible then,
    /// but not durable yet.
    Mint {
        /// The keyspace.
        keyspace: KeyspaceId,
        /// The user key.
        key: Slice,
        /// What is written.
        change: Change,
        /// What the writer has seen; `None` for what this store has itself.
        seen: Option<Context>,
        /// Whose copy: its own, or one for an absent replica.
        copy: Copy,
        /// How durable it has to become.
        durability: Durability,
        /// The wall clock, in milliseconds since 1970.
        wall_millis: u64,
    },
    /// Joins what another store knows of a key into what this one knows. Answered by [`StoreOutcome::Joined`].
    Join {
        /// The keyspace.
        keyspace: KeyspaceId,
        /// The user key.
        key: Slice,
        /// What the other knows; every value with its bytes.
        set: SiblingSet,
        /// Whose copy: its own, or one for an absent replica.
        copy: Copy,
        /// How durable it has to become.
        durability: Durability,
        /// The wall clock, in milliseconds since 1970.
        wall_millis: u64,
    },
    /// Takes what enough other replicas have in the place of what this store cannot read of a key, and joins it where all can be
    /// read. Synced. Answered by [`StoreOutcome::Joined`].
    Heal {
        /// The keyspace.
        keyspace: KeyspaceId,
        /// The user key.
        key: Slice,
        /// What the others have; every value with its bytes.
        set: SiblingSet,
        /// The wall clock, in milliseconds since 1970.
        wall_millis: u64,
    },
    /// Lists records in the order of their stored keys. Answered by [`StoreOutcome::Page`].
    Page {
        /// The keyspace.
        keyspace: KeyspaceId,
        /// Records with stored keys from this one on; empty for all.
        from: Vec<u8>,
        /// At most this many records.
        records: usize,
        /// Ends after this many bytes of keys and values.
        bytes: usize,
        /// Whether values are wanted.
        bodies: bool,
    },
    /// Notes that a replica missed a write of this key, which this store has itself. Answered by [`StoreOutcome::Hinted`].
    KeepMarker {
        /// Who missed it.
        target: NodeId,
        /// The keyspace.
        keyspace: KeyspaceId,
        /// The user key.
        key: Slice,
        /// The wall clock, in milliseconds since 1970.
        wall_millis: u64,
    },
    /// Lists hints for a replica. Answered by [`StoreOutcome::Hints`], each with the set to be sent.
    Hints {
        /// For whom.
        target: NodeId,
        /// Those after this one; `None` for the first.
        after: Option<HintKey>,
        /// At most this many.
        limit: usize,
    },
    /// Forgets a hint if nothing was added to it since it was listed. Answered by [`StoreOutcome::Hinted`].
    DropHint {
        /// Which.
        hint: HintKey,
        /// Its stamp when it was listed.
        stamp: u64,
    },
    /// Makes the state of the cluster durable. Answered by [`StoreOutcome::Done`] once it is.
    KeepClusterState {
        /// Its bytes.
        bytes: Vec<u8>,
        /// The keyspaces that are to exist.
        keyspaces: Vec<super::KeyspaceDefinition>,
    },
    /// Keeps what this node remembers of the marks of the members, and gives this store's own, from its writes up to now.
    /// Answered by [`StoreOutcome::Mark`]; both are durable later.
    KeepMarks(Vec<(NodeId, u64)>),
    /// Takes the identity that a cluster gave this store, and makes it durable. Answered by [`StoreOutcome::Done`] once it is.
    Adopt(super::Identity),
}

/// Which hint: for whom, and of which key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HintKey {
    /// For whom.
    pub target: NodeId,
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// The user key.
    pub key: Slice,
}

/// A hint, ready to be sent.
#[derive(Clone, Debug)]
pub struct Hint {
    /// Which.
    pub key: HintKey,
    /// What it was when it was listed; see [`StoreOperation::DropHint`].
    pub stamp: u64,
    /// What the target is to learn: what this store has now, or what it keeps for the target; with bytes.
    pub set: SiblingSet,
}

/// A record of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The user key.
    pub key: Slice,
    /// What is known of it.
    pub set: SiblingSet,
}

/// Records of a stretch of stored keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Those that can be read.
    pub records: Vec<Record>,
    /// The user keys of those that cannot.
    pub unreadable: Vec<Slice>,
    /// Whether something could not be read of which not even the key is known.
    pub gap: bool,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Vec<u8>>,
}

impl Page {
    /// Whether it has all records of its stretch.
    pub fn is_whole(&self) -> bool {
        self.unreadable.is_empty() && !self.gap
    }

    /// How many records it tells of.
    pub(crate) fn len(&self) -> usize {
        self.records.len() + self.unreadable.len()
    }
}

/// What became of an operation.
#[derive(Clone, Debug)]
pub enum StoreOutcome {
    /// What is known of the key.
    Set {
        /// The set.
        set: SiblingSet,
    },
    /// A write was taken.
    Minted {
        /// What is known of the key now; the dot of the new write is the highest of this store's.
        set: SiblingSet,
        /// What the writer has seen now.
        context: Context,
        /// Entries that the clock lost to truncation.
        truncated: usize,
    },
    /// Joined; whether anything was new.
    Joined {
        /// Whether the stored set changed. If not there is nothing to wait for but earlier writes of the key.
        changed: bool,
    },
    /// A page.
    Page(Page),
    /// A hint was noted or forgotten.
    Hinted {
        /// Hints kept for the target.
        waiting: u64,
        /// Whether there was no room for it: the replica will miss the write until it is repaired otherwise.
        overflowed: bool,
    },
    /// Hints.
    Hints {
        /// Those that can be sent. None, and none that cannot, at the end.
        hints: Vec<Hint>,
        /// Those that cannot, since this store cannot read its own record of the key.
        unreadable: Vec<HintKey>,
    },
    /// The mark of this store.
    Mark(u64),
    /// Done, and durable.
    Done,
    /// Nothing was changed.
    Failed(StoreFailure),
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFailure {
    /// The record cannot be read: damage, or a failing device. It may exist.
    Unreadable(String),
    /// The store takes no writes: a full disk, a failed write or sync before.
    ReadOnly(String),
    /// The key has as many siblings as it may have; a write that has seen them would replace them.
    TooManySiblings {
        /// How many there are.
        siblings: usize,
    },
    /// The writer has seen what this store has not, and knows that it has not seen this write, which the store does not know
    /// either: the store has to be told of it first.
    BehindContext {
        /// The write.
        missing: Dot,
    },
    /// A counter lies too far in the future to be believed.
    ClockTooFarAhead {
        /// By how much, in milliseconds.
        lead_millis: u64,
    },
    /// The engine's background work is so far behind that a write would have to wait for it.
    Busy(String),
    /// The store does not know this keyspace.
    NoSuchKeyspace(KeyspaceId),
    /// A key or value is longer than the engine takes.
    TooLong(String),
    /// Anything else that the engine said.
    Engine(String),
}

impl fmt::Display for StoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreFailure::Unreadable(what) => write!(f, "the record cannot be read: {what}"),
            StoreFailure::ReadOnly(why) => write!(f, "the store takes no writes: {why}"),
            StoreFailure::TooManySiblings { siblings } => write!(
                f,
                "the key has {siblings} siblings, as many as it may have: read them, and write with the context of that read"
            ),
            StoreFailure::BehindContext { missing } => write!(
                f,
                "the context stands beside the write {missing:?}, which this store does not know: read the key, and write with the \
                 context of that read"
            ),
            StoreFailure::ClockTooFarAhead { lead_millis } => write!(
                f,
                "a counter lies {lead_millis} ms in the future of this node's clock: set the clocks of the nodes"
            ),
            StoreFailure::NoSuchKeyspace(id) => write!(f, "this node does not know the keyspace {id}"),
            StoreFailure::Busy(what) | StoreFailure::TooLong(what) | StoreFailure::Engine(what) => {
                f.write_str(what)
            }
        }
    }
}

impl std::error::Error for StoreFailure {}
