//! A cluster of real processes on this machine that shows what Esker does: what `esker demo` runs.
//!
//! [`Nodes`] are the processes, [`Client`] speaks RESP with one of them, [`Traffic`] is a client that keeps writing and reading
//! and remembers what was acknowledged, and [`tell`] is what happens in which order.

mod client;
mod processes;
mod story;
mod traffic;

pub(crate) use processes::Nodes;
pub(crate) use story::{Stopped, tell};

use client::{Client, Reply};
use traffic::{Second, Traffic};
