//! Clients that send garbage, too much, or nothing at all.

use super::cluster::Cluster;
use super::connection::{Answer, Connection, request};
use super::is_full;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Bytes that no protocol has.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Sends bytes and goes away; that the node closes first is as good.
fn throw(at: SocketAddr, bytes: &[u8]) {
    let Ok(mut stream) = TcpStream::connect(at) else { return };
    let _ = stream.set_write_timeout(Some(Duration::from_secs(2)));
    let _ = stream.write_all(bytes);
}

#[test]
fn garbage_on_every_port() {
    let mut cluster = Cluster::start(3);
    assert_eq!(cluster.nodes[0].say("SET key value").unwrap().text(), "OK");
    let at = cluster.nodes[1].settings.addresses;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for seed in 0..if is_full() { 400 } else { 20 } {
        let random = noise(1 << (seed % 17), seed);
        for port in [at.resp, at.peer, at.http] {
            throw(port, &random);
            throw(port, &[preface.as_slice(), &random].concat());
            throw(port, &[b"*3\r\n$3\r\nSET\r\n$".as_slice(), &random].concat());
            throw(
                port,
                &[b"POST /status HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n".as_slice(), &random]
                    .concat(),
            );
        }
    }
    assert!(cluster.nodes[1].is_running(), "{}", cluster.nodes[1].log());
    assert_eq!(cluster.nodes[1].say("GET key").unwrap().text(), "value");
    println!("  it has {} KiB", cluster.nodes[1].resident_bytes() >> 10);
    cluster.heal();
}

#[test]
fn pairs_that_are_too_large() {
    let mut cluster = Cluster::start(3);
    let mut client = cluster.nodes[0].connect().unwrap();
    let (fits, large) = (noise(10 * 1024 - 3, 1), noise(10 * 1024, 2));
    assert_eq!(client.ask(&[b"SET", b"key", &fits]).unwrap(), Answer::Word("OK".to_owned()));
    for command in
        [&[b"SET".as_slice(), b"key", &large], &[b"EK.SET", b"key", &large], &[b"SET", &large, b"v"]]
    {
        let answer = client.ask(command).unwrap();
        assert!(matches!(&answer, Answer::Error(sentence) if sentence.contains("10240")), "{answer}");
    }
    assert_eq!(client.ask(&[b"GET", b"key"]).unwrap(), Answer::Bytes(fits));
    cluster.heal();
}

#[test]
fn idle_connections() {
    let wanted = if is_full() { 10_000 } else { 300 };
    let cluster = Cluster::start_with(3, &["--max-clients", "20000"]);
    let node = &cluster.nodes[0];
    assert_eq!(node.say("SET key value").unwrap().text(), "OK");
    let before = node.resident_bytes();
    let mut idle = Vec::new();
    for _ in 0..wanted {
        match TcpStream::connect(node.settings.addresses.resp) {
            Ok(stream) => idle.push(stream),
            Err(error) => {
                println!("  only {} connections: {error}", idle.len());
                break;
            }
        }
    }
    assert_eq!(node.say("GET key").unwrap().text(), "value");
    let each = node.resident_bytes().saturating_sub(before) / idle.len() as u64;
    println!(
        "  {} idle connections take {} KiB each; in all {} KiB",
        idle.len(),
        each >> 10,
        node.resident_bytes() >> 10
    );
    assert!(each < 64 << 10, "an idle connection takes {each} bytes");
}

#[test]
fn a_client_that_reads_nothing() {
    let cluster = Cluster::start(3);
    let node = &cluster.nodes[0];
    let mut client = node.connect().unwrap();
    let value = noise(10_000, 3);
    assert_eq!(client.ask(&[b"SET", b"key", &value]).unwrap().text(), "OK");
    let before = node.resident_bytes();
    let mut slow = Connection::open(node.settings.addresses.resp, Duration::from_secs(1)).unwrap();
    let questions = request(&[b"GET", b"key"]).repeat(1000);
    let (begun, mut asked) = (Instant::now(), 0);
    // Some 10 MB of answers for each; the node stops reading when enough of them wait.
    while asked < 200 && begun.elapsed() < Duration::from_secs(10) && slow.send(&questions).is_ok() {
        asked += 1;
    }
    assert_eq!(client.ask(&[b"GET", b"key"]).unwrap(), Answer::Bytes(value));
    let grown = node.resident_bytes().saturating_sub(before);
    println!("  {asked} x 10 MB were asked for; the node has grown by {} KiB", grown >> 10);
    assert!(grown < 256 << 20, "a slow reader takes {grown} bytes");
}
