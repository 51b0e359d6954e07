//! Start, stop, and what keeps the server from starting.

use crate::client::request;
use crate::process::{Server, command};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The one sentence with which a server does not start.
fn refused(dir: &str, flags: &[&str]) -> String {
    let output = command(dir, flags).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    err.trim_end().strip_prefix("esker: ").expect(&err).to_owned()
}

#[test]
fn what_was_received_is_answered_before_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &["--durability", "synced"]);
    let mut client = server.client();
    let mut bytes = Vec::new();
    for i in 0..500 {
        bytes.extend(request(&[b"SET", format!("k{i}").as_bytes(), b"v"]));
    }
    client.send(&bytes);
    assert_eq!(client.answer(), "+OK");
    server.signal("TERM");
    let mut answered = 1;
    while let Some(answer) = client.try_answer() {
        assert_eq!(answer, "+OK");
        answered += 1;
    }
    let (status, log) = server.ended();
    assert!(status.success() && log.contains("stopped"), "{log}");
    assert_eq!(answered, 500);
    let server = Server::start(&dir, &[]);
    assert_eq!(server.client().say("DBSIZE"), ":500");
}

#[test]
fn a_second_signal_ends_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &["--durability", "buffered", "--shutdown-timeout", "1h"]);
    let mut client = server.client();
    let value = vec![b'v'; 10_000];
    assert_eq!(client.ask(&[b"SET", b"k", &value]), "+OK");
    // A client that takes no answers holds the stop up.
    let mut slow = server.client();
    let gets = request(&[b"GET", b"k"]).repeat(2000);
    slow.send(&gets);
    assert_eq!(client.say("PING"), "+PONG");
    server.signal("INT");
    assert_eq!(client.try_answer(), None);
    server.signal("INT");
    let (status, log) = server.ended();
    assert_eq!(status.code(), Some(130), "{log}");
}

#[test]
fn a_stop_waits_no_longer_than_it_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &["--durability", "buffered", "--shutdown-timeout", "200ms"]);
    let mut client = server.client();
    let value = vec![b'v'; 10_000];
    assert_eq!(client.ask(&[b"SET", b"k", &value]), "+OK");
    let mut slow = server.client();
    slow.send(&request(&[b"GET", b"k"]).repeat(2000));
    assert_eq!(client.say("PING"), "+PONG");
    let (status, log) = server.stop();
    assert!(status.success() && log.contains("are cut off"), "{log}");
}

#[test]
fn what_was_loaded_is_served_and_what_was_served_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db").to_str().unwrap().to_owned();
    let esker = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    };
    let mut load = esker(&["load", "--db", &db, "-"]).spawn().unwrap();
    load.stdin.take().unwrap().write_all(b"planet/3\tEarth\nplanet/4\tMars\n").unwrap();
    assert!(load.wait().unwrap().success());
    let server = Server::start_in(&db, &[]);
    server.client().play(
        "
        GET planet/3 => $Earth
        KEYS planet/* => [$planet/3, $planet/4]
        SET planet/5 Jupiter EX 1000 => +OK
        ",
    );
    let locked = esker(&["get", "--db", &db, "planet/3"]).output().unwrap();
    assert_eq!(locked.status.code(), Some(2));
    assert!(server.stop().0.success());
    let read = esker(&["get", "--db", &db, "planet/5"]).output().unwrap();
    assert_eq!(String::from_utf8(read.stdout).unwrap(), "Jupiter\n");
}

#[test]
fn what_keeps_the_server_from_starting_is_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db").to_str().unwrap().to_owned();
    let server = Server::start_in(&db, &[]);
    let taken = server.resp.to_string();
    let other = dir.path().join("other").to_str().unwrap().to_owned();
    let config = dir.path().join("wrong.toml");
    std::fs::write(&config, "wieght = 1\n").unwrap();
    let config = config.to_str().unwrap();
    for (dir, flags, words) in [
        (&db, &[][..], &["is in use"][..]),
        (
            &other,
            &["--listen-resp", &taken],
            &["cannot listen on", "another process listens there", "--listen-resp"],
        ),
        (&other, &["--listen-http", "203.0.113.7:1"], &["cannot listen on", "--listen-http"]),
        (&other, &["--durability", "maybe"], &["`durability`", "--durability", "synced, buffered"]),
        (&other, &["--config", config], &["`wieght`", "wrong.toml", "did you mean `weight`?"]),
        (&other, &["--config", "/no/such/file"], &["cannot read the configuration /no/such/file"]),
        (&other, &["--databases", "a.expiry"], &["`a.expiry` cannot be served"]),
        (&other, &["--memory-budget", "1"], &["`memory-budget`"]),
        (&other, &["--bogus", "1"], &["--bogus", "esker help"]),
        (&"/proc/nowhere/db".to_owned(), &[], &["/proc/nowhere"]),
        (&String::new(), &[], &["needs a directory", "--data"]),
    ] {
        // The last of two flags of one name would be refused by the parser; the tests' own come first.
        let flags: Vec<&str> = flags.to_vec();
        let sentence = refused_with(dir, &flags);
        for word in words {
            assert!(sentence.contains(word), "{flags:?}: {sentence}");
        }
    }
}

/// Like [`refused`], with listeners of the test's own where it names none.
fn refused_with(dir: &str, flags: &[&str]) -> String {
    if !flags.iter().any(|flag| flag.starts_with("--listen")) {
        return refused(dir, flags);
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
    command.args(["serve", "--data", dir]).args(flags);
    for option in ["--listen-resp", "--listen-http", "--listen-peer"] {
        if !flags.contains(&option) {
            command.args([option, "127.0.0.1:0"]);
        }
    }
    let output = command.output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), err.lines().count()), (Some(2), 1), "{err}");
    err
}
