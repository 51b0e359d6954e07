//! [`Everything`]: a collector that leaves every entry's key, sequence number and value (by its digest, and those that it
//! carries) in the table, so that a view can be held against the model.

use crate::hooks::Carried;
use esker::{Collector, CollectorFactory};

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
    /// The digests of the value and of what is folded into it, from the newest; `None` for a delete.
    pub value: Option<Vec<u32>>,
    /// Whether a delete was folded into it.
    pub deleted: bool,
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
        let carried = value.map(Carried::decode);
        let digests: Vec<u32> = carried.iter().flat_map(Carried::digests).collect();
        self.0.push(u8::from(carried.is_some_and(|carried| carried.deleted)));
        self.0.extend_from_slice(&(digests.len() as u32).to_le_bytes());
        digests.iter().for_each(|digest| self.0.extend_from_slice(&digest.to_le_bytes()));
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
        let deleted = take(&mut bytes, 1)?[0] == 1;
        let count = u32::from_le_bytes(take(&mut bytes, 4)?.try_into().ok()?);
        let digests = take(&mut bytes, 4 * count as usize)?;
        let digests: Vec<u32> =
            digests.as_chunks::<4>().0.iter().map(|digest| u32::from_le_bytes(*digest)).collect();
        // A value has a digest of its own.
        noted.push(Noted { key, seqno, value: (!digests.is_empty()).then_some(digests), deleted });
    }
    Some(noted)
}
