//! The protocol: pipelines, lines, RESP3, garbage.

use crate::client::{Client, request};
use crate::process::Server;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn a_pipeline_is_answered_in_order_however_it_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    let mut bytes = Vec::new();
    let mut expected = Vec::new();
    for i in 0..200 {
        let text = i.to_string();
        for (args, answer) in [
            (vec!["SET", "k", &text], "+OK".to_owned()),
            (vec!["GET", "k"], format!("${i}")),
            (vec!["INCR", "n"], format!(":{}", i + 1)),
            (vec!["SET", "k", "x", "NX"], "_".to_owned()),
            (vec!["NOPE"], "-ERR unknown command 'NOPE', with args beginning with: ".to_owned()),
            (vec!["MGET", "k", "n"], format!("[${i}, ${}]", i + 1)),
            (vec!["DBSIZE"], ":2".to_owned()),
        ] {
            bytes.extend(request(&args.iter().map(|a| a.as_bytes()).collect::<Vec<_>>()));
            expected.push(answer);
        }
    }
    for piece in [1000, 7, bytes.len()] {
        let mut client = server.client();
        client.say("FLUSHALL");
        let (sender, pieces) = (client.stream.try_clone().unwrap(), bytes.clone());
        let sending = std::thread::spawn(move || {
            let mut sender = sender;
            pieces.chunks(piece).for_each(|piece| sender.write_all(piece).unwrap());
        });
        for (i, answer) in expected.iter().enumerate() {
            assert_eq!(client.answer(), *answer, "answer {i} in pieces of {piece}");
        }
        sending.join().unwrap();
    }
}

#[test]
fn lines_are_requests() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    let mut client = server.client();
    for (line, answer) in [
        ("PING\r\n", "+PONG"),
        ("set k \"two words\"\n", "+OK"),
        ("\r\nGET k\r\n", "$two words"),
        ("ECHO '\\x41'\r\n", "$\\\\x41"),
    ] {
        client.send(line.as_bytes());
        assert_eq!(client.answer(), answer, "{line:?}");
    }
}

#[test]
fn hello_changes_the_version() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    let mut client = server.client();
    client
        .play("HELLO 4 => -NOPROTO unsupported protocol version\nHELLO x => -ERR Protocol version is not...");
    client
        .play("HELLO 2 => [$server, $esker, $version, $7.2.0, $proto, :2, $id, :1, $mode, $standalone, ...");
    client.play("HELLO 3 BOGUS => -ERR Syntax error in HELLO option 'BOGUS'");
    client.resp3 = true;
    client.play(
        "
        HELLO 3 SETNAME me => {$id: :1, $mode: $standalone, $modules: [], $proto: :3, $role: $master, $server: $esker...
        GET none => _
        SET k v => +OK
        MGET k none => [$v, _]
        CONFIG GET save => {$save: $}
        CLIENT INFO => =id=1...
        COMMAND INFO get => [[$get, :2, <+readonly>, :1, :1, :1, <+@read, +@string>, [], [], []]]
        SCAN 0 => [$0, [$k]]
        ",
    );
    client.resp3 = false;
    client.play("RESET => +RESET\nGET none => _\nCONFIG GET save => [$save, $]");
}

#[test]
fn replies_can_be_switched_off() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    let mut client = server.client();
    client.send(b"CLIENT REPLY OFF\r\nSET a 1\r\nGET a\r\nNOPE\r\nCLIENT REPLY ON\r\nGET a\r\n");
    assert_eq!((client.answer(), client.answer()), ("+OK".to_owned(), "$1".to_owned()));
    client.send(b"CLIENT REPLY SKIP\r\nSET a 2\r\nGET a\r\n");
    assert_eq!(client.answer(), "$2");
}

/// What a server answers to bytes, until it closes.
fn answer_to(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // It may close before everything is sent.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn garbage_is_answered_with_an_error_and_a_close_on_every_port() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    for (bytes, answer) in [
        (&b"*1\r\n:5\r\n"[..], "-ERR Protocol error: expected '$', got ':'\r\n"),
        (b"*99999999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        (b"PING\r\n*1\r\n$-5\r\n", "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n"),
        (b"\"open\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
    ] {
        let answered = answer_to(TcpStream::connect(server.resp).unwrap(), bytes);
        assert_eq!(String::from_utf8_lossy(&answered), answer);
    }
    let mut random = 88172645463325252u64;
    for round in 0..60 {
        let bytes: Vec<u8> = (0..(round * 97 + 1))
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                // Often a byte that means something to the parser.
                if random & 1 == 0 {
                    b"*$\r\n0123456789-\"' GETSET"[random as usize / 2 % 23]
                } else {
                    random as u8
                }
            })
            .collect();
        for address in [server.resp, server.http] {
            answer_to(TcpStream::connect(address).unwrap(), &bytes);
        }
    }
    let flood = vec![b'x'; 1 << 20];
    for address in [server.resp, server.http] {
        answer_to(TcpStream::connect(address).unwrap(), &flood);
    }
    assert_eq!(Client::connect(server.resp).say("PING"), "+PONG");
    let (status, _) = server.stop();
    assert!(status.success());
}

#[test]
fn an_oversized_pair_is_refused_and_the_connection_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &["--durability", "buffered", "--max-request-bytes", "256KiB"]);
    let mut client = server.client();
    let fits = vec![b'v'; 10 * 1024 - 1];
    assert_eq!(client.ask(&[b"SET", b"k", &fits]), "+OK");
    let refused = "-ERR the pair has 10241 bytes and the limit is 10240; the option max-pair-bytes sets it";
    assert_eq!(client.ask(&[b"SET", b"kk", &fits]), refused);
    assert_eq!(client.ask(&[b"SET", b"kk", &fits, b"NX"]), refused);
    assert_eq!(client.ask(&[b"MSET", b"a", b"1", b"kk", &fits]), refused);
    assert_eq!(client.say("APPEND k vv"), refused.replace("10241", "10242"));
    assert_eq!(client.say("SETRANGE k 10239 xx"), refused.replace("10241", "10242"));
    assert!(
        client
            .say("SETRANGE k 9223372036854775806 x")
            .starts_with("-ERR the pair has 9223372036854775808 bytes")
    );
    assert_eq!(client.say("STRLEN k"), ":10239");
    assert_eq!(client.say("EXISTS a kk"), ":0");
    // A request beyond its own limit cannot be passed over.
    client.send(b"*2\r\n$3\r\nGET\r\n$300000\r\n");
    assert_eq!(client.answer(), "-ERR Protocol error: invalid bulk length");
    assert_eq!(client.try_answer(), None);
}
