//! What was acknowledged is there after the process was killed.

use crate::client::request;
use crate::process::Server;
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
