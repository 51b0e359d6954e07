//! [`Operation`]: what is counted. Each has a name, a [`Stage`] that it is done on, and is done many times in a pass.

use crate::Result;
use crate::record::{Record, VALUE_LEN, record};
use crate::store::{self, Layout, RECORDS};
use esker::Keyspace;
use std::fmt;
use std::hint::black_box;
use std::path::Path;
use tempfile::TempDir;

/// Records that a pass works on. A whole scan takes all there are.
const PER_PASS: u64 = 20_000;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// Looks up a key that is in a table.
    GetHit,
    /// Looks up a key that was never written.
    GetMiss,
    /// Writes a key that was not there, buffered: to the memtable and the log.
    Put,
    /// Moves a cursor to a key and reads what is there.
    Seek,
    /// Moves a cursor to the next record, in a scan of all of them.
    Next,
}

/// What is done, and to which keyspace. Its name is what `Display` makes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    layout: Layout,
    action: Action,
}

/// Whether a pass is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// It is not: what happens only once happens here.
    Warm,
    /// It is.
    Counted,
}

impl Operation {
    /// Everything that is counted. A write goes to no table, so that it is counted in one keyspace only.
    pub(crate) fn all() -> impl Iterator<Item = Operation> {
        let reads = [Action::GetHit, Action::GetMiss, Action::Seek, Action::Next];
        let put = Operation { layout: Layout::Default, action: Action::Put };
        let reads =
            Layout::ALL.into_iter().flat_map(move |layout| reads.map(|action| Operation { layout, action }));
        std::iter::once(put).chain(reads)
    }

    /// Opens what the operation is done on; `dir` has the store that is read.
    pub(crate) fn stage(self, dir: &Path) -> Result<Stage> {
        let (own, keyspace) = match self.action {
            Action::Put => store::empty().map(|(own, keyspace)| (Some(own), keyspace))?,
            _ => (None, store::open(dir, self.layout)?),
        };
        Ok(Stage { keyspace, action: self.action, _own: own })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.action {
            Action::GetHit => "get-hit",
            Action::GetMiss => "get-miss",
            Action::Put => "put",
            Action::Seek => "seek",
            Action::Next => "next",
        };
        write!(f, "{}/{action}", self.layout.name())
    }
}

/// An open keyspace and what is done to it.
pub(crate) struct Stage {
    // Dropped before its directory is.
    keyspace: Keyspace,
    action: Action,
    _own: Option<TempDir>,
}

impl Stage {
    /// The records of a pass, made beforehand, so that making them does not count. Both passes read the same ones, and write
    /// different ones.
    pub(crate) fn prepare(&self, pass: Pass) -> Vec<Record> {
        let first = match (self.action, pass) {
            (Action::GetMiss, _) => RECORDS,
            (Action::Put, Pass::Counted) => PER_PASS,
            _ => 0,
        };
        (first..first + PER_PASS).map(record).collect()
    }

    /// Does it with each of the records and returns how often it was done.
    pub(crate) fn run(&self, records: &[Record]) -> Result<u64> {
        match self.action {
            Action::GetHit => self.get(records, records.len()),
            Action::GetMiss => self.get(records, 0),
            Action::Put => self.put(records),
            Action::Seek => self.seek(records),
            Action::Next => self.scan(),
        }
    }

    /// Looks every key up; so many are `expected` to be there.
    fn get(&self, records: &[Record], expected: usize) -> Result<u64> {
        let mut bytes = 0;
        for (key, _) in records {
            bytes += self.keyspace.get(key)?.map_or(0, |value| black_box(&value).len());
        }
        check(bytes, expected)?;
        Ok(records.len() as u64)
    }

    /// Writes every record.
    fn put(&self, records: &[Record]) -> Result<u64> {
        for (key, value) in records {
            self.keyspace.put(key, value)?;
        }
        Ok(records.len() as u64)
    }

    /// Moves a cursor to every key.
    fn seek(&self, records: &[Record]) -> Result<u64> {
        let mut cursor = self.keyspace.cursor()?;
        let mut bytes = 0;
        for (key, _) in records {
            if cursor.seek(key)? && cursor.key() == key {
                bytes += black_box(cursor.value()).len();
            }
        }
        check(bytes, records.len())?;
        Ok(records.len() as u64)
    }

    /// Moves a cursor over the whole keyspace.
    fn scan(&self) -> Result<u64> {
        let mut cursor = self.keyspace.cursor()?;
        let (mut records, mut bytes) = (0, 0);
        let mut valid = cursor.seek_first()?;
        while valid {
            records += 1;
            black_box(cursor.key());
            bytes += black_box(cursor.value()).len();
            valid = cursor.next()?;
        }
        check(bytes, RECORDS as usize)?;
        Ok(records)
    }
}

/// Fails if these bytes are not the values of so many records: then something else was counted than what was meant.
fn check(bytes: usize, records: usize) -> Result<()> {
    if bytes == records * VALUE_LEN {
        Ok(())
    } else {
        Err(format!("found {bytes} bytes of values instead of those of {records} records").into())
    }
}
