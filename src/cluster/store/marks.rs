//! [`MarkBook`]: how far this store has come, and what its node remembers of how far those of others had.
//!
//! A mark is the sequence number of the engine, plus what it is to count on from. What is remembered of others is kept, so that
//! it is still known after all nodes were stopped; but to keep it is no write that anybody would miss, so that it does not raise the
//! store's own mark: otherwise two idle nodes would give each other something to keep for ever.
//!
//! ```text
//! ┌───────────┬──────────────────────────────┐
//! │ version 1 │ for each member: id 8, mark 8 │   in ascending order of the ids; numbers are little-endian
//! └───────────┴──────────────────────────────┘
//! ```

use super::failure;
use super::open::OpenError;
use super::operation::StoreFailure;
use super::own::no_stall;
use super::reader::Reader;
use super::store::{Store, locked};
use crate::id::NodeId;
use esker::{Commit, Durability, Keyspace};

const MARKS_KEY: &str = "marks";
const VERSION: u8 = 1;

/// How far this store has come, and what its node remembers of others.
#[derive(Debug, Default)]
pub(super) struct MarkBook {
    /// As they were kept last.
    kept: Vec<(NodeId, u64)>,
    /// The sequence number behind them: if nothing was written since, the store has come no further than `last`.
    behind: u64,
    /// The mark that was given last.
    last: u64,
}

impl MarkBook {
    pub(super) fn open(node: &Keyspace) -> Result<MarkBook, OpenError> {
        let Some(bytes) = node.get(MARKS_KEY)? else { return Ok(MarkBook::default()) };
        let kept = decode(&bytes).ok_or_else(|| OpenError::Damaged { entry: format!("`{MARKS_KEY}`") })?;
        Ok(MarkBook { kept, ..MarkBook::default() })
    }
}

impl Store {
    /// The marks that are kept, by member.
    pub fn marks(&self) -> Vec<(NodeId, u64)> {
        locked(&self.marks).kept.clone()
    }

    /// Keeps these marks, and gives the store's own. It may be told to others once the commit is durable.
    pub(super) fn keep_marks(&self, marks: Vec<(NodeId, u64)>) -> Result<(u64, Commit), StoreFailure> {
        let base = locked(&self.life).identity.base;
        let mut book = locked(&self.marks);
        let seqno = self.db.snapshot().seqno();
        if seqno != book.behind {
            book.last = base.saturating_add(seqno);
        }
        if marks != book.kept {
            // What is refused now is kept in the next round.
            let options = no_stall(Durability::Buffered);
            self.node.put_with(MARKS_KEY, encode(&marks), options).map_err(failure::of_write)?;
            book.behind = self.db.snapshot().seqno();
            if book.behind != seqno + 1 {
                // Others wrote meanwhile: that is for the next mark.
                book.behind = 0;
            }
            book.kept = marks;
        }
        let commit = self.db.barrier(Durability::Synced).map_err(failure::of_write)?;
        Ok((book.last, commit))
    }
}

fn encode(marks: &[(NodeId, u64)]) -> Vec<u8> {
    let mut out = vec![VERSION];
    for (member, number) in marks {
        out.extend_from_slice(&member.0.to_le_bytes());
        out.extend_from_slice(&number.to_le_bytes());
    }
    out
}

fn decode(bytes: &[u8]) -> Option<Vec<(NodeId, u64)>> {
    let mut reader = Reader::new(bytes);
    reader.u8().filter(|&version| version == VERSION)?;
    let mut marks = Vec::new();
    while reader.left() > 0 {
        marks.push((NodeId(reader.u64()?), reader.u64()?));
    }
    marks.is_sorted_by(|a, b| a.0 < b.0).then_some(marks)
}
