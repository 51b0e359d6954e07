//! Rings in bytes: they come back as they were, and nothing else comes back.

use super::cluster::{Cluster, Draw};
use crate::NodeId;
use crate::ring::{Ring, RingError, RingMember};

fn bytes(ring: &Ring) -> Vec<u8> {
    let mut out = Vec::new();
    ring.encode(&mut out);
    out
}

/// Replaces the checksum by one that fits.
fn seal(bytes: &mut [u8]) {
    let body = bytes.len() - 4;
    let crc = crc32c::crc32c(&bytes[..body]);
    bytes[body..].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn a_ring_comes_back_as_it_was() {
    for seed in 0..40 {
        let cluster = Cluster::draw(&mut Draw::new(seed), 64);
        let ring = cluster.ring(1 << (seed % 11), None);
        assert_eq!(Ring::decode(&bytes(&ring)), Ok(ring));
    }
    let many: Vec<RingMember> = (0..300)
        .map(|id| RingMember { id: NodeId(id), weight: 1, zone: String::new(), dc: String::new() })
        .collect();
    let ring = Ring::place(128, 3, &many, None).unwrap();
    assert_eq!(Ring::decode(&bytes(&ring)), Ok(ring), "with two bytes for a place");
}

#[test]
fn the_layout_never_changes() {
    let member =
        |id, zone: &str| RingMember { id: NodeId(id), weight: 5, zone: zone.to_owned(), dc: "d".to_owned() };
    let ring = Ring::place(1, 3, &[member(0x0102, "a"), member(7, "")], None).unwrap();
    let mut expected = b"ESKR\x01\x00\x03\x02\x00".to_vec();
    expected.extend(b"\x07\0\0\0\0\0\0\0\x05\0\0\0\x00\x01d");
    expected.extend(b"\x02\x01\0\0\0\0\0\0\x05\0\0\0\x01a\x01d");
    expected.extend(ring.places.iter().map(|at| *at as u8));
    expected.extend([0; 4]);
    seal(&mut expected);
    let mut out = b"before".to_vec();
    ring.encode(&mut out);
    assert_eq!(&out[6..], expected, "appended, and nothing else");
}

#[test]
fn a_ring_of_64_nodes_is_small() {
    let members: Vec<RingMember> = (0..64)
        .map(|at| RingMember {
            id: NodeId(at * 77),
            weight: 1 + at as u32 % 10,
            zone: format!("eu-central-1{}", at % 3),
            dc: "eu-central-1".to_owned(),
        })
        .collect();
    let len = bytes(&Ring::place(Ring::DEFAULT_PARTITIONS, 3, &members, None).unwrap()).len();
    println!("{len} bytes");
    assert!(len < 16 << 10, "{len} bytes");
}

#[test]
fn damage_is_an_error() {
    let ring = Cluster::draw(&mut Draw::new(3), 9).ring(16, None);
    let whole = bytes(&ring);
    for len in 0..whole.len() {
        assert!(Ring::decode(&whole[..len]).is_err(), "cut at {len}");
    }
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Ring::decode(&flipped).is_err(), "bit {bit}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(Ring::decode(&longer).is_err());
    seal(&mut longer);
    assert!(Ring::decode(&longer).is_err(), "with something behind it");
    let mut newer = whole;
    newer[4] = 2;
    assert_eq!(Ring::decode(&newer), Err(RingError::Version { found: 2 }));
}

/// Damage that the checksum does not see: what comes back is a ring that keeps the invariants, if anything.
#[test]
fn no_bytes_panic() {
    let ring = Cluster::draw(&mut Draw::new(3), 9).ring(16, None);
    let whole = bytes(&ring);
    let check = |bytes: &[u8]| {
        let Ok(ring) = Ring::decode(bytes) else { return false };
        let mut again = Vec::new();
        ring.encode(&mut again);
        assert_eq!(again, bytes);
        assert!(ring.members.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert!(ring.members.iter().all(|member| member.weight > 0));
        assert_eq!(ring.places.len(), ring.partitions as usize * ring.replicas());
        for row in ring.places.chunks_exact(ring.replicas()) {
            assert!(row.iter().all(|at| usize::from(*at) < ring.members.len()));
            assert!((1..row.len()).all(|at| !row[..at].contains(&row[at])));
        }
        true
    };
    let mut read = 0;
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        seal(&mut flipped);
        read += u32::from(check(&flipped));
    }
    for len in 4..whole.len() {
        let mut cut = whole[..len].to_vec();
        seal(&mut cut);
        assert!(!check(&cut), "cut at {len}");
    }
    assert!(read > 0, "weights, names and rows can be others");
    let mut draw = Draw::new(4);
    for _ in 0..20_000 {
        let mut random: Vec<u8> = (0..draw.number(0, 80)).map(|_| draw.bits() as u8).collect();
        if draw.number(0, 3) > 0 && random.len() > 14 {
            random[..5].copy_from_slice(b"ESKR\x01");
            random[5] %= 17;
            random[6] %= 4;
            random[7] %= 3;
            random[8] = 0;
            seal(&mut random);
        }
        check(&random);
    }
}
