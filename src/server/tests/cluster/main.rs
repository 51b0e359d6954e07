//! Clusters of real processes, and what goes wrong with them: killed, paused, full, cut off, emptied and copied.
//!
//! Each test starts `esker serve` on ports that it chooses, lets recording clients write under load, does something to the
//! nodes, heals the cluster, and reads everything back at QUORUM. The plain run does each thing once and shortly;
//! `ESKER_CLUSTER_FULL=1` does it for longer, with more nodes and more often. `ESKER_CLUSTER_HISTORY=DIR` keeps what the
//! clients recorded, as JSON lines.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod availability;
mod cluster;
mod connection;
mod directories;
mod disk;
mod faults;
mod forming;
mod history;
mod load;
mod network;
mod pipelines;
mod process;
mod trouble;

/// Whether everything is done in full.
fn is_full() -> bool {
    std::env::var_os("ESKER_CLUSTER_FULL").is_some()
}
