//! [`Salvage`]: reads every record of a damaged log that is still intact, whatever lies between them.
//!
//! For tools and repair only. Recovery never passes over damage: a log that lacks something in its middle is not a prefix
//! of what was written.

use super::{Expect, HEADER_LEN, LogKind, LogReader, Record};
use crate::{Recovery, Result};
use esker_table::ByteSource;
use std::path::Path;
use std::sync::Arc;

/// How many times the log's length may be checksummed in searching it for records; see the reader's search.
const SEARCH_FACTOR: u64 = 64;

/// A part of a log that is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// Reads the intact records of a log.
#[derive(Debug)]
pub(crate) struct Salvage {
    reader: LogReader,
    damage: Vec<Damage>,
    budget: u64,
}

impl Salvage {
    /// Reads from the file that has the name of log `number`. A damaged header is no obstacle.
    ///
    /// # Errors
    /// `Corruption` if the header is intact and says that this is another log; `Unsupported` if it is from a newer
    /// version; `Io`.
    pub(crate) fn open(
        source: Arc<dyn ByteSource>,
        path: &Path,
        kind: LogKind,
        number: u64,
    ) -> Result<Salvage> {
        let budget = source.len().saturating_mul(SEARCH_FACTOR);
        let expect = Expect { kind, number, recovery: Recovery::TolerateTornTail, synced: 0 };
        let reader = LogReader::open_lenient(source, path, expect)?;
        let mut damage = Vec::new();
        if reader.header().is_none() {
            damage.push(Damage { offset: 0, bytes: reader.len().min(HEADER_LEN as u64) });
        }
        Ok(Salvage { reader, damage, budget })
    }

    /// The next intact record; `None` at the end.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn next(&mut self) -> Result<Option<Record>> {
        let (at, len) = (self.reader.offset(), self.reader.len());
        if at >= len {
            return Ok(None);
        }
        let mut unlimited = u64::MAX;
        let found = match self.reader.record_at(at, &mut unlimited)? {
            None if self.reader.only_zeros(at)? => None,
            None => {
                let found = self.reader.search(at + 1, &mut self.budget)?;
                let end = found.as_ref().map_or(len, |record| record.offset);
                self.damage.push(Damage { offset: at, bytes: end - at });
                found
            }
            intact => intact,
        };
        let next = found.as_ref().map_or(len, |record| record.end);
        self.reader.move_to(next);
        Ok(found)
    }

    /// Whether the search was given up, so that there may be intact records that were not found.
    pub(crate) fn gave_up(&self) -> bool {
        self.budget == 0
    }

    /// What was passed over so far, in the order of the file.
    pub(crate) fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// The log that this one continues, if the header can be read and it continues one.
    pub(crate) fn previous(&self) -> Option<u64> {
        self.reader.header().map(|header| header.previous).filter(|&number| number != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LogHeader, append_record, encode_header};
    use super::*;
    use esker_table::BlockSource;

    fn log(payloads: &[&[u8]]) -> (Vec<u8>, Vec<u64>) {
        let header = LogHeader { kind: LogKind::Wal, number: 7, previous: 5, previous_end: 0 };
        let mut bytes = encode_header(&header).to_vec();
        let mut starts = Vec::new();
        for payload in payloads {
            starts.push(bytes.len() as u64);
            let at = bytes.len() as u64;
            append_record(&mut bytes, 7, at, at, &[payload]);
        }
        (bytes, starts)
    }

    fn read(bytes: Vec<u8>) -> (Vec<Vec<u8>>, Vec<Damage>) {
        let source = Arc::clone(BlockSource::from_memory(bytes).bytes());
        let mut salvage = Salvage::open(source, Path::new("000007.wal"), LogKind::Wal, 7).unwrap();
        let mut payloads = Vec::new();
        while let Some(record) = salvage.next().unwrap() {
            payloads.push(record.payload.as_bytes().to_vec());
        }
        (payloads, salvage.damage().to_vec())
    }

    #[test]
    fn everything_but_what_a_flip_hits_is_read() {
        let payloads: [&[u8]; 4] = [b"first", b"", b"a longer third record", b"fourth"];
        let (bytes, starts) = log(&payloads);
        assert_eq!(read(bytes.clone()).1, []);
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 4;
            let hit = starts.iter().rposition(|&start| start <= at as u64);
            let (found, damage) = read(bad);
            let expected: Vec<&[u8]> =
                payloads.iter().enumerate().filter(|(i, _)| Some(*i) != hit).map(|(_, p)| *p).collect();
            // A flip in the header's reserved bytes or checksum damages the header and no record.
            assert_eq!(found, expected, "flip at {at}");
            assert_eq!(damage.len(), 1, "flip at {at}");
            assert_eq!(damage[0].offset, hit.map_or(0, |i| starts[i]), "flip at {at}");
        }
    }

    #[test]
    fn a_lost_middle_and_a_lost_end_are_two_damages() {
        let (mut bytes, starts) = log(&[b"one", b"two", b"three", b"four"]);
        bytes[starts[1] as usize + 3] ^= 1;
        bytes.truncate(bytes.len() - 1);
        let (found, damage) = read(bytes);
        assert_eq!(found, [b"one".to_vec(), b"three".to_vec()]);
        assert_eq!(damage.iter().map(|d| d.offset).collect::<Vec<_>>(), [starts[1], starts[3]]);
    }

    #[test]
    fn zeros_after_the_end_are_no_damage() {
        let (mut bytes, _) = log(&[b"one"]);
        bytes.resize(bytes.len() + 4096, 0);
        assert_eq!(read(bytes), (vec![b"one".to_vec()], vec![]));
    }
}
