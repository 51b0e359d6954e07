//! Quorums over three nodes: formation, writes and reads at each of them, a node that is away for a while.

use super::members::{Member, PATIENCE, read, three, write};
use esker_cluster::causality::ConflictMode;
use esker_cluster::request::{Level, Response};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn assert_written(response: &Response) {
    assert!(matches!(response, Response::Written { .. }), "{response:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_write_seals_the_ring_and_every_node_sees_every_write() {
    let scratch = TempDir::new().expect("a directory");
    let members = three(&scratch).await;
    assert!(members[1].handle.cluster_state().is_some_and(|state| state.ring.is_none()));
    for (i, writer) in members.iter().enumerate() {
        assert_written(&writer.put(&format!("key {i}"), &format!("value {i}")).await);
        for reader in &members {
            assert_eq!(reader.get(&format!("key {i}")).await, [format!("value {i}")]);
        }
    }
    for member in &members {
        member.until("be sealed and open", |status| status.sealed && status.open).await;
        assert!(!member.handle.standing("default").unwrap().1);
        let counts = member.handle.traffic().counts();
        assert!(counts.frames_in > 0 && counts.frames_out > 0 && counts.malformed == 0, "{counts:?}");
    }
    for member in members {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_gets_what_it_missed() {
    let scratch = TempDir::new().expect("a directory");
    let mut members = three(&scratch).await;
    assert_written(&members[0].put("before", "1").await);
    let away = members.pop().expect("there are three");
    let (directory, address) = (away.directory.clone(), away.address.clone());
    away.stop().await;
    for i in 0..20 {
        assert_written(&members[i % 2].put(&format!("meanwhile {i}"), "2").await);
    }
    let waiting = |members: &[Member]| {
        let handles: Vec<_> = members.iter().map(|member| member.handle.clone()).collect();
        move || handles.iter().flat_map(|h| h.store().hints_waiting().into_values()).sum::<u64>()
    };
    let waiting = waiting(&members);
    let end = Instant::now() + PATIENCE;
    while waiting() < 20 {
        assert!(Instant::now() < end, "{} hints", waiting());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let back = Member::start(&directory, &address, &[]).await;
    while waiting() > 0 {
        assert!(Instant::now() < end, "{} hints are left", waiting());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    back.until("be ready", |status| status.ready && status.open).await;
    // What it has itself, and nobody else can have told it.
    members.push(back);
    let store = members[2].handle.store().clone();
    for i in 0..20 {
        let operation = esker_cluster::store::StoreOperation::Read {
            keyspace: esker_cluster::formation::DEFAULT_KEYSPACE,
            key: format!("meanwhile {i}").into(),
            bodies: true,
        };
        let (outcome, _) = store.execute(operation);
        let esker_cluster::store::StoreOutcome::Set { set, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(set.siblings().len(), 1, "meanwhile {i}");
    }
    for member in members {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_alone_has_the_single_copy_and_keeps_it() {
    let scratch = TempDir::new().expect("a directory");
    let alone = Member::start(scratch.path(), "127.0.0.1:0", &[]).await;
    alone.until("begin a cluster", |status| status.cluster != 0).await;
    assert!(!alone.handle.standing("default").unwrap().1, "others may join yet");
    assert_written(&alone.put("k", "v").await);
    assert!(alone.handle.standing("default").unwrap().1);
    alone.handle.define_keyspace("more", ConflictMode::LastWriteWins, 1).await.expect("it is the founder");
    let mut views = alone.handle.views();
    let known = tokio::time::timeout(PATIENCE, views.wait_for(|view| view.keyspace("more").is_some())).await;
    assert!(known.expect("in time").is_ok());
    let address = alone.address.clone();
    alone.stop().await;
    let again = Member::start(scratch.path(), &address, &[]).await;
    assert_eq!(again.get("k").await, ["v"]);
    assert!(again.handle.keyspace("more").is_some());
    let stopped = again.handle.clone();
    again.stop().await;
    let late = stopped.request(write("k", "late", Level::One)).await;
    assert!(matches!(late, Response::Rejected(_)), "{late:?}");
    assert!(matches!(stopped.request(read("k", Level::One)).await, Response::Rejected(_)));
    assert!(stopped.status().await.is_none());
}
