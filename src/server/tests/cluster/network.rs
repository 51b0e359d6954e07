//! Nodes that do not hear each other: network namespaces, and a packet filter in each.
//!
//! ```text
//!   clients (bridge, .1) ──┬── namespace 0 (.10)     a filter on what comes in, in each namespace
//!                          ├── namespace 1 (.11)
//!                          └── namespace 2 (.12)
//! ```

use super::cluster::Cluster;
use super::history::{History, Outcome};
use super::is_full;
use super::load::Load;
use super::process::{Addresses, Settings};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// A network of its own, taken down with it.
struct Network {
    name: String,
    third: u8,
    nodes: usize,
}

fn run(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or_default();
    Command::new(program).args(words).output().is_ok_and(|output| output.status.success())
}

impl Network {
    /// `None` if this user cannot make one, or the tools are missing.
    fn make(nodes: usize, third: u8) -> Option<Network> {
        let name = format!("ek{}x{third}", std::process::id() % 10_000);
        let network = Network { name, third, nodes };
        let bridge = &network.name;
        let mut made = run("iptables --version")
            && run(&format!("ip link add {bridge} type bridge"))
            && run(&format!("ip addr add 10.213.{third}.1/24 dev {bridge}"))
            && run(&format!("ip link set {bridge} up"));
        for number in 0..nodes {
            let (space, outside) = (network.space(number), format!("{bridge}v{number}"));
            made = made
                && run(&format!("ip netns add {space}"))
                && run(&format!("ip link add {outside} type veth peer name eth0 netns {space}"))
                && run(&format!("ip link set {outside} master {bridge} up"))
                && run(&format!("ip -n {space} addr add 10.213.{third}.{}/24 dev eth0", 10 + number))
                && run(&format!("ip -n {space} link set eth0 up"))
                && run(&format!("ip -n {space} link set lo up"))
                && run(&format!("ip netns exec {space} iptables -L INPUT"));
        }
        made.then_some(network)
    }

    fn space(&self, number: usize) -> String {
        format!("{}n{number}", self.name)
    }

    fn ip(&self, number: usize) -> [u8; 4] {
        [10, 213, self.third, 10 + number as u8]
    }

    /// From now on `to` hears nothing from `from`.
    fn cut(&self, from: usize, to: usize) {
        let [a, b, c, d] = self.ip(from);
        let space = self.space(to);
        assert!(run(&format!("ip netns exec {space} iptables -A INPUT -s {a}.{b}.{c}.{d} -j DROP")));
    }

    fn heal(&self) {
        for number in 0..self.nodes {
            assert!(run(&format!("ip netns exec {} iptables -F INPUT", self.space(number))));
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for number in 0..self.nodes {
            run(&format!("ip netns del {}", self.space(number)));
        }
        run(&format!("ip link del {}", self.name));
    }
}

fn cluster_on(network: &Network) -> Cluster {
    Cluster::start_at(network.nodes, |scratch, number| Settings {
        data: scratch.join(format!("node{number}")),
        addresses: Addresses::at(network.ip(number)),
        join: Vec::new(),
        flags: Vec::new(),
        namespace: Some(network.space(number)),
    })
}

/// Cuts as `cuts` says, one after the other, under load; those who can still write go on.
fn cut_and_heal(name: &str, nodes: usize, third: u8, cuts: &[&[(usize, usize)]]) {
    let Some(network) = Network::make(nodes, third) else {
        println!("  skipped: network namespaces need root, and the programs `ip` and `iptables`");
        return;
    };
    let mut cluster = cluster_on(&network);
    let history = Arc::new(History::begin(cluster.scratch.path(), name));
    let load = Load::start(&cluster, &history, 2 * nodes);
    std::thread::sleep(Duration::from_secs(1));
    for cut in cuts {
        cut.iter().for_each(|(from, to)| network.cut(*from, *to));
        std::thread::sleep(Duration::from_secs(1));
        let before = history.count("add", Outcome::Ok);
        std::thread::sleep(Duration::from_secs(if is_full() { 10 } else { 3 }));
        assert!(history.count("add", Outcome::Ok) > before, "nobody goes on when {cut:?} are cut");
        network.heal();
        std::thread::sleep(Duration::from_secs(1));
    }
    load.stop();
    cluster.heal();
    history.check(&cluster);
    drop(cluster);
}

#[test]
fn one_node_cut_off() {
    let both_ways: &[(usize, usize)] = &[(0, 2), (1, 2), (2, 0), (2, 1)];
    let first: &[(usize, usize)] = &[(0, 1), (0, 2), (1, 0), (2, 0)];
    let cuts = [both_ways, first];
    cut_and_heal("cut-off", 3, 1, if is_full() { &cuts } else { &cuts[..1] });
}

#[test]
fn cut_in_one_direction() {
    // It hears nobody; nobody hears it; two of three do not hear each other in one direction.
    let deaf: &[(usize, usize)] = &[(0, 2), (1, 2)];
    let mute: &[(usize, usize)] = &[(1, 0), (1, 2)];
    let half: &[(usize, usize)] = &[(0, 1)];
    let cuts = [deaf, mute, half];
    cut_and_heal("one-way", 3, 2, if is_full() { &cuts } else { &cuts[..2] });
}

#[test]
fn two_of_five_cut_off() {
    if !is_full() {
        println!("  skipped: only with ESKER_CLUSTER_FULL=1");
        return;
    }
    let mut cut = Vec::new();
    for few in [3, 4] {
        (0..3).for_each(|many| cut.extend([(few, many), (many, few)]));
    }
    cut_and_heal("two-of-five", 5, 3, &[&cut]);
}
