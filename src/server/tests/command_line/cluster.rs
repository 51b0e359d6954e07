//! `esker cluster`: what is said of a cluster, and a plain keyspace that it takes over.

use crate::node::Node;
use crate::process::{Scratch, data_set, esker, esker_with};
use serde_json::Value;

/// Three nodes that know each other, the first on this directory.
fn three(scratch: &Scratch, first: Node) -> [Node; 3] {
    let join = ["--join", &first.peer];
    let second = Node::start(&scratch.path("second"), &join);
    let third = Node::start(&scratch.path("third"), &join);
    let nodes = [first, second, third];
    for node in &nodes {
        node.until(|status| {
            let members = status["node"]["members"].as_array();
            members.is_some_and(|m| m.len() == 3 && m.iter().all(|member| member["liveness"] == "alive"))
        });
    }
    nodes
}

fn adopt(node: &Node, arguments: &[&str]) -> crate::process::Ended {
    let mut all = vec!["cluster", "adopt", "--at", &node.http];
    all.extend(arguments);
    esker(&all)
}

#[test]
fn status_tells_who_is_there_and_what_became_of_the_ring() {
    let scratch = Scratch::new();
    let first = Node::start(&scratch.path("first"), &["--zone", "attic"]);
    let nodes = three(&scratch, first);
    let [first, _, third] = &nodes;
    let text = esker(&["cluster", "status", "--at", &third.http]);
    let lines: Vec<&str> = text.text(0).lines().collect();
    assert!(lines[0].contains("3 nodes") && lines[0].contains("forming"), "{}", lines[0]);
    assert_eq!(lines.len(), 5);
    let of = |address: &str| *lines.iter().find(|line| line.contains(address)).unwrap();
    assert!(of(&first.peer).contains("attic/dc1") && !of(&first.peer).contains('*'));
    assert!(of(&third.resp).contains(" * "), "{}", of(&third.resp));

    assert_eq!(first.ask(&["SET", "k", "v"]), "+OK");
    assert_eq!(third.ask(&["GET", "k"]), "v");
    let status = third.until(|status| status["node"]["open"] == true);
    assert_eq!(status["node"]["sealed"], true);
    assert_eq!(status["listen"]["peer"], third.peer.as_str());
    let shares = status["node"]["members"].as_array().unwrap().iter();
    let share: u64 = shares.map(|member| member["share_per_mille"].as_u64().unwrap()).sum();
    assert!((998..=1000).contains(&share), "{share}");
    assert!(status["traffic"]["received_messages"].as_u64().unwrap() > 0);
    for node in &nodes {
        assert!(node.http("GET", "/readyz").starts_with("HTTP/1.1 200 "), "{}", node.http("GET", "/readyz"));
    }
    let metrics = third.http("GET", "/metrics");
    for sample in [
        "esker_members{liveness=\"alive\"} 3",
        "esker_cluster_open 1",
        "esker_peer_malformed_streams_total 0",
    ] {
        assert!(metrics.contains(sample), "{sample} is not in {metrics}");
    }
}

#[test]
fn a_node_that_finds_nobody_to_join_is_not_ready() {
    let scratch = Scratch::new();
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let join = nowhere.local_addr().unwrap().to_string();
    let node = Node::start(&scratch.path("d"), &["--join", &join]);
    let answer = node.http("GET", "/readyz");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("of no cluster yet"), "{answer}");
    let status = esker(&["cluster", "status", "--at", &node.http]);
    assert!(status.text(0).contains("asks to join"), "{}", status.text(0));
    assert!(adopt(&node, &["nothing"]).sentence(2).contains("serves no keyspace `nothing`"));
}

#[test]
fn who_does_not_answer_is_named() {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    for arguments in [&["cluster", "status", "--at"][..], &["cluster", "adopt", "k", "--at"]] {
        let mut arguments = arguments.to_vec();
        arguments.push(&nobody);
        let ended = esker(&arguments);
        assert!(ended.sentence(2).contains(&nobody), "{}", ended.sentence(2));
    }
    assert!(esker(&["cluster", "status", "--at", "no port"]).sentence(2).contains("no port"));
}

#[test]
fn a_loaded_directory_becomes_part_of_the_cluster() {
    let scratch = Scratch::new();
    let tsv = b"a\t1\nb\ttwo\\twords\nc\t\n";
    let dir = scratch.path("first");
    assert_eq!(esker_with(&["load", "--db", &dir, "-"], tsv).status, 0);
    let first = Node::start(&dir, &[]);
    assert_eq!(first.status()["databases"][0]["kind"], "plain");
    assert!(first.ask(&["EK.GET", "a"]).starts_with("-ERR this keyspace is plain"));
    // Alone, it would be a cluster that nobody can join.
    assert!(adopt(&first, &["default"]).sentence(2).contains("--alone"));
    assert_eq!(first.ask(&["SET", "d", "4"]), "+OK");
    assert_eq!(first.ask(&["SET", "e", "5", "EX", "1000"]), "+OK");

    let nodes = three(&scratch, first);
    let ended = adopt(&nodes[0], &["default", "--json"]);
    assert_eq!(ended.json(0), serde_json::json!({ "keyspace": "default", "pairs": 5 }));
    for node in &nodes {
        assert_eq!(node.ask(&["GET", "b"]), "two\twords");
        assert_eq!(node.ask(&["GET", "d"]), "4");
        assert_ne!(node.ask(&["TTL", "e"]), ":-1");
        assert_eq!(node.status()["databases"][0]["kind"], "replicated");
    }
    assert_eq!(nodes[0].ask(&["SET", "a", "9"]), "+OK");
    assert!(adopt(&nodes[1], &["default"]).text(0).contains("nothing was left"));
    let [first, second, third] = nodes;
    let first = first.killed_and_started(&[]);
    assert_eq!(first.status()["databases"][0]["kind"], "replicated");
    first.until(|status| status["ready"] == true);
    assert_eq!(first.ask(&["GET", "a"]), "9");
    second.stop();
    third.stop();
    first.stop();
}

#[test]
fn an_adoption_that_was_cut_off_is_finished_and_loses_no_write() {
    let scratch = Scratch::new();
    let dir = scratch.path("first");
    let file = data_set();
    assert_eq!(esker(&["load", "--db", &dir, file.to_str().unwrap()]).status, 0);
    let node = Node::start(&dir, &[]);
    let told = |node: &Node| -> Value {
        let answer = node.http("POST", "/adopt?keyspace=default&alone");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let mut before = told(&node);
    while before["state"] == "adopting" && before["pairs"] == 0 {
        before = told(&node);
    }
    assert_eq!(before["state"], "adopting", "it was over before it could be cut off: {before}");
    assert!(node.ask(&["SET", "late", "1"]).starts_with("-TRYAGAIN "));
    assert!(node.ask(&["GET", "U+01F600"]).starts_with("GRINNING FACE"));
    let node = node.killed_and_started(&[]);
    // The plain pairs still stand, and nobody writes what the copy would not see.
    assert!(node.ask(&["SET", "late", "1"]).starts_with("-TRYAGAIN "));
    assert!(node.ask(&["INCR", "late"]).starts_with("-TRYAGAIN "));
    assert!(node.ask(&["GET", "U+01F600"]).starts_with("GRINNING FACE"));
    adopt(&node, &["default", "--alone"]).text(0);
    assert_eq!(node.ask(&["SET", "late", "1"]), "+OK");
    node.stop();
    let scan = esker(&["scan", "--db", &dir]);
    let mut lines: Vec<&str> = scan.text(0).lines().filter(|line| !line.starts_with("late\t")).collect();
    lines.sort_unstable();
    let data = std::fs::read_to_string(file).unwrap();
    let mut loaded: Vec<&str> = data.lines().collect();
    loaded.sort_unstable();
    assert_eq!(lines.len(), loaded.len());
    assert!(lines == loaded, "what was adopted is not what was loaded");
}

#[test]
fn whoever_may_not_do_everything_has_nothing_adopted() {
    let scratch = Scratch::new();
    let dir = scratch.path("first");
    assert_eq!(esker_with(&["load", "--db", &dir, "-"], b"a\t1\n").status, 0);
    let node = Node::start(&dir, &["--password", "secret"]);
    assert!(adopt(&node, &["default", "--alone"]).sentence(2).contains("--user"));
    assert!(adopt(&node, &["default", "--alone", "--user", "wrong"]).sentence(2).contains("--user"));
    let ended = adopt(&node, &["default", "--alone", "--user", "default:secret"]);
    assert!(ended.text(0).contains("1 pairs were adopted"));
}

#[test]
fn pairs_that_the_cluster_would_refuse_are_said_before_anything_is_done() {
    let scratch = Scratch::new();
    let dir = scratch.path("first");
    let large = format!("large\t{}\n", "x".repeat(2000));
    assert_eq!(esker_with(&["load", "--db", &dir, "-"], large.as_bytes()).status, 0);
    let node = Node::start(&dir, &["--max-pair-bytes", "1000"]);
    let refused = adopt(&node, &["default", "--alone"]);
    assert!(
        refused.sentence(2).contains("`large`") && refused.sentence(2).contains("max-pair-bytes"),
        "{}",
        refused.err
    );
    // The keyspace is plain as before, and takes writes.
    assert_eq!(node.ask(&["INCR", "n"]), ":1");
    assert_eq!(node.status()["databases"][0]["kind"], "plain");
}
