//! The bytes of what nodes say to each other: [`encode`] and [`decode`]. `WIRE.md` beside the crate is the specification.
//!
//! A peer may be another program, of another version, or have its bytes damaged on the way. So a reader takes nothing on
//! trust: a checksum keeps accidents out, every length is held against [`limits`] and against what is there before anything
//! is allocated, and what is read satisfies the invariants of its types. Each message has one encoding only.
//!
//! | file | holds |
//! |---|---|
//! | `frame` | what stands around a message |
//! | `body` | messages by their kinds |
//! | `causal` | clocks, contexts, sets of siblings |
//! | `request` | requests of clients, and how they ended |
//! | `refusal` | whether a replica did what it was asked |
//! | `cluster` | the state of the cluster, joining, what a node says of itself |
//! | `writer`, `reader` | the pieces of all of them |
//! | `limits` | what a message may hold at most |
//! | `malformed` | why bytes are no message |
//! | `testing` | messages made from a seed, and bodies of fuzz targets |

mod body;
mod causal;
mod cluster;
mod frame;
pub mod limits;
mod malformed;
mod reader;
mod refusal;
mod request;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod writer;

pub use causal::{decode_set, encode_set};
pub use cluster::{decode_state, encode_state};
pub use frame::{VERSION, decode, decode_shared, encode};
pub use malformed::MalformedMessage;
