//! Checking a whole store.

use super::checkpoint::KeepLog;
use super::core::Core;
use super::open::{TornLog, known_log};
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

/// Reads every live table, the MANIFEST, and the log as far as it was written when this began: it is synced first, so that
/// every damage in it can be told from an end that is being written.
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
    report.note(core.set.verify())?;
    let log = verify_log(core);
    report.log_records = report.note(log)?.unwrap_or(0);
    Ok(report)
}

/// Returns how many records of the log were read.
fn verify_log(core: &Core) -> Result<u64> {
    let (env, committer) = (core.env.as_ref(), &core.committer);
    // A store that was opened read-only removes nothing, and so there is nothing to keep.
    let _keep = (!core.read_only).then(|| KeepLog::new(core));
    let (mut known, mut newest) = (core.set.with_state(known_log), u64::MAX);
    if core.health.check_writable().is_ok() {
        committer.sync_through(committer.log_end().0)?;
        // What is written from here on is not read.
        let end = committer.synced_end();
        (known.end, newest) = (Some(end), end.0);
    }
    let needed = |number: &u64| (known.oldest..=newest).contains(number);
    let segments: Vec<u64> = wal::list(env, &core.dir)?.into_iter().filter(needed).collect();
    let mode = Recovery::TolerateTornTail;
    Ok(wal::replay(env, &core.dir, &segments, mode, &known, &mut |_, _, _| Ok(()))?.records)
}
