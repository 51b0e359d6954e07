//! Many clients, and clients that do not take their answers.

use crate::client::{Client, request};
use crate::process::Server;
use std::io::Write as _;
use std::time::Duration;

/// `ESKER_IDLE` sets how many connections there are: 300 by default.
#[test]
fn idle_connections_cost_little() {
    let count: usize = std::env::var("ESKER_IDLE").map_or(300, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    let mut first = server.client();
    assert_eq!(first.say("PING"), "+PONG");
    let before = server.resident_bytes();
    let mut clients: Vec<Client> = (0..count).map(|_| server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.say("PING"), "+PONG");
    }
    let each = server.resident_bytes().saturating_sub(before) / count as u64;
    println!("{count} connections, {each} bytes each");
    assert!(each < 16 << 10, "{each} bytes for each of {count} idle connections");
    assert!(first.say("INFO clients").contains(&format!("connected_clients:{}", count + 1)));
    let (status, _) = server.stop();
    assert!(status.success());
    assert!(clients.iter_mut().all(|client| client.try_answer().is_none()));
}

#[test]
fn a_slow_reader_is_bounded_and_closed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &["--durability", "buffered", "--client-write-timeout", "500ms"]);
    let mut client = server.client();
    let value = vec![b'v'; 10_000];
    assert_eq!(client.ask(&[b"SET", b"k", &value]), "+OK");
    let before = server.resident_bytes();
    let mut slow = server.client();
    slow.stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
    // Ten gigabytes of answers are asked for, and none is read. The server stops reading, and then has enough.
    let gets = request(&[b"GET", b"k"]).repeat(1_000_000);
    assert!(slow.stream.write_all(&gets).is_err(), "the server took requests without end");
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "the server grew by {grown} bytes");
    assert_eq!(client.say("PING"), "+PONG");
    let (_, log) = server.stop();
    assert!(log.contains("it took none of") && log.contains("client-write-timeout"), "{log}");
}

#[test]
fn an_answer_beyond_the_limit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &["--durability", "buffered", "--client-output-limit", "64KiB"]);
    let mut client = server.client();
    let value = vec![b'v'; 10_000];
    assert_eq!(client.ask(&[b"SET", b"k", &value]), "+OK");
    let mget: Vec<&[u8]> = [&b"MGET"[..]].into_iter().chain([&b"k"[..]; 10]).collect();
    client.send(&request(&mget));
    assert!(client.answer().starts_with("-ERR the values have 100000 bytes, more than the 65536"));
    assert_eq!(client.say("STRLEN k"), ":10000");
}

#[test]
fn clients_beyond_the_limit_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &["--max-clients", "2"]);
    let (mut a, mut b) = (server.client(), server.client());
    assert_eq!((a.say("PING"), b.say("PING")), ("+PONG".to_owned(), "+PONG".to_owned()));
    let mut c = server.client();
    assert_eq!(c.answer(), "-ERR max number of clients reached");
    assert_eq!(c.try_answer(), None);
    drop(a);
    loop {
        let mut d = server.client();
        d.send(b"PING\r\n");
        if d.answer() == "+PONG" {
            break;
        }
    }
}

#[test]
fn counters_are_exact_among_many_writers() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &["--durability", "buffered"]);
    let threads: Vec<_> = (0..8)
        .map(|t| {
            let mut client = server.client();
            std::thread::spawn(move || {
                let mut set = 0;
                for i in 0..500 {
                    assert!(client.say("INCR n").starts_with(':'));
                    client.say("APPEND a x");
                    // A blind write of one among read-modify-writes of all: it is neither lost nor overtaken.
                    if i % 50 == t {
                        assert_eq!(client.say("SET blind 0"), "+OK");
                    }
                    client.say("INCR blind");
                    set += i64::from(client.say(&format!("SET once:{i} {t} NX")) == "+OK");
                }
                set
            })
        })
        .collect();
    let set: i64 = threads.into_iter().map(|t| t.join().unwrap()).sum();
    let mut client = server.client();
    assert_eq!(client.say("GET n"), "$4000");
    assert_eq!(client.say("STRLEN a"), ":4000");
    assert_eq!(set, 500);
}
