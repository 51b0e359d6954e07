//! [`RepairReport`]: what a repair found, kept, and could not keep.

use std::fmt;
use std::path::PathBuf;

/// A table that was damaged or missing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedTable {
    /// The file, where it was.
    pub path: PathBuf,
    /// What is wrong with it, one sentence for each kind of damage.
    pub what: Vec<String>,
    /// How many of its entries were kept.
    pub kept: u64,
    /// How many it should have had, if that is known.
    pub entries: Option<u64>,
}

/// A part of the write-ahead log that is no intact record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedLog {
    /// The segment, where it was.
    pub path: PathBuf,
    /// Where the part begins.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
}

/// What [`repair`](crate::repair) found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// What was wrong with CURRENT and the MANIFEST; empty if they were intact.
    pub manifest: Vec<String>,
    /// Tables that stayed as they were.
    pub tables_kept: usize,
    /// Tables whose entries were written anew, because they were damaged or because their order was lost.
    pub tables_rewritten: usize,
    /// Tables that were damaged or missing.
    pub damaged_tables: Vec<DamagedTable>,
    /// Parts of the write-ahead log that were damaged. Everything around them was kept.
    pub damaged_log: Vec<DamagedLog>,
    /// Segments of the write-ahead log that are missing.
    pub missing_log: Vec<PathBuf>,
    /// Every file that was set aside, under its new path. Nothing was deleted.
    pub set_aside: Vec<PathBuf>,
    /// The keyspaces that the store has now.
    pub keyspaces: Vec<String>,
    /// What else somebody who relies on the data should know.
    pub notes: Vec<String>,
}

impl RepairReport {
    /// Whether nothing was wrong; the store was then left as it is.
    pub fn is_intact(&self) -> bool {
        self.manifest.is_empty()
            && self.damaged_tables.is_empty()
            && self.damaged_log.is_empty()
            && self.missing_log.is_empty()
    }
}

impl fmt::Display for RepairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_intact() {
            return write!(f, "the store is intact: {} tables, nothing changed", self.tables_kept);
        }
        for what in &self.manifest {
            writeln!(f, "{what}")?;
        }
        for table in &self.damaged_tables {
            write!(f, "{}: kept {}", table.path.display(), table.kept)?;
            if let Some(entries) = table.entries {
                write!(f, " of {entries}")?;
            }
            writeln!(f, " entries; {}", table.what.join("; "))?;
        }
        for part in &self.damaged_log {
            writeln!(f, "{}: {} bytes at offset {} are lost", part.path.display(), part.bytes, part.offset)?;
        }
        for path in &self.missing_log {
            writeln!(f, "{}: this segment of the log is missing", path.display())?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        for path in &self.set_aside {
            writeln!(f, "set aside: {}", path.display())?;
        }
        write!(
            f,
            "the store has {} keyspaces; {} tables stayed as they were, {} were written anew",
            self.keyspaces.len(),
            self.tables_kept,
            self.tables_rewritten
        )
    }
}
