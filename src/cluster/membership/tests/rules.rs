//! Single rules, each shown on one or two memberships by hand.

use super::simulator::{CLUSTER, info, ms, secs};
use crate::NodeId;
use crate::membership::{
    Change, Entry, Gossip, GossipConfig, Liveness, MemberInfo, Membership, OBSERVERS_MAX, SetupError,
    Suspicion, TEXT_MAX, Target,
};
use std::sync::Arc;
use std::time::Duration;

fn membership(config: GossipConfig) -> Membership {
    Membership::new(CLUSTER, info(1, 1, "a"), config, 1, Duration::ZERO).unwrap()
}

fn entry(id: u64, generation: u64, heartbeat: u64) -> Entry {
    let info = Arc::new(info(id, generation, &format!("node-{id}")));
    Entry { info, heartbeat, silent: Duration::ZERO }
}

fn gossip(from: Entry, members: Vec<Entry>, suspicions: Vec<Suspicion>) -> Gossip {
    Gossip { cluster: CLUSTER, answer: true, from, members, suspicions, marks: Vec::new() }
}

fn suspicion(suspect: u64, version: (u64, u64), observers: &[u64]) -> Suspicion {
    Suspicion {
        suspect: NodeId(suspect),
        version,
        observers: observers.iter().map(|id| NodeId(*id)).collect(),
    }
}

fn hear(node: &mut Membership, now: Duration, gossip: &Gossip) -> Vec<Change> {
    node.receive(now, 0, gossip, &mut Vec::new()).unwrap()
}

#[test]
fn two_reports_of_the_present_heartbeat_are_a_verdict_and_one_is_not() {
    let others = || vec![entry(3, 1, 7), entry(4, 1, 7), entry(5, 1, 7)];
    let case = |suspicions: Vec<Suspicion>| {
        let mut node = membership(GossipConfig::default());
        hear(&mut node, ms(1), &gossip(entry(2, 1, 1), others(), suspicions));
        node.liveness(NodeId(5))
    };
    assert_eq!(case(vec![suspicion(5, (1, 7), &[2, 3])]), Some(Liveness::Down));
    assert_eq!(case(vec![suspicion(5, (1, 7), &[2]), suspicion(5, (1, 7), &[4])]), Some(Liveness::Down));
    assert_eq!(case(vec![suspicion(5, (1, 7), &[2, 2])]), Some(Liveness::Alive), "one observer");
    assert_eq!(case(vec![suspicion(5, (1, 6), &[2, 3])]), Some(Liveness::Alive), "a heartbeat that is past");
    assert_eq!(case(vec![suspicion(5, (0, 7), &[2, 3])]), Some(Liveness::Alive), "an earlier life");
    assert_eq!(case(vec![suspicion(5, (1, 7), &[2, 99])]), Some(Liveness::Alive), "an observer nobody knows");
    assert_eq!(case(vec![suspicion(5, (1, 7), &[2, 5])]), Some(Liveness::Alive), "the suspect itself");
    assert_eq!(case(vec![suspicion(5, (1, 7), &[2, 1])]), Some(Liveness::Alive), "in this node's name");
    assert_eq!(case(vec![suspicion(1, (1, 1), &[2, 3])]), Some(Liveness::Alive), "of this node itself");
}

#[test]
fn an_observer_that_is_down_itself_has_no_voice() {
    let mut node = membership(GossipConfig::default());
    let others = vec![entry(3, 1, 7), entry(4, 1, 7), entry(5, 1, 7)];
    let down = vec![suspicion(3, (1, 7), &[2, 4])];
    hear(&mut node, ms(1), &gossip(entry(2, 1, 1), others, down));
    assert_eq!(node.liveness(NodeId(3)), Some(Liveness::Down));
    hear(&mut node, ms(2), &gossip(entry(2, 1, 2), vec![], vec![suspicion(5, (1, 7), &[3, 2])]));
    assert_eq!(node.liveness(NodeId(5)), Some(Liveness::Alive));
    hear(&mut node, ms(3), &gossip(entry(4, 1, 8), vec![], vec![suspicion(5, (1, 7), &[4])]));
    assert_eq!(node.liveness(NodeId(5)), Some(Liveness::Down));
}

#[test]
fn only_members_have_a_voice() {
    let mut node = membership(GossipConfig::default());
    let reports = suspicion(5, (1, 7), &[1, 2, 99]);
    hear(&mut node, ms(1), &gossip(entry(2, 1, 1), vec![entry(5, 1, 7)], vec![reports]));
    let observers: Vec<NodeId> = node.member(NodeId(5)).unwrap().observers.iter().copied().collect();
    assert_eq!(observers, [NodeId(2)]);
}

#[test]
fn the_age_of_a_ghost_is_what_those_say_who_have_known_it_for_longest() {
    let config = GossipConfig::default();
    let aged = |heartbeat, silent| Entry { silent, ..entry(5, 1, heartbeat) };
    // A stranger that has been silent for too long is not taken in, unless it is of the ring.
    let mut node = membership(config.clone());
    hear(&mut node, ms(1), &gossip(entry(2, 1, 1), vec![aged(7, config.forget_after)], vec![]));
    assert!(node.member(NodeId(5)).is_none());
    node.set_permanent(&[NodeId(5)], Duration::ZERO);
    hear(&mut node, ms(1), &gossip(entry(2, 1, 1), vec![aged(7, config.forget_after)], vec![]));
    assert!(node.member(NodeId(5)).is_some());
    // One that is nearly old enough is taken in with its age; one that is known gets older by what others say.
    for heard in [aged(7, config.forget_after - secs(2)), aged(7, ms(1))] {
        let mut node = membership(config.clone());
        hear(&mut node, ms(1), &gossip(entry(2, 1, 1), vec![heard], vec![]));
        hear(&mut node, ms(1), &gossip(entry(2, 1, 1), vec![aged(7, config.forget_after - secs(2))], vec![]));
        for at in [600, 1200, 1800] {
            assert_eq!(node.tick(ms(at), 0, &mut Vec::new()), []);
        }
        hear(&mut node, ms(1900), &gossip(entry(2, 1, 2), vec![], vec![]));
        let changes = node.tick(ms(2001), 0, &mut Vec::new());
        assert_eq!(changes, [Change::Suspect(NodeId(5)), Change::Forgotten(NodeId(5))]);
    }
}

#[test]
fn a_member_of_the_ring_of_whom_nobody_tells_is_down_after_a_while() {
    let mut node = membership(GossipConfig::default());
    node.set_permanent(&[NodeId(1), NodeId(5)], ms(0));
    let mut changes = Vec::new();
    for at in (0..4_000).step_by(500) {
        changes.extend(node.tick(ms(at), 0, &mut Vec::new()));
    }
    assert_eq!((&changes[..], node.liveness(NodeId(5))), (&[][..], None), "it may be about to say something");
    assert_eq!(node.tick(ms(4_000), 0, &mut Vec::new()), [Change::Down(NodeId(5))]);
    assert_eq!(node.liveness(NodeId(5)), Some(Liveness::Down));
    hear(&mut node, ms(4_001), &gossip(entry(5, 1, 1), vec![], vec![]));
    assert_eq!(node.liveness(NodeId(5)), Some(Liveness::Alive));
    // Who did not look cannot say that nothing was said.
    let mut node = membership(GossipConfig::default());
    node.set_permanent(&[NodeId(5)], ms(0));
    assert_eq!(node.tick(ms(60_000), 0, &mut Vec::new()), []);
}

#[test]
fn a_heartbeat_that_advances_clears_suspicion_at_once() {
    let mut node = membership(GossipConfig::default());
    hear(&mut node, ms(1), &gossip(entry(2, 1, 1), vec![entry(3, 1, 1)], vec![]));
    for at in [500, 1000, 1500, 1999] {
        node.tick(ms(at), 0, &mut Vec::new());
    }
    hear(&mut node, ms(2000), &gossip(entry(2, 1, 2), vec![], vec![]));
    assert_eq!(node.tick(ms(2010), 0, &mut Vec::new()), [Change::Suspect(NodeId(3))]);
    assert_eq!(node.liveness(NodeId(3)), Some(Liveness::Suspect), "the other one has not said so");
    assert_eq!(
        hear(&mut node, ms(2020), &gossip(entry(2, 1, 2), vec![entry(3, 1, 2)], vec![])),
        [Change::Alive(NodeId(3))]
    );
    // What was said of the heartbeat before is void.
    assert_eq!(
        hear(&mut node, ms(2030), &gossip(entry(2, 1, 2), vec![], vec![suspicion(3, (1, 1), &[2])])),
        []
    );
    assert!(node.alive(NodeId(3)));
}

#[test]
fn a_round_tells_of_suspicions_with_this_node_as_the_first_witness() {
    let mut node = membership(GossipConfig::default());
    let others: Vec<Entry> = (3..20).map(|id| entry(id, 1, 7)).collect();
    let reports = (5..20).collect::<Vec<_>>();
    hear(&mut node, ms(1), &gossip(entry(2, 1, 1), others, vec![]));
    for at in [900, 1800] {
        node.tick(ms(at), 0, &mut Vec::new());
    }
    let alive = (2..20).filter(|id| *id != 3).map(|id| entry(id, 1, 8));
    hear(&mut node, ms(1900), &gossip(entry(2, 1, 8), alive.collect(), vec![suspicion(3, (1, 7), &reports)]));
    let mut out = Vec::new();
    node.tick(ms(2400), 0, &mut out);
    let [told] = &out[0].1.suspicions[..] else { panic!("{out:?}") };
    assert_eq!((told.suspect, told.version), (NodeId(3), (1, 7)));
    assert_eq!((told.observers.len(), told.observers[0]), (OBSERVERS_MAX, NodeId(1)));
}

#[test]
fn of_twins_the_first_one_is_kept_while_it_lives() {
    let mut node = membership(GossipConfig::default());
    let twin = |address: &str, heartbeat| Entry {
        info: Arc::new(info(2, 1, address)),
        heartbeat,
        silent: Duration::ZERO,
    };
    hear(&mut node, ms(1), &gossip(twin("first", 1), vec![], vec![]));
    let changes = hear(&mut node, ms(2), &gossip(twin("second", 9), vec![], vec![]));
    assert!(matches!(&changes[..], [Change::Conflict(found)] if found.other.peer == "second"), "{changes:?}");
    assert_eq!(node.info(NodeId(2)).unwrap().peer, "first");
    for at in [900, 1800, 2100] {
        node.tick(ms(at), 0, &mut Vec::new());
    }
    assert_eq!(node.liveness(NodeId(2)), Some(Liveness::Down));
    hear(&mut node, ms(2200), &gossip(twin("second", 10), vec![], vec![]));
    assert_eq!((node.info(NodeId(2)).unwrap().peer.as_str(), node.alive(NodeId(2))), ("second", true));
}

#[test]
fn a_new_life_has_a_clock_of_its_own() {
    let mut node = membership(GossipConfig::default());
    let said = |generation, wall_ms| {
        let info = MemberInfo { wall_ms, ..info(2, generation, "b") };
        gossip(Entry { info: Arc::new(info), heartbeat: 1, silent: Duration::ZERO }, vec![], vec![])
    };
    node.receive(ms(1), 5000, &said(1, 5001), &mut Vec::new()).unwrap();
    assert_eq!(node.skew_ms(NodeId(2)), Some(1));
    node.receive(ms(2), 5000, &said(2, 9000), &mut Vec::new()).unwrap();
    assert_eq!(node.skew_ms(NodeId(2)), Some(4000));
}

#[test]
fn older_entries_change_nothing() {
    let mut node = membership(GossipConfig::default());
    hear(&mut node, ms(1), &gossip(entry(2, 3, 9), vec![], vec![]));
    for (generation, heartbeat) in [(3, 8), (3, 9), (2, 50)] {
        assert_eq!(hear(&mut node, ms(2), &gossip(entry(2, generation, heartbeat), vec![], vec![])), []);
    }
    let member = node.member(NodeId(2)).unwrap();
    assert_eq!((member.info().generation, member.heartbeat(), member.advanced_at()), (3, 9, ms(1)));
    assert_eq!(
        hear(&mut node, ms(3), &gossip(entry(2, 4, 1), vec![], vec![])),
        [Change::Restarted(NodeId(2))]
    );
}

#[test]
fn an_answer_holds_what_the_sender_lacked_and_no_more() {
    let mut node = membership(GossipConfig::default());
    let known = vec![entry(3, 1, 5), entry(4, 1, 5), entry(5, 1, 5)];
    hear(&mut node, ms(1), &gossip(entry(2, 1, 1), known, vec![]));
    let mut push = gossip(entry(2, 1, 2), vec![entry(3, 1, 5), entry(4, 1, 4)], vec![]);
    push.answer = false;
    let mut out = Vec::new();
    node.receive(ms(2), 77, &push, &mut out).unwrap();
    let [(Target::Node(NodeId(2)), answer)] = &out[..] else { panic!("{out:?}") };
    let told: Vec<_> = answer.members.iter().map(|e| (e.info.id.0, e.heartbeat)).collect();
    assert_eq!(told, [(4, 5), (5, 5)]);
    assert!(answer.answer && answer.from.info.id == NodeId(1) && answer.from.info.wall_ms == 77);
    // Once it knows everything, there is nothing to say.
    push.members = node.members().map(|member| member.entry(ms(3))).collect();
    out.clear();
    node.receive(ms(3), 77, &push, &mut out).unwrap();
    assert_eq!(out, []);
}

#[test]
fn the_driver_is_told_when_to_come_back() {
    let mut node = membership(GossipConfig::default());
    assert_eq!(node.next_wake(ms(0)), ms(0), "the first round is due at once");
    node.tick(ms(0), 0, &mut Vec::new());
    let wake = node.next_wake(ms(0));
    assert!(wake >= ms(450) && wake <= ms(500), "{wake:?}");
    assert_eq!(node.next_wake(secs(1)), ms(0));
    let slow = GossipConfig { interval: secs(10), suspect_after: secs(40), ..GossipConfig::default() };
    let mut node = membership(slow);
    node.tick(ms(0), 0, &mut Vec::new());
    assert!(node.next_wake(ms(0)) <= secs(10));
}

#[test]
fn a_lone_node_tries_its_seeds_but_not_itself() {
    let seeds = ["a", "b", "c"].map(str::to_owned).to_vec();
    let mut node = membership(GossipConfig { seeds, ..GossipConfig::default() });
    node.add_seed("b".to_owned());
    assert_eq!(node.seeds().len(), 3);
    let mut out = Vec::new();
    node.tick(ms(0), 0, &mut out);
    let mut targets: Vec<_> = out.into_iter().map(|(target, _)| target).collect();
    targets.sort();
    assert_eq!(targets, [Target::Address("b".to_owned()), Target::Address("c".to_owned())]);
}

#[test]
fn an_update_is_news_and_no_update_is_none() {
    let mut node = membership(GossipConfig::default());
    let heartbeat = |node: &Membership| node.member(NodeId(1)).unwrap().heartbeat();
    let before = heartbeat(&node);
    node.update_me(|status| status.ready = true);
    assert_eq!(heartbeat(&node), before);
    node.update_me(|status| status.ready = false);
    assert_eq!(heartbeat(&node), before + 1);
    assert!(!node.me().status.ready);
}

#[test]
fn settings_that_do_not_go_together_are_refused_with_a_sentence() {
    let good = GossipConfig::default();
    assert_eq!(good.check(), Ok(()));
    let wrong = [
        GossipConfig { interval: Duration::ZERO, ..good.clone() },
        GossipConfig { fanout: 0, ..good.clone() },
        GossipConfig { suspect_after: ms(1499), ..good.clone() },
        GossipConfig { forget_after: ms(7999), ..good.clone() },
        GossipConfig { probe_per_mille: 0, ..good.clone() },
        GossipConfig { probe_per_mille: 1001, ..good.clone() },
    ];
    let mut sentences: Vec<String> =
        wrong.iter().map(|config| config.check().unwrap_err().to_string()).collect();
    sentences.dedup();
    assert_eq!(sentences.len(), 5, "{sentences:?}");
    let mut long = info(1, 1, "a");
    long.dc = "d".repeat(TEXT_MAX + 1);
    let refused = Membership::new(CLUSTER, long, good, 1, Duration::ZERO).unwrap_err();
    assert_eq!(refused, SetupError::TooLong { what: "data centre", len: 257 });
}
