//! The directory that a node wrote, read and kept from being written while no node runs on it.

use crate::node::Node;
use crate::process::{Scratch, esker, esker_with};

#[test]
fn replicated_keyspaces_are_read_by_their_names() {
    let scratch = Scratch::new();
    let dir = scratch.db();
    let node = Node::start(&dir, &[]);
    assert_eq!(node.ask(&["SET", "short", "value"]), "+OK");
    let long = "x".repeat(5000);
    assert_eq!(node.ask(&["SET", "long", &long]), "+OK");
    assert_eq!(node.ask(&["SET", "gone", "1"]), "+OK");
    assert_eq!(node.ask(&["DEL", "gone"]), ":1");
    assert_eq!(node.ask(&["SET", "expired", "1", "PX", "1"]), "+OK");
    // Two writers who have seen nothing of each other: the context of a key that is not there covers nothing.
    let nothing = node.ask(&["EK.SET", "two", "none"]);
    assert!(!nothing.starts_with('-'), "{nothing}");
    for value in ["first", "second"] {
        let context = node.ask(&["EK.SET", "two", value, "CTX", &nothing]);
        assert!(!context.starts_with('-'), "{context}");
    }
    // A context is of one key. With another it would cover what nobody has seen there.
    for command in [&["EK.SET", "short", "x", "CTX", &nothing][..], &["EK.GET", "short", "CTX", &nothing]] {
        let refused = node.ask(command);
        assert!(refused.starts_with("-ERR these bytes are no context of this key"), "{refused}");
    }
    node.stop();

    let get = |key: &str| esker(&["get", "--db", &dir, key]);
    assert_eq!(get("short").text(0), "value\n");
    assert_eq!(get("long").text(0), format!("{long}\n"));
    assert_eq!(get("two").text(0), "first\nsecond\n");
    for key in ["gone", "expired", "never"] {
        get(key).text(1);
    }
    assert!(esker(&["get", "--db", &dir, "--raw", "two"]).sentence(2).contains("2 siblings"));
    let mut lines: Vec<String> = esker(&["scan", "--db", &dir]).text(0).lines().map(str::to_owned).collect();
    let reverse = esker(&["scan", "--db", &dir, "--reverse"]);
    assert_eq!(reverse.text(0).lines().count(), 4);
    lines.sort();
    assert_eq!(
        lines,
        [format!("long\t{long}"), "short\tvalue".into(), "two\tfirst".into(), "two\tsecond".into()]
    );
    assert_eq!(esker(&["scan", "--db", &dir, "--prefix", "two", "--limit", "1"]).text(0), "two\tfirst\n");
    assert_eq!(esker(&["keyspaces", "--db", &dir]).text(0), "default\n");
    let all = esker(&["keyspaces", "--all", "--db", &dir]);
    assert!(all.text(0).contains("default.heads") && all.text(0).contains("esker.node"), "{}", all.text(0));
}

#[test]
fn nothing_is_written_behind_the_back_of_a_cluster() {
    let scratch = Scratch::new();
    let dir = scratch.db();
    let node = Node::start(&dir, &[]);
    assert_eq!(node.ask(&["SET", "k", "v"]), "+OK");
    node.stop();
    for arguments in [
        &["put", "--db", &dir, "k", "w"][..],
        &["delete", "--db", &dir, "k"],
        &["delete-range", "--db", &dir, "a", "z"],
        &["put", "--db", &dir, "--keyspace", "esker.node", "identity", "x"],
        &["put", "--db", &dir, "--keyspace", "default.heads", "k", "x"],
    ] {
        let ended = esker(arguments);
        assert!(ended.sentence(2).contains("another"), "{}", ended.sentence(2));
    }
    assert!(esker_with(&["load", "--db", &dir, "-"], b"k\tw\n").sentence(2).contains("is replicated"));
    // A plain keyspace beside it is one like any other, and the files can be looked after.
    assert_eq!(esker_with(&["load", "--db", &dir, "--keyspace", "mine", "-"], b"k\tw\n").status, 0);
    assert_eq!(esker(&["compact", "--db", &dir]).status, 0);
    assert_eq!(esker(&["verify", "--db", &dir]).status, 0);
    assert_eq!(esker(&["keyspaces", "--db", &dir]).text(0), "default\nmine\n");
    assert_eq!(esker(&["get", "--db", &dir, "k"]).text(0), "v\n");
    let node = Node::start(&dir, &["--databases", "default,mine"]);
    assert_eq!(node.ask(&["GET", "k"]), "v");
    assert_eq!(node.status()["databases"][1]["kind"], "plain");
}
