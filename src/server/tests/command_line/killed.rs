//! A load killed with SIGKILL at random moments, again and again over one growing store: what was acknowledged is there.
//!
//! `ESKER_KILLS` sets the number of kills (5 by default), `ESKER_SEED` the seed.

use crate::process::{Scratch, command, esker};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |v| v.parse().unwrap())
}

fn pair(round: u64, i: u64) -> (String, String) {
    // Keys of all rounds lie mixed, so that later rounds flush and compact over earlier ones.
    let spread = (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 100_000;
    (
        format!("{spread:05}/{round:03}/{i:07}"),
        format!("value {i} of round {round} {}", "x".repeat((i % 200) as usize)),
    )
}

/// What is in the store, by the round and number in the key.
fn stored(db: &str) -> std::collections::HashMap<String, String> {
    let scan = esker(&["scan", "--db", db]);
    scan.text(0)
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let kills = number("ESKER_KILLS", 5);
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = number("ESKER_SEED", clock) | 1;
    println!("seed {seed}, {kills} kills");
    let mut random = Random(seed);
    let scratch = Scratch::new();
    let db = scratch.db();
    // For each round, how many pairs were acknowledged: they must be there from then on.
    let mut acknowledged: Vec<u64> = Vec::new();
    for round in 0..kills {
        let durability = ["buffered", "synced"][random.below(2) as usize];
        let mut load = command(&[
            "load",
            "--ack",
            "--db",
            &db,
            "--durability",
            durability,
            "--memory-budget",
            "4MiB",
            "-",
        ])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
        let mut input = load.stdin.take().unwrap();
        let feeder = std::thread::spawn(move || {
            for i in 0.. {
                let (key, value) = pair(round, i);
                if writeln!(input, "{key}\t{value}").is_err() {
                    return;
                }
            }
        });
        let out = BufReader::new(load.stdout.take().unwrap());
        let (first, first_seen) = channel();
        let reader = std::thread::spawn(move || {
            let mut acks = Vec::new();
            for line in out.lines() {
                // The process writes a line with one call, so that a kill does not cut it.
                acks.push(line.unwrap().parse::<u64>().unwrap());
                let _ = first.send(());
            }
            acks
        });
        // Some kills hit the opening of the store, with recovery in it; the others hit a load that is under way.
        if random.below(3) > 0 {
            first_seen.recv_timeout(Duration::from_secs(60)).unwrap();
        }
        std::thread::sleep(Duration::from_micros(random.below(300_000)));
        load.kill().unwrap();
        let output = load.wait_with_output().unwrap();
        assert_eq!(output.status.code(), None, "{}", String::from_utf8_lossy(&output.stderr));
        feeder.join().unwrap();
        let acks = reader.join().unwrap();
        acknowledged.push(acks.last().copied().unwrap_or(0));
        if !std::path::Path::new(&db).exists() {
            continue;
        }
        let verified = esker(&["verify", "--db", &db]);
        // Killed before there was a store, there is none; killed later, it is whole.
        if verified.status == 2 && acknowledged.iter().all(|n| *n == 0) {
            continue;
        }
        verified.text(0);
        let stored = stored(&db);
        for (round, count) in (0..).zip(&acknowledged) {
            for i in 0..*count {
                let (key, value) = pair(round, i);
                assert_eq!(
                    stored.get(&key),
                    Some(&value),
                    "seed {seed}: after kill {}, pair {i} of {count} acknowledged in round {round} ({durability})",
                    acknowledged.len()
                );
            }
        }
        println!(
            "round {round}: {durability}, {} acknowledged, {} stored",
            acknowledged[round as usize],
            stored.len()
        );
    }
    assert!(acknowledged.iter().sum::<u64>() > 0, "no load got as far as an acknowledgement");
}
