//! [`Newest`]: the one value of a record that a reader of a single value sees, without unpacking the rest.

use super::reader::Reader;
use super::record::{APART, EXPIRES, RecordError, TOMBSTONE, VERSION};
use crate::causality::{Actor, Dot};
use esker::Slice;
use xxhash_rust::xxh3::xxh3_64;

/// Of the values of a record that a reader sees, the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Newest {
    /// A reader sees none.
    None,
    /// It lies in the record.
    Here {
        /// Its bytes.
        value: Slice,
        /// When it ends to be visible, in milliseconds since 1970.
        expires_at: Option<u64>,
    },
    /// It lies apart from the record.
    Apart,
}

/// A sibling that has been found, and where its bytes lie in the record.
struct Found {
    dot: Dot,
    expires_at: Option<u64>,
    hash: u64,
    /// `None` if they lie apart.
    start: Option<usize>,
    len: usize,
}

impl Newest {
    /// Looks at the siblings of a record, which is drawn in `RECORD.md`. Of what stands before and behind them only the lengths
    /// are read: whether the whole of it is right is for [`HeadRecord::decode`](super::record::HeadRecord::decode) to say.
    pub(super) fn of(record: &Slice, wall_millis: u64) -> Result<Newest, RecordError> {
        let mut reader = Reader::new(record);
        match reader.u8() {
            Some(VERSION) => {}
            Some(other) => return Err(RecordError::Version(other)),
            None => return Err(RecordError::Malformed("it is empty", 0)),
        }
        let found = newest(&mut reader, wall_millis);
        let found = found
            .ok_or(RecordError::Malformed("it is cut off, or a part of it is not known", reader.offset()))?;
        let Some(Found { dot, expires_at, hash, start, len }) = found else { return Ok(Newest::None) };
        let Some(start) = start else { return Ok(Newest::Apart) };
        let value = record.slice(start..start + len);
        if xxh3_64(&value) != hash {
            return Err(RecordError::WrongHash(dot));
        }
        Ok(Newest::Here { value, expires_at })
    }
}

/// The newest visible sibling, if there is one; nothing at all if the bytes are no record.
fn newest(reader: &mut Reader<'_>, wall_millis: u64) -> Option<Option<Found>> {
    let count = reader.count(8)?;
    let actors = reader.take(count * 8)?;
    for _ in 0..reader.count(9)? {
        reader.varint()?;
        reader.u64()?;
    }
    let mut newest: Option<Found> = None;
    for _ in 0..reader.count(10)? {
        let flags = reader.u8()?;
        let index = usize::try_from(reader.varint()?).ok()?;
        let actor = actors.chunks_exact(8).nth(index)?.try_into().map(u64::from_le_bytes).ok()?;
        let dot = Dot { actor: Actor(actor), counter: reader.u64()? };
        if flags == TOMBSTONE {
            continue;
        }
        if flags & !(EXPIRES | APART) != 0 {
            return None;
        }
        let expires_at = if flags & EXPIRES != 0 { Some(reader.varint()?) } else { None };
        let hash = reader.u64()?;
        let len = usize::try_from(reader.varint()?).ok()?;
        let start = (flags & APART == 0).then_some(reader.offset());
        if start.is_some() {
            reader.take(len)?;
        }
        let visible = expires_at.is_none_or(|end| end > wall_millis);
        if visible && newest.as_ref().is_none_or(|found| found.dot.age() < dot.age()) {
            newest = Some(Found { dot, expires_at, hash, start, len });
        }
    }
    Some(newest)
}

#[cfg(test)]
mod tests {
    use super::super::record::{HeadRecord, encode};
    use super::*;
    use crate::causality::{Content, Sibling, SiblingSet};

    const NOW: u64 = 1000;

    /// The same by unpacking everything.
    fn unpacked(record: &Slice) -> Result<Newest, RecordError> {
        let set = HeadRecord::decode(record)?.set;
        let newest = set.visible(NOW).max_by_key(|sibling| sibling.dot.age());
        Ok(newest.map_or(Newest::None, |sibling| match sibling.bytes() {
            Some(value) => Newest::Here { value: value.clone(), expires_at: sibling.expires_at },
            None => Newest::Apart,
        }))
    }

    fn sibling(dice: &mut impl FnMut(u64) -> u64) -> Sibling {
        let dot = Dot { actor: Actor(dice(4)), counter: 1 + dice(50) };
        if dice(4) == 0 {
            return Sibling::tombstone(dot);
        }
        let value = vec![dice(256) as u8; dice(30) as usize];
        let expires_at = (dice(3) == 0).then(|| NOW - 10 + dice(20));
        Sibling::value(dot, value.into(), expires_at)
    }

    #[test]
    fn it_is_what_unpacking_everything_finds_and_damage_is_found_as_well() {
        let mut seed = 7u64;
        let mut dice = |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % n
        };
        let (mut here, mut apart, mut none) = (0, 0, 0);
        for _ in 0..3000 {
            let siblings: Vec<Sibling> = (0..dice(5)).map(|_| sibling(&mut dice)).collect();
            let set = SiblingSet::from_parts(Default::default(), siblings);
            let lies_apart = dice(20);
            let mut bytes = Vec::new();
            encode(
                &mut bytes,
                &set,
                &[],
                |s| matches!(s.content, Content::Value { len, .. } if u64::from(len) > lies_apart),
            );
            let record = Slice::from(bytes.clone());
            let newest = Newest::of(&record, NOW).unwrap();
            assert_eq!(newest, unpacked(&record).unwrap());
            match newest {
                Newest::Here { .. } => here += 1,
                Newest::Apart => apart += 1,
                Newest::None => none += 1,
            }
            // What is cut off within the siblings, or has another value, is never shown.
            let at = dice(bytes.len() as u64) as usize;
            let cut = Slice::from(bytes[..at].to_vec());
            if let Ok(Newest::Here { value, .. }) = Newest::of(&cut, NOW) {
                assert!(set.siblings().iter().any(|s| s.bytes() == Some(&value)));
            }
            bytes[at] ^= 1 << dice(8);
            if let Ok(Newest::Here { value, .. }) = Newest::of(&bytes.into(), NOW) {
                assert!(set.siblings().iter().any(|s| s.bytes() == Some(&value)));
            }
        }
        assert!(here > 500 && apart > 200 && none > 200, "{here} {apart} {none}");
    }
}
