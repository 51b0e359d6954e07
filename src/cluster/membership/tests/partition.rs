//! Cut networks: whole, one-way and partial cuts, and their healing.

use super::simulator::{World, secs};
use crate::membership::{Change, Liveness};

#[test]
fn halves_that_think_each_other_dead_find_each_other() {
    for (nodes, seeds) in [(2, 20), (3, 20), (6, 20), (30, 3)] {
        for seed in 0..seeds {
            let mut world = World::formed(seed, nodes);
            let (left, right): (Vec<usize>, Vec<usize>) = (0..nodes).partition(|slot| *slot < nodes / 2);
            world.separate(&left, &right);
            world.run_for(secs(20));
            for (us, them) in [(&left, &right), (&right, &left)] {
                for &a in us {
                    assert!(
                        them.iter().all(|b| world.liveness(a, *b) == Some(Liveness::Down)),
                        "seed {seed}"
                    );
                    assert!(us.iter().all(|b| world.liveness(a, *b) == Some(Liveness::Alive)), "seed {seed}");
                }
            }
            world.network.cut.clear();
            let took = world.until(secs(30), World::all_know_all);
            assert!(took.is_some_and(|took| took <= secs(10)), "seed {seed}, {nodes} nodes: {took:?}");
            let since = world.now;
            world.run_for(secs(20));
            assert!(world.downs_since(since).is_empty(), "seed {seed}: it stays healed");
        }
    }
}

#[test]
fn a_healed_partition_does_not_revive_who_died_meanwhile() {
    for seed in 0..20 {
        let mut world = World::formed(seed, 6);
        world.separate(&[0, 1, 2], &[3, 4, 5]);
        world.run_for(secs(20));
        world.kill(5);
        world.run_for(secs(20));
        let since = world.now;
        let dead = world.id(5);
        world.network.cut.clear();
        assert!(world.until(secs(20), World::all_know_all).is_some(), "seed {seed}");
        world.run_for(secs(5));
        let revived = world.log.iter().any(|(at, _, change)| *at >= since && *change == Change::Alive(dead));
        assert!(!revived, "seed {seed}: its last heartbeat was news, but no sign of life");
        assert!(world.down_at_all(5), "seed {seed}");
    }
}

#[test]
fn one_deaf_ear_brings_nobody_down() {
    for seed in 0..20 {
        // Slot 1 hears nothing from slot 0, but slots 2 and up do.
        let mut world = World::formed(seed, 3 + seed as usize % 4);
        let since = world.now;
        world.network.cut.insert((0, 1));
        world.run_for(secs(60));
        assert!(world.downs_since(since).is_empty(), "seed {seed}: {:?}", world.downs_since(since));
        assert!(world.all_know_all(), "seed {seed}");
    }
}

#[test]
fn a_node_that_hears_nobody_brings_nobody_else_down() {
    for seed in 0..20 {
        let mut world = World::formed(seed, 5);
        let since = world.now;
        world.network.cut.extend((1..5).map(|slot| (slot, 0)));
        world.run_for(secs(60));
        let by_others: Vec<_> =
            world.downs_since(since).into_iter().filter(|(_, slot, _)| *slot != 0).collect();
        assert!(by_others.is_empty(), "seed {seed}: {by_others:?}");
        assert!((1..5).all(|slot| world.liveness(0, slot) == Some(Liveness::Down)), "seed {seed}");
        assert!((1..5).all(|slot| world.liveness(slot, 0) == Some(Liveness::Alive)), "seed {seed}");
        world.network.cut.clear();
        assert!(world.until(secs(10), World::all_know_all).is_some(), "seed {seed}");
    }
}

#[test]
fn a_node_that_nobody_hears_is_down_though_it_hears_all() {
    for seed in 0..20 {
        let mut world = World::formed(seed, 5);
        world.network.cut.extend((1..5).map(|slot| (0, slot)));
        world.run_for(secs(10));
        assert!((1..5).all(|slot| world.liveness(slot, 0) == Some(Liveness::Down)), "seed {seed}");
        assert!((1..5).all(|slot| world.liveness(0, slot) == Some(Liveness::Alive)), "seed {seed}");
    }
}

#[test]
fn of_two_nodes_each_judges_by_what_it_hears() {
    for seed in 0..20 {
        let mut world = World::formed(seed, 2);
        world.network.cut.insert((0, 1));
        world.run_for(secs(10));
        assert_eq!(world.liveness(1, 0), Some(Liveness::Down), "seed {seed}");
        assert_eq!(world.liveness(0, 1), Some(Liveness::Alive), "seed {seed}");
    }
}

#[test]
fn nodes_that_reach_each_other_only_through_others_are_one_cluster() {
    for seed in 0..30 {
        let nodes = 3 + seed as usize % 6;
        let mut world = World::formed(seed, nodes);
        if nodes <= 4 {
            // Only the last node has a way to everybody.
            for a in 0..nodes - 1 {
                world.separate(&[a], &(a + 1..nodes - 1).collect::<Vec<_>>());
            }
        } else {
            world.separate(&[0], &[1, 2]);
        }
        let since = world.now;
        world.run_for(secs(120));
        assert_eq!(world.downs_since(since), [], "seed {seed}, {nodes} nodes");
    }
}
