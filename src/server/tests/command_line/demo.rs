//! `esker demo`: what it shows, and that nothing of it is left behind.

use crate::node::signal;
use crate::process::{Scratch, command, esker};
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The ports of the nodes, as they are said in the first lines.
fn ports(lines: &[String]) -> Vec<u16> {
    lines.iter().filter_map(|line| line.split_once("redis-cli -p ")?.1.trim().parse().ok()).collect()
}

/// Waits until nobody listens at these ports.
fn until_gone(ports: &[u16]) {
    assert_eq!(ports.len(), 3);
    let began = Instant::now();
    while ports.iter().any(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()) {
        assert!(began.elapsed() < Duration::from_secs(60), "a node is left at one of {ports:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_demonstration_loses_a_node_and_nothing_else() {
    let scratch = Scratch::new();
    let dir = scratch.path("demo");
    let ended = esker(&["demo", "--dir", &dir]);
    let text = ended.text(0);
    println!("{text}");
    for said in [
        "They found each other",
        "34924 pairs in",
        "GRINNING FACE",
        "two siblings",
        "GET cart   milk, eggs, bread",
        "killed with SIGKILL",
        "0 hints wait for it",
        "Nothing that was acknowledged was lost.",
    ] {
        assert!(text.contains(said), "`{said}` is not in what was said");
    }
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    until_gone(&ports(&lines));
    // Requests went on while the node was dead.
    let dead: Vec<&String> = lines.iter().filter(|line| line.contains("node 2 dead, second")).collect();
    assert_eq!(dead.len(), 6);
    assert!(dead.iter().any(|line| !line.contains("    0 writes")), "{dead:?}");
    // The directories are stores that a node can be started on.
    assert!(
        esker(&["get", "--db", &format!("{dir}/node-2"), "U+01F600"]).text(0).starts_with("GRINNING FACE")
    );
    assert!(esker(&["demo", "--dir", &dir]).sentence(2).contains("is not empty"));
}

/// Runs the demonstration until its nodes are there, with a temporary directory of its own.
fn begun(scratch: &Scratch) -> (std::process::Child, BufReader<std::process::ChildStdout>, Vec<u16>) {
    let mut child = command(&["demo"]).env("TMPDIR", scratch.dir.path()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut lines = Vec::new();
    while !lines.last().is_some_and(|line: &String| line.contains("They found each other")) {
        let mut line = String::new();
        assert!(out.read_line(&mut line).unwrap() > 0, "{lines:?}");
        lines.push(line.trim_end().to_owned());
    }
    let ports = ports(&lines);
    assert!(ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()));
    (child, out, ports)
}

#[test]
fn nothing_is_left_of_a_demonstration_that_is_interrupted_or_not_heard() {
    let scratch = Scratch::new();
    let (mut child, _out, ports) = begun(&scratch);
    signal("INT", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    until_gone(&ports);
    assert_eq!(std::fs::read_dir(scratch.dir.path()).unwrap().count(), 0);

    // Nobody reads any further, as in `esker demo | head`.
    let (mut child, out, ports) = begun(&scratch);
    drop(out);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    until_gone(&ports);
    assert_eq!(std::fs::read_dir(scratch.dir.path()).unwrap().count(), 0);
}
