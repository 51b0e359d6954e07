//! The least that must move, worked out in another way than the ring does it: by a flow of least cost through all rows.
//!
//! ```text
//!   source ─► kind of row ─► its data centre ─► its zone ─► member ─► sink
//!              (number of     (least and most,   (same)      │          the best share, give or take
//!               rows × n)      × number)                     └ costs 1 if not in the previous row
//! ```
//!
//! Rows with the same previous replicas are one kind. What has to carry a least amount gets that part of its capacity as a
//! second edge with a large reward.

use super::reference::{best_shares, even, zones_by_dc};
use crate::ring::{Partition, Ring, RingMember};
use std::collections::{BTreeMap, VecDeque};

const REWARD: i64 = 1 << 20;

struct Edge {
    to: usize,
    room: i64,
    cost: i64,
}

/// A network of edges in pairs: each with its way back.
#[derive(Default)]
struct Network {
    edges: Vec<Edge>,
    from: Vec<Vec<usize>>,
}

impl Network {
    fn node(&mut self) -> usize {
        self.from.push(Vec::new());
        self.from.len() - 1
    }

    fn edge(&mut self, from: usize, to: usize, room: i64, cost: i64) {
        self.from[from].push(self.edges.len());
        self.edges.push(Edge { to, room, cost });
        self.from[to].push(self.edges.len());
        self.edges.push(Edge { to: from, room: 0, cost: -cost });
    }

    fn bounded(&mut self, from: usize, to: usize, least: i64, most: i64) {
        self.edge(from, to, least, -REWARD);
        self.edge(from, to, most - least, 0);
    }

    /// Sends as much as there is room for, as cheaply as possible. The amount and the cost.
    fn send(&mut self, source: usize, sink: usize) -> (i64, i64) {
        let (mut amount, mut cost) = (0, 0);
        loop {
            let mut length = vec![i64::MAX; self.from.len()];
            let mut by = vec![usize::MAX; self.from.len()];
            let mut queued = vec![false; self.from.len()];
            let mut queue = VecDeque::from([source]);
            length[source] = 0;
            while let Some(node) = queue.pop_front() {
                queued[node] = false;
                for at in &self.from[node] {
                    let edge = &self.edges[*at];
                    if edge.room > 0 && length[node] + edge.cost < length[edge.to] {
                        length[edge.to] = length[node] + edge.cost;
                        by[edge.to] = *at;
                        if !std::mem::replace(&mut queued[edge.to], true) {
                            queue.push_back(edge.to);
                        }
                    }
                }
            }
            if length[sink] == i64::MAX {
                return (amount, cost);
            }
            let mut path = Vec::new();
            let mut node = sink;
            while node != source {
                path.push(by[node]);
                node = self.edges[by[node] ^ 1].to;
            }
            let room = path.iter().map(|at| self.edges[*at].room).min().unwrap();
            for at in path {
                self.edges[at].room -= room;
                self.edges[at ^ 1].room += room;
            }
            amount += room;
            cost += room * length[sink];
        }
    }
}

/// How many replicas at least must get a new place if these members follow `previous`, and every member's share is to be
/// within `slack` of the best one (and within one place anyway).
pub(super) fn least_moved(previous: &Ring, members: &[RingMember], replicas: usize, slack: f64) -> i64 {
    let partitions = previous.partitions();
    let n = replicas.min(members.len());
    let tree = zones_by_dc(members);
    let sizes: Vec<usize> = tree.iter().map(|zones| zones.iter().map(Vec::len).sum()).collect();
    let mut kinds: BTreeMap<Vec<usize>, i64> = BTreeMap::new();
    for p in 0..partitions {
        let list = previous.preference_list(Partition(p));
        let mut kind: Vec<usize> = list.filter_map(|id| members.iter().position(|m| m.id == id)).collect();
        kind.sort_unstable();
        *kinds.entry(kind).or_default() += 1;
    }
    let mut network = Network::default();
    let (source, sink) = (network.node(), network.node());
    let ends: Vec<usize> = members.iter().map(|_| network.node()).collect();
    let mut rewards = 0;
    for (at, best) in best_shares(members, replicas, partitions).into_iter().enumerate() {
        let off = (best * slack).max(1.0);
        let least = (best - off).ceil().max(0.0) as i64;
        let most = ((best + off).floor() as i64).min(i64::from(partitions));
        network.bounded(ends[at], sink, least, most);
        rewards += least;
    }
    for (kind, count) in kinds {
        let start = network.node();
        network.edge(source, start, count * n as i64, 0);
        for (zones, (least, most)) in tree.iter().zip(even(&sizes, n)) {
            let dc = network.node();
            network.bounded(start, dc, least as i64 * count, most as i64 * count);
            rewards += least as i64 * count;
            let sizes: Vec<usize> = zones.iter().map(Vec::len).collect();
            for ((zone, few), many) in zones.iter().zip(even(&sizes, least)).zip(even(&sizes, most)) {
                let least = few.0.min(many.0) as i64 * count;
                let node = network.node();
                network.bounded(dc, node, least, few.1.max(many.1) as i64 * count);
                rewards += least;
                for member in zone {
                    network.edge(node, ends[*member], count, i64::from(!kind.contains(member)));
                }
            }
        }
    }
    let (amount, cost) = network.send(source, sink);
    assert_eq!(amount, i64::from(partitions) * n as i64, "every place is filled");
    let moved = cost + rewards * REWARD;
    assert!((0..=amount).contains(&moved), "all bounds are met");
    moved
}
