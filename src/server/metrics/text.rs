//! The exposition of what is counted, in the text format of Prometheus.

use crate::node::TrafficCounts;
use crate::server::Server;
use esker_cluster::membership::Liveness;
use esker_cluster::{MemberStatus, NodeStatus};
use std::fmt::{Display, Write as _};

/// Appends metrics to a text.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            self.0.push(if i == 0 { '{' } else { ',' });
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{label}=\"{text}\"");
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        self.sample(name, &[], value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.sample(name, &[], value);
    }
}

/// All metrics of the server and of its store.
pub(crate) fn render(server: &Server, node: Option<&NodeStatus>) -> String {
    let mut page = Page(String::with_capacity(16 << 10));
    connections(&mut page, server);
    commands(&mut page, server);
    store(&mut page, server);
    traffic(&mut page, &server.node.traffic().counts());
    if let Some(node) = node {
        cluster(&mut page, node);
    }
    page.0
}

fn connections(page: &mut Page, server: &Server) {
    let m = &server.metrics;
    page.gauge("esker_uptime_seconds", "Seconds since the start.", server.started.elapsed().as_secs());
    page.gauge("esker_connected_clients", "Connections that are open.", server.clients.count());
    page.counter("esker_connections_total", "Connections that were accepted.", m.connections_opened.get());
    page.counter(
        "esker_connections_refused_total",
        "Connections beyond max-clients.",
        m.connections_refused.get(),
    );
    page.counter("esker_received_bytes_total", "Bytes received from clients.", m.bytes_in.get());
    page.counter("esker_sent_bytes_total", "Bytes sent to clients.", m.bytes_out.get());
    page.counter(
        "esker_protocol_errors_total",
        "Connections closed since what came was no request.",
        m.protocol_errors.get(),
    );
    page.counter("esker_auth_failures_total", "Wrong passwords and names.", m.auth_failures.get());
    page.counter("esker_expired_keys_total", "Expired keys that were removed unasked.", m.expired.get());
}

fn commands(page: &mut Page, server: &Server) {
    let m = &server.metrics;
    let used = || m.commands.iter().filter(|command| command.calls.get() > 0);
    page.head("esker_commands_total", "counter", "Commands answered.");
    for command in used() {
        page.sample("esker_commands_total", &[("command", command.name)], command.calls.get());
    }
    page.head("esker_command_errors_total", "counter", "Commands answered with an error.");
    for command in used() {
        page.sample("esker_command_errors_total", &[("command", command.name)], command.errors.get());
    }
    let name = "esker_request_duration_seconds";
    page.head(name, "histogram", "From a request's arrival until its answer was ready.");
    let mut count = 0;
    for (bound, upto) in m.latency.cumulative() {
        let bound = bound.map_or("+Inf".to_owned(), |micros| (micros as f64 / 1e6).to_string());
        page.sample(&format!("{name}_bucket"), &[("le", &bound)], upto);
        count = upto;
    }
    page.sample(&format!("{name}_sum"), &[], m.latency.micros() as f64 / 1e6);
    page.sample(&format!("{name}_count"), &[], count);
}

fn store(page: &mut Page, server: &Server) {
    let stats = server.db.stats();
    for (name, help, value) in [
        ("writes", "Operations written to the store.", stats.writes),
        ("user_bytes", "Bytes of keys and values written, with their framing.", stats.user_bytes),
        ("wal_bytes", "Bytes written to the log.", stats.wal_bytes),
        ("wal_writes", "Calls that wrote to the log.", stats.wal_writes),
        ("flush_bytes", "Bytes written to tables by flushes.", stats.flush_bytes),
        ("compaction_bytes", "Bytes written to tables by compactions.", stats.compaction_bytes),
        ("compaction_read_bytes", "Bytes of tables read by compactions.", stats.compaction_read_bytes),
        ("flushes", "Flushes done.", stats.flushes),
        ("compactions", "Compactions done.", stats.compactions),
        ("fsyncs", "Syncs of files.", stats.fsyncs),
        ("stalls", "Times that a write had to wait.", stats.stalls),
        ("stalled_microseconds", "How long writes waited.", stats.stalled_micros),
        ("slowed_writes", "Writes that were slowed down.", stats.slowed),
        ("gets", "Point lookups.", stats.gets),
        ("hits", "Point lookups that found a value.", stats.hits),
        ("table_probes", "Tables that point lookups asked.", stats.table_probes),
        ("filter_negatives", "Tables whose filter said no.", stats.filter_negatives),
        ("cache_hits", "Blocks found in the block cache.", stats.cache_hits),
        ("cache_misses", "Blocks not found there.", stats.cache_misses),
    ] {
        page.counter(&format!("esker_store_{name}_total"), help, value);
    }
    for (name, help, value) in [
        ("cache_bytes", "Bytes that the block cache holds.", stats.cache_bytes),
        ("cache_capacity_bytes", "The most that it may hold.", stats.cache_capacity),
        ("open_tables", "Tables that are open.", stats.open_tables),
        ("memtable_bytes", "Bytes in active memtables.", stats.memtable_bytes),
        ("sealed_bytes", "Bytes in memtables that wait to be flushed.", stats.sealed_bytes),
        ("snapshots", "Snapshots alive.", stats.snapshots),
        ("wal_segments", "Segments of the log on disk.", stats.wal_segments),
        ("read_only", "1 if the store takes no writes.", u64::from(stats.read_only.is_some())),
    ] {
        page.gauge(&format!("esker_store_{name}"), help, value);
    }
    page.gauge(
        "esker_store_write_amplification",
        "Bytes written for each byte of users.",
        stats.write_amplification,
    );
    let name = "esker_store_level_bytes";
    page.head(name, "gauge", "Bytes of tables by keyspace and level.");
    for keyspace in &stats.keyspaces {
        for level in &keyspace.levels {
            let number = level.level.to_string();
            page.sample(name, &[("keyspace", &keyspace.name), ("level", &number)], level.bytes);
        }
    }
}

fn traffic(page: &mut Page, traffic: &TrafficCounts) {
    for (name, help, value) in [
        ("sent_messages", "Messages given to connections to peers.", traffic.frames_out),
        ("sent_bytes", "Their bytes.", traffic.bytes_out),
        ("received_messages", "Messages that came from peers.", traffic.frames_in),
        ("received_bytes", "Their bytes.", traffic.bytes_in),
        (
            "dropped_messages",
            "Messages that a full queue or a broken connection lost.",
            traffic.frames_dropped,
        ),
        ("connects", "Connections made to peers.", traffic.connects),
        ("disconnects", "Connections to peers that were refused or broke.", traffic.disconnects),
        ("malformed_streams", "Streams of peers with bytes that are no message.", traffic.malformed),
    ] {
        page.counter(&format!("esker_peer_{name}_total"), help, value);
    }
}

fn cluster(page: &mut Page, node: &NodeStatus) {
    let counters = &node.counters;
    for (name, help, value) in [
        ("requests", "Requests that this node coordinated.", counters.requests),
        ("shed", "Requests refused since too many were under way.", counters.shed),
        ("forwarded", "Requests handed to a replica of their key.", counters.forwarded),
        ("read_repairs", "Replicas brought up by reads.", counters.read_repairs),
        ("healed", "Records that a replica could not read, given to it by the others.", counters.healed),
        ("hedges", "Replicas asked since others were slow.", counters.hedges),
        ("unknown", "Writes whose outcome is unknown.", counters.unknown),
        ("clock_truncated", "Clock entries lost to truncation.", counters.clock_truncated),
    ] {
        page.counter(&format!("esker_coordinator_{name}_total"), help, value);
    }
    page.gauge("esker_coordinator_open_requests", "Requests that wait for their answer.", node.open_requests);
    page.counter("esker_hints_replayed_total", "Hints given back.", node.hints_replayed);
    page.counter("esker_hints_overflowed_total", "Hints that there was no room for.", node.hints_overflowed);
    let name = "esker_hints_waiting";
    page.head(name, "gauge", "Hints that this node keeps, by who they are for.");
    for member in &node.members {
        page.sample(name, &[("target", &member.id.to_string())], member.hints_for_it);
    }
    let name = "esker_members";
    page.head(name, "gauge", "Members of the cluster by liveness, as this node sees them.");
    for (word, liveness) in
        [("alive", Liveness::Alive), ("suspect", Liveness::Suspect), ("down", Liveness::Down)]
    {
        let counts = |member: &&MemberStatus| member.liveness == liveness;
        page.sample(name, &[("liveness", word)], node.members.iter().filter(counts).count());
    }
    page.gauge("esker_cluster_epoch", "The number of the last change of the cluster.", node.epoch);
    page.gauge("esker_cluster_open", "1 if the ring is sealed and requests are taken.", u64::from(node.open));
    page.gauge("esker_node_ready", "1 if the node has all its data.", u64::from(node.ready));
    let pulled = node.rebuilding.unwrap_or(0);
    page.gauge("esker_rebuild_records", "Records that the rebuild under way has pulled.", pulled);
}
