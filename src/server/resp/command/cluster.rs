//! `CLUSTER`: the ring, as clients of Redis Cluster want to know it, so that they go straight to a replica of their key.
//!
//! A slot is the front of a token, so the slots of a partition lie together. Whoever asks a node that is no replica gets its answer
//! all the same: nothing is ever moved.

use super::arguments::is;
use crate::resp::context::{Context, Flow, Ran};
use crate::resp::parse::Args;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use esker_cluster::ClusterState;
use esker_cluster::membership::Liveness;
use esker_cluster::ring::{Token, slot_of_key};
use esker_cluster::{MemberStatus, NodeId, NodeStatus};
use std::fmt::Write as _;
use std::sync::Arc;

/// Slots of Redis Cluster.
const SLOTS: u32 = 16384;

/// Bits of a token below its slot.
const BELOW_SLOT: u32 = 64 - 14;

/// Slots that lie together and have the same nodes, the first of them first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    first: u32,
    last: u32,
    nodes: Vec<NodeId>,
}

/// Who has which slots. Where every node has every key, each comes first for an equal part of them.
fn spans(state: &ClusterState) -> Vec<Span> {
    let members: Vec<NodeId> = state.members.iter().map(|member| member.id).collect();
    let ring = state.ring.as_ref().filter(|ring| ring.replicas() < members.len());
    let nodes_of = |slot: u32| match ring {
        Some(ring) => {
            let token = Token(u64::from(slot) << BELOW_SLOT);
            ring.preference_list(ring.partition_of(token)).collect::<Vec<_>>()
        }
        None => {
            let mut nodes = members.clone();
            nodes.rotate_left(slot as usize * members.len() / SLOTS as usize);
            nodes
        }
    };
    let mut spans: Vec<Span> = Vec::new();
    for slot in 0..SLOTS {
        let nodes = nodes_of(slot);
        match spans.last_mut() {
            Some(span) if span.nodes == nodes => span.last = slot,
            _ => spans.push(Span { first: slot, last: slot, nodes }),
        }
    }
    spans
}

/// The forty hexadecimal digits that Redis calls a node by.
fn name(id: NodeId) -> String {
    format!("{:040x}", id.0)
}

fn host_and_port(address: &str) -> (&str, i64) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    (host.trim_matches(['[', ']']), port.parse().unwrap_or(0))
}

/// What the node knows, with the state of the cluster.
struct Known {
    status: NodeStatus,
    state: Option<Arc<ClusterState>>,
}

impl Known {
    fn member(&self, id: NodeId) -> Option<&MemberStatus> {
        self.status.members.iter().find(|member| member.id == id)
    }

    fn spans(&self) -> Vec<Span> {
        self.state.as_deref().map(spans).unwrap_or_default()
    }
}

pub(super) fn cluster(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    type Answer = fn(Known, &mut Reply<'_>);
    let answer: Answer = match args.get(1) {
        w if is(w, "MYID") && args.len() == 2 => {
            let id = name(context.server.node.view().id);
            context.reply.bulk(id.as_bytes());
            return Ok(Flow::Done);
        }
        w if is(w, "KEYSLOT") && args.len() == 3 => {
            context.reply.integer(i64::from(slot_of_key(args.get(2))));
            return Ok(Flow::Done);
        }
        w if is(w, "INFO") && args.len() == 2 => info,
        w if is(w, "SLOTS") && args.len() == 2 => slots,
        w if is(w, "SHARDS") && args.len() == 2 => shards,
        w if is(w, "NODES") && args.len() == 2 => nodes,
        _ => {
            return Err(Refusal::fixed(
                "ERR unknown subcommand; CLUSTER knows INFO, MYID, NODES, SLOTS, SHARDS and KEYSLOT",
            ));
        }
    };
    let node = context.server.node.clone();
    let work = async move {
        let status = node.status().await.ok_or(Refusal::STOPPING)?;
        Ok(Known { status, state: node.cluster_state() })
    };
    context.later(work, move |known, reply| {
        answer(known, reply);
        Ok(())
    })
}

fn info(known: Known, reply: &mut Reply<'_>) {
    let status = &known.status;
    let down = status.members.iter().filter(|member| member.liveness == Liveness::Down).count();
    let state = if status.open || !status.sealed { "ok" } else { "fail" };
    reply.verbatim(&format!(
        "cluster_enabled:1\r\ncluster_state:{state}\r\ncluster_slots_assigned:{SLOTS}\r\ncluster_slots_ok:{SLOTS}\r\n\
         cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:{}\r\ncluster_size:{}\r\n\
         cluster_current_epoch:{}\r\ncluster_nodes_down:{down}\r\n",
        status.members.len(),
        status.members.len(),
        status.epoch,
    ));
}

fn slots(known: Known, reply: &mut Reply<'_>) {
    let spans = known.spans();
    reply.array(spans.len());
    for span in &spans {
        reply.array(2 + span.nodes.len());
        reply.integer(i64::from(span.first));
        reply.integer(i64::from(span.last));
        for &id in &span.nodes {
            let (host, port) = known.member(id).map_or(("", 0), |member| host_and_port(&member.resp_address));
            reply.array(3);
            reply.bulk(host.as_bytes());
            reply.integer(port);
            reply.bulk(name(id).as_bytes());
        }
    }
}

fn shards(known: Known, reply: &mut Reply<'_>) {
    let spans = known.spans();
    reply.array(spans.len());
    for span in &spans {
        reply.map(2);
        reply.bulk(b"slots");
        reply.array(2);
        reply.integer(i64::from(span.first));
        reply.integer(i64::from(span.last));
        reply.bulk(b"nodes");
        reply.array(span.nodes.len());
        for (place, &id) in span.nodes.iter().enumerate() {
            let member = known.member(id);
            let (host, port) = member.map_or(("", 0), |member| host_and_port(&member.resp_address));
            let is_up = member.is_some_and(|member| member.liveness != Liveness::Down);
            reply.map(7);
            let texts = [
                ("id", name(id)),
                ("endpoint", host.to_owned()),
                ("ip", host.to_owned()),
                ("role", if place == 0 { "master" } else { "replica" }.to_owned()),
                ("health", if is_up { "online" } else { "fail" }.to_owned()),
            ];
            for (field, text) in texts {
                reply.bulk(field.as_bytes());
                reply.bulk(text.as_bytes());
            }
            reply.bulk(b"port");
            reply.integer(port);
            reply.bulk(b"replication-offset");
            reply.integer(0);
        }
    }
}

/// The lines of Redis. Every node is shown as a master of the slots for which it comes first.
fn nodes(known: Known, reply: &mut Reply<'_>) {
    let spans = known.spans();
    let mut text = String::new();
    for member in &known.status.members {
        let (host, port) = host_and_port(&member.resp_address);
        let (_, peer) = host_and_port(&member.peer_address);
        let myself = if member.id == known.status.id { "myself," } else { "" };
        let fail = if member.liveness == Liveness::Down { ",fail" } else { "" };
        let link = if member.liveness == Liveness::Down { "disconnected" } else { "connected" };
        let _ = write!(
            text,
            "{} {host}:{port}@{peer} {myself}master{fail} - 0 0 {} {link}",
            name(member.id),
            known.status.epoch
        );
        for span in spans.iter().filter(|span| span.nodes.first() == Some(&member.id)) {
            let _ = match span.first == span.last {
                true => write!(text, " {}", span.first),
                false => write!(text, " {}-{}", span.first, span.last),
            };
        }
        text.push('\n');
    }
    reply.verbatim(&text);
}
