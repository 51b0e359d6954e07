//! Writing tables out of a stream of entries: synced, under temporary names, with what the MANIFEST is to say of them.

use super::entries::Entry;
use crate::fs::filename::FileName;
use crate::fs::{Env, WritableFile};
use crate::manifest::{FileGuard, FileMeta, KeyspaceId, KeyspaceRecord, Stamp};
use crate::{Error, Result};
use esker_format_block::BlockFormat;
use esker_table::{Fragments, TableError, TableFormat, WriteOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The size that tables of a rebuilt run are cut at, in bytes.
pub(super) const TABLE_BYTES: u64 = 64 << 20;

/// Where new files of a store under repair go.
pub(super) struct Output<'a> {
    pub(super) env: &'a dyn Env,
    pub(super) dir: &'a Path,
    pub(super) next_file: AtomicU64,
}

impl Output<'_> {
    pub(super) fn number(&self) -> u64 {
        self.next_file.fetch_add(1, Ordering::Relaxed)
    }

    /// Guards are of no use here: nothing becomes obsolete while a store is under repair.
    pub(super) fn guard(&self, number: u64) -> Arc<FileGuard> {
        FileGuard::new(number, Arc::default())
    }

    /// Writes entries, ascending, and tombstones into tables that do not overlap, cut where they reach `table_bytes` but
    /// never inside a user key.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn write_tables(
        &self,
        keyspace: (KeyspaceId, &KeyspaceRecord),
        next: &mut dyn FnMut() -> Option<Entry>,
        tombstones: &Fragments,
        table_bytes: u64,
    ) -> Result<Vec<FileMeta>> {
        let mut tables = Vec::new();
        let mut entry = next();
        let mut lower: Option<Vec<u8>> = None;
        loop {
            let number = self.number();
            let path = FileName::TableTmp(number).path(self.dir);
            let io = |action| move |e| Error::io(&FileName::TableTmp(number).path(self.dir), action, e);
            let file: Arc<dyn WritableFile> = Arc::from(self.env.create(&path).map_err(io("create"))?);
            let failed = |e: TableError| Error::table(&path, e);
            let mut writer = BlockFormat::new()
                .writer(Box::new(Appender(Arc::clone(&file))), &WriteOptions::default())
                .map_err(failed)?;
            let mut last: Option<Vec<u8>> = None;
            while let Some(e) = &entry {
                let new_key = last.as_ref() != Some(&e.key);
                if new_key && writer.estimated_size() >= table_bytes {
                    break;
                }
                writer.add(&e.key, e.trailer, &e.value).map_err(failed)?;
                last = Some(std::mem::take(&mut entry).map(|e| e.key).unwrap_or_default());
                entry = next();
            }
            let upper = entry.as_ref().map(|e| e.key.clone());
            for tombstone in tombstones.clip(lower.as_deref(), upper.as_deref()).iter() {
                writer.add_range_tombstone(&tombstone).map_err(failed)?;
            }
            let summary = writer.finish(vec![Stamp::encode(keyspace.0, keyspace.1)]).map_err(failed)?;
            if summary.properties.is_empty() {
                drop(file);
                self.env.remove_file(&path).map_err(io("remove"))?;
            } else {
                file.sync().map_err(io("sync"))?;
                let (format, now) = (BlockFormat::new().id(), self.env.now_millis());
                let (size, properties) = (summary.file_size, summary.properties);
                tables.push(FileMeta::written(number, format, size, properties, now, self.guard(number)));
            }
            lower = upper;
            if lower.is_none() {
                return Ok(tables);
            }
        }
    }
}

/// Hands what a table's writer writes to the file.
struct Appender(Arc<dyn WritableFile>);

impl io::Write for Appender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
