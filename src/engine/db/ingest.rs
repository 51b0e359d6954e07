//! [`IngestWriter`]: sorted entries become tables outside of the log and the memtable, and are added in one step.
//!
//! The tables are built while everything else goes on. To add them, writers pause for as long as it takes to flush what the
//! keyspace's memtable received last and to sync the MANIFEST: then nothing older is above the new tables, which go to
//! level 0 as its newest run. All their entries count as one sequence number, which the MANIFEST records.

use super::core::Core;
use crate::compaction::{Outputs, Sink, Splitter};
use crate::error::{Error, Result};
use crate::fs::filename::FileName;
use crate::manifest::{AddedFile, FileMeta, KeyspaceEdit, VersionEdit};
use crate::options::CompactionStrategy;
use crate::sync::std_lock;
use crate::write::tree::Tree;
use crate::{MAX_KEY_LEN, MAX_VALUE_LEN};
use esker_table::{Fragments, Kind, SeqNo, Trailer};
use std::sync::Arc;

/// The size that tables are closed at where the strategy names none.
const TABLE_BYTES: u64 = 32 << 20;

/// Takes the entries of one [`crate::Keyspace::ingest`], in ascending order of their keys.
pub struct IngestWriter<'a> {
    core: &'a Core,
    outputs: Outputs<'a>,
    last_key: Vec<u8>,
    entries: u64,
}

impl IngestWriter<'_> {
    /// Adds an entry.
    ///
    /// # Errors
    /// `Invalid` if the key is not greater than the one before, `KeyTooLong`, `ValueTooLong`: the entry was not added, and the
    /// writer goes on. `Io`: nothing will be added.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let (key, value) = (key.as_ref(), value.as_ref());
        if key.len() > MAX_KEY_LEN {
            return Err(Error::KeyTooLong { len: key.len() });
        }
        if value.len() > MAX_VALUE_LEN {
            return Err(Error::ValueTooLong { len: value.len() });
        }
        if self.entries > 0 && key <= self.last_key.as_slice() {
            let what = format!(
                "keys must ascend, but `{}` comes after `{}`",
                key.escape_ascii(),
                self.last_key.escape_ascii()
            );
            return Err(Error::invalid("ingest", what));
        }
        // Once the store is closed the directory is somebody else's.
        self.core.health.check_open()?;
        self.outputs.entry(key, Trailer::new(0, Kind::Put), value)?;
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.entries += 1;
        Ok(())
    }

    /// The number of entries added so far.
    pub fn len(&self) -> u64 {
        self.entries
    }

    /// Whether nothing was added yet.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }
}

impl std::fmt::Debug for IngestWriter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IngestWriter").field("entries", &self.entries).finish_non_exhaustive()
    }
}

/// See [`crate::Keyspace::ingest`].
pub(super) fn ingest(
    core: &Core,
    tree: &Arc<Tree>,
    fill: impl FnOnce(&mut IngestWriter<'_>) -> Result<()>,
) -> Result<u64> {
    core.health.check_writable()?;
    if tree.options.fold.is_some() {
        let what = format!("keyspace `{}` has a fold, which ingested tables would pass by", tree.name());
        return Err(Error::invalid("ingest", what));
    }
    let table_bytes = match tree.options.compaction {
        CompactionStrategy::Leveled { table_bytes, .. } => table_bytes,
        _ => TABLE_BYTES,
    };
    let context = core.job_context(tree, None, None);
    let splitter = Splitter::new(Vec::new(), table_bytes, u64::MAX);
    let mut outputs = Outputs::new(&context, 0, None, splitter, Fragments::default())?;
    outputs.mark_ingested();
    let mut writer = IngestWriter { core, outputs, last_key: Vec::new(), entries: 0 };
    fill(&mut writer)?;
    let IngestWriter { outputs, entries, .. } = writer;
    let (added, bytes) = outputs.finish()?;
    if !added.is_empty() {
        add(core, tree, added)?;
        core.metrics.write.user_bytes.add(bytes);
        core.metrics.write.flush_bytes.add(bytes);
        core.committer.stall.wake_background();
    }
    Ok(entries)
}

/// Adds tables as the newest run of level 0.
fn add(core: &Core, tree: &Arc<Tree>, added: Vec<AddedFile>) -> Result<()> {
    let mut built = Built { core, files: added };
    // Most of the flushing is done before writers have to wait.
    core.flush_tree(tree)?;
    // The keyspace is not dropped meanwhile, and ingests into it come one after the other, so that their sequence numbers, their
    // runs and their file numbers are in one order.
    let _ddl = std_lock(&core.ddl);
    core.health.check_writable()?;
    if tree.is_dropped() {
        return Err(Error::NoSuchKeyspace { name: tree.name().to_owned() });
    }
    let _pause = core.committer.pause();
    core.flush_tree(tree)?;
    // The tables must not become durable before what was committed earlier.
    core.guard(core.committer.sync_under_locks(core.committer.log_end().0))?;
    built.renumber()?;
    let (seqno, ticket) = core.committer.allocate_seqno();
    let edit = VersionEdit {
        last_seqno: Some(seqno),
        keyspaces: vec![KeyspaceEdit {
            id: tree.id,
            flushed_seqno: Some(seqno),
            added: built.as_of(seqno, core.set.new_file_number()),
            ages: core.ages_up_to(tree, seqno),
            ..KeyspaceEdit::default()
        }],
        ..VersionEdit::default()
    };
    let installed = core.log_and_apply(edit, |versions| {
        for (_, version) in versions {
            tree.install(version.clone(), 0);
        }
    });
    // Whatever happened, later writes must not wait for this number for ever.
    core.committer.publish.publish(ticket);
    core.choose_way();
    if installed.is_ok() || core.set.has_failed() {
        // They are the store's now; or they may be, which opening it again finds out.
        built.files.clear();
    }
    installed
}

/// Tables that no MANIFEST names yet. Dropping it removes their files.
struct Built<'a> {
    core: &'a Core,
    files: Vec<AddedFile>,
}

impl Built<'_> {
    /// Gives the tables numbers above those of all tables that hold older entries of the keyspace: if the MANIFEST is lost,
    /// nothing else says that they are newer.
    fn renumber(&mut self) -> Result<()> {
        let core = self.core;
        for file in &mut self.files {
            let number = core.set.new_file_number();
            let to = FileName::TableTmp(number).path(&core.dir);
            core.env
                .rename(&FileName::TableTmp(file.meta.number).path(&core.dir), &to)
                .map_err(|error| Error::io(&to, "name", error))?;
            let meta = FileMeta { number, guard: core.set.guard(number), ..file.meta.as_ref().clone() };
            file.meta = Arc::new(meta);
        }
        core.env.sync_dir(&core.dir).map_err(|error| Error::io(&core.dir, "sync", error))
    }

    /// The tables as a run whose entries all count as this sequence number.
    fn as_of(&self, seqno: SeqNo, run: u64) -> Vec<AddedFile> {
        let counted = |file: &AddedFile| {
            let meta = FileMeta {
                seqno_override: Some(seqno),
                min_seqno: seqno,
                max_seqno: seqno,
                ..file.meta.as_ref().clone()
            };
            AddedFile { level: file.level, run, meta: Arc::new(meta) }
        };
        self.files.iter().map(counted).collect()
    }
}

impl Drop for Built<'_> {
    fn drop(&mut self) {
        for file in &self.files {
            // What cannot be removed now is removed when the store is next opened.
            let _ = self.core.env.remove_file(&FileName::TableTmp(file.meta.number).path(&self.core.dir));
        }
    }
}
