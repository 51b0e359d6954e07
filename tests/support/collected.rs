//! [`Everything`]: a collector that leaves every entry's key, sequence number and value (by its checksum) in the table, so
//! that a view can be held against the model.

use esker::{Collector, CollectorFactory};
use esker_table::codec::checksum::crc32c;

/// The collector's name.
pub const NAME: &str = "everything";

/// Makes collectors that note everything.
#[derive(Debug)]
pub struct Everything;

/// One entry as it was noted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Noted {
    /// The key.
    pub key: Vec<u8>,
    /// The sequence number.
    pub seqno: u64,
    /// The checksum of the value; `None` for a delete.
    pub value: Option<u32>,
}

impl CollectorFactory for Everything {
    fn name(&self) -> &str {
        NAME
    }

    fn collector(&self) -> Box<dyn Collector> {
        Box::new(Notes(Vec::new()))
    }
}

struct Notes(Vec<u8>);

impl Collector for Notes {
    fn add(&mut self, user_key: &[u8], seqno: u64, value: Option<&[u8]>) {
        self.0.extend_from_slice(&(user_key.len() as u32).to_le_bytes());
        self.0.extend_from_slice(user_key);
        self.0.extend_from_slice(&seqno.to_le_bytes());
        self.0.push(u8::from(value.is_some()));
        self.0.extend_from_slice(&value.map_or(0, crc32c).to_le_bytes());
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0
    }
}

/// What a collector noted; `None` if the bytes are not a collector's.
pub fn decode(mut bytes: &[u8]) -> Option<Vec<Noted>> {
    fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = bytes.split_at_checked(n)?;
        *bytes = rest;
        Some(taken)
    }
    let mut noted = Vec::new();
    while !bytes.is_empty() {
        let len = u32::from_le_bytes(take(&mut bytes, 4)?.try_into().ok()?);
        let key = take(&mut bytes, len as usize)?.to_vec();
        let seqno = u64::from_le_bytes(take(&mut bytes, 8)?.try_into().ok()?);
        let there = take(&mut bytes, 1)?[0] == 1;
        let crc = u32::from_le_bytes(take(&mut bytes, 4)?.try_into().ok()?);
        noted.push(Noted { key, seqno, value: there.then_some(crc) });
    }
    Some(noted)
}
