//! Bad input and a hostile surrounding: one clear sentence each, and nothing lost.

use crate::process::{Ended, Scratch, command, esker, esker_with, file_of, picture};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_missing_directory() {
    let scratch = Scratch::new();
    let (db, dest) = (scratch.db(), scratch.path("dest"));
    for arguments in [
        &["get", "--db", &db, "k"][..],
        &["scan", "--db", &db],
        &["stats", "--db", &db],
        &["verify", "--db", &db],
        &["keyspaces", "--db", &db],
        &["delete", "--db", &db, "k"],
        &["delete-range", "--db", &db, "a", "b"],
        &["compact", "--db", &db],
        &["repair", "--db", &db],
        &["checkpoint", "--db", &db, &dest],
    ] {
        let ended = esker(arguments);
        assert!(ended.sentence(2).contains(&db), "{}", ended.err);
        assert!(!Path::new(&db).exists(), "{arguments:?} created a directory");
    }
    let missing = scratch.path("in.tsv");
    let ended = esker(&["load", "--db", &db, &missing]);
    assert!(ended.sentence(2).contains(&missing));
    let ended = esker(&["load", "--db", &db, scratch.dir.path().to_str().unwrap()]);
    assert!(ended.sentence(2).contains("is a directory"));
    assert!(!Path::new(&db).exists());
}

#[test]
fn a_locked_store() {
    let scratch = Scratch::with_pairs(b"a\t1\n");
    let db = scratch.db();
    let mut holder = command(&["load", "--ack", "--db", &db, "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = holder.stdin.take().unwrap();
    input.write_all(b"b\t2\n").unwrap();
    let mut acks = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert_eq!(acks.next().unwrap().unwrap(), "1");
    for arguments in [
        &["get", "--db", &db, "a"][..],
        &["scan", "--db", &db],
        &["stats", "--db", &db],
        &["verify", "--db", &db],
        &["put", "--db", &db, "c", "3"],
        &["compact", "--db", &db],
        &["repair", "--db", &db],
    ] {
        let ended = esker(arguments);
        assert!(ended.sentence(2).contains("in use"), "{arguments:?}: {}", ended.err);
    }
    drop(input);
    assert_eq!(holder.wait().unwrap().code(), Some(0));
    assert_eq!(esker(&["scan", "--db", &db]).text(0), "a\t1\nb\t2\n");
}

#[test]
fn a_file_that_is_no_store() {
    let scratch = Scratch::new();
    let file = scratch.path("letter.txt");
    std::fs::write(&file, "Dear reader").unwrap();
    for arguments in
        [&["get", "--db", &file, "k"][..], &["put", "--db", &file, "k", "v"], &["verify", "--db", &file]]
    {
        let ended = esker(arguments);
        assert!(ended.sentence(2).contains(&file), "{}", ended.err);
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"Dear reader");
    // A directory of something else.
    let dir = scratch.path("letters");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(Path::new(&dir).join("letter.txt"), "Dear reader").unwrap();
    assert!(esker(&["get", "--db", &dir, "k"]).sentence(2).contains(&dir));
    // A directory whose CURRENT is no such thing.
    std::fs::write(Path::new(&dir).join("CURRENT"), "of the river").unwrap();
    let ended = esker(&["get", "--db", &dir, "k"]);
    assert!(ended.sentence(2).contains("CURRENT"), "{}", ended.err);
}

#[test]
fn a_newer_format() {
    let scratch = Scratch::with_pairs(b"a\t1\n");
    let db = scratch.db();
    esker(&["compact", "--db", &db]).text(0);
    for kind in ["MANIFEST-", ".wal"] {
        let path = file_of(&db, |name| name.contains(kind));
        let good = std::fs::read(&path).unwrap();
        let mut newer = good.clone();
        // The version, and the checksum at the end of the header of 64 bytes.
        newer[8] += 1;
        let sum = crc32c::crc32c(&newer[..60]);
        newer[60..64].copy_from_slice(&sum.to_le_bytes());
        std::fs::write(&path, newer).unwrap();
        for arguments in
            [&["get", "--db", &db, "a"][..], &["put", "--db", &db, "a", "2"], &["verify", "--db", &db]]
        {
            let ended = esker(arguments);
            let sentence = ended.sentence(2);
            assert!(sentence.contains(kind) && sentence.contains("version"), "{sentence}");
        }
        std::fs::write(&path, good).unwrap();
    }
    assert_eq!(esker(&["scan", "--db", &db]).text(0), "a\t1\n");
}

#[test]
fn keys_and_values_that_are_too_long() {
    let scratch = Scratch::with_pairs(b"a\t1\n");
    let db = scratch.db();
    let longest = "k".repeat(65_535);
    esker(&["put", "--db", &db, &longest, "v"]).text(0);
    assert_eq!(esker(&["get", "--db", &db, &longest]).text(0), "v\n");
    let long = "k".repeat(65_536);
    assert!(esker(&["put", "--db", &db, &long, "v"]).sentence(2).contains("65535"));
    let lines = format!("b\t2\n{long}\tv\nc\t3\n");
    let ended = esker_with(&["load", "--db", &db, "-"], lines.as_bytes());
    assert!(
        ended.sentence(2).contains("line 2 of standard input") && ended.err.contains("65535"),
        "{}",
        ended.err
    );
    let value = "v".repeat((64 << 20) + 1);
    let lines = format!("d\t{}\ne\t{value}\nf\t5\n", &value[1..]);
    let load = ["load", "--skip-bad", "--db", &db, "--memory-budget", "512MiB", "-"];
    let ended = esker_with(&load, lines.as_bytes());
    assert!(
        ended.err.contains("line 2 of standard input") && ended.err.contains("67108864"),
        "{}",
        ended.err
    );
    assert_eq!(ended.status, 0);
    assert!(esker(&["get", "--db", &db, "d"]).out.len() == (64 << 20) + 1);
    assert_eq!(esker(&["get", "--db", &db, "f"]).text(0), "5\n");
    assert_eq!(esker(&["get", "--db", &db, "e"]).status, 1);
    assert_eq!(esker(&["get", "--db", &db, "b"]).text(0), "2\n");
}

#[test]
fn a_malformed_line() {
    let scratch = Scratch::new();
    let db = scratch.db();
    let lines = b"a\t1\nb\t2\nno tab here\nc\t3\n\\q\t4\nd\t5\n";
    let ended = esker_with(&["load", "--db", &db, "-"], lines);
    assert!(ended.sentence(2).contains("line 3 of standard input"), "{}", ended.err);
    assert!(ended.err.contains("the 2 pairs before it are loaded") && ended.err.contains("--skip-bad"));
    assert_eq!(esker(&["scan", "--db", &db]).text(0), "a\t1\nb\t2\n");
    let ended = esker_with(&["load", "--ack", "--db", &db, "-"], lines);
    assert_eq!(ended.text(2), "2\n");
    let ended = esker_with(&["load", "--skip-bad", "--db", &db, "-"], lines);
    assert_eq!(ended.status, 0);
    assert!(
        ended.err.contains("skipped 2 malformed lines") && ended.err.contains("line 3 of"),
        "{}",
        ended.err
    );
    assert!(ended.err.lines().last().unwrap().starts_with("loaded 4 pairs, 8 bytes in "));
    assert_eq!(esker(&["scan", "--db", &db]).text(0), "a\t1\nb\t2\nc\t3\nd\t5\n");
    let ended = esker_with(
        &["load", "--format", "jsonl", "--db", &db, "-"],
        b"{\"key\":\"x\",\"value\":\"y\"}\n{\"key\"\n",
    );
    assert!(ended.sentence(2).contains("line 2 of standard input"), "{}", ended.err);
    assert_eq!(esker(&["get", "--db", &db, "x"]).text(0), "y\n");
}

/// What a process leaves that is killed between two steps of creating a file, where a reader changes nothing and a writer
/// finishes.
#[test]
fn files_whose_creation_was_interrupted() {
    let scratch = Scratch::with_pairs(b"a\t1\n");
    let db = scratch.db();
    esker(&["compact", "--db", &db]).text(0);
    esker(&["put", "--db", &db, "b", "2"]).text(0);
    // A table that the MANIFEST names, under its temporary name.
    let table = file_of(&db, |name| name.ends_with(".sst"));
    let temporary = table.with_extension("sst.tmp");
    std::fs::rename(&table, &temporary).unwrap();
    // A segment of the log that the MANIFEST does not know.
    let newest = std::fs::read_dir(&db)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "wal"))
        .max()
        .unwrap();
    let number: u64 = newest.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let mut header = std::fs::read(&newest).unwrap()[..64].to_vec();
    header[32..40].copy_from_slice(&(number + 100).to_le_bytes());
    header[40..48].copy_from_slice(&number.to_le_bytes());
    header[48..56].fill(0);
    let sum = crc32c::crc32c(&header[..60]);
    header[60..].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(newest.with_file_name(format!("{:06}.wal", number + 100)), header).unwrap();

    let before = picture(&db);
    assert_eq!(esker(&["scan", "--db", &db]).text(0), "a\t1\nb\t2\n");
    esker(&["verify", "--db", &db]).text(0);
    assert!(picture(&db) == before, "a reader changed the store");
    for i in 0..3 {
        esker(&["put", "--db", &db, &format!("c{i}"), "3"]).text(0);
        esker(&["verify", "--db", &db]).text(0);
    }
    assert!(table.exists() && !temporary.exists());
    assert_eq!(esker(&["scan", "--db", &db]).text(0), "a\t1\nb\t2\nc0\t3\nc1\t3\nc2\t3\n");
}

/// A mount that goes with the value. `None`, and a printed word, where mounting is not allowed.
struct Mount(String);

impl Mount {
    fn new(arguments: &[&str], at: &str) -> Option<Mount> {
        std::fs::create_dir_all(at).unwrap();
        let output = Command::new("mount").args(arguments).arg(at).output();
        match output {
            Ok(output) if output.status.success() => Some(Mount(at.to_owned())),
            Ok(output) => {
                println!(
                    "skipped: mounting is not allowed here: {}",
                    String::from_utf8_lossy(&output.stderr).trim()
                );
                None
            }
            Err(e) => {
                println!("skipped: there is no `mount` here: {e}");
                None
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn last_ack(ended: &Ended) -> u64 {
    let text = std::str::from_utf8(&ended.out).unwrap();
    text.lines().last().map_or(0, |l| l.parse().unwrap())
}

#[test]
fn a_full_disk() {
    let scratch = Scratch::new();
    let disk = scratch.path("disk");
    let Some(_mount) = Mount::new(&["-t", "tmpfs", "-o", "size=6m", "none"], &disk) else { return };
    let db = format!("{disk}/db");
    let line = |i: u64| format!("key{i:08}\t{}\n", format!("{i:x}").repeat(20));
    let lines: String = (0..200_000).map(line).collect();
    for durability in ["buffered", "synced"] {
        let _ = std::fs::remove_dir_all(&db);
        let load = [
            "load",
            "--ack",
            "--durability",
            durability,
            "--db",
            &db,
            "--memory-budget",
            "2MiB",
            "--compression",
            "none",
            "-",
        ];
        let ended = esker_with(&load, lines.as_bytes());
        let said = ended.sentence(2).to_lowercase();
        assert!(said.contains("space"), "{said}");
        let acknowledged = last_ack(&ended);
        assert!(acknowledged > 0);
        // What was acknowledged can be read while the disk is full, and written on when it no longer is.
        let check = || {
            let scan = esker(&["scan", "--db", &db]);
            let stored: std::collections::HashSet<&str> = scan.text(0).lines().collect();
            for i in 0..acknowledged {
                assert!(stored.contains(line(i).trim_end()), "pair {i} of {acknowledged} is lost");
            }
        };
        check();
        esker(&["verify", "--db", &db]).text(0);
        let freed = Command::new("mount").args(["-o", "remount,size=64m", &disk]).status().unwrap();
        assert!(freed.success());
        esker(&["put", "--db", &db, "after", "all"]).text(0);
        check();
        assert_eq!(esker(&["get", "--db", &db, "after"]).text(0), "all\n");
        std::fs::remove_dir_all(&db).unwrap();
        assert!(Command::new("mount").args(["-o", "remount,size=6m", &disk]).status().unwrap().success());
    }
}

#[test]
fn a_read_only_directory() {
    let scratch = Scratch::with_pairs(b"a\t1\n");
    let db = scratch.db();
    esker(&["compact", "--db", &db]).text(0);
    esker(&["put", "--db", &db, "b", "2"]).text(0);
    let before = picture(&db);
    let view = scratch.path("view");
    let Some(_mount) = Mount::new(&["--bind", "-o", "ro", scratch.dir.path().to_str().unwrap()], &view)
    else {
        return;
    };
    let remounted = Command::new("mount").args(["-o", "remount,bind,ro", &view]).status().unwrap();
    if !remounted.success() {
        println!("skipped: a read-only bind mount is not allowed here");
        return;
    }
    let read_only = format!("{view}/db");
    assert_eq!(esker(&["scan", "--db", &read_only]).text(0), "a\t1\nb\t2\n");
    assert_eq!(esker(&["get", "--db", &read_only, "b"]).text(0), "2\n");
    esker(&["verify", "--db", &read_only]).text(0);
    esker(&["stats", "--db", &read_only]).text(0);
    let new = format!("{view}/new");
    for arguments in [
        &["put", "--db", &read_only, "c", "3"][..],
        &["compact", "--db", &read_only],
        &["put", "--db", &new, "c", "3"],
    ] {
        let ended = esker(arguments);
        assert!(ended.sentence(2).to_lowercase().contains("read-only"), "{}", ended.err);
    }
    assert!(picture(&db) == before);
}

#[test]
fn large_pairs_and_a_small_memory_budget() {
    let scratch = Scratch::new();
    let db = scratch.db();
    let mut lines: Vec<u8> = Vec::new();
    for i in 0..3000 {
        lines.extend(format!("k{i:05}\t{i:0100}\n").bytes());
    }
    let large = vec![b'x'; 5 << 20];
    lines.extend([b"large\t", &large[..], b"\nsmall\tv\n"].concat());
    let ended = esker_with(&["load", "--db", &db, "--memory-budget", "1MiB", "-"], &lines);
    assert_eq!(ended.status, 0, "{}", ended.err);
    assert!(ended.err.starts_with("loaded 3002 pairs"), "{}", ended.err);
    let found = esker(&["get", "--db", &db, "large"]);
    assert_eq!(found.text(0).trim_end().as_bytes(), large);
    assert_eq!(esker(&["get", "--db", &db, "small"]).text(0), "v\n");
}

#[test]
#[cfg(target_os = "linux")]
fn standard_error_that_cannot_be_written() {
    let scratch = Scratch::with_pairs(b"a\t1\n");
    let db = scratch.db();
    let input = scratch.path("in.tsv");
    std::fs::write(&input, "b\t2\n").unwrap();
    let nowhere = scratch.path("nowhere");
    for (arguments, status) in [
        (&["load", "--db", &db, &input][..], 0),
        (&["get", "--db", &db, "missing"], 1),
        (&["get", "--db", &nowhere, "a"], 2),
        (&["get", "--nonsense"], 2),
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ended = command(arguments).stdin(Stdio::null()).stderr(full).output().unwrap();
        assert_eq!(ended.status.code(), Some(status), "{arguments:?}");
    }
}
