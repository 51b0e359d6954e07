//! What clients ask of a cluster, and the three ways in which it can end.
//!
//! A [`Request`] names its [`Level`]: which replicas have to answer. A [`Quota`] is what that means for one key. A
//! [`Response`] is an acknowledgement, a rejection without effect, or *unknown*.

mod level;
#[allow(clippy::module_inception, reason = "the room's main noun has its name")]
mod request;
#[cfg(test)]
mod tests;

pub use level::{Impossible, Level, Quota, majority};
pub use request::{Operation, Rejection, Request, Response, Version};
