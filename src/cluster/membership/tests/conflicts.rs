//! Two nodes with one id, directories restored from older copies, and nodes of other clusters.

use super::simulator::{CLUSTER, World, address, info, ms, secs};
use crate::membership::{Change, Entry, Gossip, GossipConfig, GossipError, MemberInfo, Membership};
use std::sync::Arc;
use std::time::Duration;

/// Gives slot 3 the id of slot 2 in a formed cluster of slots 0 to 2.
fn twins(seed: u64, generation: u64, incarnation: u64) -> World {
    let mut world = World::new(seed, 4);
    world.slots[3].id = world.id(2);
    world.slots[2].generation = 4;
    for slot in 0..3 {
        world.start(slot);
    }
    world.run_for(secs(5));
    world.slots[3].generation = generation;
    world.slots[3].incarnation = incarnation;
    world.start_again(3);
    world.run_for(secs(20));
    world
}

#[test]
fn a_copied_directory_is_found_by_both_and_by_their_peers() {
    // The copy repeats the life of the original, with its incarnation or another, or begins a later one.
    for (generation, incarnation) in [(5, 1), (5, 9), (6, 1), (6, 9), (8, 1)] {
        for seed in 0..6 {
            let world = twins(seed, generation, incarnation);
            let id = world.id(2);
            let case = format!("seed {seed}, generation {generation}, incarnation {incarnation}");
            assert!(world.conflicts_seen_by(2) >= 1, "{case}: the original sees it");
            assert!(world.conflicts_seen_by(3) + world.conflicts_seen_by(2) >= 1, "{case}");
            assert!((0..2).any(|slot| world.conflicts_seen_by(slot) >= 1), "{case}: a peer sees it");
            let found = world.node(2).conflict(id).unwrap();
            assert_eq!(
                (found.known.peer.as_str(), found.other.peer.as_str()),
                (&*address(2), &*address(3)),
                "{case}"
            );
            let said = found.to_string();
            assert!(said.contains(&address(2)) && said.contains(&address(3)), "{case}: {said}");
        }
    }
}

#[test]
fn a_directory_restored_from_an_older_copy_learns_that_it_is_old() {
    for seed in 0..20 {
        let mut world = World::new(seed, 3);
        world.slots[2].generation = 8;
        world.start_all();
        world.run_for(secs(5));
        world.kill(2);
        world.run_for(secs(seed));
        world.slots[2].generation = 5;
        world.start(2);
        world.run_for(secs(4));
        let node = world.node(2);
        assert_eq!(node.remembered().map(|info| info.generation), Some(9), "seed {seed}");
        assert_eq!(node.conflicts().count(), 1, "seed {seed}");
        // It goes on as a new life of its store, and all is well.
        assert!(!world.slots[2].node.as_mut().unwrap().renew(9, 77), "seed {seed}: not higher");
        assert!(world.slots[2].node.as_mut().unwrap().renew(10, 77), "seed {seed}");
        world.slots[2].generation = 10;
        assert!(world.until(secs(10), World::all_know_all).is_some(), "seed {seed}");
        let since = world.now;
        world.run_for(secs(20));
        let late =
            world.log.iter().filter(|(at, _, c)| *at > since && matches!(c, Change::Conflict(_))).count();
        assert_eq!(late, 0, "seed {seed}");
        assert_eq!(world.node(2).conflicts().count(), 0, "seed {seed}");
        assert_eq!(world.node(0).info(world.id(2)).unwrap().incarnation, 77, "seed {seed}");
    }
}

#[test]
fn many_restarts_on_a_bad_network_are_no_conflict() {
    for seed in 0..10 {
        let mut world = World::formed(seed, 4);
        world.network.loss_per_mille = 100;
        world.network.repeat_per_mille = 300;
        world.network.delay_ms = (1, 1000);
        for _ in 0..30 {
            let slot = world.random.below(4) as usize;
            world.kill(slot);
            let pause = ms(world.random.below(4000));
            world.run_for(pause);
            world.start(slot);
            world.slots[slot].node.as_mut().unwrap().update_me(|status| status.hints_waiting += 1);
            world.run_for(pause);
        }
        let found = world.log.iter().find(|(_, _, change)| matches!(change, Change::Conflict(_)));
        assert_eq!(found, None, "seed {seed}");
    }
}

#[test]
fn an_echo_is_no_conflict_and_what_this_life_never_said_is_one() {
    let begin = || {
        let mut node =
            Membership::new(CLUSTER, info(1, 5, "a"), GossipConfig::default(), 1, Duration::ZERO).unwrap();
        node.update_me(|status| status.ring_epoch = 3);
        node
    };
    let presented = |node: &mut Membership, info, heartbeat| {
        let from =
            Entry { info: Arc::new(super::simulator::info(2, 1, "b")), heartbeat: 1, silent: Duration::ZERO };
        let mine = Entry { info: Arc::new(info), heartbeat, silent: Duration::ZERO };
        let gossip = Gossip {
            cluster: CLUSTER,
            answer: true,
            from,
            members: vec![mine],
            suspicions: Vec::new(),
            marks: Vec::new(),
        };
        let changes = node.receive(ms(1), 0, &gossip, &mut Vec::new()).unwrap();
        changes.iter().any(|change| matches!(change, Change::Conflict(_)))
    };
    let other_incarnation = |generation| MemberInfo { incarnation: 9, ..info(1, generation, "a") };
    // An echo, with a status that has changed since; an earlier life, of this store or of the one before it.
    for (said, heartbeat) in [(info(1, 5, "a"), 1), (info(1, 4, "a"), 99), (other_incarnation(4), 99)] {
        assert!(!presented(&mut begin(), said, heartbeat));
    }
    let ahead = (info(1, 5, "a"), 99);
    for (said, heartbeat) in [ahead, (info(1, 5, "z"), 1), (other_incarnation(5), 1), (info(1, 6, "a"), 1)] {
        let mut node = begin();
        let generation = said.generation;
        assert!(presented(&mut node, said, heartbeat));
        assert_eq!(node.remembered().map(|info| info.generation), Some(generation));
        assert_eq!(node.conflict(node.me().id).map(|found| found.other.generation), Some(generation));
    }
}

#[test]
fn a_conflict_is_reported_once_and_again_after_it_was_cleared() {
    let mut world = twins(1, 5, 9);
    let id = world.id(2);
    let before = world.conflicts_seen_by(2);
    assert_eq!(before, 1);
    world.run_for(secs(20));
    assert_eq!(world.conflicts_seen_by(2), before);
    world.slots[2].node.as_mut().unwrap().clear_conflict(id);
    assert_eq!(world.node(2).conflicts().count(), 0);
    world.run_for(secs(20));
    assert_eq!(world.conflicts_seen_by(2), before + 1);
}

#[test]
fn a_node_of_another_cluster_is_refused() {
    let config = GossipConfig::default();
    let mut ours = Membership::new(CLUSTER, info(1, 1, "a"), config.clone(), 1, Duration::ZERO).unwrap();
    let from = Entry { info: Arc::new(info(2, 1, "b")), heartbeat: 3, silent: Duration::ZERO };
    let other = Entry { info: Arc::new(info(3, 1, "c")), heartbeat: 3, silent: Duration::ZERO };
    let mut gossip = Gossip {
        cluster: 99,
        answer: false,
        from,
        members: vec![other],
        suspicions: Vec::new(),
        marks: Vec::new(),
    };
    let mut out = Vec::new();
    let refused = ours.receive(secs(1), 5, &gossip, &mut out);
    assert_eq!(refused, Err(GossipError::OtherCluster { ours: CLUSTER, theirs: 99 }));
    assert!(out.is_empty() && ours.members().count() == 1, "nothing of it was taken");
    gossip.cluster = CLUSTER;
    assert!(ours.receive(secs(1), 5, &gossip, &mut out).is_ok());
    assert_eq!((out.len(), ours.members().count()), (1, 3));
}
