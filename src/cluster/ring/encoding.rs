//! The bytes of a [`Ring`]. Numbers are little-endian.
//!
//! ```text
//!   +--------+---------+-----------+----------+--------------+----------+----------+--------+
//!   | "ESKR" | version | log2 of   | replicas | members, m   | m member | rows     | crc32c |
//!   |        | 1       | partitions| asked    | 1..=1024     | records  |          | of all |
//!   | 4 B    | 1 B     | 1 B       | 1 B      | 2 B          |          |          | 4 B    |
//!   +--------+---------+-----------+----------+--------------+----------+----------+--------+
//!
//!   member record, ids ascending:
//!   +--------+-----------+----------------+------+--------------+------+
//!   | id 8 B | weight 4 B| length of zone | zone | length of dc | dc   |
//!   |        | not 0     | 1 B            | UTF-8| 1 B          | UTF-8|
//!   +--------+-----------+----------------+------+--------------+------+
//!
//!   row, one for each partition from the front:
//!   +-----------------+-----+
//!   | index of member | ... |   as many as there are replicas: the smaller of `replicas asked` and m
//!   +-----------------+-----+
//!     1 B if m <= 256, else 2 B
//! ```
//!
//! A reader takes nothing on trust: the checksum keeps accidents out, and every number is checked again behind it. What it
//! allocates is bounded by the length of what it was given.

use super::{MAX_MEMBERS, MAX_PARTITIONS, MAX_REPLICAS, Ring, RingError, RingMember};
use crate::NodeId;

const MAGIC: [u8; 4] = *b"ESKR";
const VERSION: u8 = 1;
const CHECKSUM_LEN: usize = 4;

/// Up to this many members, one byte names one.
const SMALL: usize = 256;

pub(super) fn encode(ring: &Ring, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.push(VERSION);
    out.push(ring.partitions.trailing_zeros() as u8);
    out.push(ring.asked as u8);
    out.extend_from_slice(&(ring.members.len() as u16).to_le_bytes());
    for member in &ring.members {
        out.extend_from_slice(&member.id.0.to_le_bytes());
        out.extend_from_slice(&member.weight.to_le_bytes());
        for name in [&member.zone, &member.dc] {
            out.push(name.len() as u8);
            out.extend_from_slice(name.as_bytes());
        }
    }
    if ring.members.len() <= SMALL {
        out.extend(ring.places.iter().map(|at| *at as u8));
    } else {
        out.extend(ring.places.iter().flat_map(|at| at.to_le_bytes()));
    }
    let crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

pub(super) fn decode(bytes: &[u8]) -> Result<Ring, RingError> {
    let mut rest = Rest(bytes);
    if rest.array()? != MAGIC {
        return Err(damaged("they do not begin as one does"));
    }
    let [version] = rest.array()?;
    if version != VERSION {
        return Err(RingError::Version { found: version });
    }
    let body = bytes.len().checked_sub(CHECKSUM_LEN).ok_or(CUT)?;
    let (checked, crc) = bytes.split_at(body);
    if crc32c::crc32c(checked).to_le_bytes() != crc {
        return Err(damaged("the checksum does not fit"));
    }
    rest = Rest(&checked[MAGIC.len() + 1..]);
    let [bits, asked] = rest.array()?;
    if u32::from(bits) > MAX_PARTITIONS.trailing_zeros() {
        return Err(damaged("there are too many partitions"));
    }
    let partitions = 1 << bits;
    let asked = usize::from(asked);
    if !(1..=MAX_REPLICAS).contains(&asked) {
        return Err(damaged("the number of replicas is out of bounds"));
    }
    let members = members(&mut rest)?;
    let places = places(&mut rest, partitions, asked.min(members.len()), members.len())?;
    if !rest.0.is_empty() {
        return Err(damaged("there is something behind the last row"));
    }
    Ok(Ring { partitions, asked, members, places })
}

fn members(rest: &mut Rest<'_>) -> Result<Vec<RingMember>, RingError> {
    let count = usize::from(u16::from_le_bytes(rest.array()?));
    if !(1..=MAX_MEMBERS).contains(&count) {
        return Err(damaged("the number of members is out of bounds"));
    }
    let mut members: Vec<RingMember> = Vec::new();
    for _ in 0..count {
        let id = NodeId(u64::from_le_bytes(rest.array()?));
        let weight = u32::from_le_bytes(rest.array()?);
        let zone = rest.name()?;
        let dc = rest.name()?;
        if weight == 0 {
            return Err(damaged("a member has weight 0"));
        }
        if members.last().is_some_and(|last| last.id >= id) {
            return Err(damaged("the members are not sorted"));
        }
        members.push(RingMember { id, weight, zone, dc });
    }
    Ok(members)
}

fn places(rest: &mut Rest<'_>, partitions: u32, n: usize, members: usize) -> Result<Vec<u16>, RingError> {
    let count = partitions as usize * n;
    let places: Vec<u16> = if members <= SMALL {
        rest.take(count)?.iter().map(|at| u16::from(*at)).collect()
    } else {
        let (pairs, _) = rest.take(2 * count)?.as_chunks::<2>();
        pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect()
    };
    if places.iter().any(|at| usize::from(*at) >= members) {
        return Err(damaged("a row names a member that there is not"));
    }
    let twice = |row: &[u16]| (1..row.len()).any(|at| row[..at].contains(&row[at]));
    if places.chunks_exact(n).any(twice) {
        return Err(damaged("a row names a member twice"));
    }
    Ok(places)
}

const CUT: RingError = damaged("they end too early");

const fn damaged(what: &'static str) -> RingError {
    RingError::Damaged { what }
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], RingError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RingError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn name(&mut self) -> Result<String, RingError> {
        let [len] = self.array()?;
        let bytes = self.take(usize::from(len))?;
        let name = std::str::from_utf8(bytes).map_err(|_| damaged("a name is not UTF-8"))?;
        Ok(name.to_owned())
    }
}
