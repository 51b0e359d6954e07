//! Promises 3 and 4: balance, and little movement, while members join, leave and change their weights.

use super::cluster::{Cluster, Draw};
use super::least::least_moved;
use super::reference::best_shares;
use super::rows;
use crate::ring::{Partition, Ring};
use std::collections::BTreeMap;

const PARTITIONS: u32 = Ring::DEFAULT_PARTITIONS;

/// Panics unless all shares are as near to the best ones as promised.
fn check_shares(ring: &Ring, what: &str) {
    let best = best_shares(ring.members(), ring.replicas(), ring.partitions());
    let weights: f64 = ring.members().iter().map(|member| f64::from(member.weight)).sum();
    for ((member, best), (id, places, first)) in ring.members().iter().zip(best).zip(ring.shares()) {
        let off = (f64::from(places) - best).abs();
        assert!(off <= (best / 20.0).max(1.0), "{what}: {id} has {places} places, best is {best}");
        let best = f64::from(ring.partitions()) * f64::from(member.weight) / weights;
        let off = (f64::from(first) - best).abs();
        assert!(off <= (best / 10.0).max(1.0), "{what}: {id} has {first} first places, best is {best}");
    }
}

/// What moved, and what the shares of those who gained have grown by.
fn movement(previous: &Ring, ring: &Ring) -> (u32, u32) {
    let before: BTreeMap<_, u32> =
        previous.shares().into_iter().map(|(id, places, _)| (id, places)).collect();
    let grown = |(id, places, _): (_, u32, u32)| places.saturating_sub(before.get(&id).copied().unwrap_or(0));
    (ring.gained(previous).count() as u32, ring.shares().into_iter().map(grown).sum())
}

/// How many rows have another first replica, though the old one still is in the row.
fn reordered(previous: &Ring, ring: &Ring) -> usize {
    let first = |ring: &Ring, p| ring.preference_list(p).next().unwrap();
    let partitions = (0..ring.partitions()).map(Partition);
    let changed = |p: &Partition| {
        let (old, new) = (first(previous, *p), first(ring, *p));
        old != new && ring.is_replica(*p, old) && previous.is_replica(*p, new)
    };
    partitions.filter(changed).count()
}

/// What a chain of changes adds up to.
#[derive(Debug, Default)]
struct Sum {
    steps: u32,
    moved: u32,
    grown: u32,
    /// Steps that moved more than 1.05 times what the shares grew by.
    forced: u32,
}

/// Takes a cluster through changes, holds every ring against the promises, and has `forced` look at those that moved more
/// than 1.05 times what the shares grew by.
fn walk(
    sum: &mut Sum,
    mut cluster: Cluster,
    draw: &mut Draw,
    most: usize,
    forced: impl Fn(&Ring, &Cluster, u32, &str),
) {
    let mut previous = cluster.ring(PARTITIONS, None);
    rows::check(&previous, cluster.replicas);
    check_shares(&previous, "the first ring");
    for _ in 0..10 {
        let what = cluster.change(draw, most);
        let ring = cluster.ring(PARTITIONS, Some(&previous));
        rows::check(&ring, cluster.replicas);
        check_shares(&ring, &what);
        let (moved, grown) = movement(&previous, &ring);
        assert!(moved >= grown);
        sum.steps += 1;
        sum.moved += moved;
        sum.grown += grown;
        if moved * 20 > grown * 21 {
            sum.forced += 1;
            forced(&previous, &cluster, moved, &what);
        }
        assert_eq!(cluster.ring(PARTITIONS, Some(&ring)), ring, "an unchanged cluster moves nothing");
        previous = ring;
    }
}

/// Up to twelve members, where it can be worked out what the constraints force.
#[test]
fn small_clusters_move_what_their_shares_grow_by_or_what_they_must() {
    let mut sum = Sum::default();
    for seed in 0..30 {
        let mut draw = Draw::new(seed);
        let cluster = Cluster::draw(&mut draw, 12);
        walk(&mut sum, cluster, &mut draw, 12, |previous, cluster, moved, what| {
            let least = least_moved(previous, &cluster.members, cluster.replicas, 0.05);
            assert!(i64::from(moved) * 20 <= least * 21, "seed {seed}, {what}: moved {moved}, not {least}");
        });
    }
    println!("{sum:?}");
    assert!(sum.forced > 0, "no cluster tested what the constraints force");
    assert!(sum.forced * 20 <= sum.steps, "{sum:?}");
}

#[test]
fn large_clusters_move_what_their_shares_grow_by() {
    let mut sum = Sum::default();
    for seed in 1000..1012 {
        let mut draw = Draw::new(seed);
        let mut cluster = Cluster::draw(&mut draw, 64);
        while cluster.members.len() < 13 {
            cluster.change(&mut draw, 64);
        }
        walk(&mut sum, cluster, &mut draw, 64, |_, _, moved, what| {
            println!("seed {seed}, {what}: moved {moved}")
        });
    }
    println!("{sum:?}");
    assert!(sum.forced * 50 <= sum.steps, "{sum:?}");
    assert!(sum.moved * 50 <= sum.grown * 51, "{sum:?}");
}

#[test]
fn clusters_with_like_zones_move_what_their_shares_grow_by() {
    for seed in 2000..2008 {
        let mut draw = Draw::new(seed);
        let cluster = Cluster::even(&mut draw);
        let mut previous = cluster.ring(PARTITIONS, None);
        let mut order = 0;
        for step in 0..6 {
            let mut changed = cluster.clone();
            let at = draw.number(0, changed.members.len() - 1);
            match step % 3 {
                0 => drop(changed.members.swap_remove(at)),
                1 => changed.members[at].weight = 7 - 2 * changed.members[at].weight,
                _ => changed.members[at].id.0 ^= 1,
            }
            // There and back again.
            for cluster in [&changed, &cluster] {
                let ring = cluster.ring(PARTITIONS, Some(&previous));
                check_shares(&ring, "a change");
                let (moved, grown) = movement(&previous, &ring);
                assert!(moved * 20 <= grown * 21, "seed {seed}, step {step}: moved {moved}, grown {grown}");
                order += reordered(&previous, &ring);
                previous = ring;
            }
        }
        assert!(order <= 12 * PARTITIONS as usize / 20, "seed {seed}: {order} rows changed their order");
    }
}

#[test]
fn splitting_every_partition_moves_nothing() {
    for seed in 3000..3010 {
        let cluster = Cluster::draw(&mut Draw::new(seed), 64);
        let ring = cluster.ring(1024, None);
        let split = cluster.ring(4096, Some(&ring));
        assert_eq!(split.partitions(), 4096);
        assert_eq!(split.gained(&ring).count(), 0);
        let (before, after) = (ring.shares(), split.shares());
        let four = |(id, places, first)| (id, 4 * places, 4 * first);
        assert_eq!(after, Vec::from_iter(before.into_iter().map(four)));
    }
}

#[test]
fn more_replicas_keep_those_there_are() {
    for seed in 4000..4010 {
        let mut cluster = Cluster::draw(&mut Draw::new(seed), 20);
        cluster.replicas = 2;
        let two = cluster.ring(PARTITIONS, None);
        cluster.replicas = 3;
        let three = cluster.ring(PARTITIONS, Some(&two));
        rows::check(&three, 3);
        check_shares(&three, "a third replica");
        let (moved, grown) = movement(&two, &three);
        let least = least_moved(&two, &cluster.members, 3, 0.05);
        assert!(
            i64::from(moved) * 20 <= i64::from(grown).max(least) * 21,
            "seed {seed}: {moved} for {grown}"
        );
    }
}
