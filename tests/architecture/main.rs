//! The house's rules, as far as a program can hold them: floors, file sizes, headers, `unsafe`, names.
//!
//! Rules that need no judgement are tested here instead of being asked for in a review. What a test cannot see (one noun a
//! file, reasons in comments) stays with the reader.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The engine's rooms, with those below them that they may import. What is not named here is not imported. Test code is
/// free to look further.
const FLOORS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("sync", &[]),
    ("hooks", &[]),
    ("metrics", &[]),
    ("options", &["error", "hooks"]),
    ("event", &["error"]),
    ("pin", &["sync"]),
    ("fs", &["error", "sync"]),
    ("record", &["error", "fs", "options"]),
    ("wal", &["error", "fs", "options", "record", "sync"]),
    ("memtable", &["error", "pin", "sync"]),
    ("manifest", &["error", "fs", "hooks", "options", "record", "sync"]),
    ("tables", &["error", "fs", "manifest", "metrics", "options", "sync"]),
    ("read", &["error", "manifest", "memtable", "metrics", "options", "sync", "tables"]),
    (
        "compaction",
        &["error", "fs", "hooks", "manifest", "memtable", "metrics", "options", "read", "sync", "tables"],
    ),
    (
        "write",
        &[
            "compaction",
            "error",
            "event",
            "fs",
            "manifest",
            "memtable",
            "metrics",
            "options",
            "pin",
            "read",
            "record",
            "sync",
            "tables",
            "wal",
        ],
    ),
    (
        "db",
        &[
            "compaction",
            "error",
            "event",
            "fs",
            "hooks",
            "manifest",
            "memtable",
            "metrics",
            "options",
            "pin",
            "read",
            "record",
            "sync",
            "tables",
            "wal",
            "write",
        ],
    ),
    ("testing", &["db", "error", "fs", "manifest", "options", "record", "wal", "write", "sync", "memtable"]),
];

/// The rooms of the cluster, in the same way.
const CLUSTER_FLOORS: &[(&str, &[&str])] = &[
    ("id", &[]),
    ("number", &[]),
    ("random", &[]),
    ("causality", &[]),
    ("ring", &["id"]),
    ("membership", &["id", "random"]),
    ("store", &["causality", "id", "ring"]),
    ("config", &["causality", "ring"]),
    ("state", &["id", "ring", "store"]),
    ("request", &["causality", "id", "store"]),
    ("message", &["causality", "id", "membership", "number", "request", "ring", "state", "store"]),
    ("event", &["id", "message", "request", "store"]),
    ("outbox", &["event", "id", "message", "number", "request", "store"]),
    ("directory", &["id", "request", "ring", "store"]),
    ("replica", &["causality", "directory", "event", "id", "message", "number", "outbox", "ring", "store"]),
    (
        "handoff",
        &[
            "causality",
            "config",
            "directory",
            "event",
            "id",
            "message",
            "number",
            "outbox",
            "request",
            "store",
        ],
    ),
    ("rebuild", &["directory", "event", "id", "message", "number", "outbox", "request", "ring", "store"]),
    (
        "formation",
        &[
            "causality",
            "config",
            "event",
            "id",
            "membership",
            "message",
            "number",
            "outbox",
            "random",
            "request",
            "ring",
            "state",
            "store",
        ],
    ),
    (
        "coordinator",
        &[
            "causality",
            "config",
            "directory",
            "event",
            "handoff",
            "id",
            "message",
            "number",
            "outbox",
            "replica",
            "request",
            "ring",
            "store",
        ],
    ),
    (
        "node",
        &[
            "causality",
            "config",
            "coordinator",
            "directory",
            "event",
            "formation",
            "handoff",
            "id",
            "membership",
            "message",
            "number",
            "outbox",
            "random",
            "rebuild",
            "replica",
            "request",
            "ring",
            "state",
            "store",
        ],
    ),
];

/// The houses: where each stands, and its floors.
const HOUSES: &[(&str, Floors)] = &[("src/engine/", FLOORS), ("src/cluster/", CLUSTER_FLOORS)];

/// Rooms, each with those below it that it may import.
type Floors = &'static [(&'static str, &'static [&'static str])];

/// The crates of the workspace, with those that their production code may use.
const CRATES: &[(&str, &[&str])] = &[
    ("formats/table", &[]),
    ("formats/block", &["esker-table"]),
    ("formats/plain", &["esker-table"]),
    ("formats/conformance", &["esker-table"]),
    ("src/engine", &["esker-table", "esker-format-block", "esker-format-plain"]),
    ("src/cluster", &["esker"]),
    ("src/server", &["esker", "esker-cluster"]),
    // It plays an outsider: what is published, and no more.
    ("examples/third-party-format", &["esker", "esker-table"]),
];

/// The only files that may hold `unsafe`, each with its argument at the top.
const UNSAFE_FILES: &[&str] = &[
    "formats/table/codec/lz4.rs",
    "formats/table/slice.rs",
    "src/engine/fs/mapped_log.rs",
    "src/engine/fs/mmap.rs",
    "src/engine/fs/spare.rs",
    "src/engine/memtable/arena.rs",
    "src/engine/pin.rs",
];

/// Code that tests or measures may need more, each for its own reason.
const UNSAFE_TEST_FILES: &[&str] = &["benches/peers/peer/lmdb.rs", "tests/support/counting.rs"];

/// Names that say nothing.
const BANNED_NAMES: &[&str] =
    &["utils", "util", "common", "helpers", "helper", "misc", "manager", "shared", "lib2", "types"];

/// The most lines of a file of production code, its tests at the end not counted.
const MAX_LINES: usize = 650;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Every Rust file of the project, relative to the root.
fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["formats", "src", "benches", "fuzz", "tests", "examples"].iter().map(|f| root.join(f)).collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 60, "only {} files found below {}", found.len(), root.display());
    found.sort();
    found
}

/// The part of a file before its tests.
fn production(text: &str) -> &str {
    let test = [
        "\n#[cfg(test)]\nmod tests {",
        "\n#[cfg(all(test, not(loom)))]\nmod",
        "\n#[cfg(all(test, loom))]\nmod",
    ];
    let end = test.iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    &text[..end]
}

fn is_test_file(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap();
    file.contains("test") || name.starts_with("tests/") || name.contains("/tests/") || name.contains("/loom")
}

/// The rooms of the engine that a line of code names.
fn rooms_named(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap();
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            // `use crate::{error::Error, fs::Env}`: one level is enough, rustfmt keeps the rest on further lines.
            for item in list.split(',') {
                rooms.push(item.trim().split("::").next().unwrap().to_owned());
            }
        } else {
            rooms.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    rooms
}

#[test]
fn arrows_only_go_down() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let house = HOUSES.iter().find_map(|(house, floors)| Some((name.strip_prefix(house)?, *floors)));
        let Some((inside, floors)) = house else { continue };
        let known: BTreeSet<&str> = floors.iter().map(|(room, _)| *room).collect();
        let is_outside = ["tests/", "examples/"].iter().any(|folder| inside.starts_with(folder));
        if inside == "lib.rs" || is_outside || is_test_file(&name) {
            continue;
        }
        let room = inside.split('/').next().unwrap().trim_end_matches(".rs");
        let Some((_, below)) = floors.iter().find(|(r, _)| *r == room) else {
            wrong.push(format!("{name}: the room `{room}` stands on no floor; give it one in this test"));
            continue;
        };
        for (number, line) in production(&text).lines().enumerate() {
            for named in rooms_named(line) {
                if known.contains(named.as_str()) && named != room && !below.contains(&named.as_str()) {
                    wrong.push(format!("{name}:{}: `{room}` must not import `{named}`", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_floors_form_no_circle() {
    for (floors, (room, below)) in
        HOUSES.iter().flat_map(|(_, floors)| floors.iter().map(move |row| (floors, row)))
    {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = below.to_vec();
        while let Some(next) = open.pop() {
            assert_ne!(next, *room, "`{room}` is below itself");
            if seen.insert(next) {
                let (_, further) = floors.iter().find(|(r, _)| *r == next).unwrap();
                open.extend(*further);
            }
        }
    }
}

#[test]
fn crates_use_only_what_lies_below() {
    for (folder, allowed) in CRATES {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let mut section = "";
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            }
            let name = line.split(['.', ' ', '=']).next().unwrap();
            if section == "[dependencies]" && name.starts_with("esker") {
                assert!(allowed.contains(&name), "{folder} must not depend on {name}");
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!") && !text.starts_with("#!["))
        .map(|(name, _)| name)
        .collect();
    assert!(silent.is_empty(), "these files do not begin with `//!`: {silent:?}");
}

#[test]
fn files_stay_small() {
    let large: Vec<String> = sources()
        .into_iter()
        .filter(|(name, _)| !is_test_file(name))
        .map(|(name, text)| (production(&text).lines().count(), name))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, name)| format!("{name}: {lines} lines"))
        .collect();
    assert!(large.is_empty(), "split these by idea: {large:?}");
}

#[test]
fn unsafe_stays_in_its_files() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        if UNSAFE_FILES.contains(&name.as_str()) || UNSAFE_TEST_FILES.contains(&name.as_str()) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            let marks = ["unsafe {", "unsafe fn", "unsafe impl", "allow(unsafe_code)"];
            if marks.iter().any(|mark| code.contains(mark)) && !name.starts_with("tests/architecture/") {
                wrong.push(format!("{name}:{}", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "`unsafe` outside of its files: {wrong:?}");
    for name in UNSAFE_FILES {
        assert!(root().join(name).exists(), "{name} is gone: take it off the list");
    }
}

#[test]
fn names_say_something() {
    let empty: Vec<String> = sources()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.split('/').any(|part| BANNED_NAMES.contains(&part.trim_end_matches(".rs"))))
        .collect();
    assert!(empty.is_empty(), "these names say nothing: {empty:?}");
}

#[test]
fn nothing_is_left_undone() {
    let mut left = Vec::new();
    for (name, text) in sources() {
        if name.starts_with("tests/architecture/") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if ["todo!(", "unimplemented!(", "dbg!(", "FIXME", "XXX", "#[ignore"]
                .iter()
                .any(|mark| line.contains(mark))
            {
                left.push(format!("{name}:{}", number + 1));
            }
        }
    }
    assert!(left.is_empty(), "left undone: {left:?}");
}
