//! Peers that are not what they should be.

use super::members::{Member, PATIENCE, channel, read, three};
use esker_cluster::NodeId;
use esker_cluster::message::encoding::encode;
use esker_cluster::message::{Envelope, Message};
use esker_cluster::request::{Level, Response};
use esker_server::rpc::proto::Frames;
use esker_server::rpc::proto::peer_client::PeerClient;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic::{Code, Status};

/// Sends one message of frames, and ends the stream.
async fn exchange(address: &str, frames: Vec<Vec<u8>>) -> Result<(), Status> {
    let mut client = PeerClient::new(channel(address).await);
    let frames = Frames { frames: frames.into_iter().map(Into::into).collect() };
    client.exchange(tonic::codegen::tokio_stream::iter([frames])).await.map(drop)
}

fn stranger(cluster: u128) -> Vec<u8> {
    let (from, reply_to) = (NodeId(7), "127.0.0.1:1".into());
    let mut bytes = Vec::new();
    encode(&Envelope { cluster, from, reply_to, message: Message::StateWanted }, &mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_message_end_their_stream_and_nothing_else() {
    let scratch = TempDir::new().expect("a directory");
    let node = Member::start(scratch.path(), "127.0.0.1:0", &[]).await;
    node.until("begin a cluster", |status| status.cluster != 0).await;
    let cluster = node.status().await.cluster;
    let mut damaged = stranger(cluster);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for garbage in [b"hello".to_vec(), Vec::new(), damaged] {
        let status =
            exchange(&node.address, vec![stranger(cluster), garbage]).await.expect_err("it is garbage");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    let counts = node.handle.traffic().counts();
    assert_eq!((counts.malformed, counts.frames_in), (3, 3));
    // Not even HTTP.
    let mut raw = TcpStream::connect(&node.address).await.expect("it listens");
    raw.write_all(&[0xff; 4096]).await.expect("it takes bytes");
    drop(raw);
    node.put("k", "v").await;
    assert_eq!(node.get("k").await, ["v"]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_cluster_is_not_listened_to() {
    let scratch = TempDir::new().expect("a directory");
    let node = Member::start(&scratch.path().join("a"), "127.0.0.1:0", &[]).await;
    let other = Member::start(&scratch.path().join("b"), "127.0.0.1:0", &[]).await;
    for member in [&node, &other] {
        member.until("begin a cluster", |status| status.cluster != 0).await;
    }
    let theirs = other.status().await.cluster;
    exchange(&node.address, vec![stranger(theirs)]).await.expect("it is a message");
    let members = node.status().await.members.len();
    assert_eq!((members, node.handle.traffic().counts().malformed), (1, 0));
    let (b, a) = (other.address.clone(), node.address.clone());
    other.stop().await;
    // It keeps to its cluster, whatever it is told to join.
    let other = Member::start(&scratch.path().join("b"), &b, &[a]).await;
    assert_eq!(other.status().await.cluster, theirs);
    assert_eq!(node.status().await.members.len(), 1);
    other.stop().await;
    node.stop().await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it can be read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("it has one").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("it can be copied");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_directory_ends_the_copy() {
    let scratch = TempDir::new().expect("a directory");
    let mut members = three(&scratch).await;
    members[0].put("k", "v").await;
    let original = members.pop().expect("there are three");
    let (directory, address) = (original.directory.clone(), original.address.clone());
    original.stop().await;
    let copied = scratch.path().join("copy");
    copy(&directory, &copied);
    let original = Member::start(&directory, &address, &[]).await;
    original.until("be ready", |status| status.ready && status.open).await;
    let twin = Member::start(&copied, "127.0.0.1:0", &[]).await;
    let why = tokio::time::timeout(PATIENCE, twin.fatal).await.expect("in time").expect("it is told why");
    assert!(why.contains("id"), "{why}");
    let end = Instant::now() + PATIENCE;
    while twin.handle.status().await.is_some() {
        assert!(Instant::now() < end, "the copy still runs");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(original.get("k").await, ["v"]);
    original.put("k", "w").await;
    assert_eq!(members[1].get("k").await, ["w"]);
    members.push(original);
    for mut member in members {
        assert!(member.fatal.try_recv().is_err());
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_fails_within_itself_says_so_and_answers_nobody() {
    let scratch = TempDir::new().expect("a directory");
    let member = Member::start(&scratch.path().join("a"), "127.0.0.1:0", &[]).await;
    member.put("k", "v").await;
    member.handle.request_with(read("k", Level::Quorum), |_| panic!("as the test wants it"));
    let why = tokio::time::timeout(PATIENCE, member.fatal).await.expect("in time").expect("it is told why");
    assert!(why.contains("as the test wants it"), "{why}");
    let response = member.handle.request(read("k", Level::Quorum)).await;
    assert!(matches!(response, Response::Rejected(_)), "{response:?}");
    assert!(member.handle.status().await.is_none());
}
