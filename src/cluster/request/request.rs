//! [`Request`] and [`Response`]: what clients ask of a cluster, and the three ways in which it can end.

use super::level::Level;
use crate::causality::{Context, ContextKey, Dot};
use crate::store::{Change, KeyspaceId};
use esker::{Durability, Slice};
use std::fmt;
use std::time::Duration;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The values of a key.
    Get {
        /// The key.
        key: Slice,
        /// If given, the answer has seen at least what this context covers.
        context: Option<Context>,
    },
    /// A write of a key.
    Write {
        /// The key.
        key: Slice,
        /// What it leaves.
        change: Change,
        /// If given, the write replaces what this context covers and nothing else; otherwise it replaces what the node that
        /// takes it has seen.
        context: Option<Context>,
    },
    /// Keys in the order of their tokens, some at a time.
    Scan {
        /// Where to go on: what the answer before said, empty for the beginning.
        from: Vec<u8>,
        /// About how many keys.
        limit: usize,
        /// Whether values are wanted.
        values: bool,
    },
}

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// What is asked for.
    pub operation: Operation,
    /// Which replicas have to answer.
    pub level: Level,
    /// Whether nodes that stand in for absent replicas count, at levels ANY and ONE.
    pub sloppy: bool,
    /// How durable a write has to be at each replica that counts.
    pub durability: Durability,
    /// How long the client waits.
    pub timeout: Duration,
}

impl Request {
    /// What binds the contexts of the request and of its answer to the key. Those of a scan, which has no key, are none.
    pub fn context_key(&self) -> ContextKey {
        match &self.operation {
            Operation::Get { key, .. } | Operation::Write { key, .. } => self.keyspace.context_key(key),
            Operation::Scan { .. } => self.keyspace.context_key(&[]),
        }
    }
}

/// A value that a reader sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The value.
    pub value: Slice,
    /// The write that made it.
    pub dot: Dot,
    /// When it ends to be visible, in milliseconds since 1970.
    pub expires_at: Option<u64>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// What a read found: no version if the key has no value, several if it has siblings.
    Found {
        /// The values, by dot.
        versions: Vec<Version>,
        /// What was seen.
        context: Context,
        /// How many replicas answered.
        replied: u32,
    },
    /// The write is there, as durable as it asked to be, at as many replicas as the level says.
    Written {
        /// What was seen and written.
        context: Context,
        /// How many replicas acknowledged it.
        acks: u32,
        /// How many nodes that stand in for absent replicas did.
        fallbacks: u32,
    },
    /// A piece of a scan.
    Scanned {
        /// Keys with their values (empty if values were not asked for).
        pairs: Vec<(Slice, Vec<Version>)>,
        /// Where to go on; `None` at the end.
        next: Option<Vec<u8>>,
    },
    /// Nothing was done and nothing will be.
    Rejected(Rejection),
    /// The write may or may not be there, or come to be there. A read says this never.
    Unknown {
        /// How many replicas acknowledged it.
        acks: u32,
        /// What was missing.
        why: String,
    },
}

/// Why a request was refused without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// Too few replicas can be reached.
    Unavailable {
        /// How many answered, or can be reached.
        have: u32,
        /// How many the level needs.
        need: u32,
        /// More about it.
        why: String,
    },
    /// A read did not get enough answers in time.
    Timeout {
        /// How many answered.
        have: u32,
        /// How many the level needs.
        need: u32,
    },
    /// The node has as much to do as it can finish in time.
    Overloaded,
    /// Key and value together are too long.
    PairTooLarge {
        /// Their length in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The key has as many siblings as it may have.
    TooManySiblings {
        /// How many.
        siblings: u32,
    },
    /// The request makes no sense: the sentence says why.
    Invalid(String),
    /// The node cannot take requests: it is not part of a cluster yet, or its identity is in doubt.
    NotReady(String),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::Unavailable { have, need, why } => {
                write!(f, "the level needs {need} replicas and {have} can answer: {why}")
            }
            Rejection::Timeout { have, need } => {
                write!(f, "{have} of {need} replicas answered in time; nothing was changed, ask again")
            }
            Rejection::Overloaded => f.write_str(
                "the node has more requests than it can finish in time: ask again later, or another node",
            ),
            Rejection::PairTooLarge { bytes, limit } => {
                write!(f, "key and value have {bytes} bytes together, and the limit is {limit}")
            }
            Rejection::TooManySiblings { siblings } => write!(
                f,
                "the key has {siblings} siblings, as many as it may have: read them, and write with the context of that read"
            ),
            Rejection::Invalid(what) | Rejection::NotReady(what) => f.write_str(what),
        }
    }
}
