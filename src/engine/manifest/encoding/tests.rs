//! Round trips, and every way in which bytes can be wrong.

use super::super::file_meta::tests::table;
use super::*;

fn bytes(edit: &VersionEdit) -> Vec<u8> {
    let mut out = Vec::new();
    edit.encode(&mut out);
    out
}

fn decode(bytes: &[u8]) -> Result<VersionEdit, DecodeError> {
    VersionEdit::decode(bytes, &Arc::default())
}

/// An edit in which every field is there.
fn everything() -> VersionEdit {
    let plain = AddedFile { level: 0, run: 12, meta: Arc::new(table(12, "a", "b")) };
    let strange = AddedFile {
        level: 6,
        run: u64::MAX,
        meta: Arc::new(FileMeta {
            largest_exclusive: true,
            clipped: true,
            seqno_override: Some(77),
            deletes: 3,
            range_tombstones: 2,
            own: false,
            kept_tombstones: vec![
                RangeTombstone { start: b"".to_vec(), end: b"x".to_vec(), seqno: 4 },
                RangeTombstone { start: b"m".to_vec(), end: vec![0xff; 40], seqno: 900 },
            ],
            kept_collected: vec![("digest".into(), vec![1, 2, 3]), ("empty".into(), vec![])],
            ..table(300, "", "zz")
        }),
    };
    let record = KeyspaceRecord {
        name: "Schlüssel".into(),
        log: false,
        filter: Some("expiry".into()),
        fold: Some("sum".into()),
        collector: Some("".into()),
        kind: "replicated".into(),
    };
    VersionEdit {
        next_file: Some(301),
        last_seqno: Some(30009),
        oldest_wal: Some(9),
        newest_wal: Some(11),
        closed_wal: Some((9, 4711)),
        next_keyspace: Some(4),
        obsolete: vec![1, 128, 16384],
        keyspaces: vec![
            KeyspaceEdit {
                id: 1,
                record: Some(record),
                flushed_seqno: Some(55),
                ages: Ages::from_samples(age_samples(&[20, 0x80, 0x10, 55, 0x80, 0x20]).unwrap()).unwrap(),
                ..KeyspaceEdit::default()
            },
            KeyspaceEdit { id: 2, dropped: true, ..KeyspaceEdit::default() },
            KeyspaceEdit {
                id: 3,
                removed: vec![(0, 5), (6, 1 << 40)],
                added: vec![plain, strange],
                ..KeyspaceEdit::default()
            },
        ],
    }
}

#[test]
fn round_trip() {
    for edit in [VersionEdit::default(), everything()] {
        let encoded = bytes(&edit);
        let back = decode(&encoded).unwrap();
        assert_eq!(format!("{back:?}"), format!("{edit:?}"));
        assert_eq!(bytes(&back), encoded);
    }
}

#[test]
fn the_specified_example() {
    let meta = FileMeta { size: 1234, min_seqno: 1, max_seqno: 99, ..table(18, "a", "z") };
    let added = vec![AddedFile { level: 0, run: 18, meta: Arc::new(meta) }];
    let edit = VersionEdit {
        next_file: Some(19),
        last_seqno: Some(99),
        keyspaces: vec![KeyspaceEdit { flushed_seqno: Some(99), added, ..KeyspaceEdit::default() }],
        ..VersionEdit::default()
    };
    let specification = include_str!("../FORMAT.md");
    let example = specification.split("An example:").nth(1).unwrap().split("```").nth(1).unwrap();
    // The bytes stand before the first gap of two spaces.
    let hex = example.lines().skip(1).map(|line| line.trim().split("  ").next().unwrap());
    let expected: Vec<u8> = hex
        .flat_map(|h| h.split(' ').filter(|b| !b.is_empty()).map(|b| u8::from_str_radix(b, 16).unwrap()))
        .collect();
    assert_eq!(bytes(&edit), expected, "{:02x?}", bytes(&edit));
}

#[test]
fn every_cut_is_an_error_or_fewer_fields() {
    let encoded = bytes(&everything());
    let mut whole = 0;
    for cut in 0..encoded.len() {
        match decode(&encoded[..cut]) {
            // A cut between two fields of the edit leaves an edit: the record's checksum rules that out.
            Ok(edit) => {
                whole += 1;
                assert_eq!(bytes(&edit), encoded[..cut]);
            }
            Err(DecodeError::Damaged(what)) => assert!(!what.is_empty()),
            Err(other) => panic!("cut at {cut}: {other:?}"),
        }
    }
    assert_eq!(whole, 10, "ten fields, and so ten cuts before the end of one");
}

#[test]
fn no_flipped_bit_panics_or_decodes_to_the_same_edit() {
    let edit = everything();
    let encoded = bytes(&edit);
    for bit in 0..encoded.len() * 8 {
        let mut bad = encoded.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = decode(&bad) {
            assert_ne!(format!("{other:?}"), format!("{edit:?}"), "bit {bit}");
        }
    }
}

#[test]
fn seeded_garbage_never_panics() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for round in 0..20_000 {
        let mut garbage = if round % 2 == 0 { bytes(&everything()) } else { vec![0; 64] };
        for _ in 0..1 + round % 7 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let at = (state >> 33) as usize % garbage.len();
            garbage[at] = (state >> 56) as u8;
        }
        let _ = decode(&garbage);
    }
}

#[test]
fn unknown_fields_follow_the_rule() {
    let mut value = Vec::new();
    put_number(&mut value, keyspace_tag::ID, 7);
    put_bytes(&mut value, IGNORABLE | 5, b"from the future");
    let mut ignorable = Vec::new();
    put_bytes(&mut ignorable, tag::KEYSPACE, &value);
    put_bytes(&mut ignorable, IGNORABLE | 1, b"");
    assert_eq!(decode(&ignorable).unwrap().keyspaces[0].id, 7);

    let mut strict = Vec::new();
    put_bytes(&mut strict, 99, b"");
    assert!(matches!(decode(&strict), Err(DecodeError::Unsupported(what)) if what.contains("99")));
    put_number(&mut value, 99, 1);
    let mut nested = Vec::new();
    put_bytes(&mut nested, tag::KEYSPACE, &value);
    assert!(matches!(decode(&nested), Err(DecodeError::Unsupported(_))));
}

#[test]
fn what_is_missing_or_there_twice_is_damage() {
    let check = |bytes: &[u8], expected: &str| match decode(bytes) {
        Err(DecodeError::Damaged(what)) => assert!(what.contains(expected), "{what} should say {expected}"),
        other => panic!("{other:?} should say {expected}"),
    };
    let mut twice = Vec::new();
    put_number(&mut twice, tag::NEXT_FILE, 1);
    put_number(&mut twice, tag::NEXT_FILE, 1);
    check(&twice, "twice");
    check(&[7, 0], "the id is missing");
    check(&[1, 2, 1, 0], "does not fill");
    check(&[5, 6, 0x80, 0x80, 0x80, 0x80, 0x10, 0], "does not fill");
    check(&[5, 5, 0x80, 0x80, 0x80, 0x80, 0x10], "too large");
    check(&[7, 6, 1, 1, 0, 3, 1, 0], "must be empty");
    check(&[7, 8, 1, 1, 0, 2, 3, 1, 1, 0xff], "not UTF-8");
    check(&[7, 5, 1, 1, 0, 2, 0], "the name is missing");
    check(&[7, 7, 1, 1, 0, 6, 2, 0, 0], "the number is missing");
    check(&[7, 5, 1, 1, 0, 7, 0], "field 7 is cut off");
    check(&[7, 6, 1, 1, 0, 7, 1, 9], "field 7 is cut off");
    check(&[7, 9, 1, 1, 0, 7, 4, 9, 5, 8, 6], "the ages do not ascend");
    check(&[7, 11, 1, 1, 0, 7, 2, 9, 5, 7, 2, 9, 5], "twice");
}

#[test]
fn an_edit_as_text() {
    let mut lines = Vec::new();
    everything().describe(&mut |line| lines.push(line));
    let text = lines.join("\n");
    for expected in [
        "next file 301, last sequence number 30009, oldest WAL 9, newest WAL 11, next keyspace 4",
        "obsolete tables 1 128 16384",
        "keyspace 1: record name \"Schlüssel\", no log, filter \"expiry\", fold \"sum\", collector \"\", kind \"replicated\"",
        "keyspace 1: flushed up to sequence number 55",
        "keyspace 1: written up to sequence number 20 by 2048, 55 by 4096",
        "keyspace 2: dropped",
        "keyspace 3: - table 5 from level 0",
        "keyspace 3: + table 12 at level 0 run 12: format 1, 1012 bytes, 10 entries, keys \"a\"..=\"b\", seqnos 1200..=1209",
        "keys \"\"..\"zz\", seqnos 30000..=30009, 3 deletes, 2 range tombstones, every entry counts as 77, clipped, foreign",
    ] {
        assert!(text.contains(expected), "{text}\n\nshould contain\n{expected}");
    }
}
