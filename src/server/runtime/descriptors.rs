//! File descriptors: each connection takes one, and so do the files of the store.
//!
//! A store that cannot open its next file takes no more writes, so that clients must never have the last descriptor: connections are
//! bounded by what the system allows, less a reserve.

use crate::{http, rpc};
use rustix::process::{Resource, getrlimit, setrlimit};

/// What the store may need (a thousand of it for tables that are read by position), and the connections to the other listeners,
/// beside those of clients of Redis.
const RESERVE: u64 = 1024 + 512 + (http::CONNECTIONS + rpc::CONNECTIONS) as u64;

/// Raises the process's limit as far as it is wanted and the system allows, and returns how many connections there is room for: `wanted`,
/// or less.
pub(super) fn room_for(wanted: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let needed = wanted as u64 + RESERVE;
    if limit.current.is_some_and(|current| current < needed) {
        let mut raised = limit;
        raised.current = Some(limit.maximum.map_or(needed, |maximum| maximum.min(needed)));
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    limit.current.map_or(wanted, |current| room_within(current, wanted))
}

/// Says that there is room for fewer connections than were wanted.
pub(super) fn warn_of(room: usize, wanted: usize) {
    if room < wanted {
        tracing::warn!(
            "the system lets this process open so few files that there is room for {room} connections and not for the {wanted} \
             of max-clients; raise the limit (ulimit -n), or lower max-clients"
        );
    }
}

/// How many of `wanted` connections fit into this many descriptors. Where there are few, half of them are the store's.
fn room_within(descriptors: u64, wanted: usize) -> usize {
    let room = descriptors - RESERVE.min(descriptors / 2);
    usize::try_from(room).unwrap_or(usize::MAX).min(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_keeps_its_share() {
        assert_eq!(room_within(100_000, 20_000), 20_000);
        assert_eq!(room_within(20_000, 20_000), 17_312);
        assert_eq!(room_within(1024, 20_000), 512);
        assert_eq!(room_within(64, 20_000), 32);
        assert_eq!(room_within(0, 20_000), 0);
    }
}
