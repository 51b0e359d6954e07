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
    // It comes to stand where a member stood: told to join, and told nothing.
    cluster.nodes[2].kill();
    let mut settings = other.nodes[0].settings.clone();
    settings.addresses = cluster.nodes[2].settings.addresses;
    drop(other.nodes.into_iter().next());
    let first = cluster.nodes[0].settings.addresses.peer;
    settings.join = vec![first];
    let mut stranger = Process::spawn(settings.clone());
    assert_ne!(stranger.ends(), Some(0));
    println!("  {}", stranger.last_words());
    assert!(stranger.last_words().contains("a cluster of its own"), "{}", stranger.log());
    settings.join = Vec::new();
    let stranger = Process::start(settings.clone());
    assert_eq!(stranger.say("GET whose").unwrap().text(), "theirs");
    drop(stranger);
    cluster.nodes[0].until("see one down", |node| info(node, "cluster_nodes_down").as_deref() == Some("1"));
    for node in &cluster.nodes[..2] {
        assert!(node.say("GET whose").unwrap().text().ends_with("ours"));
        is_ok(node.say("SET whose still_ours"));
        assert_eq!(info(node, "cluster_known_nodes").as_deref(), Some("3"));
    }
    // At an address of its own it is what it was.
    settings.addresses = Addresses::free();
    let stranger = Process::start(settings);
    assert_eq!(stranger.say("GET whose").unwrap().text(), "theirs");
    drop(stranger);
    // The member comes back, and nothing is left of the visit.
    cluster.restart(2);
    cluster.heal();
    assert_eq!(cluster.nodes[2].say("GET whose").unwrap().text(), "still_ours");
}
