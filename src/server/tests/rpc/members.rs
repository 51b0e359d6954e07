//! [`Member`]: a node with its listener, and what tests ask of it.

use esker::{Durability, Slice};
use esker_cluster::formation::DEFAULT_KEYSPACE;
use esker_cluster::request::{Level, Operation, Request, Response};
use esker_cluster::store::{Change, StoreConfig};
use esker_cluster::{NodeConfig, NodeStatus};
use esker_server::node::{self, NodeHandle, Started};
use esker_server::rpc::{self, ClientDefaults};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;

/// How long anything may take on a machine that has other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A node that runs.
pub(crate) struct Member {
    pub(crate) handle: NodeHandle,
    pub(crate) fatal: oneshot::Receiver<String>,
    pub(crate) address: String,
    pub(crate) directory: PathBuf,
    serving: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Member {
    /// Starts a node at this address; port 0 for any.
    pub(crate) async fn start(directory: &Path, address: &str, join: &[String]) -> Member {
        Member::start_with(directory, address, join, ClientDefaults::default()).await
    }

    pub(crate) async fn start_with(
        directory: &Path,
        address: &str,
        join: &[String],
        defaults: ClientDefaults,
    ) -> Member {
        let listener = TcpListener::bind(address).await.expect("the address is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let opened = node::open(directory, StoreConfig::default()).expect("the store opens");
        let mut config = config(&address);
        config.join = join.to_vec();
        let Started { handle, fatal } = node::start(config, opened).expect("the node starts");
        let (stop, stopped) = oneshot::channel();
        let served = handle.clone();
        let serving = tokio::spawn(async move {
            let stop = async { drop(stopped.await) };
            rpc::serve(listener, served, defaults, stop).await.expect("it serves");
        });
        Member { handle, fatal, address, directory: directory.to_owned(), serving, stop }
    }

    /// Stops it, cleanly.
    pub(crate) async fn stop(self) {
        self.handle.stop().await.expect("the store closes cleanly");
        let _ = self.stop.send(());
        self.serving.await.expect("the listener ends");
    }

    pub(crate) async fn status(&self) -> NodeStatus {
        self.handle.status().await.expect("the node runs")
    }

    /// Waits until the node says so of itself.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&NodeStatus) -> bool) {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.status().await;
            if is_so(&status) {
                return;
            }
            assert!(Instant::now() < end, "{} does not come to: {what}; {status:#?}", self.address);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn put(&self, key: &str, value: &str) -> Response {
        self.handle.request(write(key, value, Level::Quorum)).await
    }

    /// The values of a key, by a quorum.
    pub(crate) async fn get(&self, key: &str) -> Vec<String> {
        match self.handle.request(read(key, Level::Quorum)).await {
            Response::Found { versions, .. } => {
                versions.iter().map(|version| String::from_utf8_lossy(&version.value).into_owned()).collect()
            }
            other => panic!("{key} cannot be read: {other:?}"),
        }
    }
}

/// A connection to a node's peer address.
pub(crate) async fn channel(address: &str) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("it is an address");
    endpoint.connect().await.expect("it listens")
}

fn config(address: &str) -> NodeConfig {
    let mut config = NodeConfig::new(address);
    config.partitions = 256;
    config.gossip_interval = Duration::from_millis(100);
    config.hint_after = Duration::from_millis(300);
    config
}

pub(crate) fn read(key: &str, level: Level) -> Request {
    request(Operation::Get { key: Slice::from(key), context: None }, level)
}

pub(crate) fn write(key: &str, value: &str, level: Level) -> Request {
    let change = Change::Put { value: Slice::from(value), expires_at: None };
    request(Operation::Write { key: Slice::from(key), change, context: None }, level)
}

pub(crate) fn request(operation: Operation, level: Level) -> Request {
    Request {
        keyspace: DEFAULT_KEYSPACE,
        operation,
        level,
        sloppy: false,
        durability: Durability::Synced,
        timeout: PATIENCE,
    }
}

/// Three nodes that know each other.
pub(crate) async fn three(scratch: &TempDir) -> Vec<Member> {
    three_with(scratch, &ClientDefaults::default()).await
}

pub(crate) async fn three_with(scratch: &TempDir, defaults: &ClientDefaults) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for name in ["a", "b", "c"] {
        let join: Vec<String> = members.iter().take(1).map(|member| member.address.clone()).collect();
        let directory = scratch.path().join(name);
        let member = Member::start_with(&directory, "127.0.0.1:0", &join, defaults.clone()).await;
        member.until("be a member", |status| status.cluster != 0).await;
        members.push(member);
    }
    for member in &members {
        member.until("know three members", |status| status.members.len() == 3).await;
    }
    members
}
