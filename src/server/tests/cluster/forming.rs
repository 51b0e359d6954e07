//! Nodes that come too late, at the wrong moment, or from somewhere else.

use super::cluster::{Cluster, info};
use super::connection::Answer;
use super::is_full;
use super::process::{Addresses, Process, Settings};
use std::time::Duration;

fn settings(cluster: &Cluster, name: &str) -> Settings {
    Settings {
        data: cluster.scratch.path().join(name),
        addresses: Addresses::free(),
        join: vec![cluster.nodes[0].settings.addresses.peer],
        flags: Vec::new(),
        namespace: None,
    }
}

#[track_caller]
fn is_ok(answer: std::io::Result<Answer>) {
    assert_eq!(answer.unwrap(), Answer::Word("OK".to_owned()));
}

#[test]
fn a_node_that_joins_after_the_first_write_is_refused() {
    let mut cluster = Cluster::start(3);
    is_ok(cluster.nodes[1].say("SET first write"));
    let mut late = Process::spawn(settings(&cluster, "late"));
    assert_ne!(late.ends(), Some(0));
    println!("  {}", late.last_words());
    assert!(late.last_words().contains("takes no others"), "{}", late.log());
    // One that is known and says `--join` again does not join.
    cluster.restart(2);
    cluster.heal();
    assert_eq!(cluster.nodes[2].say("GET first").unwrap().text(), "write");
}

#[test]
fn a_join_that_races_with_the_first_write_is_in_or_out() {
    for round in 0..if is_full() { 12 } else { 3 } {
        let mut cluster = Cluster::start(2);
        let mut racing = Process::spawn(settings(&cluster, "racing"));
        std::thread::sleep(Duration::from_millis(30 * round));
        is_ok(cluster.nodes[round as usize % 2].say("SET first write"));
        let known = info(&cluster.nodes[0], "cluster_known_nodes").unwrap();
        assert_eq!(info(&cluster.nodes[1], "cluster_known_nodes"), Some(known.clone()));
        println!("  after {} ms: {known} members", 30 * round);
        if known == "3" {
            racing.until("be a member", |node| info(node, "cluster_known_nodes").as_deref() == Some("3"));
            cluster.nodes.push(racing);
            cluster.heal();
            assert_eq!(cluster.nodes[2].say("GET first").unwrap().text(), "write");
        } else {
            assert_eq!(known, "2");
            assert_ne!(racing.ends(), Some(0));
            assert!(racing.last_words().contains("takes no others"), "{}", racing.log());
        }
    }
}

#[test]
fn a_node_of_another_cluster() {
    let mut cluster = Cluster::start(3);
    is_ok(cluster.nodes[0].say("SET whose ours"));
    let other = Cluster::start(1);
    is_ok(other.nodes[0].say("SET whose theirs"));
    // It comes to stand where a member stood, and is told to join.
    cluster.nodes[2].kill();
    let mut stranger =
        Settings { join: vec![cluster.nodes[0].settings.addresses.peer], ..other.nodes[0].settings.clone() };
    stranger.addresses = cluster.nodes[2].settings.addresses;
    drop(other.nodes.into_iter().next());
    let mut stranger = Process::start(stranger);
    cluster.nodes[0].until("see one down", |node| info(node, "cluster_nodes_down").as_deref() == Some("1"));
    for node in &cluster.nodes[..2] {
        assert!(node.say("GET whose").unwrap().text().ends_with("ours"));
        is_ok(node.say("SET whose still_ours"));
        assert_eq!(info(node, "cluster_known_nodes").as_deref(), Some("3"));
    }
    assert!(stranger.is_running(), "{}", stranger.log());
    assert_eq!(stranger.say("GET whose").unwrap().text(), "theirs");
    println!("  {}", stranger.last_words());
    assert!(stranger.log().contains("another cluster"), "it says nothing of it: {}", stranger.log());
    // The member comes back, and nothing is left of the visit.
    stranger.kill();
    cluster.restart(2);
    cluster.heal();
    assert_eq!(cluster.nodes[2].say("GET whose").unwrap().text(), "still_ours");
}
