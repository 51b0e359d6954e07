//! Membership: who is here, what each says of itself, and who is alive.
//!
//! Each node keeps a list of members with a heartbeat counter and the time at which it last advanced here, and sends it to a
//! few random members each round. Of two entries of one member the newer wins, by (generation, heartbeat). Nobody is asked
//! whether he lives: a heartbeat that goes on advancing, by whatever way its news comes, is life.
//!
//! ```text
//!   tick ──► observe ──► judge ──► forget ──► round ──► gossip to random members
//!               ▲          ▲
//!   receive ── heartbeats  suspicions of others ──► an answer with what the sender did not know
//! ```
//!
//! | part | what it is |
//! |---|---|
//! | `info` | what a node says of itself |
//! | `member` | what is known of a member, and how news of it is taken |
//! | `gossip`, [`encoding`] | the message, and its bytes |
//! | `detector` | when silence becomes suspicion, and suspicion the verdict that a member is down |
//! | `conflict` | two nodes that say they are one |
//! | `forgotten` | ghosts, and why they do not come back |
//! | `state`, `round`, `receive` | [`Membership`]: what it holds, what it does by itself, how it takes a message |
//!
//! Invariants:
//! - A member is down only by the reports of two live members, or of all who can report. This node alone is enough only if
//!   it hears nobody else either.
//! - A report counts only for the heartbeat that it names. Whoever hears a member through anybody is proof against the reports
//!   of those who do not.
//! - A node that was stopped blames nobody for the time in which it did not look.
//! - An answer is never answered: one gossip causes at most one more message.
//! - Same seed, same calls, same trace.

mod config;
mod conflict;
mod detector;
pub mod encoding;
mod forgotten;
mod gossip;
mod info;
mod member;
mod receive;
mod round;
mod skew;
mod state;

#[cfg(test)]
mod tests;

pub use config::{GossipConfig, MEMBERS_MAX, SetupError, TEXT_MAX};
pub use conflict::Conflict;
pub use encoding::MalformedGossip;
pub use gossip::{Entry, Gossip, GossipError, OBSERVERS_MAX, Suspicion, Target};
pub use info::{MemberInfo, Status};
pub use member::{Liveness, Member};
pub use state::{Change, Membership};
