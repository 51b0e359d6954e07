//! `load` and `scan`: what one takes the other gives back.

use crate::process::{Scratch, command, data_set, esker, esker_with};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

#[test]
fn the_data_set_comes_back_byte_for_byte() {
    let scratch = Scratch::new();
    let file = data_set();
    let tsv = std::fs::read(&file).unwrap();
    let loaded = esker(&["load", "--db", &scratch.db(), file.to_str().unwrap()]);
    assert_eq!(loaded.text(0), "");
    let line = loaded.err.trim_end();
    assert!(line.starts_with("loaded 34924 pairs, 1965518 bytes in ") && line.ends_with(" s"), "{line}");
    assert!(esker(&["scan", "--db", &scratch.db()]).out == tsv);
    assert_eq!(
        esker(&["get", "--db", &scratch.db(), "U+01F600"]).text(0),
        "GRINNING FACE;So;0;ON;;;;;N;;;;;\n"
    );
    // Through the other form into another store and back.
    let jsonl = esker(&["scan", "--db", &scratch.db(), "--format", "jsonl"]);
    let other = scratch.path("other");
    let loaded = esker_with(&["load", "--db", &other, "--format", "jsonl", "-"], &jsonl.out);
    assert!(loaded.err.starts_with("loaded 34924 pairs, 1965518 bytes in "), "{}", loaded.err);
    assert!(esker(&["scan", "--db", &other]).out == tsv);
    assert!(esker(&["scan", "--db", &other, "--json"]).out == jsonl.out);
}

#[test]
fn any_bytes_come_back() {
    let tsv =
        b"\t\n\\x00\\x01\t\\xff\\xfe\na\\tb\tc\\td\ttab\nk\\\\\t\\n\\r\\\\\n\xc3\xbc\t\xf0\x9f\x98\x80\n";
    let canonical =
        b"\t\n\\x00\\x01\t\\xff\\xfe\na\\tb\tc\\td\\ttab\nk\\\\\t\\n\\r\\\\\n\xc3\xbc\t\xf0\x9f\x98\x80\n";
    let scratch = Scratch::with_pairs(tsv);
    assert_eq!(
        esker(&["scan", "--db", &scratch.db()]).out.escape_ascii().to_string(),
        canonical.escape_ascii().to_string()
    );
    let again = Scratch::with_pairs(canonical);
    assert_eq!(esker(&["scan", "--db", &again.db()]).out, canonical);
}

#[test]
fn scan_takes_bounds_prefix_direction_and_limit() {
    let scratch = Scratch::with_pairs(b"a\t1\nab\t2\nabc\t3\nb\t4\nb\\xff\t5\nc\t6\n");
    let scan = |arguments: &[&str]| {
        let db = scratch.db();
        let mut all = vec!["scan", "--db", &db];
        all.extend_from_slice(arguments);
        let ended = esker(&all);
        let keys: Vec<&str> = ended.text(0).lines().map(|l| l.split_once('\t').unwrap().0).collect();
        keys.join(" ")
    };
    assert_eq!(scan(&[]), "a ab abc b b\\xff c");
    assert_eq!(scan(&["--reverse"]), "c b\\xff b abc ab a");
    assert_eq!(scan(&["--from", "ab"]), "ab abc b b\\xff c");
    assert_eq!(scan(&["--to", "ab"]), "a");
    assert_eq!(scan(&["--from", "ab", "--to", "b"]), "ab abc");
    assert_eq!(scan(&["--from", "b", "--to", "ab"]), "");
    assert_eq!(scan(&["--prefix", "ab"]), "ab abc");
    assert_eq!(scan(&["--prefix", "b"]), "b b\\xff");
    assert_eq!(scan(&["--prefix", r"b\xff"]), "b\\xff");
    assert_eq!(scan(&["--prefix", "a", "--from", "ab", "--reverse", "--limit", "1"]), "abc");
    assert_eq!(scan(&["--limit", "2"]), "a ab");
    assert_eq!(scan(&["--reverse", "--limit", "2"]), "c b\\xff");
    assert_eq!(scan(&["--limit", "0"]), "");
}

#[test]
fn later_pairs_win_and_summaries_are_json() {
    let scratch = Scratch::new();
    let ended = esker_with(&["load", "--json", "--db", &scratch.db(), "-"], b"k\told\nk\tnew\n\n");
    assert!(ended.sentence(2).contains("line 3 of standard input"));
    assert_eq!(esker(&["get", "--db", &scratch.db(), "k"]).text(0), "new\n");
    let ended = esker_with(&["load", "--json", "--skip-bad", "--db", &scratch.db(), "-"], b"k\tnewest\n\n");
    let summary = ended.json(0);
    assert_eq!(
        (&summary["pairs"], &summary["bytes"], &summary["skipped"]),
        (&1.into(), &7.into(), &1.into())
    );
    assert!(summary["seconds"].as_f64().unwrap() >= 0.0);
    assert_eq!(esker(&["get", "--db", &scratch.db(), "k"]).text(0), "newest\n");
}

#[test]
fn layouts_are_chosen_where_data_is_written() {
    for layout in [
        &["--compression", "none"][..],
        &["--compression", "lz4", "--memory-budget", "8MiB"],
        &["--compression", "zstd", "--table-format", "block"],
    ] {
        let scratch = Scratch::new();
        let (db, file) = (scratch.db(), data_set());
        let mut load = vec!["load", "--db", &db, "--keyspace", "k"];
        load.extend_from_slice(layout);
        load.push(file.to_str().unwrap());
        assert_eq!(esker(&load).status, 0);
        let mut compact = vec!["compact", "--db", &db, "--keyspace", "k"];
        compact.extend_from_slice(layout);
        esker(&compact).text(0);
        assert!(esker(&["scan", "--db", &db, "--keyspace", "k"]).out == std::fs::read(&file).unwrap());
        esker(&["verify", "--db", &db]).text(0);
    }
    let scratch = Scratch::new();
    let sentence =
        esker(&["put", "--db", &scratch.db(), "--table-format", "papyrus", "k", "v"]).sentence(2).to_owned();
    assert!(sentence.contains("papyrus"), "{sentence}");
}

/// What has arrived is acknowledged although the stream has not ended: a reader that waits for acknowledgements before
/// it sends more does not wait for ever.
#[test]
fn acknowledgements_do_not_wait_for_more_input() {
    for durability in ["buffered", "synced"] {
        let scratch = Scratch::new();
        let mut load = command(&["load", "--ack", "--durability", durability, "--db", &scratch.db(), "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = load.stdin.take().unwrap();
        let mut acks = BufReader::new(load.stdout.take().unwrap()).lines();
        let mut last = 0;
        for i in 1..=20u64 {
            writeln!(input, "key{i}\tvalue{i}").unwrap();
            input.flush().unwrap();
            last = acks.next().unwrap().unwrap().parse::<u64>().unwrap();
            assert_eq!(last, i);
        }
        drop(input);
        assert!(acks.next().is_none());
        assert_eq!(last, 20);
        let output = load.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8(output.stderr).unwrap().starts_with("loaded 20 pairs, "));
    }
}

#[test]
fn acknowledgements_rise_to_the_number_of_pairs() {
    let scratch = Scratch::new();
    let ended = esker(&[
        "load",
        "--ack",
        "--durability",
        "synced",
        "--db",
        &scratch.db(),
        data_set().to_str().unwrap(),
    ]);
    let acks: Vec<u64> = ended.text(0).lines().map(|l| l.parse().unwrap()).collect();
    assert!(acks.windows(2).all(|w| w[0] < w[1]), "{acks:?}");
    assert_eq!(acks.last(), Some(&34_924));
}
