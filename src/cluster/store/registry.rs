//! Which replicated keyspaces there are, as bytes in `esker.node`.
//!
//! ```text
//! ┌─────────┬──────────────┬─────────┬────────┬────────────┬─────────────────┬──────┐
//! │ version │ count varint │  id u32 │ mode 1 │ replicas 1 │ name len varint │ name │ ... count times, by id
//! └─────────┴──────────────┴─────────┴────────┴────────────┴─────────────────┴──────┘
//! mode: 0 causal, 1 last-write-wins
//! ```

use super::keyspace::{KeyspaceDefinition, KeyspaceId};
use super::reader::{Reader, put_varint};
use crate::causality::ConflictMode;

const VERSION: u8 = 1;

pub(super) fn encode<'a>(definitions: impl ExactSizeIterator<Item = &'a KeyspaceDefinition>) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_varint(&mut out, definitions.len() as u64);
    for definition in definitions {
        out.extend_from_slice(&definition.id.0.to_le_bytes());
        out.push(match definition.mode {
            ConflictMode::Causal => 0,
            ConflictMode::LastWriteWins => 1,
        });
        out.push(definition.replicas);
        put_varint(&mut out, definition.name.len() as u64);
        out.extend_from_slice(definition.name.as_bytes());
    }
    out
}

/// `None` if the bytes are none.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<KeyspaceDefinition>> {
    let mut reader = Reader::new(bytes);
    reader.u8().filter(|&version| version == VERSION)?;
    let count = reader.count(7)?;
    let mut definitions = Vec::with_capacity(count);
    for _ in 0..count {
        let id = KeyspaceId(reader.u32()?);
        let mode = match reader.u8()? {
            0 => ConflictMode::Causal,
            1 => ConflictMode::LastWriteWins,
            _ => return None,
        };
        let replicas = reader.u8()?;
        let len = reader.count(1)?;
        let name = String::from_utf8(reader.take(len)?.to_vec()).ok()?;
        definitions.push(KeyspaceDefinition { id, name, mode, replicas });
    }
    (reader.left() == 0).then_some(definitions)
}
