//! `stats`, `verify`, `compact`, `repair`, `checkpoint`, `inspect`.

use crate::process::{Scratch, data_set, esker, file_of};

fn is_table(name: &str) -> bool {
    name.ends_with(".sst")
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
