//! `stats`, `verify`, `compact`, `repair`, `checkpoint`, `inspect`.

use crate::process::{Scratch, data_set, esker, esker_with, file_of, picture};

fn is_table(name: &str) -> bool {
    name.ends_with(".sst")
}

fn is_segment(name: &str) -> bool {
    name.ends_with(".wal")
}

fn is_manifest(name: &str) -> bool {
    name.starts_with("MANIFEST-")
}

fn with_data_set() -> Scratch {
    let scratch = Scratch::new();
    assert_eq!(esker(&["load", "--db", &scratch.db(), data_set().to_str().unwrap()]).status, 0);
    scratch
}

#[test]
fn stats_are_text_or_an_object() {
    let scratch = with_data_set();
    esker(&["compact", "--db", &scratch.db()]).text(0);
    assert!(esker(&["stats", "--db", &scratch.db()]).text(0).lines().count() > 3);
    let stats = esker(&["stats", "--db", &scratch.db(), "--json"]).json(0);
    let keyspace = &stats["keyspaces"]["default"];
    let levels = keyspace["levels"].as_array().unwrap();
    assert!(levels.iter().map(|l| l["tables"].as_u64().unwrap()).sum::<u64>() > 0, "{stats:#}");
    assert!(levels.iter().map(|l| l["bytes"].as_u64().unwrap()).sum::<u64>() > 100_000, "{stats:#}");
}

#[test]
fn verify_is_0_for_a_whole_store_and_1_for_a_damaged_one() {
    let scratch = with_data_set();
    let db = &scratch.db();
    esker(&["verify", "--db", db]).text(0);
    esker(&["compact", "--db", db]).text(0);
    let whole = esker(&["verify", "--db", db, "--json"]).json(0);
    assert_eq!(whole["damages"], serde_json::json!([]));
    assert!(whole["tables"].as_u64().unwrap() > 0);
    let table = file_of(db, is_table);
    let good = std::fs::read(&table).unwrap();
    for at in [100, good.len() / 2, good.len() - 5] {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        std::fs::write(&table, &bad).unwrap();
        let damaged = esker(&["verify", "--db", db]);
        assert_eq!(damaged.status, 1, "byte {at}: {}", damaged.err);
        let name = table.file_name().unwrap().to_str().unwrap();
        assert!(damaged.err.contains(name), "{}", damaged.err);
        let damaged = esker(&["verify", "--db", db, "--json"]).json(1);
        assert!(damaged["damages"][0].as_str().unwrap().contains(name), "{damaged:#}");
    }
    std::fs::write(&table, &good).unwrap();
    esker(&["verify", "--db", db]).text(0);
    std::fs::remove_file(&table).unwrap();
    assert_eq!(esker(&["verify", "--db", db]).status, 1);
}

#[test]
fn compact_gives_back_what_was_deleted() {
    let scratch = with_data_set();
    let db = &scratch.db();
    esker(&["compact", "--db", db]).text(0);
    esker(&["delete-range", "--db", db, "U+0", "U+02"]).text(0);
    let sizes = esker(&["compact", "--db", db, "--json"]).json(0);
    let (before, after) =
        (sizes["disk_bytes_before"].as_u64().unwrap(), sizes["disk_bytes_after"].as_u64().unwrap());
    assert!(after < before / 2, "{before} {after}");
    let left = esker(&["scan", "--db", db]);
    assert_eq!(
        left.text(0).lines().count(),
        std::fs::read_to_string(data_set()).unwrap().lines().filter(|l| *l >= "U+02").count()
    );
    esker(&["verify", "--db", db]).text(0);
}

#[test]
fn a_store_without_its_manifest_is_repaired() {
    let scratch = with_data_set();
    let db = &scratch.db();
    esker(&["put", "--db", db, "--keyspace", "more", "k", "v"]).text(0);
    esker(&["compact", "--db", db]).text(0);
    esker(&["put", "--db", db, "in the log", "too"]).text(0);
    let expected = esker(&["scan", "--db", db]).out;
    let current = std::fs::read_to_string(std::path::Path::new(db).join("CURRENT")).unwrap();
    std::fs::remove_file(std::path::Path::new(db).join(current.split_whitespace().next().unwrap())).unwrap();
    let lost = esker(&["get", "--db", db, "in the log"]);
    assert!(lost.sentence(2).contains("esker repair"));
    let repaired = esker(&["repair", "--db", db, "--json"]).json(0);
    assert_eq!(repaired["intact"], false);
    assert_eq!(repaired["keyspaces"], serde_json::json!(["default", "more"]));
    assert!(esker(&["scan", "--db", db]).out == expected);
    esker(&["verify", "--db", db]).text(0);
}

#[test]
fn a_whole_store_is_not_changed_by_a_repair_and_a_damaged_table_loses_only_what_is_damaged() {
    let scratch = with_data_set();
    let db = &scratch.db();
    esker(&["compact", "--db", db]).text(0);
    let before = picture(db);
    assert!(esker(&["repair", "--db", db]).text(0).contains("intact"));
    assert!(picture(db) == before);
    let table = file_of(db, is_table);
    let mut bytes = std::fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&table, bytes).unwrap();
    assert_eq!(esker(&["verify", "--db", db]).status, 1);
    let report = esker(&["repair", "--db", db]);
    assert!(report.text(0).contains(table.file_name().unwrap().to_str().unwrap()), "{report:?}");
    esker(&["verify", "--db", db]).text(0);
    let all = std::fs::read_to_string(data_set()).unwrap();
    let all: std::collections::HashSet<&str> = all.lines().collect();
    let left = esker(&["scan", "--db", db]);
    let left: Vec<&str> = left.text(0).lines().collect();
    assert!(left.iter().all(|line| all.contains(line)));
    assert!(left.len() < all.len() && left.len() > all.len() - 1000, "{} of {}", left.len(), all.len());
}

#[test]
fn a_checkpoint_is_a_store_of_its_own() {
    let scratch = with_data_set();
    let (db, copy) = (scratch.db(), scratch.path("copy"));
    esker(&["put", "--db", &db, "--keyspace", "more", "k", "v"]).text(0);
    let expected = esker(&["scan", "--db", &db]).out;
    esker(&["checkpoint", "--db", &db, &copy]).text(0);
    esker(&["delete-range", "--db", &db, "U+", "V"]).text(0);
    esker(&["compact", "--db", &db]).text(0);
    assert!(esker(&["scan", "--db", &copy]).out == expected);
    assert_eq!(esker(&["get", "--db", &copy, "--keyspace", "more", "k"]).text(0), "v\n");
    esker(&["verify", "--db", &copy]).text(0);
    esker(&["put", "--db", &copy, "only here", "1"]).text(0);
    assert_eq!(esker(&["get", "--db", &db, "only here"]).status, 1);
    let again = esker(&["checkpoint", "--db", &db, &copy]);
    assert!(again.sentence(2).contains(&copy));
    assert_eq!(esker(&["get", "--db", &copy, "only here"]).text(0), "1\n");
}

#[test]
fn inspect_reads_every_kind_of_file() {
    let scratch = Scratch::with_pairs(b"apple\tred\nbanana\tyellow\n");
    let db = &scratch.db();
    esker(&["compact", "--db", db]).text(0);
    esker(&["put", "--db", db, "cherry", "dark"]).text(0);
    let before = picture(db);
    let path = |wanted: fn(&str) -> bool| file_of(db, wanted).to_str().unwrap().to_owned();
    let table = esker(&["inspect", &path(is_table)]);
    assert!(table.text(0).contains("apple") && !table.text(0).contains("yellow"), "{}", table.text(0));
    let table = esker(&["inspect", "--entries", &path(is_table)]);
    for word in ["apple", "red", "banana", "yellow", "put"] {
        assert!(table.text(0).contains(word), "{word}: {}", table.text(0));
    }
    let segments: Vec<String> = before
        .iter()
        .map(|(p, _)| p.to_str().unwrap().to_owned())
        .filter(|p| is_segment(p))
        .map(|p| esker(&["inspect", "--entries", &p]).text(0).to_owned())
        .collect();
    assert!(segments.iter().any(|s| s.contains("cherry") && s.contains("dark")), "{segments:?}");
    assert!(esker(&["inspect", &path(is_manifest)]).text(0).contains("MANIFEST"));
    assert!(esker(&["inspect", "--entries", &path(is_manifest)]).text(0).contains("default"));
    for kind in [is_table, is_segment, is_manifest] {
        let ended = esker(&["inspect", "--json", "--entries", &path(kind)]);
        for line in ended.text(0).lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }
    assert!(picture(db) == before);
    // A damaged file is inspected up to the damage, and says where it is.
    let table = path(is_table);
    let mut bytes = std::fs::read(&table).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&table, bytes).unwrap();
    assert!(esker(&["inspect", "--entries", &table]).sentence(2).contains("offset"));
    let strange = scratch.path("letter.txt");
    std::fs::write(&strange, "Dear reader, this is not a file of a store. Yours.").unwrap();
    assert!(esker(&["inspect", &strange]).sentence(2).contains("letter.txt"));
    assert!(esker(&["inspect", &scratch.path("nothing")]).sentence(2).contains("nothing"));
    drop(esker_with(&["inspect", "-"], b""));
}
