//! Everybody learns everybody, whatever the network does; and the same seed gives the same trace.

use super::simulator::{World, ms, secs};
use crate::membership::{Change, MEMBERS_MAX};

#[test]
fn everybody_learns_everybody_within_a_few_rounds() {
    // Rounds until all know all, from the start of the last node.
    for (nodes, seeds, rounds) in [(2, 40, 4), (3, 40, 5), (5, 40, 6), (50, 4, 9), (100, 2, 10)] {
        for seed in 0..seeds {
            let mut world = World::new(seed, nodes);
            world.start_all();
            let took = world.until(secs(60), World::all_know_all).expect("all know all");
            let most = world.config.interval * rounds;
            assert!(took <= most, "seed {seed}, {nodes} nodes: {took:?}, and {most:?} is expected");
        }
    }
}

#[test]
fn a_bad_network_only_slows_it_down() {
    for seed in 0..30 {
        let mut world = World::new(seed, 7);
        world.network.loss_per_mille = 300;
        world.network.repeat_per_mille = 300;
        world.network.delay_ms = (1, 900);
        world.start_all();
        let took = world.until(secs(60), World::all_know_all);
        assert!(took.is_some_and(|took| took < secs(15)), "seed {seed}: {took:?}");
    }
}

#[test]
fn news_of_a_node_reaches_everybody() {
    for seed in 0..10 {
        let mut world = World::formed(seed, 20);
        let id = world.id(3);
        world.slots[3].node.as_mut().unwrap().update_me(|status| status.ring_epoch = 9);
        let heard =
            |world: &World| world.running().all(|n| world.node(n).info(id).unwrap().status.ring_epoch == 9);
        let took = world.until(secs(10), heard);
        assert!(took.is_some_and(|took| took <= secs(3)), "seed {seed}: {took:?}");
        let updates = world.log.iter().filter(|(_, _, change)| *change == Change::Updated(id)).count();
        assert_eq!(updates, 19, "seed {seed}: each of the others says so once");
    }
}

#[test]
fn each_push_causes_one_answer_at_most() {
    let mut world = World::formed(5, 8);
    let (messages, answers) = (world.messages, world.answers);
    world.run_for(secs(60));
    let (messages, answers) = (world.messages - messages, world.answers - answers);
    // Eight nodes, three pushes every half second or so.
    assert!((2400..3300).contains(&(messages - answers)), "{messages} messages, {answers} answers");
    assert!(answers <= messages - answers, "{messages} messages, {answers} answers");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = |seed| {
        let mut world = World::new(seed, 6);
        world.network.loss_per_mille = 100;
        world.network.repeat_per_mille = 100;
        world.network.delay_ms = (1, 300);
        world.start_all();
        world.run_for(secs(10));
        world.kill(2);
        world.run_for(secs(10));
        world.start(2);
        world.separate(&[0, 1, 2], &[3, 4, 5]);
        world.run_for(secs(10));
        world.network.cut.clear();
        world.run_for(secs(10));
        (world.trace, world.messages, format!("{:?}", world.log))
    };
    for seed in 0..5 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
        assert_ne!(run(seed).0, run(seed + 100).0, "seed {seed}");
    }
}

#[test]
fn the_list_is_bounded() {
    use super::simulator::{CLUSTER, info};
    use crate::membership::{Entry, Gossip, GossipConfig, Membership};
    use std::sync::Arc;
    use std::time::Duration;

    let mut node = Membership::new(CLUSTER, info(1, 1, "a"), GossipConfig::default(), 1, ms(0)).unwrap();
    let entry = |id| Entry { info: Arc::new(info(id, 1, "b")), heartbeat: 1, silent: Duration::ZERO };
    for part in 0..5 {
        let members = (0..500).map(|n| entry(10 + part * 500 + n)).collect();
        let gossip = Gossip {
            cluster: CLUSTER,
            answer: true,
            from: entry(2),
            members,
            suspicions: Vec::new(),
            marks: Vec::new(),
        };
        node.receive(ms(1), 0, &gossip, &mut Vec::new()).unwrap();
    }
    assert_eq!(node.members().count(), MEMBERS_MAX);
}
