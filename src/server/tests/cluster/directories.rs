//! Data directories that are emptied, and ones that are copied.

use super::cluster::Cluster;
use super::history::History;
use super::is_full;
use super::load::Load;
use super::process::{Addresses, Process};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn an_emptied_directory_is_rebuilt_and_counts_again() {
    let nodes = if is_full() { 5 } else { 3 };
    let mut cluster = Cluster::start(nodes);
    let history = Arc::new(History::begin(cluster.scratch.path(), "emptied"));
    let load = Load::start(&cluster, &history, 4);
    std::thread::sleep(Duration::from_secs(1));
    cluster.nodes[1].kill();
    std::fs::remove_dir_all(cluster.nodes[1].data()).unwrap();
    cluster.restart(1);
    std::thread::sleep(Duration::from_secs(1));
    load.stop();
    cluster.heal();
    assert!(cluster.nodes[1].log().contains("rebuild"), "{}", cluster.nodes[1].log());
    // What the others had is there without one of them.
    cluster.nodes[2].kill();
    history.check(&cluster);
    cluster.restart(2);
    cluster.heal();
    cluster.nodes[0].kill();
    history.check(&cluster);
}

#[test]
fn the_emptied_directory_of_the_node_that_began_the_cluster() {
    let mut cluster = Cluster::start(3);
    let history = Arc::new(History::begin(cluster.scratch.path(), "emptied-founder"));
    let load = Load::start(&cluster, &history, 2);
    std::thread::sleep(Duration::from_secs(1));
    load.stop();
    cluster.nodes[0].kill();
    std::fs::remove_dir_all(cluster.nodes[0].data()).unwrap();
    cluster.nodes[0].settings.join = vec![cluster.nodes[1].settings.addresses.peer];
    cluster.restart(0);
    cluster.heal();
    cluster.nodes[2].kill();
    history.check(&cluster);
}

#[test]
fn a_copied_directory_at_another_address_ends_with_a_sentence() {
    let mut cluster = Cluster::start(3);
    let history = Arc::new(History::begin(cluster.scratch.path(), "copied"));
    let load = Load::start(&cluster, &history, 2);
    std::thread::sleep(Duration::from_secs(1));
    cluster.nodes[1].kill();
    let mut settings = cluster.nodes[1].settings.clone();
    settings.data = cluster.scratch.path().join("copy");
    settings.addresses = Addresses::free();
    let copied = Command::new("cp").arg("-a").arg(cluster.nodes[1].data()).arg(&settings.data).status();
    assert!(copied.unwrap().success());
    cluster.restart(1);
    std::thread::sleep(Duration::from_millis(500));
    let mut copy = Process::spawn(settings);
    let status = copy.ends();
    println!("  {}", copy.last_words());
    assert_ne!(status, Some(0));
    assert!(copy.last_words().contains("directory was copied"), "{}", copy.log());
    load.stop();
    cluster.heal();
    history.check(&cluster);
}
