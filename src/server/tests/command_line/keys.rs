//! `get`, `put`, `delete`, `delete-range`, `keyspaces`.

use crate::process::{Scratch, esker, picture};

#[test]
fn put_get_delete() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    assert_eq!(esker(&["put", "--db", db, "key", "value"]).text(0), "");
    assert_eq!(esker(&["get", "--db", db, "key"]).text(0), "value\n");
    assert_eq!(esker(&["put", "--db", db, "--durability", "synced", "key", ""]).text(0), "");
    assert_eq!(esker(&["get", "--db", db, "key"]).text(0), "\n");
    assert_eq!(esker(&["delete", "--db", db, "key"]).text(0), "");
    let sentence = esker(&["get", "--db", db, "key"]).sentence(1).to_owned();
    assert!(sentence.contains("no key `key`"), "{sentence}");
    assert_eq!(esker(&["delete", "--db", db, "never there"]).text(0), "");
    assert_eq!(esker(&["put", "--db", db, "-5", "-7"]).text(0), "");
    assert_eq!(esker(&["get", "--db", db, "-5"]).text(0), "-7\n");
}

#[test]
fn arguments_and_output_are_escaped_unless_raw() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    esker(&["put", "--db", db, r"a\tb\xff", r"1\n2\\\x00"]).text(0);
    assert_eq!(esker(&["get", "--db", db, r"a\x09b\xFF"]).text(0), "1\\n2\\\\\\x00\n");
    assert_eq!(
        esker(&["get", "--db", db, "--json", r"a\tb\xff"]).json(0),
        serde_json::json!({"key_b64": "YQli/w==", "value": "1\n2\\\0"})
    );
    esker(&["put", "--db", db, "--raw", r"c:\new", r"d:\table"]).text(0);
    assert_eq!(esker(&["get", "--db", db, "--raw", r"c:\new"]).text(0), r"d:\table");
    assert_eq!(esker(&["get", "--db", db, r"c:\\new"]).text(0), "d:\\\\table\n");
    esker(&["delete", "--db", db, "--raw", r"c:\new"]).text(0);
    assert_eq!(esker(&["get", "--db", db, r"c:\\new"]).status, 1);
    let sentence = esker(&["get", "--db", db, r"c:\new\q"]).sentence(2).to_owned();
    assert!(sentence.contains(r"\q") && sentence.contains(r"\\"), "{sentence}");
}

#[test]
fn a_range_is_deleted_from_inclusive_to_exclusive() {
    let scratch = Scratch::with_pairs(b"a\t1\nb\t2\nc\t3\nd\t4\n");
    let db = &scratch.db();
    esker(&["delete-range", "--db", db, "b", "d"]).text(0);
    assert_eq!(esker(&["scan", "--db", db]).text(0), "a\t1\nd\t4\n");
    esker(&["delete-range", "--db", db, "a", "a"]).text(0);
    assert_eq!(esker(&["scan", "--db", db]).text(0), "a\t1\nd\t4\n");
    assert!(esker(&["delete-range", "--db", db, "d", "a"]).sentence(2).contains("exchange them"));
}

#[test]
fn keyspaces_are_apart() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    esker(&["put", "--db", db, "--keyspace", "fruit", "apple", "red"]).text(0);
    esker(&["put", "--db", db, "apple", "a company"]).text(0);
    assert_eq!(esker(&["get", "--db", db, "--keyspace", "fruit", "apple"]).text(0), "red\n");
    assert_eq!(esker(&["get", "--db", db, "apple"]).text(0), "a company\n");
    assert_eq!(esker(&["keyspaces", "--db", db]).text(0), "default\nfruit\n");
    assert_eq!(esker(&["keyspaces", "--db", db, "--json"]).json(0), serde_json::json!(["default", "fruit"]));
    esker(&["delete", "--db", db, "--keyspace", "fruit", "apple"]).text(0);
    assert_eq!(esker(&["get", "--db", db, "apple"]).text(0), "a company\n");
    for arguments in [
        &["get", "--db", db, "--keyspace", "nuts", "x"][..],
        &["delete", "--db", db, "--keyspace", "nuts", "x"],
    ] {
        assert!(esker(arguments).sentence(2).contains("no keyspace `nuts`"));
    }
}

#[test]
fn readers_change_nothing() {
    let scratch = Scratch::with_pairs(b"a\t1\nb\t2\n");
    let db = &scratch.db();
    let table = |p: &str| p.ends_with(".sst");
    esker(&["compact", "--db", db]).text(0);
    esker(&["put", "--db", db, "c", "3"]).text(0);
    let before = picture(db);
    esker(&["get", "--db", db, "a"]).text(0);
    esker(&["get", "--db", db, "nothing"]);
    esker(&["scan", "--db", db]).text(0);
    esker(&["stats", "--db", db]).text(0);
    esker(&["stats", "--db", db, "--json"]).json(0);
    esker(&["verify", "--db", db]).text(0);
    esker(&["keyspaces", "--db", db]).text(0);
    for (path, _) in &before {
        let name = path.file_name().unwrap().to_str().unwrap();
        if table(name) || name.ends_with(".wal") || name.starts_with("MANIFEST") {
            esker(&["inspect", path.to_str().unwrap()]).text(0);
        }
    }
    assert!(picture(db) == before, "a reader changed the store");
}
