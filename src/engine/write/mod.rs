//! The write room.

mod publish;

pub(crate) use publish::{PublishQueue, Ticket};
