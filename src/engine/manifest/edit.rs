//! [`VersionEdit`]: the difference between two states of the store, as one record of the MANIFEST.
//!
//! How its bytes lie is said in `FORMAT.md`, see [the room](super); encoding and decoding are in [`super::encoding`].

use super::ages::{AgeSample, Ages};
use super::file_meta::FileMeta;
use esker_table::SeqNo;
use std::fmt::Write;
use std::sync::Arc;

/// The number of a keyspace: never used again after it is dropped.
pub(crate) type KeyspaceId = u32;

/// What is recorded of a keyspace when it is created, or when its recorded options change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyspaceRecord {
    pub(crate) name: String,
    /// Whether writes go to the log.
    pub(crate) log: bool,
    /// Names of the hooks that the data depends on.
    pub(crate) filter: Option<String>,
    pub(crate) fold: Option<String>,
    pub(crate) collector: Option<String>,
    /// What the layer above calls this keyspace's kind; empty for `plain`.
    pub(crate) kind: String,
}

/// A table that the edit adds, and where.
#[derive(Clone, Debug)]
pub(crate) struct AddedFile {
    pub(crate) level: usize,
    /// The sorted run, see [`super::SortedRun::id`].
    pub(crate) run: u64,
    pub(crate) meta: Arc<FileMeta>,
}

/// What the edit does to one keyspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyspaceEdit {
    pub(crate) id: KeyspaceId,
    /// Creates the keyspace, or replaces its record.
    pub(crate) record: Option<KeyspaceRecord>,
    /// Drops the keyspace and every table of it.
    pub(crate) dropped: bool,
    /// Every entry up to this sequence number is in tables: recovery passes over it.
    pub(crate) flushed_seqno: Option<SeqNo>,
    /// (level, file number). A file that is removed and added in the same edit moves.
    pub(crate) removed: Vec<(usize, u64)>,
    pub(crate) added: Vec<AddedFile>,
    /// Takes the place of what was known of the entries' ages; if it is empty, that stays.
    pub(crate) ages: Ages,
}

/// One atomic step of the store's state.
#[derive(Clone, Debug, Default)]
pub(crate) struct VersionEdit {
    /// File numbers below this have been given out.
    pub(crate) next_file: Option<u64>,
    /// No sequence number above this has been given to an entry in a table.
    pub(crate) last_seqno: Option<SeqNo>,
    /// Segments of the log before this one are not needed.
    pub(crate) oldest_wal: Option<u64>,
    /// The newest segment that may hold records: it exists.
    pub(crate) newest_wal: Option<u64>,
    /// The segment that a clean close left as the newest, and its length: all of it is durable.
    pub(crate) closed_wal: Option<(u64, u64)>,
    /// Keyspace ids below this have been given out.
    pub(crate) next_keyspace: Option<KeyspaceId>,
    /// Files that no version names but that may still be on disk: known not to be lost. Only in snapshots of the state.
    pub(crate) obsolete: Vec<u64>,
    pub(crate) keyspaces: Vec<KeyspaceEdit>,
}

impl VersionEdit {
    /// The edit as text for people, one line for each thing it says.
    pub(crate) fn describe(&self, line: &mut dyn FnMut(String)) {
        let numbers = [
            ("next file", self.next_file),
            ("last sequence number", self.last_seqno),
            ("oldest WAL", self.oldest_wal),
            ("newest WAL", self.newest_wal),
            ("next keyspace", self.next_keyspace.map(u64::from)),
        ];
        let said: Vec<String> =
            numbers.iter().filter_map(|(name, n)| n.map(|n| format!("{name} {n}"))).collect();
        if !said.is_empty() {
            line(said.join(", "));
        }
        if let Some((number, len)) = self.closed_wal {
            line(format!("WAL {number} closed with {len} bytes"));
        }
        if !self.obsolete.is_empty() {
            let numbers: Vec<String> = self.obsolete.iter().map(u64::to_string).collect();
            line(format!("obsolete tables {}", numbers.join(" ")));
        }
        for keyspace in &self.keyspaces {
            keyspace.describe(line);
        }
    }
}

impl KeyspaceEdit {
    fn describe(&self, line: &mut dyn FnMut(String)) {
        let id = self.id;
        if let Some(record) = &self.record {
            let mut text = format!("keyspace {id}: record name {:?}", record.name);
            if !record.log {
                text.push_str(", no log");
            }
            let hooks =
                [("filter", &record.filter), ("fold", &record.fold), ("collector", &record.collector)];
            for (what, name) in hooks {
                if let Some(name) = name {
                    // Writing to a string cannot fail.
                    let _ = write!(text, ", {what} {name:?}");
                }
            }
            if !record.kind.is_empty() {
                let _ = write!(text, ", kind {:?}", record.kind);
            }
            line(text);
        }
        if self.dropped {
            line(format!("keyspace {id}: dropped"));
        }
        if let Some(seqno) = self.flushed_seqno {
            line(format!("keyspace {id}: flushed up to sequence number {seqno}"));
        }
        if !self.ages.is_empty() {
            let said = |s: &AgeSample| format!("{} by {}", s.seqno, s.millis);
            let samples: Vec<String> = self.ages.samples().iter().map(said).collect();
            line(format!("keyspace {id}: written up to sequence number {}", samples.join(", ")));
        }
        for (level, number) in &self.removed {
            line(format!("keyspace {id}: - table {number} from level {level}"));
        }
        for added in &self.added {
            line(format!("keyspace {id}: + {added}"));
        }
    }
}

impl std::fmt::Display for AddedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let m = &self.meta;
        let to = if m.largest_exclusive { ".." } else { "..=" };
        write!(
            f,
            "table {} at level {} run {}: format {}, {} bytes, {} entries, keys \"{}\"{to}\"{}\", seqnos {}..={}",
            m.number,
            self.level,
            self.run,
            m.format,
            m.size,
            m.entries,
            m.smallest.escape_ascii(),
            m.largest.escape_ascii(),
            m.min_seqno,
            m.max_seqno,
        )?;
        for (what, n) in [("deletes", m.deletes), ("range tombstones", m.range_tombstones)] {
            if n > 0 {
                write!(f, ", {n} {what}")?;
            }
        }
        if let Some(seqno) = m.seqno_override {
            write!(f, ", every entry counts as {seqno}")?;
        }
        for (what, yes) in [("clipped", m.clipped), ("foreign", !m.own)] {
            if yes {
                write!(f, ", {what}")?;
            }
        }
        Ok(())
    }
}
