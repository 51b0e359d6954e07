//! Many Esker stores as one: consistent hashing, quorums, causal versions, hinted handoff.
//!
//! The crate is sans-IO: a [`Node`] is a state machine without clock, socket, thread or file. It takes [`Event`]s and gives
//! [`Effect`]s; a driver brings time and messages and carries the effects out. The server drives one node with sockets
//! and timers; the simulator drives whole clusters from one seed.
//!
//! | room | purpose |
//! |---|---|
//! | [`ring`] | who owns which part of the token space: a pure function of the members |
//! | [`causality`] | which write replaces which: dots, vector clocks, siblings, contexts |
//! | [`membership`] | who is here, and who is alive: gossip |
//! | [`formation`] | how nodes become a cluster, and what they agree on |
//! | [`request`] | what clients ask, levels, and how a request ends |
//! | [`coordinator`] | one request, from its fan-out to its answer |
//! | `replica` | what a node answers to coordinators |
//! | [`store`] | the records in the engine |
//! | `handoff` | what absent replicas missed, kept and given back |
//! | `rebuild` | pulling the ranges of a store that lost them |
//! | [`message`] | what nodes say to each other, and its bytes |

#![forbid(unsafe_code)]

pub mod causality;
mod config;
pub mod coordinator;
mod directory;
mod event;
pub mod formation;
mod handoff;
mod id;
pub mod membership;
pub mod message;
mod node;
mod number;
mod outbox;
mod random;
mod rebuild;
mod replica;
pub mod request;
pub mod ring;
mod state;
pub mod store;

pub use config::NodeConfig;
#[cfg(feature = "testing")]
pub use config::Protection;
pub use event::{Effect, Event, Moment, Notice, RequestId, Ticket};
pub use id::{Address, NodeId};
pub use node::{MemberStatus, Node, NodeStatus};
pub use random::Random;
pub use state::{ClusterState, MemberRecord};
