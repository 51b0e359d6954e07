//! The bodies of the fuzz targets over the seed corpus, and over small changes of it.
//!
//! `ESKER_REWRITE=1` writes the seeds of `fuzz/seeds` anew; see `seeds.rs` for what they are.

#![allow(clippy::unwrap_used, reason = "what cannot go on has failed")]

mod seeds;

use esker_tests::bytes::Random;
use esker_tests::fuzz::TARGETS;
use std::path::PathBuf;

/// Changed copies of each seed that are tried.
const CHANGES: u64 = 60;

fn dir(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target)
}

/// The seeds of a target, by file name.
fn read(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut seeds: Vec<(String, Vec<u8>)> = std::fs::read_dir(dir(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    seeds.sort();
    seeds
}

/// A copy with a few bytes changed, left out or doubled.
fn changed(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..1 + random.below(3) {
        if bytes.is_empty() {
            bytes.push(random.below(256) as u8);
        }
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            2 => drop(bytes.drain(at..(at + 1 + random.below(8)).min(bytes.len()))),
            _ => {
                let piece = bytes[at..(at + 1 + random.below(16)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

#[test]
fn no_target_fails_on_its_seeds_or_near_them() {
    if std::env::var_os("ESKER_REWRITE").is_some() {
        for (target, seeds) in seeds::all() {
            let dir = dir(target);
            let _ = std::fs::remove_dir_all(&dir);
            std::fs::create_dir_all(&dir).unwrap();
            for (name, bytes) in seeds {
                std::fs::write(dir.join(name), bytes).unwrap();
            }
        }
    }
    for (target, body) in TARGETS {
        let seeds = read(target);
        assert!(!seeds.is_empty(), "{target} has no seeds; write them with ESKER_REWRITE=1");
        for (name, seed) in &seeds {
            println!("{target}/{name}");
            body(seed);
            let mut random = Random::new(seed.len() as u64);
            for change in 0..if target == "db_operations" { CHANGES / 6 } else { CHANGES } {
                let bytes = changed(seed, &mut random);
                println!("{target}/{name}, change {change}: {} bytes", bytes.len());
                body(&bytes);
            }
        }
    }
}
