//! A node that dies is down at all others soon; a node that lives is not, whatever the network or the scheduler does.

use super::simulator::{World, ms, secs};
use crate::membership::{Change, Liveness};
use std::time::Duration;

/// Kills `victim` and returns how long each of the others took to find it down.
fn detection(world: &mut World, victim: usize, limit: Duration) -> Vec<Duration> {
    let killed_at = world.now;
    let id = world.id(victim);
    world.kill(victim);
    let took = world.until(limit, |world| world.down_at_all(victim));
    assert!(took.is_some(), "slot {victim} is not down everywhere after {limit:?}");
    let downs = world.downs_since(killed_at);
    assert!(downs.iter().all(|(_, _, down)| *down == id), "others were found down: {downs:?}");
    downs.iter().map(|(at, _, _)| *at - killed_at).collect()
}

#[test]
fn a_killed_node_is_found_down_by_all() {
    for (nodes, seeds) in [(2, 20), (3, 40), (5, 40), (50, 3)] {
        let mut all = Vec::new();
        for seed in 0..seeds {
            let mut world = World::formed(seed, nodes);
            world.run_for(secs(3));
            let victim = seed as usize % nodes;
            all.extend(detection(&mut world, victim, secs(6)));
        }
        report(nodes, &mut all);
    }
}

#[test]
fn at_a_hundred_nodes_nearly_all_know_within_five_seconds() {
    let mut all = Vec::new();
    for seed in 0..3 {
        let mut world = World::formed(seed, 100);
        for victim in [17, 55, 93] {
            world.run_for(secs(2));
            all.extend(detection(&mut world, victim, secs(8)));
        }
    }
    let p99 = report(100, &mut all);
    assert!(p99 <= secs(5), "the 99th percentile is {p99:?}");
}

fn report(nodes: usize, samples: &mut [Duration]) -> Duration {
    samples.sort_unstable();
    let at = |per_mille: usize| samples[(samples.len() - 1) * per_mille / 1000];
    println!(
        "{nodes} nodes: down after {:?} (median), {:?} (p99), {:?} (last), {} samples",
        at(500),
        at(990),
        at(1000),
        samples.len()
    );
    at(990)
}

#[test]
fn loss_alone_brings_nobody_down() {
    for (nodes, seeds, minutes) in [(2, 4, 30), (3, 6, 30), (5, 6, 20), (20, 3, 5), (60, 1, 1)] {
        for seed in 0..seeds {
            let mut world = World::new(seed, nodes);
            world.network.loss_per_mille = 100;
            world.network.repeat_per_mille = 50;
            world.network.delay_ms = (1, 100);
            world.start_all();
            world.run_for(secs(60 * minutes));
            let downs = world.downs_since(Duration::ZERO);
            assert!(downs.is_empty(), "seed {seed}, {nodes} nodes: {downs:?}");
            assert!(world.all_know_all() || nodes == 2, "seed {seed}, {nodes} nodes");
        }
    }
}

#[test]
fn of_two_nodes_the_one_that_is_left_decides_alone() {
    for seed in 0..20 {
        let mut world = World::formed(seed, 2);
        world.kill(1);
        let took = world.until(secs(5), |world| world.down_at_all(1));
        assert!(took.is_some_and(|took| took >= ms(1400) && took <= secs(3)), "seed {seed}: {took:?}");
        world.start(1);
        assert!(world.until(secs(5), World::all_know_all).is_some(), "seed {seed}");
    }
}

#[test]
fn the_last_of_many_decides_alone_and_finds_the_others_again() {
    for seed in 0..20 {
        let mut world = World::formed(seed, 5);
        for victim in 1..5 {
            world.kill(victim);
        }
        world.run_for(secs(5));
        assert_eq!(world.node(0).count(Liveness::Down), 4, "seed {seed}");
        for victim in 1..5 {
            world.start(victim);
        }
        assert!(world.until(secs(10), World::all_know_all).is_some(), "seed {seed}");
    }
}

#[test]
fn half_of_a_cluster_may_die_at_once() {
    for seed in 0..4 {
        let mut world = World::formed(seed, 40);
        world.run_for(secs(3));
        for victim in 20..40 {
            world.kill(victim);
        }
        world.run_for(secs(8));
        assert!((20..40).all(|victim| world.down_at_all(victim)), "seed {seed}");
        assert!(world.all_know_all(), "seed {seed}: the living are alive for each other");
    }
}

#[test]
fn a_node_that_was_stopped_blames_nobody() {
    for seed in 0..30 {
        let mut world = World::formed(seed, 5);
        world.run_for(secs(2));
        let since = world.now;
        world.pause(4, secs(3 + seed));
        world.run_for(secs(3 + seed + 10));
        let by_the_stopped: Vec<_> =
            world.downs_since(since).into_iter().filter(|(_, slot, _)| *slot == 4).collect();
        assert!(by_the_stopped.is_empty(), "seed {seed}: {by_the_stopped:?}");
        let wrong: Vec<_> =
            world.downs_since(since).into_iter().filter(|(_, _, id)| *id != world.id(4)).collect();
        assert!(wrong.is_empty(), "seed {seed}: {wrong:?}");
        assert!(world.all_know_all(), "seed {seed}: the stopped node is back");
    }
}

#[test]
fn all_nodes_stopped_at_once_blame_nobody() {
    for seed in 0..30 {
        let mut world = World::formed(seed, 5);
        world.run_for(secs(2));
        let since = world.now;
        for slot in 0..5 {
            let pause = secs(10) + ms(world.random.below(500));
            world.pause(slot, pause);
        }
        world.run_for(secs(30));
        let downs = world.downs_since(since);
        assert!(downs.is_empty(), "seed {seed}: {downs:?}");
    }
}

#[test]
fn a_stopped_node_that_wakes_is_alive_again_at_all() {
    for seed in 0..20 {
        let mut world = World::formed(seed, 3);
        world.pause(1, secs(8));
        assert!(
            world
                .until(secs(6), |w| [0, 2].iter().all(|n| w.liveness(*n, 1) == Some(Liveness::Down)))
                .is_some(),
            "seed {seed}"
        );
        assert!(world.until(secs(12), World::all_know_all).is_some(), "seed {seed}");
        let restarted = world.log.iter().any(|(_, _, change)| matches!(change, Change::Restarted(_)));
        assert!(!restarted, "seed {seed}: it went on in its old life");
    }
}

#[test]
fn a_restart_is_told_from_a_pause() {
    for seed in 0..20 {
        let mut world = World::formed(seed, 4);
        let since = world.now;
        world.kill(2);
        if seed % 2 == 0 {
            world.run_for(secs(6));
        }
        world.start(2);
        assert!(world.until(secs(6), |w| w.all_know_all() && knows_life(w, 2)).is_some(), "seed {seed}");
        world.run_for(secs(5));
        let id = world.id(2);
        for slot in [0, 1, 3] {
            let seen = world
                .log
                .iter()
                .filter(|(at, s, change)| *at > since && *s == slot && *change == Change::Restarted(id));
            assert_eq!(seen.count(), 1, "seed {seed}, slot {slot}");
        }
        let remembered = world.node(2).remembered().map(|info| info.generation);
        assert!(remembered.is_none_or(|generation| generation == 1), "seed {seed}: {remembered:?}");
        assert_eq!(world.node(2).conflicts().count(), 0, "seed {seed}: its earlier life is no conflict");
    }
}

fn knows_life(world: &World, slot: usize) -> bool {
    let generation = world.slots[slot].generation;
    world.running().all(|n| world.node(n).info(world.id(slot)).is_some_and(|i| i.generation == generation))
}

#[test]
fn clocks_that_differ_are_measured_and_change_nothing() {
    for seed in 0..5 {
        let mut world = World::new(seed, 4);
        world.slots[1].skew_ms = 3_600_000;
        world.slots[2].skew_ms = -3_600_000;
        world.start_all();
        world.run_for(secs(30));
        assert!(world.all_know_all(), "seed {seed}");
        assert!(world.downs_since(Duration::ZERO).is_empty(), "seed {seed}");
        for (slot, skew) in [(1, 3_600_000i64), (2, -3_600_000), (3, 0)] {
            let measured = world.node(0).skew_ms(world.id(slot)).expect("it has written");
            assert!((measured - skew).abs() <= 25, "seed {seed}, slot {slot}: {measured}");
        }
        assert_eq!(world.node(0).skew_ms(world.id(0)), None);
    }
}
