//! The document that `/status` answers with: the server, and its cluster as this node sees it.

use crate::node::TrafficCounts;
use crate::server::Server;
use esker_cluster::membership::Liveness;
use esker_cluster::{MemberStatus, NodeStatus};
use serde_json::{Value, json};

/// The whole document. Without a node's status its `node` is null: the node is stopped.
pub(super) fn document(server: &Server, node: Option<&NodeStatus>, readiness: &Result<(), String>) -> Value {
    let addresses = server.addresses.get();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "run_id": server.run_id,
        "uptime_seconds": server.started.elapsed().as_secs(),
        "ready": readiness.is_ok(),
        "reason": readiness.as_ref().err(),
        "listen": addresses.map(|at| json!({ "resp": at.resp, "peer": at.peer, "http": at.http })),
        "databases": databases(server),
        "clients": {
            "connected": server.clients.count(),
            "accepted": server.metrics.connections_opened.get(),
            "refused": server.metrics.connections_refused.get(),
        },
        "commands": server.metrics.total_commands(),
        "store": store(server),
        "node": node.map(of_node),
        "traffic": traffic(&server.node.traffic().counts()),
    })
}

fn databases(server: &Server) -> Vec<Value> {
    let of_database = |(number, database): (usize, &crate::database::Database)| {
        let kind = database.target().kind();
        json!({ "number": number, "keyspace": database.name, "kind": kind })
    };
    server.databases.iter().enumerate().map(of_database).collect()
}

fn store(server: &Server) -> Value {
    let stats = server.db.stats();
    json!({
        "path": server.db.path(),
        "durability": if server.config.durability == esker::Durability::Synced { "synced" } else { "buffered" },
        "writes": stats.writes,
        "gets": stats.gets,
        "fsyncs": stats.fsyncs,
        "stalls": stats.stalls,
        "memtable_bytes": stats.memtable_bytes,
        "wal_segments": stats.wal_segments,
        "read_only": stats.read_only,
    })
}

/// The node and its cluster.
fn of_node(node: &NodeStatus) -> Value {
    let counters = &node.counters;
    json!({
        "id": node.id.to_string(),
        "cluster": (!node.members.is_empty()).then(|| format!("{:032x}", node.cluster)),
        "epoch": node.epoch,
        "sealed": node.sealed,
        "open": node.open,
        "replicas": node.replicas,
        "ready": node.ready,
        "read_only": node.read_only,
        "rebuilding": node.rebuilding,
        "open_requests": node.open_requests,
        "counters": {
            "requests": counters.requests,
            "shed": counters.shed,
            "forwarded": counters.forwarded,
            "read_repairs": counters.read_repairs,
            "healed": counters.healed,
            "hedges": counters.hedges,
            "unknown": counters.unknown,
            "clock_truncated": counters.clock_truncated,
        },
        "hints": { "overflowed": node.hints_overflowed, "replayed": node.hints_replayed },
        "members": node.members.iter().map(of_member).collect::<Vec<_>>(),
    })
}

fn of_member(member: &MemberStatus) -> Value {
    json!({
        "id": member.id.to_string(),
        "peer": member.peer_address,
        "resp": member.resp_address,
        "http": member.http_address,
        "zone": member.zone,
        "dc": member.dc,
        "weight": member.weight,
        "liveness": match member.liveness {
            Liveness::Alive => "alive",
            Liveness::Suspect => "suspect",
            Liveness::Down => "down",
        },
        "ready": member.ready,
        "writable": member.writable,
        "share_per_mille": member.share_per_mille,
        "hints_for_it": member.hints_for_it,
        "hints_kept": member.hints_kept,
        "skew_millis": member.skew_millis,
    })
}

fn traffic(counts: &TrafficCounts) -> Value {
    json!({
        "sent_messages": counts.frames_out,
        "sent_bytes": counts.bytes_out,
        "received_messages": counts.frames_in,
        "received_bytes": counts.bytes_in,
        "dropped_messages": counts.frames_dropped,
        "connects": counts.connects,
        "disconnects": counts.disconnects,
        "malformed_streams": counts.malformed,
    })
}
