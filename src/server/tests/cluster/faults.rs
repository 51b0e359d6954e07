//! Nodes that are killed and nodes that are paused, under load.

use super::cluster::Cluster;
use super::history::{History, Outcome};
use super::is_full;
use super::load::Load;
use std::sync::Arc;
use std::time::Duration;

fn pause(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

fn rounds() -> usize {
    if is_full() { 5 } else { 1 }
}

/// Kills one node after the other, each for a while, and lets the clients go on.
fn kill_in_turn(nodes: usize, name: &str) {
    let mut cluster = Cluster::start(nodes);
    let history = Arc::new(History::begin(cluster.scratch.path(), name));
    let load = Load::start(&cluster, &history, 4);
    pause(1);
    for round in 0..rounds() {
        let number = (round + 1) % nodes;
        cluster.nodes[number].kill();
        let before = history.count("add", Outcome::Ok);
        pause(if is_full() { 8 } else { 2 });
        assert!(
            history.count("add", Outcome::Ok) > before,
            "nothing is acknowledged with {number} of {nodes} dead"
        );
        cluster.restart(number);
        pause(1);
    }
    load.stop();
    cluster.heal();
    history.check(&cluster);
}

#[test]
fn three_nodes_of_which_one_is_killed() {
    kill_in_turn(3, "kill-3");
}

#[test]
fn five_nodes_of_which_one_is_killed() {
    kill_in_turn(5, "kill-5");
}

#[test]
fn a_node_paused_for_longer_than_the_failure_timeout() {
    let nodes = if is_full() { 5 } else { 3 };
    let mut cluster = Cluster::start(nodes);
    let history = Arc::new(History::begin(cluster.scratch.path(), "pause"));
    let load = Load::start(&cluster, &history, 4);
    pause(1);
    for round in 0..rounds() {
        let (paused, watcher) = (round % nodes, (round + 1) % nodes);
        cluster.nodes[paused].signal("STOP");
        cluster.nodes[watcher].until("see it down", |node| {
            super::cluster::info(node, "cluster_nodes_down").as_deref() == Some("1")
        });
        let before = history.count("add", Outcome::Ok);
        pause(1);
        assert!(history.count("add", Outcome::Ok) > before, "nothing is acknowledged beside a paused node");
        cluster.nodes[paused].signal("CONT");
        pause(2);
    }
    load.stop();
    cluster.heal();
    history.check(&cluster);
}

#[test]
fn all_nodes_killed_at_once() {
    let mut cluster = Cluster::start(3);
    let history = Arc::new(History::begin(cluster.scratch.path(), "all-killed"));
    let load = Load::start(&cluster, &history, 4);
    pause(1);
    for _ in 0..rounds() {
        cluster.nodes.iter_mut().for_each(super::process::Process::kill);
        (0..3).for_each(|number| cluster.restart(number));
        pause(3);
    }
    load.stop();
    cluster.heal();
    history.check(&cluster);
}
