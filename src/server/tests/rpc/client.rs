//! The service that clients ask, by gRPC.

use super::members::{PATIENCE, channel, three, three_with};
use ::esker_server::rpc::ClientDefaults;
use ::esker_server::rpc::proto::esker_client::EskerClient;
use ::esker_server::rpc::proto::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use tempfile::TempDir;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Status};

type Client = EskerClient<Channel>;

async fn connect(address: &str) -> Client {
    EskerClient::new(channel(address).await)
}

fn options() -> Option<Options> {
    Some(Options { timeout_ms: PATIENCE.as_millis() as u32, ..Options::default() })
}

async fn put(client: &mut Client, key: &str, value: &str, context: Option<Vec<u8>>) -> WriteAnswer {
    let request = PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        context: context.map(Into::into),
        options: options(),
        ..PutRequest::default()
    };
    client.put(request).await.expect("it is answered").into_inner()
}

async fn get(client: &mut Client, key: &str) -> Found {
    let request = GetRequest { key: key.to_owned().into(), options: options(), ..GetRequest::default() };
    match client.get(request).await.expect("it is answered").into_inner().outcome {
        Some(get_answer::Outcome::Found(found)) => found,
        other => panic!("{other:?}"),
    }
}

fn acknowledged(answer: WriteAnswer) -> Acknowledged {
    match answer.outcome {
        Some(write_answer::Outcome::Acknowledged(acknowledged)) => acknowledged,
        other => panic!("{other:?}"),
    }
}

fn rejected(answer: WriteAnswer) -> Rejected {
    match answer.outcome {
        Some(write_answer::Outcome::Rejected(rejected)) => rejected,
        other => panic!("{other:?}"),
    }
}

fn values(found: &Found) -> Vec<String> {
    let mut values: Vec<String> =
        found.versions.iter().map(|v| String::from_utf8_lossy(&v.value).into_owned()).collect();
    values.sort();
    values
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contexts_tell_what_a_write_replaces() {
    let scratch = TempDir::new().expect("a directory");
    let members = three(&scratch).await;
    let mut one = connect(&members[0].address).await;
    let mut two = connect(&members[1].address).await;
    let first = acknowledged(put(&mut one, "cart", "milk", None).await);
    assert!(first.acks >= 2 && first.fallbacks == 0, "{first:?}");
    let seen = get(&mut two, "cart").await.context.to_vec();
    acknowledged(put(&mut one, "cart", "bread", Some(seen.clone())).await);
    acknowledged(put(&mut two, "cart", "eggs", Some(seen)).await);
    let both = get(&mut one, "cart").await;
    assert_eq!(values(&both), ["bread", "eggs"]);
    acknowledged(put(&mut two, "cart", "all", Some(both.context.to_vec())).await);
    let merged = get(&mut one, "cart").await;
    assert_eq!(values(&merged), ["all"]);
    let request = DeleteRequest {
        key: "cart".into(),
        context: Some(merged.context),
        options: options(),
        ..DeleteRequest::default()
    };
    acknowledged(two.delete(request).await.expect("it is answered").into_inner());
    let gone = get(&mut one, "cart").await;
    assert!(gone.versions.is_empty() && !gone.context.is_empty());
    let elsewhere = rejected(put(&mut one, "basket", "none", Some(gone.context.to_vec())).await);
    assert_eq!(elsewhere.reason(), rejected::Reason::Invalid);
    assert!(elsewhere.why.contains("of this key"), "{elsewhere:?}");
    for member in members {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_finds_every_key_once_and_goes_on_where_it_ended() {
    let scratch = TempDir::new().expect("a directory");
    let members = three(&scratch).await;
    let mut client = connect(&members[2].address).await;
    for i in 0..30 {
        acknowledged(put(&mut client, &format!("k{i:02}"), &format!("v{i}"), None).await);
    }
    let (mut found, mut from) = (BTreeMap::new(), bytes::Bytes::new());
    loop {
        let request =
            ScanRequest { from, limit: 7, values: true, options: options(), ..ScanRequest::default() };
        let mut pieces = client.scan(request).await.expect("it is answered").into_inner();
        let (mut keys, mut next) = (0, bytes::Bytes::new());
        while let Some(answer) = pieces.message().await.expect("a piece") {
            let Some(scan_answer::Outcome::Piece(piece)) = answer.outcome else { panic!("{answer:?}") };
            keys += piece.pairs.len();
            for pair in piece.pairs {
                assert!(
                    found.insert(pair.key.clone(), pair.versions).is_none(),
                    "{:?} comes twice",
                    pair.key
                );
            }
            next = piece.next;
        }
        assert!(keys < 30, "{keys} keys at once");
        if next.is_empty() {
            break;
        }
        from = next;
    }
    assert_eq!(found.len(), 30);
    assert_eq!(found[b"k17".as_slice()][0].value, "v17");
    for member in members {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_rejected_and_expiry_is_told() {
    let scratch = TempDir::new().expect("a directory");
    let members = three(&scratch).await;
    let mut client = connect(&members[0].address).await;
    let bad = rejected(put(&mut client, "k", "v", Some(b"no context".to_vec())).await);
    assert_eq!(bad.reason(), rejected::Reason::Invalid);
    let base = PutRequest { key: "k".into(), value: "v".into(), options: options(), ..Default::default() };
    let elsewhere = PutRequest { keyspace: "nowhere".to_owned(), ..base.clone() };
    let bad = rejected(client.put(elsewhere).await.expect("it is answered").into_inner());
    assert!(bad.why.contains("nowhere"), "{bad:?}");
    let (none, many) = ((Level::Count, 0), (Level::Quorum, 2));
    for (level, replicas) in [none, many] {
        let options = Some(Options { level: level.into(), replicas, ..Options::default() });
        let request = PutRequest { options, ..base.clone() };
        let bad = rejected(client.put(request).await.expect("it is answered").into_inner());
        assert_eq!(bad.reason(), rejected::Reason::Invalid, "{bad:?}");
    }
    let long = PutRequest { value: vec![0; 20_000].into(), ..base.clone() };
    let bad = rejected(client.put(long).await.expect("it is answered").into_inner());
    assert_eq!(bad.reason(), rejected::Reason::PairTooLarge, "{bad:?}");
    let passing = PutRequest { ttl_ms: Some(3_600_000), ..base };
    acknowledged(client.put(passing).await.expect("it is answered").into_inner());
    let found = get(&mut client, "k").await;
    assert!(found.versions[0].expires_at_ms.is_some_and(|at| at > 1_600_000_000_000), "{found:?}");
    let status = client.status(StatusRequest {}).await.expect("it is answered").into_inner();
    assert!(status.sealed && status.members.len() == 3, "{status:?}");
    for member in members {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_brings_no_token_is_not_listened_to_but_peers_are() {
    let check = |metadata: &MetadataMap| match metadata.get("authorization") {
        Some(token) if token == "Bearer secret" => Ok(()),
        _ => Err(Status::unauthenticated("give the token")),
    };
    let defaults = ClientDefaults { check: Some(Arc::new(check)), ..ClientDefaults::default() };
    let scratch = TempDir::new().expect("a directory");
    let members = three_with(&scratch, &defaults).await;
    let mut client = connect(&members[0].address).await;
    let request = PutRequest { key: "k".into(), options: options(), ..Default::default() };
    let refused = client.put(request.clone()).await.expect_err("there is no token");
    assert_eq!(refused.code(), Code::Unauthenticated);
    let mut call = tonic::Request::new(request);
    call.metadata_mut().insert("authorization", "Bearer secret".parse().expect("it is text"));
    acknowledged(client.put(call).await.expect("it is answered").into_inner());
    for member in members {
        member.stop().await;
    }
}
