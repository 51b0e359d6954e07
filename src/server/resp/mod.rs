//! The protocol of Redis, versions 2 and 3: bytes to requests, requests to commands, answers to bytes.
//!
//! A connection is a task. It holds no buffer while nothing is under way, so that idle ones are cheap. What was received is answered
//! in order and sent with one write; see [`connection`] for how pipelines, slow readers and durability meet.

mod access;
mod asked;
mod causal;
mod clients;
mod command;
mod connection;
mod context;
mod fuzz;
mod listener;
mod parse;
mod refusal;
mod reply;
mod session;
mod turn;
mod walk;
mod writes;

pub(crate) use access::{Access, NotAllowed, check_basic, check_metadata};
pub(crate) use asked::ASKING;
pub(crate) use clients::Clients;
pub(crate) use command::TABLE;
pub use fuzz::fuzz_requests;
pub(crate) use listener::{accept, sweep};
pub(crate) use parse::Limits;
pub(crate) use turn::TurnPool;
