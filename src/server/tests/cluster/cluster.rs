//! [`Cluster`]: some nodes, formed.

use super::process::{Addresses, Process, Settings};
use std::path::PathBuf;
use tempfile::TempDir;

/// Some nodes in directories that go with it.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Process>,
    pub(crate) scratch: TempDir,
}

/// A field of `CLUSTER INFO`.
pub(crate) fn info(node: &Process, field: &str) -> Option<String> {
    let text = node.say("CLUSTER INFO").ok()?.text();
    text.lines().find_map(|line| line.strip_prefix(&format!("{field}:"))).map(str::to_owned)
}

impl Cluster {
    /// Starts so many nodes and waits until all know all.
    pub(crate) fn start(nodes: usize) -> Cluster {
        Cluster::start_with(nodes, &[])
    }

    pub(crate) fn start_with(nodes: usize, flags: &[&str]) -> Cluster {
        Cluster::start_at(nodes, |scratch, number| Settings {
            data: scratch.join(format!("node{number}")),
            addresses: Addresses::free(),
            join: Vec::new(),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            namespace: None,
        })
    }

    /// Starts nodes with these settings, all but the first joining the first.
    pub(crate) fn start_at(nodes: usize, settings: impl Fn(PathBuf, usize) -> Settings) -> Cluster {
        let scratch = tempfile::tempdir().unwrap();
        let mut cluster = Cluster { nodes: Vec::new(), scratch };
        for number in 0..nodes {
            let mut settings = settings(cluster.scratch.path().to_owned(), number);
            settings.join =
                cluster.nodes.first().map(|first| first.settings.addresses.peer).into_iter().collect();
            cluster.nodes.push(Process::start(settings));
        }
        for node in &mut cluster.nodes {
            node.until("know all", |node| info(node, "cluster_known_nodes") == Some(nodes.to_string()));
        }
        cluster
    }

    /// Those that listen.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Process> {
        self.nodes.iter().filter(|node| node.connect().is_ok())
    }

    /// Starts a node again as it was.
    pub(crate) fn restart(&mut self, number: usize) {
        let settings = self.nodes[number].settings.clone();
        self.nodes[number].kill();
        self.nodes[number] = Process::start(settings);
    }

    /// Waits until every node sees every node alive and with all its data.
    #[track_caller]
    pub(crate) fn heal(&mut self) {
        for node in &mut self.nodes {
            node.until("see all alive", |node| {
                info(node, "cluster_nodes_down").as_deref() == Some("0")
                    && info(node, "cluster_state").as_deref() == Some("ok")
            });
            node.until("read at ALL", |node| {
                let answer = node.say("EK.GET set-0 LEVEL ALL");
                answer.is_ok_and(|answer| matches!(answer, super::connection::Answer::List(_)))
            });
        }
    }
}
