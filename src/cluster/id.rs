//! [`NodeId`]: who a node is, for as long as its data directory lives; and [`Address`]: where it is.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Where a node listens for its peers: `host:port`.
pub type Address = Arc<str>;

/// The name of a node: drawn at random when its directory is made, and kept for good.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeId {
    type Err = String;

    fn from_str(text: &str) -> Result<NodeId, String> {
        match u64::from_str_radix(text, 16) {
            Ok(id) if text.len() == 16 => Ok(NodeId(id)),
            _ => Err(format!("`{text}` is no node id: give its 16 hexadecimal digits")),
        }
    }
}
