//! Partitions, preference lists, fallbacks, and what is refused.

use super::cluster::{Cluster, Draw};
use crate::NodeId;
use crate::ring::{MAX_NAME_LEN, Partition, Ring, RingError, RingMember, Token};
use std::collections::BTreeMap;

fn member(id: u64, weight: u32) -> RingMember {
    RingMember { id: NodeId(id), weight, zone: format!("zone {id}"), dc: "dc".to_owned() }
}

#[test]
fn partitions_cover_the_tokens_without_gap_or_overlap() {
    for partitions in [1, 2, 64, 4096, 65536] {
        let ring = Ring::place(partitions, 1, &[member(1, 1)], None).unwrap();
        let mut next = Some(0);
        for p in (0..partitions).map(Partition) {
            let (first, last) = (ring.first_token(p), ring.last_token(p));
            assert_eq!(Some(first.0), next);
            for token in [first, last, Token(first.0 + (last.0 - first.0) / 2)] {
                assert_eq!(ring.partition_of(token), p);
            }
            next = last.0.checked_add(1);
        }
        assert_eq!(next, None, "the last partition ends with the last token");
    }
    let ring = Ring::place(4096, 1, &[member(1, 1)], None).unwrap();
    assert_eq!(ring.partition_of(Token::of_key(b"foo")), Partition(12182 / 4));
}

#[test]
fn everybody_is_either_a_replica_or_a_fallback() {
    for seed in 0..20 {
        let cluster = Cluster::draw(&mut Draw::new(seed), 64);
        let ring = cluster.ring(128, None);
        for p in (0..ring.partitions()).map(Partition) {
            let mut all: Vec<NodeId> = ring.preference_list(p).chain(ring.fallbacks(p)).collect();
            assert!(ring.fallbacks(p).all(|id| !ring.is_replica(p, id)));
            assert!(ring.preference_list(p).all(|id| ring.is_replica(p, id)));
            all.sort();
            assert_eq!(all, Vec::from_iter(ring.members().iter().map(|member| member.id)));
        }
    }
}

#[test]
fn a_partition_that_there_is_not_has_no_replicas() {
    let ring = Ring::place(16, 3, &[member(1, 1), member(2, 1)], None).unwrap();
    assert_eq!(ring.preference_list(Partition(15)).count(), 2);
    for p in [16, 17, u32::MAX] {
        assert_eq!(ring.preference_list(Partition(p)).count(), 0);
        assert!(!ring.is_replica(Partition(p), NodeId(1)));
    }
    assert!(!ring.is_replica(Partition(0), NodeId(3)));
}

/// The load of an absent node falls on all others, on the heavy ones more.
#[test]
fn fallbacks_spread() {
    let members: Vec<RingMember> = (1..=12).map(|id| member(id, if id > 6 { 2 } else { 1 })).collect();
    let ring = Ring::place(4096, 3, &members, None).unwrap();
    let mut stands_in: BTreeMap<NodeId, u32> = BTreeMap::new();
    for p in (0..4096).map(Partition).filter(|p| ring.is_replica(*p, NodeId(1))) {
        *stands_in.entry(ring.fallbacks(p).next().unwrap()).or_default() += 1;
    }
    let all: u32 = stands_in.values().sum();
    assert_eq!(all, ring.shares()[0].1);
    assert_eq!(stands_in.len(), 11);
    let heavy: u32 = stands_in.range(NodeId(7)..).map(|(_, count)| count).sum();
    assert!(heavy > all / 2 && heavy < all * 9 / 10, "{heavy} of {all}");
    assert!(stands_in.values().all(|count| *count > all / 40), "{stands_in:?}");
}

#[test]
fn as_many_replicas_as_there_are_members() {
    for count in 1..=4 {
        let members: Vec<RingMember> = (1..=count).map(|id| member(id, 1)).collect();
        let ring = Ring::place(64, 3, &members, None).unwrap();
        assert_eq!(ring.replicas(), 3.min(count as usize));
        assert_eq!(ring.replicas_asked(), 3);
        assert_eq!(ring.members().len(), count as usize);
    }
}

#[test]
fn what_cannot_be_placed_is_refused_with_a_sentence() {
    let one = [member(1, 1)];
    let mut long = member(2, 1);
    long.zone = "z".repeat(MAX_NAME_LEN + 1);
    let many: Vec<RingMember> = (0..2000).map(|id| member(id, 1)).collect();
    let place =
        |partitions, replicas, members: &[RingMember]| Ring::place(partitions, replicas, members, None);
    for (result, error, says) in [
        (place(0, 1, &one), RingError::Partitions { asked: 0 }, "power of two"),
        (place(4095, 1, &one), RingError::Partitions { asked: 4095 }, "power of two"),
        (place(1 << 17, 1, &one), RingError::Partitions { asked: 1 << 17 }, "65536"),
        (place(64, 0, &one), RingError::Replicas { asked: 0 }, "from 1 to 16"),
        (place(64, 17, &one), RingError::Replicas { asked: 17 }, "from 1 to 16"),
        (place(64, 1, &[]), RingError::NoMembers, "at least one member"),
        (place(64, 1, &many), RingError::TooManyMembers { count: 2000 }, "1024"),
        (
            place(64, 1, &[member(1, 1), member(2, 1), member(1, 2)]),
            RingError::DuplicateMember { id: NodeId(1) },
            "0000000000000001",
        ),
        (place(64, 1, &[member(1, 1), member(2, 0)]), RingError::NoWeight { id: NodeId(2) }, "weight 0"),
        (place(64, 1, &[long]), RingError::LongName { id: NodeId(2), len: 256 }, "255"),
    ] {
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(result, Err(error));
    }
}
