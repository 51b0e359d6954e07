//! [`Traffic`]: what went between this node and its peers, counted.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts what goes between this node and its peers. Each number only grows.
        #[derive(Debug, Default)]
        pub struct Traffic {
            $(pub(super) $name: AtomicU64,)*
        }

        /// What [`Traffic`] had counted at some moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct TrafficCounts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Traffic {
            /// What was counted. The numbers are not of one moment.
            pub fn counts(&self) -> TrafficCounts {
                TrafficCounts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Messages that were put into a stream to a peer.
    frames_out,
    /// Their bytes.
    bytes_out,
    /// Messages that came from peers and could be read.
    frames_in,
    /// Their bytes.
    bytes_in,
    /// Messages that were not sent: the queue was full, the connection broke, or they are longer than a peer takes.
    frames_dropped,
    /// Connections that were made to peers.
    connects,
    /// Connections to peers that were refused or broke.
    disconnects,
    /// Streams of peers that were ended because of bytes that are no message.
    malformed,
}

pub(super) fn count(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}
