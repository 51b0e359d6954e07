//! The bytes: what is written is read, damage is an error, and nothing panics or takes more memory than it brings.

use super::simulator::{World, address, info, ms, secs};
use crate::membership::encoding::{decode, encode};
use crate::membership::{
    Entry, Gossip, MEMBERS_MAX, MalformedGossip, OBSERVERS_MAX, Status, Suspicion, TEXT_MAX,
};
use crate::{NodeId, Random};
use std::sync::Arc;

fn bytes_of(gossip: &Gossip) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(gossip, &mut bytes);
    bytes
}

fn any_number(random: &mut Random) -> u64 {
    random.next_u64() >> random.below(64)
}

fn any_entry(random: &mut Random) -> Entry {
    let mut it = info(random.next_u64(), any_number(random), &address(random.below(1000) as usize));
    it.incarnation = random.next_u64();
    it.zone = "zö".repeat(random.below(20) as usize);
    it.weight = random.next_u64() as u32;
    it.status = Status {
        ready: random.chance(500),
        writable: random.chance(500),
        sealed: random.chance(500),
        ring_epoch: any_number(random),
        ring_digest: random.next_u64(),
        hints_waiting: any_number(random),
    };
    it.wall_ms = any_number(random);
    Entry { info: Arc::new(it), heartbeat: any_number(random), silent: ms(any_number(random)) }
}

fn any_gossip(random: &mut Random) -> Gossip {
    let suspicion = |random: &mut Random| Suspicion {
        suspect: NodeId(random.next_u64()),
        version: (any_number(random), any_number(random)),
        observers: (0..random.below(OBSERVERS_MAX as u64 + 1)).map(|_| NodeId(random.next_u64())).collect(),
    };
    Gossip {
        cluster: u128::from(random.next_u64()) << 64 | u128::from(random.next_u64()),
        answer: random.chance(500),
        from: any_entry(random),
        members: (0..random.below(6)).map(|_| any_entry(random)).collect(),
        suspicions: (0..random.below(4)).map(|_| suspicion(random)).collect(),
        marks: (0..random.below(4)).map(|_| (NodeId(random.next_u64()), any_number(random))).collect(),
    }
}

#[test]
fn what_is_written_is_read() {
    let mut random = Random::new(1);
    for _ in 0..500 {
        let gossip = any_gossip(&mut random);
        assert_eq!(decode(&bytes_of(&gossip)).as_ref(), Ok(&gossip));
    }
}

#[test]
fn every_truncation_and_every_addition_is_an_error() {
    let mut random = Random::new(2);
    for _ in 0..30 {
        let mut bytes = bytes_of(&any_gossip(&mut random));
        for len in 0..bytes.len() {
            let error = decode(&bytes[..len]);
            assert!(
                matches!(error, Err(MalformedGossip::Broken { at, .. }) if at <= len),
                "{len}: {error:?}"
            );
        }
        bytes.push(0);
        assert!(decode(&bytes).is_err());
    }
}

#[test]
fn damage_never_panics_and_random_bytes_are_no_gossip() {
    let mut random = Random::new(3);
    for _ in 0..3000 {
        let mut bytes = bytes_of(&any_gossip(&mut random));
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        if let Ok(gossip) = decode(&bytes) {
            assert_eq!(decode(&bytes_of(&gossip)), Ok(gossip), "what is read can be written");
        }
    }
    for _ in 0..20_000 {
        let mut bytes: Vec<u8> = (0..random.below(200)).map(|_| random.next_u64() as u8).collect();
        if random.chance(500) && bytes.len() > 2 {
            (bytes[0], bytes[1]) = (1, 0);
        }
        assert!(decode(&bytes).is_err());
    }
}

#[test]
fn counts_and_lengths_are_held_against_the_limits_and_the_bytes() {
    let mut random = Random::new(4);
    let mut gossip = any_gossip(&mut random);
    gossip.members.clear();
    gossip.suspicions.clear();
    let bytes = bytes_of(&gossip);
    // The count of entries stands behind version, kind and cluster.
    let with_count = |count: &[u8]| [&bytes[..18], count, &bytes[19..]].concat();
    for (count, what) in [
        (&[0][..], "the sender is missing"),
        (&[0x81, 0x08], "a count above the limit ends"),
        (&[0x80, 0x08], "the bytes end too soon"),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "a count above the limit ends"),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], "a number of more than 64 bits ends"),
    ] {
        let Err(MalformedGossip::Broken { what: found, .. }) = decode(&with_count(count)) else {
            panic!("{count:?} was taken")
        };
        assert_eq!(found, what, "{count:?}");
    }
    let mut other = bytes.clone();
    other[0] = 2;
    assert_eq!(decode(&other), Err(MalformedGossip::UnknownVersion(2)));
}

#[test]
fn the_writer_keeps_to_what_a_reader_takes() {
    let mut random = Random::new(5);
    let mut gossip = any_gossip(&mut random);
    let mut long = (*gossip.from.info).clone();
    long.zone = "ö".repeat(TEXT_MAX);
    long.dc = format!("x{}", long.zone);
    gossip.from.info = Arc::new(long);
    gossip.members = (0..2 * MEMBERS_MAX).map(|_| any_entry(&mut random)).collect();
    let read = decode(&bytes_of(&gossip)).unwrap();
    assert_eq!(read.members[..], gossip.members[..MEMBERS_MAX - 1]);
    assert_eq!((read.from.info.zone.len(), read.from.info.dc.len()), (TEXT_MAX, TEXT_MAX - 1));
}

#[test]
fn the_size_of_a_message_at_a_hundred_members() {
    let mut world = World::formed(1, 100);
    for victim in 0..10 {
        world.kill(victim * 10);
    }
    world.run_for(secs(6));
    let mut out = Vec::new();
    let node = world.slots[1].node.as_mut().unwrap();
    node.tick(secs(100), 1_764_000_000_000, &mut out);
    let (_, gossip) = out.first().unwrap();
    let whole = bytes_of(gossip).len();
    let suspicions = bytes_of(&Gossip { members: Vec::new(), ..gossip.clone() }).len();
    println!(
        "100 members, 10 of them down: {whole} bytes, {suspicions} of them for the sender and the suspicions"
    );
    assert_eq!((gossip.members.len(), gossip.suspicions.len()), (99, 10));
    assert!(whole < 14_000, "{whole} bytes");
}
