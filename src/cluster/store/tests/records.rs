//! Records as bytes: round trips, and bytes that are none.

use super::super::hint_record::{CopyWriter, HintRecord};
use super::super::record::{self, HeadRecord, ReplacedDot};
use super::*;
use crate::causality::{Actor, Dot};

fn random_record(dice: &mut Dice) -> HeadRecord {
    let dot = |dice: &mut Dice| Dot { actor: Actor(dice.below(4) * 1_000), counter: 1 + dice.below(1 << 30) };
    let clock = (0..dice.below(4)).map(|_| dot(dice)).collect();
    let siblings = (0..dice.below(5)).map(|_| {
        let expires_at = (dice.below(3) == 0).then(|| dice.below(1 << 31));
        match dice.below(4) {
            0 => Sibling::tombstone(dot(dice)),
            _ => Sibling::value(
                dot(dice),
                vec![dice.below(256) as u8; dice.below(40) as usize].into(),
                expires_at,
            ),
        }
    });
    let set = SiblingSet::from_parts(clock, siblings.collect());
    let mut prev: Vec<ReplacedDot> = (0..dice.below(4))
        .map(|_| {
            let tombstone = dice.below(3) == 0;
            let expires_at = (!tombstone && dice.below(2) == 0).then(|| dice.below(1 << 40));
            ReplacedDot { dot: dot(dice), tombstone, expires_at }
        })
        .collect();
    prev.sort_by_key(|replaced| replaced.dot);
    prev.dedup_by_key(|replaced| replaced.dot);
    HeadRecord { set, prev }
}

fn bytes_of(record: &HeadRecord) -> Vec<u8> {
    let mut bytes = Vec::new();
    record::encode(&mut bytes, &record.set, &record.prev, |_| false);
    bytes
}

#[test]
fn records_round_trip_and_have_one_form() {
    let mut dice = Dice(1);
    for _ in 0..3000 {
        let record = random_record(&mut dice);
        let bytes = Slice::from(bytes_of(&record));
        let decoded = HeadRecord::decode(&bytes).unwrap();
        assert_eq!(decoded, record);
        assert_eq!(bytes_of(&decoded), *bytes);
        let mut apart = Vec::new();
        record::encode(&mut apart, &record.set, &record.prev, |sibling| sibling.dot.counter % 2 == 0);
        let decoded = HeadRecord::decode(&Slice::from(apart)).unwrap();
        for (mine, theirs) in decoded.set.siblings().iter().zip(record.set.siblings()) {
            assert_eq!(mine.bytes(), theirs.bytes().filter(|_| theirs.dot.counter % 2 != 0));
        }
    }
}

#[test]
fn a_cut_or_an_addition_is_noticed() {
    let mut dice = Dice(2);
    for _ in 0..300 {
        let mut bytes = bytes_of(&random_record(&mut dice));
        for cut in 0..bytes.len() {
            assert!(HeadRecord::decode(&Slice::copy_from(&bytes[..cut])).is_err(), "{cut} of {bytes:?}");
        }
        bytes.push(0);
        assert!(HeadRecord::decode(&Slice::from(bytes)).is_err());
    }
}

#[test]
fn flipped_bits_and_noise_are_read_or_refused_and_never_more() {
    let mut dice = Dice(3);
    for _ in 0..300 {
        let bytes = bytes_of(&random_record(&mut dice));
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let flipped = Slice::from(flipped);
            if let Ok(record) = HeadRecord::decode(&flipped) {
                assert_eq!(bytes_of_read(&record), *flipped, "what is read has one form");
            }
        }
    }
    for _ in 0..20_000 {
        let mut noise: Vec<u8> = (0..dice.below(60)).map(|_| dice.below(256) as u8).collect();
        noise.insert(0, 1);
        let _ = HeadRecord::decode(&Slice::from(noise.clone()));
        let _ = HintRecord::decode(&Slice::from(noise));
    }
    let many = [&[1u8][..], &[0xff; 9], &[1], &[0; 40]].concat();
    assert!(HeadRecord::decode(&Slice::from(many)).is_err(), "a count that there is no room for");
}

/// A value that says that it lies apart keeps to that.
fn bytes_of_read(record: &HeadRecord) -> Vec<u8> {
    let mut bytes = Vec::new();
    record::encode(&mut bytes, &record.set, &record.prev, |sibling| sibling.bytes().is_none());
    bytes
}

#[test]
fn the_layout_of_version_1_stays_as_it_is() {
    let (a, b) = (Actor(0x0a), Actor(0x0b));
    let set = SiblingSet::from_parts(
        [Dot { actor: a, counter: 5 }, Dot { actor: b, counter: 6 }].into_iter().collect(),
        vec![
            Sibling::value(Dot { actor: a, counter: 5 }, "v".into(), Some(300)),
            Sibling::tombstone(Dot { actor: b, counter: 6 }),
        ],
    );
    let replaced = Dot { actor: Actor(1), counter: 3 };
    let prev = vec![ReplacedDot { dot: replaced, tombstone: true, expires_at: None }];
    let mut expected = vec![1, 3];
    for actor in [1u64, 0x0a, 0x0b] {
        expected.extend(actor.to_le_bytes());
    }
    expected.extend([&[2, 1, 5, 0, 0, 0, 0, 0, 0, 0][..], &[2, 6, 0, 0, 0, 0, 0, 0, 0]].concat());
    expected.extend(
        [&[2, 2, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0xac, 2][..], &xxhash_rust::xxh3::xxh3_64(b"v").to_le_bytes()]
            .concat(),
    );
    expected.extend([1, b'v', 1, 2, 6, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([1, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes_of(&HeadRecord { set, prev }), expected);
}

#[test]
fn hints_round_trip() {
    let mut dice = Dice(4);
    for _ in 0..1000 {
        let hint = HintRecord {
            stamp: dice.below(1 << 31),
            millis: NOW,
            marker: dice.below(2) == 0,
            writer: (dice.below(2) == 0)
                .then(|| CopyWriter { store: Actor(dice.below(9)), actor: Actor(dice.below(9)) }),
            copy: random_record(&mut dice).set,
        };
        let bytes = Slice::from(hint.encode());
        assert_eq!(HintRecord::decode(&bytes).unwrap(), hint);
        for cut in 0..bytes.len() {
            if let Ok(read) = HintRecord::decode(&bytes.slice(..cut)) {
                panic!("{cut} bytes were read as {read:?}");
            }
        }
    }
}
