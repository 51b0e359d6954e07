//! [`Stamp`]: what every table says of the keyspace it belongs to, so that a store can be put together again without its
//! MANIFEST.
//!
//! It lies among the table's collected bytes under the name [`STAMP`], in formats that hold such bytes:
//!
//! ```text
//!   ┌────────────────────┬──────────────────────────────────────────────────┐
//!   │ keyspace id varint │ fields of a keyspace record, as in the MANIFEST  │
//!   └────────────────────┴──────────────────────────────────────────────────┘
//! ```
//!
//! An ingested table also has a varint under the name [`INGESTED`].

use super::edit::{KeyspaceId, KeyspaceRecord};
use super::encoding::{decode_record, encode_record};
use esker_table::codec::varint::{self, Reader};
use esker_table::{Properties, SeqNo};

/// The name of the collected bytes. Names that begin with `esker.` are the engine's own.
pub(crate) const STAMP: &str = "esker.keyspace";

/// The name of what ingested tables have besides.
const INGESTED: &str = "esker.ingested";

/// The keyspace that a table belongs to, and what was recorded of it when the table was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) id: KeyspaceId,
    pub(crate) record: KeyspaceRecord,
}

impl Stamp {
    /// The stamp as collected bytes, to be given to the table's writer.
    pub(crate) fn encode(id: KeyspaceId, record: &KeyspaceRecord) -> (String, Vec<u8>) {
        let mut bytes = Vec::new();
        varint::put(&mut bytes, u64::from(id));
        encode_record(record, &mut bytes);
        (STAMP.to_owned(), bytes)
    }

    /// What an ingested table says besides: everything up to this sequence number is older than its entries. Which number they
    /// count as is decided when the table is added, and only the MANIFEST says it.
    pub(crate) fn encode_ingested(after: SeqNo) -> (String, Vec<u8>) {
        let mut bytes = Vec::new();
        varint::put(&mut bytes, after);
        (INGESTED.to_owned(), bytes)
    }

    /// The sequence number that an ingested table says it is newer than.
    pub(crate) fn ingested_after(properties: &Properties) -> Option<SeqNo> {
        Reader::new(properties.collected(INGESTED)?).varint()
    }

    /// What a table says; `None` if it says nothing that can be read.
    pub(crate) fn of(properties: &Properties) -> Option<Stamp> {
        let mut reader = Reader::new(properties.collected(STAMP)?);
        let id = KeyspaceId::try_from(reader.varint()?).ok()?;
        let record = decode_record(reader.rest()).ok()?;
        Some(Stamp { id, record })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_and_damage_is_none() {
        let record = KeyspaceRecord {
            name: "users".into(),
            log: true,
            fold: Some("sum".into()),
            ..KeyspaceRecord::default()
        };
        let (name, bytes) = Stamp::encode(300, &record);
        let mut properties = Properties::default();
        assert_eq!(Stamp::of(&properties), None);
        for cut in 0..2 {
            properties.collected = vec![(name.clone(), bytes[..cut].to_vec())];
            assert_eq!(Stamp::of(&properties), None);
        }
        properties.collected = vec![(name, bytes)];
        assert_eq!(Stamp::of(&properties), Some(Stamp { id: 300, record }));
        assert_eq!(Stamp::ingested_after(&properties), None);
        properties.collected.push(Stamp::encode_ingested(77));
        assert_eq!(Stamp::ingested_after(&properties), Some(77));
    }
}
