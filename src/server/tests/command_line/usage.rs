//! Wrong usage, help, and readers that leave early.

use crate::process::{Scratch, command, esker, esker_with};
use std::io::{BufRead as _, BufReader};

#[test]
fn help_and_version_are_answers() {
    assert!(esker(&["--version"]).text(0).starts_with("esker "));
    let help = esker(&["help"]);
    for subcommand in [
        "serve",
        "load",
        "get",
        "put",
        "delete",
        "delete-range",
        "scan",
        "stats",
        "verify",
        "compact",
        "repair",
        "checkpoint",
        "keyspaces",
        "inspect",
        "bench",
    ] {
        assert!(help.text(0).contains(&format!("  {subcommand} ")), "{subcommand}");
        assert!(esker(&[subcommand, "--help"]).text(0).contains("Usage:"), "{subcommand}");
    }
}

#[test]
fn wrong_usage_is_status_2_and_one_sentence() {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["get"],
        &["get", "--db", "somewhere"],
        &["get", "key"],
        &["put", "--db", "somewhere", "key"],
        &["scan", "--db", "somewhere", "--limit", "few"],
        &["scan", "--db", "somewhere", "--format", "xml"],
        &["load", "--db", "somewhere"],
        &["load", "--db", "somewhere", "--memory-budget", "lots", "file"],
        &["bench", "--db", "somewhere"],
        &["bench", "--db", "somewhere", "no-workload"],
        &["bench", "--db", "somewhere", "--num", "0", "fillseq"],
    ] {
        let sentence = esker(arguments).sentence(2).to_owned();
        assert!(sentence.contains("esker help"), "{sentence}");
    }
    assert!(!std::path::Path::new("somewhere").exists());
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut lines = Vec::new();
    for i in 0..50_000 {
        lines.extend_from_slice(
            format!("key{i:06}\tvalue {i} of a size that does not fit into a pipe\n").as_bytes(),
        );
    }
    let scratch = Scratch::with_pairs(&lines);
    let mut scan = command(&["scan", "--db", &scratch.db()]).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(scan.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("key000000\t"));
    let output = scan.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn acknowledgements_that_nobody_reads_do_not_stop_a_load() {
    let scratch = Scratch::new();
    let mut lines = Vec::new();
    for i in 0..100_000 {
        lines.extend_from_slice(format!("key{i:06}\tv\n").as_bytes());
    }
    std::fs::write(scratch.path("in.tsv"), &lines).unwrap();
    let mut load =
        command(&["load", "--ack", "--db", &scratch.db(), &scratch.path("in.tsv")]).spawn().unwrap();
    drop(load.stdout.take());
    let output = load.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(esker_with(&["scan", "--db", &scratch.db()], b"").out, lines);
}
