//! Checking a whole store.

use super::checkpoint::KeepLog;
use super::core::Core;
use super::open::TornLog;
use crate::error::{Error, Result};
use crate::options::Recovery;
use crate::wal;
use std::fmt;

/// What [`super::Db::verify`] found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Tables that were read from end to end.
    pub tables: u64,
    /// Their size together, in bytes.
    pub table_bytes: u64,
    /// Entries in them.
    pub entries: u64,
    /// Records of the write-ahead log that were read.
    pub log_records: u64,
    /// Ends of logs that a crash left torn, dropped when the store was opened. They were never synced: this is no damage.
    pub torn: Vec<TornLog>,
    /// Every damage found: [`Error::Corruption`] or [`Error::MissingFile`].
    pub problems: Vec<Error>,
}

impl VerifyReport {
    /// Whether no damage was found.
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }

    fn note<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(
                error @ (Error::Corruption { .. } | Error::MissingFile { .. } | Error::Unsupported { .. }),
            ) => {
                self.problems.push(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} tables with {} entries in {} bytes and {} records of the log read",
            self.tables, self.entries, self.table_bytes, self.log_records
        )?;
        for torn in &self.torn {
            let (path, TornLog { offset, bytes, records, .. }) = (torn.path.display(), torn);
            writeln!(
                f,
                "{path}: {bytes} bytes from offset {offset} on ({records} intact records) were never synced and are not used"
            )?;
        }
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        match self.problems.len() {
            0 => f.write_str("no damage"),
            1 => f.write_str("1 damage; run `esker repair` to keep what is intact"),
            n => write!(f, "{n} damages; run `esker repair` to keep what is intact"),
        }
    }
}

/// Reads every live table and every closed segment of the log. The MANIFEST, and in a store that was opened read-only the
/// whole log, were read and checked when it was opened.
pub(super) fn verify(core: &Core) -> Result<VerifyReport> {
    core.health.check_open()?;
    let mut report = VerifyReport { torn: core.recovery.torn.clone(), ..VerifyReport::default() };
    for tree in core.all_trees() {
        let state = tree.read_state();
        for (_, slot) in state.slots() {
            let meta = slot.meta();
            let Some(table) = report.note(slot.table())? else { continue };
            if report.note(table.verify())?.is_none() {
                continue;
            }
            let properties = table.properties();
            // What a format cannot hold only the MANIFEST knows.
            let held = core.registry.by_id(meta.format).is_some_and(|f| f.capabilities().properties);
            if held && !meta.clipped && properties.entries != meta.entries {
                let what =
                    format!("it has {} entries, but the MANIFEST says {}", properties.entries, meta.entries);
                report.problems.push(Error::corruption(table.path(), 0, what));
            }
            report.tables += 1;
            report.table_bytes += meta.size;
            report.entries += meta.entries;
        }
    }
    // A store that was opened read-only removes nothing, and so there is nothing to keep.
    let _keep = (!core.read_only).then(|| KeepLog::new(core));
    let (oldest, current) = (core.set.oldest_wal(), core.committer.log_end().1);
    let closed: Vec<u64> = wal::list(core.env.as_ref(), &core.dir)?
        .into_iter()
        .filter(|&n| n >= oldest && (n < current || core.read_only))
        .collect();
    let replayed =
        wal::replay(core.env.as_ref(), &core.dir, &closed, Recovery::TolerateTornTail, &mut |_, _| Ok(()));
    if let Some(replay) = report.note(replayed)? {
        report.log_records = replay.records;
    }
    Ok(report)
}
