//! Tests of collapsing: against a model that reads every key at every snapshot, and hook by hook.

use super::super::picker::sketch::table;
use super::*;
use esker_table::RangeTombstone;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default, PartialEq)]
struct Entries(Vec<(Vec<u8>, Trailer, Vec<u8>)>);

impl Sink for Entries {
    fn entry(&mut self, user_key: &[u8], trailer: Trailer, value: &[u8]) -> Result<()> {
        if let Some((key, last, _)) = self.0.last() {
            assert!(esker_table::key::compare(key, *last, user_key, trailer).is_lt(), "order");
        }
        self.0.push((user_key.to_vec(), trailer, value.to_vec()));
        Ok(())
    }
}

impl Entries {
    fn of(entries: &[(&str, u64, Option<&str>)]) -> Entries {
        let mut all: Vec<_> = entries
            .iter()
            .map(|(key, seqno, value)| {
                let kind = if value.is_some() { Kind::Put } else { Kind::Delete };
                (key.as_bytes().to_vec(), Trailer::new(*seqno, kind), value.unwrap_or("").as_bytes().to_vec())
            })
            .collect();
        all.sort_by(|a, b| esker_table::key::compare(&a.0, a.1, &b.0, b.1));
        Entries(all)
    }

    fn through(&self, collapse: &mut Collapse<'_>) -> Entries {
        let mut out = Entries::default();
        for (key, trailer, value) in &self.0 {
            collapse.push(key, *trailer, value, &mut out).unwrap();
        }
        collapse.finish(&mut out).unwrap();
        out
    }

    fn text(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|(k, t, v)| {
                let (key, value) = (String::from_utf8_lossy(k), String::from_utf8_lossy(v));
                match t.kind() {
                    Some(Kind::Put) => format!("{key}@{}={value}", t.seqno()),
                    Some(Kind::Delete) => format!("{key}@{}-", t.seqno()),
                    _ => format!("{key}@{}?", t.seqno()),
                }
            })
            .collect()
    }
}

/// What a reader at `snapshot` sees of `key` in entries, tombstones and what lies below.
fn read(layers: &[(&Entries, &Fragments)], key: &[u8], snapshot: SeqNo) -> Option<Vec<u8>> {
    let newest = layers
        .iter()
        .flat_map(|(e, _)| &e.0)
        .filter(|(k, t, _)| k == key && t.seqno() <= snapshot)
        .max_by_key(|(_, t, _)| t.seqno())?;
    let deleted = layers.iter().filter_map(|(_, f)| f.covering(key, snapshot)).max();
    if newest.1.kind() == Some(Kind::Delete) || deleted.is_some_and(|d| d > newest.1.seqno()) {
        return None;
    }
    Some(newest.2.clone())
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

/// Random entries with sequence numbers from `seqnos`, each used at most once.
fn scatter(random: &mut Random, seqnos: std::ops::Range<u64>) -> (Entries, Vec<RangeTombstone>) {
    let mut entries = Entries::default();
    let mut tombstones = Vec::new();
    for seqno in seqnos {
        let key = vec![b'a' + random.below(8) as u8];
        match random.below(10) {
            0..=4 => entries.0.push((key, Trailer::new(seqno, Kind::Put), seqno.to_string().into_bytes())),
            5..=7 => entries.0.push((key, Trailer::new(seqno, Kind::Delete), Vec::new())),
            8 => {
                let end = vec![key[0] + 1 + random.below(4) as u8];
                tombstones.push(RangeTombstone { start: key, end, seqno });
            }
            _ => {}
        }
    }
    entries.0.sort_by(|a, b| esker_table::key::compare(&a.0, a.1, &b.0, b.1));
    (entries, tombstones)
}

#[test]
fn readers_see_the_same_before_and_after() {
    for seed in 0..3000u64 {
        let mut random = Random(seed);
        let oldest = 1 + random.below(10);
        let (below, below_tombstones) = match random.below(3) {
            0 => (Entries::default(), Vec::new()),
            _ => scatter(&mut random, 1..oldest),
        };
        let (entries, tombstones) = scatter(&mut random, oldest..40);
        let snapshots: Vec<SeqNo> =
            (0..random.below(5)).map(|_| random.below(42)).collect::<BTreeSet<_>>().into_iter().collect();
        let visible = 30 + random.below(12);
        let fragments = Arc::new(Fragments::new(tombstones));
        let below_fragments = Fragments::new(below_tombstones);
        // One table for each thing below, so that the gaps between them are used.
        let mut tables: Vec<Vec<Arc<FileMeta>>> = below
            .0
            .iter()
            .map(|(k, ..)| {
                let key = String::from_utf8(k.clone()).unwrap();
                vec![Arc::new(table(1, &key, &key))]
            })
            .collect();
        tables.extend(below_fragments.iter().map(|t| {
            let text = |k: &[u8]| String::from_utf8(k.to_vec()).unwrap();
            vec![Arc::new(table(1, &text(&t.start), &text(&t.end)).with_tombstones(1))]
        }));
        let below_rule = if random.below(4) == 0 { Below::Unknown } else { Below::tables(&tables) };
        let mut collapse = Collapse::new(Stripes::new(&snapshots, visible), fragments.clone(), below_rule);
        let after = entries.through(&mut collapse);
        // The output is cut into tables at random keys.
        let mut cuts: Vec<Vec<u8>> =
            (0..random.below(4)).map(|_| vec![b'a' + random.below(12) as u8]).collect();
        cuts.sort();
        cuts.dedup();
        let surviving = collapse.surviving_tombstones();
        let mut kept = Vec::new();
        for i in 0..=cuts.len() {
            let start = i.checked_sub(1).map(|i| cuts[i].as_slice());
            kept.extend(surviving.clip(start, cuts.get(i).map(Vec::as_slice)).iter());
        }
        let kept = Fragments::new(kept);
        for key in b'a'..=b'n' {
            let mut readers = snapshots.clone();
            readers.extend([visible, visible + 1, 60]);
            for reader in readers {
                let before = read(&[(&entries, &fragments), (&below, &below_fragments)], &[key], reader);
                let now = read(&[(&after, &kept), (&below, &below_fragments)], &[key], reader);
                assert_eq!(
                    before,
                    now,
                    "seed {seed}, key {}, snapshot {reader} of {snapshots:?}, visible {visible}\n{:?}\n{fragments:?}\n{:?}",
                    key as char,
                    entries.text(),
                    after.text()
                );
            }
        }
    }
}

#[test]
fn what_expired_may_go_and_nothing_else_changes() {
    for seed in 0..3000u64 {
        let mut random = Random(seed);
        let oldest = 1 + random.below(10);
        let (below, _) = scatter(&mut random, 1..oldest);
        let (entries, tombstones) = scatter(&mut random, oldest..40);
        let snapshots: Vec<SeqNo> =
            (0..random.below(5)).map(|_| random.below(42)).collect::<BTreeSet<_>>().into_iter().collect();
        let horizon = random.below(45);
        let fragments = Arc::new(Fragments::new(tombstones));
        let key_of = |k: &[u8]| String::from_utf8(k.to_vec()).unwrap();
        let run = |(k, ..): &(Vec<u8>, Trailer, Vec<u8>)| vec![Arc::new(table(1, &key_of(k), &key_of(k)))];
        let bottom = random.below(2) == 0;
        let below = if bottom { Entries::default() } else { below };
        let tables: Vec<Vec<Arc<FileMeta>>> = below.0.iter().map(run).collect();
        let mut collapse =
            Collapse::new(Stripes::new(&snapshots, 40), fragments.clone(), Below::tables(&tables))
                .with_horizon(horizon);
        let after = entries.through(&mut collapse);
        let kept = collapse.surviving_tombstones();
        for key in b'a'..=b'i' {
            for reader in snapshots.iter().copied().chain([40, 60]) {
                let none = Fragments::new([]);
                let before = read(&[(&entries, &fragments), (&below, &none)], &[key], reader);
                let now = read(&[(&after, &kept), (&below, &none)], &[key], reader);
                // A value is the sequence number that wrote it. What lies below is not this work's to remove.
                let seqno = |v: &Option<Vec<u8>>| -> u64 {
                    v.as_ref().map_or(0, |v| String::from_utf8(v.clone()).unwrap().parse().unwrap())
                };
                let gone = seqno(&before) >= oldest && seqno(&before) <= horizon;
                let expected = if gone { None } else { before };
                assert_eq!(
                    expected,
                    now,
                    "seed {seed}, key {}, snapshot {reader} of {snapshots:?}, horizon {horizon}\n{:?}\n{:?}",
                    key as char,
                    entries.text(),
                    after.text()
                );
            }
        }
        let live = |(_, t, _): &&(Vec<u8>, Trailer, Vec<u8>)| t.kind() == Some(Kind::Put);
        assert!(after.0.iter().filter(live).all(|(_, t, _)| t.seqno() > horizon), "seed {seed}");
        if bottom && snapshots.is_empty() {
            assert!(after.0.iter().all(|(_, t, _)| t.kind() == Some(Kind::Put)), "seed {seed}");
        }
    }
}

#[test]
fn expired_entries_leave_deletes_only_where_something_lies_under_them() {
    let entries = Entries::of(&[
        ("a", 9, Some("lives")),
        ("a", 5, Some("expired, hidden")),
        ("b", 6, Some("expired")),
        ("b", 4, Some("expired, of an older snapshot")),
        ("c", 8, None),
        ("c", 3, Some("expired")),
    ]);
    let run = |below: Below| {
        let mut collapse = Collapse::new(Stripes::new(&[4], 9), Arc::default(), below).with_horizon(6);
        let left = entries.through(&mut collapse).text();
        (left, collapse.fate().removed)
    };
    assert_eq!(run(Below::tables(&[])).0, ["a@9=lives"]);
    let below = Below::tables(&[vec![Arc::new(table(1, "b", "b"))]]);
    assert_eq!(run(below).0, ["a@9=lives", "b@6-", "b@4-"]);
    assert_eq!(
        run(Below::Unknown),
        (["a@9=lives", "b@6-", "b@4-", "c@8-", "c@3-"].map(String::from).to_vec(), 3)
    );
}

#[test]
fn at_the_bottom_only_live_entries_remain() {
    let entries = Entries::of(&[
        ("a", 9, Some("new")),
        ("a", 3, Some("old")),
        ("b", 8, None),
        ("b", 2, Some("gone")),
        ("c", 4, Some("covered")),
        ("d", 5, Some("kept")),
    ]);
    let tombstone = RangeTombstone { start: b"c".to_vec(), end: b"d".to_vec(), seqno: 6 };
    let fragments = Arc::new(Fragments::new([tombstone]));
    let mut collapse = Collapse::new(Stripes::new(&[], 9), fragments.clone(), Below::tables(&[]));
    assert_eq!(entries.through(&mut collapse).text(), ["a@9=new", "d@5=kept"]);
    assert!(collapse.surviving_tombstones().is_empty());
    assert_eq!(collapse.fate(), Fate { read: 6, shadowed: 2, covered: 1, deletes_dropped: 1, removed: 0 });
    // With something below, only in the range of one delete.
    let mut collapse =
        Collapse::new(Stripes::new(&[], 9), fragments, Below::tables(&[vec![Arc::new(table(1, "b", "b"))]]));
    assert_eq!(entries.through(&mut collapse).text(), ["a@9=new", "b@8-", "d@5=kept"]);
    assert!(collapse.surviving_tombstones().is_empty());
}

#[test]
fn unpublished_versions_hide_nothing() {
    // A snapshot taken during the work is at 5 or above, and may be below 7.
    let entries = Entries::of(&[("a", 7, Some("unpublished")), ("a", 5, Some("published")), ("a", 3, None)]);
    let mut collapse = Collapse::new(Stripes::new(&[], 5), Arc::default(), Below::Unknown);
    assert_eq!(entries.through(&mut collapse).text(), ["a@7=unpublished", "a@5=published"]);
}

#[test]
fn unknown_kinds_and_all_below_them_pass() {
    let mut entries = Entries::of(&[("a", 9, None), ("a", 5, Some("base")), ("a", 4, None), ("b", 3, None)]);
    entries.0.insert(1, (b"a".to_vec(), Trailer::new(7, Kind::Merge), b"operand".to_vec()));
    entries.0.insert(2, (b"a".to_vec(), Trailer(6 << 8 | 77), b"from the future".to_vec()));
    let mut collapse = Collapse::new(Stripes::new(&[], 9), Arc::default(), Below::tables(&[]));
    assert_eq!(entries.through(&mut collapse).text(), ["a@9-", "a@7?", "a@6?", "a@5=base", "a@4-"]);
}

struct DropShort;

impl CompactionFilter for DropShort {
    fn name(&self) -> &str {
        "drop-short"
    }

    fn filter(&self, _: &[u8], value: &[u8]) -> FilterDecision {
        match value.len() {
            0..3 => FilterDecision::Remove,
            3 => FilterDecision::Keep,
            _ => FilterDecision::Replace(value[..3].to_vec()),
        }
    }
}

#[test]
fn a_filter_sees_the_newest_state_only() {
    let entries = Entries::of(&[
        ("a", 9, Some("x")),
        ("a", 5, Some("old")),
        ("b", 8, Some("long value")),
        ("c", 5, Some("y")),
        ("d", 9, Some("z")),
    ]);
    let run = |snapshots: &[SeqNo], below: Below| {
        let mut collapse = Collapse::new(Stripes::new(snapshots, 9), Arc::default(), below)
            .with_hooks(Some(&DropShort), None);
        entries.through(&mut collapse).text()
    };
    assert_eq!(run(&[], Below::tables(&[])), ["b@8=lon"]);
    assert_eq!(run(&[], Below::Unknown), ["a@9-", "b@8=lon", "c@5-", "d@9-"]);
    assert_eq!(run(&[6], Below::tables(&[])), ["a@9-", "a@5=old", "b@8=lon", "c@5=y"]);
}

/// A counter: a value is an increment, `=n` sets; folded values are sums. Zero may go at the bottom.
struct Counter;

impl Fold for Counter {
    fn name(&self) -> &str {
        "counter"
    }

    fn fold(&self, shadow: &Shadow<'_>) -> Folded {
        let number =
            |v: &[u8]| std::str::from_utf8(v).unwrap().trim_start_matches('=').parse::<i64>().unwrap();
        match (shadow.newer, shadow.older) {
            (Some(newer), Some(older)) if !newer.starts_with(b"=") => {
                let prefix = if older.starts_with(b"=") { "=" } else { "" };
                Folded::Value(format!("{prefix}{}", number(newer) + number(older)).into_bytes())
            }
            (Some(newer), None) if !newer.starts_with(b"=") => {
                Folded::Value(format!("={}", number(newer)).into_bytes())
            }
            _ => Folded::Newer,
        }
    }

    fn drop_at_bottom(&self, _: &[u8], value: Option<&[u8]>) -> bool {
        value.is_none_or(|v| v == b"=0" || v == b"0")
    }
}

#[test]
fn a_counter_is_folded_stripe_by_stripe() {
    let entries = Entries::of(&[
        ("a", 9, Some("5")),
        ("a", 7, Some("2")),
        ("a", 4, Some("1")),
        ("a", 2, Some("=10")),
        ("a", 1, Some("99")),
        ("b", 8, Some("3")),
        ("b", 6, None),
        ("b", 3, Some("7")),
        ("c", 8, Some("-4")),
        ("c", 6, Some("=4")),
        ("d", 5, None),
    ]);
    let run = |snapshots: &[SeqNo], below: Below| {
        let mut collapse =
            Collapse::new(Stripes::new(snapshots, 9), Arc::default(), below).with_hooks(None, Some(&Counter));
        entries.through(&mut collapse).text()
    };
    assert_eq!(run(&[], Below::Unknown), ["a@9==18", "b@8==3", "c@8==0", "d@5-"]);
    assert_eq!(run(&[], Below::tables(&[])), ["a@9==18", "b@8==3"]);
    assert_eq!(
        run(&[4], Below::tables(&[])),
        ["a@9=7", "a@4==11", "b@8==3", "b@3=7"],
        "what the snapshot sees is not folded into what it does not see"
    );
    assert_eq!(run(&[9], Below::tables(&[])), ["a@9==18", "b@8==3", "c@8==0"]);
}

#[test]
fn folding_in_any_grouping_gives_the_same_sum() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut expected: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
        let mut entries: Vec<(Vec<u8>, Trailer, Vec<u8>)> = (1..=30u64)
            .map(|seqno| {
                let key = vec![b'a' + random.below(4) as u8];
                let step = random.below(9) as i64 + 1;
                *expected.entry(key.clone()).or_default() += step;
                (key, Trailer::new(seqno, Kind::Put), step.to_string().into_bytes())
            })
            .collect();
        // Parts of the history meet in any order that keeps neighbours together, as compactions do.
        while entries.len() > expected.len() {
            let from = random.below(30);
            let to = from + 1 + random.below(31 - from);
            let (mut part, mut rest): (Vec<_>, Vec<_>) =
                entries.into_iter().partition(|(_, t, _)| (from..=to).contains(&t.seqno()));
            part.sort_by(|a, b| esker_table::key::compare(&a.0, a.1, &b.0, b.1));
            let mut collapse = Collapse::new(Stripes::new(&[], 30), Arc::default(), Below::Unknown)
                .with_hooks(None, Some(&Counter));
            rest.extend(Entries(part).through(&mut collapse).0);
            entries = rest;
        }
        for (key, _, value) in entries {
            assert_eq!(String::from_utf8(value).unwrap(), expected[&key].to_string(), "seed {seed}");
        }
    }
}

#[test]
fn blocks_pass_where_nothing_interferes() {
    let tombstone = RangeTombstone { start: b"k".to_vec(), end: b"m".to_vec(), seqno: 6 };
    let mut collapse =
        Collapse::new(Stripes::new(&[], 9), Arc::new(Fragments::new([tombstone])), Below::Unknown);
    let mut out = Entries::default();
    collapse.push(b"c", Trailer::new(5, Kind::Delete), b"", &mut out).unwrap();
    assert!(!collapse.passes(b"c", b"d"));
    assert!(collapse.passes(b"d", b"jz"));
    assert!(!collapse.passes(b"d", b"k"));
    assert!(!collapse.passes(b"lz", b"z"));
    assert!(collapse.passes(b"m", b"z"));
    collapse.finish_key(&mut out).unwrap();
    collapse.passed(b"j", Trailer::new(4, Kind::Put), 10);
    // The block ended with the newest version of `j`; an older one follows.
    collapse.push(b"j", Trailer::new(3, Kind::Put), b"old", &mut out).unwrap();
    collapse.push(b"n", Trailer::new(3, Kind::Put), b"v", &mut out).unwrap();
    collapse.finish(&mut out).unwrap();
    assert_eq!(out.text(), ["c@5-", "n@3=v"]);
    assert!(
        Collapse::new(Stripes::default(), Arc::default(), Below::Unknown)
            .with_hooks(Some(&DropShort), None)
            .passes(b"a", b"b")
            .eq(&false)
    );
}
