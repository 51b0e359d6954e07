//! What was acknowledged is there after the process was killed.

use crate::client::request;
use crate::process::Server;
use std::process::Command;
use std::time::Duration;

#[test]
fn acknowledged_writes_survive_a_kill() {
    for durability in ["synced", "buffered"] {
        let dir = tempfile::tempdir().unwrap();
        let mut path = dir.path().join("db").to_str().unwrap().to_owned();
        let mut acknowledged = [0u64; 4];
        for round in 0..3 {
            let server = Server::start_in(&path, &["--durability", durability, "--memory-budget", "4MiB"]);
            let mut client = server.client();
            for (writer, count) in acknowledged.iter().enumerate() {
                for i in 0..*count {
                    assert_eq!(
                        client.say(&format!("GET {writer}:{i}")),
                        format!("${writer}/{i}"),
                        "{durability}, round {round}"
                    );
                }
            }
            let writers: Vec<_> = acknowledged
                .iter()
                .enumerate()
                .map(|(writer, from)| {
                    let (mut client, from) = (server.client(), *from);
                    std::thread::spawn(move || {
                        let mut next = from;
                        loop {
                            // Alone, and in a pipeline with a read-modify-write.
                            let sent = 1 + next % 5;
                            let mut bytes = Vec::new();
                            for i in next..next + sent {
                                let (key, value) = (format!("{writer}:{i}"), format!("{writer}/{i}"));
                                let nx: &[&[u8]] = if i % 3 == 0 { &[b"NX"] } else { &[] };
                                let args = [b"SET", key.as_bytes(), value.as_bytes()];
                                bytes.extend(request(&[&args[..], nx].concat()));
                            }
                            if std::io::Write::write_all(&mut client.stream, &bytes).is_err() {
                                return next;
                            }
                            for _ in 0..sent {
                                match client.try_answer().as_deref() {
                                    // Written before the kill, without an answer.
                                    Some("+OK" | "_") => next += 1,
                                    None => return next,
                                    Some(other) => panic!("{other}"),
                                }
                            }
                        }
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(300));
            path = server.kill();
            for (count, writer) in acknowledged.iter_mut().zip(writers) {
                *count = writer.join().unwrap();
            }
        }
        assert!(acknowledged.iter().sum::<u64>() > 0);
        println!("{durability}: {acknowledged:?}");
    }
}

#[test]
fn a_damaged_record_spoils_no_other_write_of_its_pipeline() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    let mut client = server.client();
    // Compression leaves them as they are.
    let value = |i: u64| {
        [1, 2, 3, 4u64].map(|part| (4 * i + part).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).concat()
    };
    for i in 0..2_000 {
        assert_eq!(client.ask(&[b"SET", format!("key/{i}").as_bytes(), &value(i)]), "+OK");
    }
    server.signal("TERM");
    let path = server.dir.clone();
    let (status, log) = server.ended();
    assert!(status.success(), "{log}");
    let compact =
        Command::new(env!("CARGO_BIN_EXE_esker")).args(["compact", "--db", &path]).output().unwrap();
    assert!(compact.status.success(), "{compact:?}");
    flip_where(&path, &value(1234));
    let server = Server::start_in(&path, &[]);
    let mut client = server.client();
    let keys = ["new/1", "key/1234", "new/2", "new/3"];
    let pipeline: Vec<u8> = keys.iter().flat_map(|key| request(&[b"SET", key.as_bytes(), b"v"])).collect();
    client.send(&pipeline);
    let answers = keys.map(|_| client.answer());
    assert!(answers[1].starts_with('-'), "{answers:?}");
    for (key, answer) in keys.iter().zip(&answers).filter(|(key, _)| key.starts_with("new")) {
        assert_eq!((answer.as_str(), client.say(&format!("GET {key}")).as_str()), ("+OK", "$v"), "{key}");
    }
}

/// Flips a bit in whatever file of a directory has these bytes.
fn flip_where(dir: &str, wanted: &[u8]) {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut flipped = 0;
    for path in files.filter(|path| path.is_file()) {
        let mut bytes = std::fs::read(&path).unwrap();
        let Some(at) = bytes.windows(wanted.len()).position(|window| window == wanted) else { continue };
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        flipped += 1;
    }
    assert_eq!(flipped, 1, "nothing but one table has it");
}
