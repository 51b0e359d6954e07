//! [`RingError`]: why there is no ring.

use super::{MAX_MEMBERS, MAX_NAME_LEN, MAX_PARTITIONS, MAX_REPLICAS};
use crate::NodeId;
use std::fmt;

/// Why a ring can neither be placed nor be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RingError {
    /// The number of partitions is not a power of two, or there are too many of them.
    Partitions {
        /// The number that was asked for.
        asked: u32,
    },
    /// No replicas were asked for, or too many.
    Replicas {
        /// The number that was asked for.
        asked: usize,
    },
    /// There is nobody to own anything.
    NoMembers,
    /// There are more members than a ring holds.
    TooManyMembers {
        /// How many there are.
        count: usize,
    },
    /// Two members have one id.
    DuplicateMember {
        /// The id.
        id: NodeId,
    },
    /// A member has weight 0.
    NoWeight {
        /// The member.
        id: NodeId,
    },
    /// The name of a member's zone or data centre is too long.
    LongName {
        /// The member.
        id: NodeId,
        /// The length of the name in bytes.
        len: usize,
    },
    /// The bytes are those of a ring as a newer version of Esker writes it.
    Version {
        /// The version of the layout.
        found: u8,
    },
    /// The bytes are not those of a ring.
    Damaged {
        /// What is wrong with them.
        what: &'static str,
    },
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RingError::Partitions { asked } => {
                write!(
                    f,
                    "a ring cannot have {asked} partitions; choose a power of two up to {MAX_PARTITIONS}"
                )
            }
            RingError::Replicas { asked } => {
                write!(f, "a ring cannot keep {asked} replicas; choose a number from 1 to {MAX_REPLICAS}")
            }
            RingError::NoMembers => f.write_str("a ring needs at least one member"),
            RingError::TooManyMembers { count } => {
                write!(f, "{count} members are too many for one ring; the limit is {MAX_MEMBERS}")
            }
            RingError::DuplicateMember { id } => {
                write!(f, "two members have the id {id}; give one of them a data directory of its own")
            }
            RingError::NoWeight { id } => {
                write!(f, "member {id} has weight 0; give it at least 1, or drain it to take its data away")
            }
            RingError::LongName { id, len } => {
                write!(
                    f,
                    "member {id} has a zone or data centre with a name of {len} bytes; the limit is {MAX_NAME_LEN}"
                )
            }
            RingError::Version { found } => {
                write!(f, "the ring is written in layout {found}, which needs a newer version of Esker")
            }
            RingError::Damaged { what } => write!(f, "these bytes are not a ring: {what}"),
        }
    }
}

impl std::error::Error for RingError {}
