//! [`MalformedMessage`]: why bytes are not a message, or a piece of one, and where they stop being one.

use super::frame::VERSION;
use std::fmt;

/// Bytes that are no message: from another program, of another version, or damaged on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MalformedMessage {
    /// They are written in a version that this node does not read.
    Version {
        /// The version that they name.
        found: u8,
    },
    /// They are not what a node writes.
    Content {
        /// What is wrong.
        what: &'static str,
        /// At which byte it was found.
        at: usize,
    },
}

impl fmt::Display for MalformedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MalformedMessage::Version { found } => write!(
                f,
                "the message is written in version {found} of the peer protocol and this node speaks version {VERSION}: run \
                 versions of Esker that know each other on all nodes"
            ),
            MalformedMessage::Content { what, at } => {
                write!(f, "these bytes are not what a node of Esker writes: {what}, at byte {at}")
            }
        }
    }
}

impl std::error::Error for MalformedMessage {}
