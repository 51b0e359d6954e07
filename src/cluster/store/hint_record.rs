//! [`HintRecord`]: what a store keeps for an absent replica of one key, as bytes.
//!
//! ```text
//! ┌─────────┬─────────┬─────────┬──────────┬──────────────────┬───────────────────────────────┐
//! │ version │ flags 1 │ stamp 8 │ millis 8 │ store 8, actor 8 │ a record as in RECORD.md, all │
//! │ 1 byte  │         │         │          │ if flag 4        │ values in it; if flag 2       │
//! └─────────┴─────────┴─────────┴──────────┴──────────────────┴───────────────────────────────┘
//! flags: 1 the target missed a write that this store has itself; numbers are little-endian
//! ```

use super::reader::Reader;
use super::record::{self, HeadRecord, RecordError};
use crate::causality::{Actor, SiblingSet};
use esker::Slice;

const VERSION: u8 = 1;
const MARKER: u8 = 1;
const COPY: u8 = 2;
const WRITER: u8 = 4;

/// Under which name writes are taken into a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CopyWriter {
    /// The store's actor when the name was given. Under another one the store may have lost what it wrote into the copy last,
    /// and the copy takes another name too.
    pub(super) store: Actor,
    /// The name.
    pub(super) actor: Actor,
}

/// What is kept for an absent replica of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HintRecord {
    /// Another one for each change, growing.
    pub(super) stamp: u64,
    /// When it was last changed.
    pub(super) millis: u64,
    /// Whether the target missed a write that is in this store's own record.
    pub(super) marker: bool,
    /// Under which name writes were taken into `copy`, if any were.
    pub(super) writer: Option<CopyWriter>,
    /// What the target is to learn beside the own record; empty if nothing.
    pub(super) copy: SiblingSet,
}

impl HintRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, if self.marker { MARKER } else { 0 }];
        out.extend_from_slice(&self.stamp.to_le_bytes());
        out.extend_from_slice(&self.millis.to_le_bytes());
        if let Some(CopyWriter { store, actor }) = self.writer {
            out[1] |= WRITER;
            out.extend_from_slice(&store.0.to_le_bytes());
            out.extend_from_slice(&actor.0.to_le_bytes());
        }
        if !self.copy.is_empty() {
            out[1] |= COPY;
            record::encode(&mut out, &self.copy, &[], |_| false);
        }
        out
    }

    pub(super) fn decode(bytes: &Slice) -> Result<HintRecord, RecordError> {
        let mut reader = Reader::new(bytes);
        let cut = |reader: &Reader<'_>| RecordError::Malformed("a hint is cut off", reader.offset());
        match reader.u8() {
            Some(VERSION) => {}
            Some(other) => return Err(RecordError::Version(other)),
            None => return Err(cut(&reader)),
        }
        let flags = reader.u8().ok_or_else(|| cut(&reader))?;
        if flags & !(MARKER | COPY | WRITER) != 0 {
            return Err(RecordError::Malformed("a flag of a hint is not known", 2));
        }
        let stamp = reader.u64().ok_or_else(|| cut(&reader))?;
        let millis = reader.u64().ok_or_else(|| cut(&reader))?;
        let writer = match flags & WRITER {
            0 => None,
            _ => {
                let store = Actor(reader.u64().ok_or_else(|| cut(&reader))?);
                Some(CopyWriter { store, actor: Actor(reader.u64().ok_or_else(|| cut(&reader))?) })
            }
        };
        let copy = match flags & COPY {
            0 if reader.left() > 0 => {
                return Err(RecordError::Malformed("something follows a hint", reader.offset()));
            }
            0 => SiblingSet::new(),
            _ => HeadRecord::decode(&bytes.slice(reader.offset()..))?.set,
        };
        Ok(HintRecord { stamp, millis, marker: flags & MARKER != 0, writer, copy })
    }
}
