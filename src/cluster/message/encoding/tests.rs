//! Messages of every kind survive being written and read; nothing else is read, and nothing that is read does harm.

use super::testing::{KINDS, envelope, fuzz_message, hold};
use super::*;
use crate::Random;
use crate::causality::{Actor, Dot, Sibling, SiblingSet};
use crate::id::NodeId;
use crate::message::{Envelope, Message, QuestionId, Refusal};
use crate::store::{KeyspaceId, StoreFailure};
use esker::{Durability, Slice};
use limits::{CLOCK_MAX, KEY_MAX, RECORDS_MAX, SIBLINGS_MAX, TEXT_MAX, VALUE_MAX};

fn encoded(envelope: &Envelope) -> Vec<u8> {
    let mut out = Vec::new();
    encode(envelope, &mut out);
    out
}

fn from_nobody(message: Message) -> Envelope {
    Envelope { cluster: 0, from: NodeId(0), reply_to: "".into(), message }
}

/// The checksum at the end made right again.
fn sealed(mut covered: Vec<u8>) -> Vec<u8> {
    frame::append_checksum(&mut covered, 0);
    covered
}

fn without_checksum(frame: &[u8]) -> Vec<u8> {
    frame[..frame.len() - 4].to_vec()
}

/// A frame from nobody whose message is these bytes.
fn framed(kind: u8, message: &[u8]) -> Vec<u8> {
    let mut out = b"ESKP\x01".to_vec();
    out.push(kind);
    out.extend_from_slice(&[0; 16 + 8 + 1]);
    out.extend_from_slice(message);
    sealed(out)
}

#[track_caller]
fn refused(bytes: &[u8], why: &str) {
    match hold(bytes) {
        Err(error) => assert!(error.to_string().contains(why), "{error}"),
        Ok(envelope) => panic!("read as {envelope:?}"),
    }
}

#[test]
fn every_kind_survives() {
    for kind in 0..KINDS {
        for seed in 0..200 {
            let envelope = envelope(kind, seed);
            let bytes = encoded(&envelope);
            assert_eq!(hold(&bytes).as_ref(), Ok(&envelope), "kind {kind}, seed {seed}");
            fuzz_message(&bytes);
        }
    }
    let kinds: std::collections::BTreeSet<u8> =
        (0..KINDS).map(|kind| encoded(&envelope(kind, 0))[5]).collect();
    assert_eq!(kinds.len() as u64, KINDS, "two kinds have one number, or the generator leaves one out");
}

#[test]
fn what_is_there_before_a_message_stays() {
    let envelope = envelope(9, 1);
    let mut out = b"before".to_vec();
    encode(&envelope, &mut out);
    assert_eq!(out.strip_prefix(b"before"), Some(&encoded(&envelope)[..]));
}

#[test]
fn every_cut_and_every_flipped_bit_is_found() {
    for kind in 0..KINDS {
        for seed in 0..6 {
            let whole = encoded(&envelope(kind, seed));
            for len in 0..whole.len() {
                assert!(hold(&whole[..len]).is_err(), "kind {kind}, seed {seed}, cut at {len}");
            }
            let mut flipped = whole;
            for bit in 0..flipped.len() * 8 {
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(decode(&flipped).is_err(), "kind {kind}, seed {seed}, bit {bit}");
                flipped[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}

#[test]
fn behind_a_right_checksum_nothing_is_taken_on_trust() {
    for kind in 0..KINDS {
        for seed in 0..6 {
            let covered = without_checksum(&encoded(&envelope(kind, seed)));
            for len in 0..covered.len() {
                assert!(
                    hold(&sealed(covered[..len].to_vec())).is_err(),
                    "kind {kind}, seed {seed}, cut at {len}"
                );
            }
            refused(&sealed([&covered[..], &[0]].concat()), "it goes on after its end");
            for at in 0..covered.len() {
                for byte in [0, 1, 0x7f, 0x80, 0xff, covered[at] ^ 1, covered[at].wrapping_add(1)] {
                    let mut changed = covered.clone();
                    changed[at] = byte;
                    // What can be read is another message, and written as the same bytes again.
                    let _ = hold(&sealed(changed));
                }
            }
        }
    }
}

#[test]
fn random_bytes_are_no_message() {
    let mut random = Random::new(11);
    for _ in 0..3000 {
        let len = random.below(200) as usize;
        let bytes: Vec<u8> = (0..len).map(|_| random.next_u64() as u8).collect();
        assert!(decode(&bytes).is_err());
        for kind in [1, 2, 3, 5, 16, 17, 18, 19, 20, 21, 22, 23] {
            // Small numbers get further: counts, kinds and flags are small.
            let message: Vec<u8> = bytes.iter().map(|byte| byte >> (random.below(8) as u32)).collect();
            let _ = hold(&framed(kind, &message));
        }
    }
}

#[test]
fn other_programs_and_versions_are_told_apart() {
    refused(
        b"GET / HTTP/1.1\r\n\r\n",
        "not what a node of Esker writes: they do not begin as a message does",
    );
    refused(b"ESK", "ends too early");
    let mut later = encoded(&envelope(9, 3));
    later[4] = 2;
    assert_eq!(decode(&later), Err(MalformedMessage::Version { found: 2 }));
    refused(&later, "written in version 2 of the peer protocol and this node speaks version 1");
    let mut damaged = encoded(&envelope(9, 3));
    damaged[30] ^= 4;
    refused(&damaged, "the checksum does not fit");
    refused(&framed(99, &[]), "its kind is not known");
}

#[test]
fn lengths_and_counts_are_held_against_limits_and_against_what_is_there() {
    let varint = |number: usize| {
        let mut out = Vec::new();
        writer::Writer::new(&mut out).len(number);
        out
    };
    let read = |length: Vec<u8>| framed(16, &[vec![1, 1], length, vec![0]].concat());
    refused(&read(varint(KEY_MAX + 1)), "a length is beyond its limit");
    refused(&read(varint(KEY_MAX)), "a length leads out of the message");
    refused(&read(vec![0x80; 10]), "a number does not fit 64 bits");
    refused(&read(vec![0x80, 0]), "a number is longer than it need be");
    let answer = |rest: Vec<u8>| framed(17, &[vec![1, 0], rest].concat());
    refused(&answer(varint(CLOCK_MAX + 1)), "a count is beyond its limit");
    refused(&answer(varint(CLOCK_MAX)), "a count is more than the message can hold");
    refused(&answer([vec![0], varint(SIBLINGS_MAX + 1)].concat()), "a count is beyond its limit");
    refused(&answer([vec![0], varint(SIBLINGS_MAX)].concat()), "a count is more than the message can hold");
    let page = |rest: Vec<u8>| framed(23, &[vec![1, 1, 0], rest].concat());
    refused(&page(varint(RECORDS_MAX + 1)), "a count is beyond its limit");
    refused(&page(varint(RECORDS_MAX)), "a count is more than the message can hold");
    let failure = |rest: Vec<u8>| framed(19, &[vec![1, 4, 7], rest].concat());
    refused(
        &failure([varint(TEXT_MAX + 1), vec![b'x'; TEXT_MAX + 1]].concat()),
        "a length is beyond its limit",
    );
    refused(&failure(vec![1, 0xff]), "a text is not UTF-8");
    refused(
        &framed(16, &[1, 0xff, 0xff, 0xff, 0xff, 0x10, 0, 0]),
        "a number is too large for what it counts",
    );
    refused(&framed(16, &[1, 1, 0, 2]), "a flag is neither 0 nor 1");
}

#[test]
fn what_is_at_its_limit_is_read() {
    let dot = |n: u64| Dot { actor: Actor(n), counter: n };
    let siblings =
        (1..=SIBLINGS_MAX as u64).map(|n| Sibling::value(dot(n), Slice::from_static(b"v"), None)).collect();
    let set = SiblingSet::from_parts((1..=CLOCK_MAX as u64).map(dot).collect(), siblings);
    let write = Message::Write {
        question: QuestionId(u64::MAX),
        keyspace: KeyspaceId(u32::MAX),
        key: vec![7; KEY_MAX].into(),
        set,
        durability: Durability::Synced,
        stands_in_for: Some(NodeId(u64::MAX)),
        heals: true,
    };
    let envelope = from_nobody(write);
    assert_eq!(hold(&encoded(&envelope)), Ok(envelope));
    let long = vec![0u8; VALUE_MAX + 1];
    let set = |value: &[u8]| {
        SiblingSet::from_parts(
            Default::default(),
            vec![Sibling::value(dot(1), Slice::copy_from(value), None)],
        )
    };
    let mut bytes = Vec::new();
    encode_set(&set(&long[1..]), &mut bytes);
    assert_eq!(decode_set(&bytes).unwrap().siblings()[0].bytes().unwrap().len(), VALUE_MAX);
    bytes.clear();
    encode_set(&set(&long), &mut bytes);
    assert!(decode_set(&bytes).unwrap_err().to_string().contains("a length is beyond its limit"));
}

/// A dot's bytes, for sets made by hand.
fn dot(actor: u8, counter: u8) -> Vec<u8> {
    [&[actor][..], &[0; 7], &[counter], &[0; 7]].concat()
}

#[test]
fn sets_that_break_their_invariants_are_refused() {
    let check = |parts: &[&[u8]], why: &str| {
        let error = decode_set(&parts.concat()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    let (a, b, zero) = (dot(1, 5), dot(2, 5), dot(1, 0));
    assert_eq!(decode_set(&[0, 0]), Ok(SiblingSet::new()));
    assert!(decode_set(&[&[2], &a[..], &b, &[2], &a, &[0], &b, &[0]].concat()).is_ok());
    check(&[&[2], &b, &a, &[0]], "the actors of a clock are not in order");
    check(&[&[2], &a, &a, &[0]], "the actors of a clock are not in order");
    check(&[&[1], &zero, &[0]], "a counter is 0");
    check(&[&[1], &a, &[1], &zero, &[0]], "a counter is 0");
    check(&[&[2], &a, &b, &[2], &b, &[0], &a, &[0]], "the siblings of a set are not in order");
    check(&[&[1], &a, &[2], &a, &[0], &a, &[0]], "the siblings of a set are not in order");
    check(&[&[1], &a, &[1], &dot(1, 6), &[0]], "a sibling is not covered by its clock");
    check(&[&[1], &a, &[1], &b, &[0]], "a sibling is not covered by its clock");
    check(&[&[1], &a, &[1], &a, &[3]], "neither a value nor a tombstone");
    check(&[&[1], &a, &[1], &a, &[2], &[9; 8], &[1, b'v']], "a value does not have its hash");
    check(&[&[1], &a, &[1], &a, &[1], &[9; 8], &[0x81, 0x80, 0x80, 0x20]], "a length is beyond its limit");
    check(&[&[1], &a, &[1], &a, &[0], &[0]], "it goes on after its end");
}

#[test]
fn a_node_that_joins_says_no_more_of_itself_than_gossip_passes_on() {
    let Message::Join(mut info) = envelope(1, 0).message else { panic!("not a join") };
    info.dc = "x".repeat(crate::membership::TEXT_MAX);
    let longest = from_nobody(Message::Join(info.clone()));
    assert_eq!(hold(&encoded(&longest)), Ok(longest));
    info.dc.push('x');
    refused(&encoded(&from_nobody(Message::Join(info))), "a length is beyond its limit");
}

#[test]
fn states_survive_and_are_checked() {
    for seed in 0..100 {
        let Message::State(state) = envelope(4, seed).message else { panic!("not a state") };
        let mut bytes = b"before".to_vec();
        encode_state(&state, &mut bytes);
        let bytes = bytes.split_off(6);
        assert_eq!(decode_state(&bytes), Ok(state));
        for len in 0..bytes.len() {
            assert!(decode_state(&bytes[..len]).is_err());
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(decode_state(&changed).is_err());
        }
        let mut later = without_checksum(&bytes);
        later[0] = 2;
        assert!(decode_state(&sealed(later)).unwrap_err().to_string().contains("version"));
    }
}

#[test]
fn members_and_keyspaces_are_in_order_and_there_once() {
    let Some(Message::State(mut state)) = (0..).map(|seed| envelope(4, seed).message).find(
        |message| matches!(message, Message::State(state) if state.members.len() > 1 && state.keyspaces.len() > 1),
    ) else {
        panic!("not a state")
    };
    let twice = |state: &crate::state::ClusterState| encoded(&from_nobody(Message::State(state.clone())));
    state.keyspaces.swap(0, 1);
    refused(&twice(&state), "the keyspaces of a cluster are not in order");
    state.members[1] = state.members[0].clone();
    refused(&twice(&state), "the members of a cluster are not in order");
}

#[test]
fn shared_keys_and_values_are_parts_of_the_message() {
    let value = vec![b'v'; 5000];
    let sibling = Sibling::value(Dot { actor: Actor(1), counter: 1 }, value.clone().into(), None);
    let message = Message::Write {
        question: QuestionId(1),
        keyspace: KeyspaceId(1),
        key: Slice::from_static(b"key"),
        set: SiblingSet::from_parts(Default::default(), vec![sibling]),
        durability: Durability::Buffered,
        stands_in_for: None,
        heals: false,
    };
    let frame = Slice::from(encoded(&from_nobody(message)));
    let bounds = frame.as_bytes().as_ptr_range();
    let Ok(Envelope { message: Message::Write { key, set, .. }, .. }) = decode_shared(frame.clone()) else {
        panic!("not a write")
    };
    let read = set.siblings()[0].bytes().unwrap();
    assert_eq!((&key[..], &read[..]), (&b"key"[..], &value[..]));
    for part in [&key, read] {
        assert!(bounds.contains(&part.as_ptr()), "it was copied");
    }
}

#[test]
fn sentences_lose_their_end_and_not_their_message() {
    let long = "\u{4e2d}".repeat(TEXT_MAX);
    let failed = |why: String| {
        let result = Err(Refusal::Store(StoreFailure::Engine(why)));
        from_nobody(Message::WriteAnswer { question: QuestionId(1), result })
    };
    assert_eq!(hold(&encoded(&failed(long.clone()))), Ok(failed(long[..TEXT_MAX - TEXT_MAX % 3].to_owned())));
}

/// The bytes of the example in `WIRE.md`.
fn specified() -> Vec<u8> {
    let page = include_str!("../../WIRE.md");
    let example = page.split("## An example").nth(1).unwrap().split("```").nth(1).unwrap();
    // The first line is the kind of the text; in all others the bytes end where two spaces begin.
    let lines = example.lines().skip(1).filter_map(|line| line.trim().split("  ").next());
    lines.flat_map(str::split_whitespace).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn the_example_of_the_specification_is_what_is_written() {
    let sibling = Sibling::value(Dot { actor: Actor(0xa), counter: 7 }, Slice::from_static(b"ada"), None);
    let envelope = Envelope {
        cluster: 0xc1,
        from: NodeId(0xb),
        reply_to: "host:7001".into(),
        message: Message::Write {
            question: QuestionId(300),
            keyspace: KeyspaceId(1),
            key: Slice::from_static(b"user/1"),
            set: SiblingSet::from_parts(Default::default(), vec![sibling]),
            durability: Durability::Synced,
            stands_in_for: None,
            heals: false,
        },
    };
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x} ")).collect::<String>();
    assert_eq!(hex(encoded(&envelope)), hex(specified()));
    assert_eq!(hold(&specified()), Ok(envelope));
}
