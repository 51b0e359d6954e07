//! Promises 1 and 2, by their definitions: distinct nodes, spread over data centres and zones.

use super::cluster::{Cluster, Draw};
use crate::NodeId;
use crate::ring::{Partition, Ring, RingMember};
use std::collections::{BTreeMap, BTreeSet};

/// Panics unless what is counted in `taken` is spread evenly: nobody has two more than somebody with room for one more.
fn assert_even(taken: &BTreeMap<&str, usize>, sizes: &BTreeMap<&str, usize>) {
    for (name, size) in sizes {
        let has = taken.get(name).copied().unwrap_or(0);
        let most = taken.values().copied().max().unwrap_or(0);
        assert!(has + 1 >= most || has == *size, "{name} has {has} of {size}: {taken:?}");
    }
}

fn count<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// Panics unless every row of the ring is as promised.
pub(super) fn check(ring: &Ring, replicas: usize) {
    let members = ring.members();
    let n = replicas.min(members.len());
    let dcs = count(members.iter().map(|member| member.dc.as_str()));
    let zones: BTreeMap<&str, BTreeMap<&str, usize>> = dcs
        .keys()
        .map(|dc| (*dc, count(members.iter().filter(|m| m.dc == *dc).map(|m| m.zone.as_str()))))
        .collect();
    let zone_count: usize = zones.values().map(BTreeMap::len).sum();
    for p in (0..ring.partitions()).map(Partition) {
        let ids: Vec<NodeId> = ring.preference_list(p).collect();
        assert_eq!(BTreeSet::from_iter(&ids).len(), n, "distinct nodes in {ids:?}");
        assert_eq!(ids.len(), n);
        let row: Vec<&RingMember> = ids.iter().map(|id| ring.member(*id).unwrap()).collect();
        let taken = count(row.iter().map(|member| member.dc.as_str()));
        assert_even(&taken, &dcs);
        assert_eq!(taken.len(), n.min(dcs.len()));
        for (dc, zones) in &zones {
            assert_even(&count(row.iter().filter(|m| m.dc == *dc).map(|m| m.zone.as_str())), zones);
        }
        if dcs.len() == 1 {
            let taken = BTreeSet::from_iter(row.iter().map(|member| &member.zone));
            assert_eq!(taken.len(), n.min(zone_count), "different zones");
        }
    }
}

#[test]
fn rows_hold_distinct_nodes_spread_over_data_centres_and_zones() {
    for seed in 0..60 {
        let cluster = Cluster::draw(&mut Draw::new(seed), 64);
        check(&cluster.ring(512, None), cluster.replicas);
    }
}

/// Three replicas, and one small node alone in its zone: spreading is not traded for balance.
#[test]
fn a_small_node_alone_in_its_zone_is_in_every_row() {
    let member = |id, weight, zone: &str| RingMember {
        id: NodeId(id),
        weight,
        zone: zone.to_owned(),
        dc: String::new(),
    };
    let members =
        [member(1, 1, "a"), member(2, 10, "b"), member(3, 10, "b"), member(4, 10, "c"), member(5, 5, "c")];
    let ring = Ring::place(64, 3, &members, None).unwrap();
    check(&ring, 3);
    let places: Vec<u32> = ring.shares().into_iter().map(|(_, places, _)| places).collect();
    assert_eq!(places, [64, 32, 32, 43, 21]);
}

#[test]
fn a_ring_is_a_pure_function() {
    for seed in 100..130 {
        let mut draw = Draw::new(seed);
        let mut cluster = Cluster::draw(&mut draw, 40);
        let first = cluster.ring(256, None);
        draw.shuffle(&mut cluster.members);
        assert_eq!(cluster.ring(256, None), first);
        cluster.change(&mut draw, 40);
        let second = cluster.ring(256, Some(&first));
        draw.shuffle(&mut cluster.members);
        assert_eq!(cluster.ring(256, Some(&first)), second);
    }
}
