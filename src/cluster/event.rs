//! What goes into a [`crate::Node`] and what comes out: [`Event`]s in, [`Effect`]s out.
//!
//! ```text
//!            requests, messages, outcomes, time
//!                          │ Event
//!                   ┌──────▼──────┐
//!                   │    Node     │   no clock, no socket, no thread, no file
//!                   └──────┬──────┘
//!                          │ Effect
//!            answers, messages, store operations
//! ```
//! The server drives a node with sockets and timers; the simulator drives many from one seed. Both drive the same code.

use crate::id::Address;
use crate::message::Envelope;
use crate::request::{Request, Response};
use crate::store::{StoreFailure, StoreOperation, StoreOutcome};
use std::time::Duration;

/// When an event takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Time since some fixed moment; never goes back. Deadlines and timeouts are counted on it.
    pub monotonic: Duration,
    /// The wall clock, in milliseconds since 1970. It may jump, and differ from that of other nodes.
    pub wall_millis: u64,
}

/// The number under which a driver knows a client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The number under which a node knows a store operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Something happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Time went on. Due at [`crate::Node::next_wake`], harmless at any time.
    Tick,
    /// A client asks for something. Answered by one [`Effect::Respond`].
    Request {
        /// The driver's number for it.
        id: RequestId,
        /// What it asks for.
        request: Request,
    },
    /// A write is about to come that does not go through the node: the ring is sealed, if it is not yet.
    Seal,
    /// A message came in.
    Received(Envelope),
    /// A store operation was run; what it wrote is visible, but not durable yet.
    Stored {
        /// Which.
        ticket: Ticket,
        /// What became of it.
        outcome: StoreOutcome,
    },
    /// What a store operation wrote is as durable as it asked to be, or never will. Comes after its `Stored`, for every
    /// [`StoreOperation::Mint`], [`StoreOperation::Join`] and [`StoreOperation::KeepMarks`] that did not fail.
    Durable {
        /// Which.
        ticket: Ticket,
        /// Whether it is.
        result: Result<(), StoreFailure>,
    },
    /// Nothing can be sent to this address for now: a connection broke or was refused. What was sent may be lost.
    PeerLost(Address),
    /// Messages can be sent to this address again.
    PeerFound(Address),
}

/// Something is to be done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send a message. It may be lost; messages to one address arrive in order while the connection lasts.
    Send {
        /// Where to.
        to: Address,
        /// What.
        envelope: Envelope,
    },
    /// Run a store operation.
    Store {
        /// The number to answer under.
        ticket: Ticket,
        /// The operation.
        operation: StoreOperation,
    },
    /// Answer a client.
    Respond {
        /// Which request.
        id: RequestId,
        /// The answer.
        response: Response,
    },
    /// Something that an operator wants to know.
    Notice(Notice),
}

/// Something that an operator wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The node cannot go on: the sentence says why and what to do. The driver ends the process.
    Fatal(String),
    /// This node and another keep different states of the cluster under one epoch. The node that is not the founder ends itself.
    Divided {
        /// The epoch.
        epoch: u64,
        /// The other node.
        other: crate::id::NodeId,
    },
    /// Something that is well to know: a node went down or came back, the ring was sealed, a rebuild ended.
    Info(String),
    /// Something that wants attention.
    Warning(String),
}
