//! [`Stats`]: what a store holds, has done, and is doing.

use super::core::Core;
use std::fmt;
use std::sync::atomic::Ordering;

/// What a store holds, has done since it was opened, and is doing. Counters may lag a little behind.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Each keyspace, by name.
    pub keyspaces: Vec<KeyspaceStats>,
    /// Operations written.
    pub writes: u64,
    /// Bytes of keys and values written by users, with their framing.
    pub user_bytes: u64,
    /// Bytes written to the log.
    pub wal_bytes: u64,
    /// Calls that wrote to the log; a group of commits shares one.
    pub wal_writes: u64,
    /// Bytes written to tables by flushes.
    pub flush_bytes: u64,
    /// Bytes written to tables by compactions.
    pub compaction_bytes: u64,
    /// Bytes of tables read by compactions.
    pub compaction_read_bytes: u64,
    /// Flushes done.
    pub flushes: u64,
    /// Compactions done, moves and drops among them.
    pub compactions: u64,
    /// Syncs of files.
    pub fsyncs: u64,
    /// Bytes written to disk for each byte written by users; 0 before anything was written.
    pub write_amplification: f64,
    /// Tables' bytes for each byte at the last level; 0 without tables.
    pub space_amplification: f64,
    /// Tables asked for each point lookup; 0 before the first lookup.
    pub read_amplification: f64,
    /// Times that a write had to wait.
    pub stalls: u64,
    /// How long writes waited, in microseconds.
    pub stalled_micros: u64,
    /// Writes that were slowed down.
    pub slowed: u64,
    /// Point lookups.
    pub gets: u64,
    /// Point lookups that found a value.
    pub hits: u64,
    /// Tables that point lookups asked.
    pub table_probes: u64,
    /// Tables among those whose filter said that they do not have the key.
    pub filter_negatives: u64,
    /// Blocks found in the block cache.
    pub cache_hits: u64,
    /// Blocks not found there.
    pub cache_misses: u64,
    /// Bytes that the block cache holds.
    pub cache_bytes: u64,
    /// The most that it may hold.
    pub cache_capacity: u64,
    /// Tables that are open.
    pub open_tables: u64,
    /// Heap bytes that open tables hold.
    pub open_table_bytes: u64,
    /// Bytes in active memtables.
    pub memtable_bytes: u64,
    /// Bytes in memtables that wait to be flushed.
    pub sealed_bytes: u64,
    /// Snapshots alive.
    pub snapshots: u64,
    /// Segments of the log on disk, the current one included.
    pub wal_segments: u64,
    /// Why the store takes no writes, if it does not.
    pub read_only: Option<String>,
}

/// One keyspace.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct KeyspaceStats {
    /// Its name.
    pub name: String,
    /// Its levels, from the top; empty ones at the end are left out.
    pub levels: Vec<LevelStats>,
    /// Entries in tables, shadowed ones and deletes among them.
    pub entries: u64,
    /// Memtables that wait to be flushed.
    pub sealed_memtables: u64,
}

/// One level.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LevelStats {
    /// Its number.
    pub level: usize,
    /// Sorted runs.
    pub runs: u64,
    /// Tables.
    pub tables: u64,
    /// Their size together, in bytes.
    pub bytes: u64,
    /// Entries, deletes among them.
    pub entries: u64,
    /// Deletes.
    pub deletes: u64,
    /// Range deletes.
    pub range_deletes: u64,
}

fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}

pub(super) fn stats(core: &Core) -> Stats {
    let (read, write) = (&core.metrics.read, &core.metrics.write);
    let stall = &core.committer.stall;
    let mut bottom_bytes = 0;
    let mut table_bytes = 0;
    let keyspaces: Vec<KeyspaceStats> = core
        .all_trees()
        .iter()
        .map(|tree| {
            let version = tree.version();
            table_bytes += version.bytes();
            bottom_bytes += version.bottom().map_or(0, |level| version.levels[level].bytes());
            let levels = version.levels.iter().enumerate().take(version.bottom().map_or(0, |b| b + 1));
            let levels: Vec<LevelStats> = levels
                .map(|(number, level)| LevelStats {
                    level: number,
                    runs: level.runs.len() as u64,
                    tables: level.tables().count() as u64,
                    bytes: level.bytes(),
                    entries: level.tables().map(|t| t.entries).sum(),
                    deletes: level.tables().map(|t| t.deletes).sum(),
                    range_deletes: level.tables().map(|t| t.range_tombstones).sum(),
                })
                .collect();
            KeyspaceStats {
                name: tree.name().to_owned(),
                entries: levels.iter().map(|l| l.entries).sum(),
                levels,
                sealed_memtables: tree.sealed().len() as u64,
            }
        })
        .collect();
    let (open_tables, open_table_bytes) = core.tables.open_tables();
    let written = write.wal_bytes.get() + write.flush_bytes.get() + write.compaction_bytes.get();
    Stats {
        keyspaces,
        writes: write.writes.get(),
        user_bytes: write.user_bytes.get(),
        wal_bytes: write.wal_bytes.get(),
        wal_writes: write.wal_writes.get(),
        flush_bytes: write.flush_bytes.get(),
        compaction_bytes: write.compaction_bytes.get(),
        compaction_read_bytes: write.compaction_read_bytes.get(),
        flushes: write.flushes.get(),
        compactions: write.compactions.get(),
        fsyncs: write.fsyncs.get(),
        write_amplification: ratio(written, write.user_bytes.get()),
        space_amplification: ratio(table_bytes, bottom_bytes),
        read_amplification: ratio(read.table_probes.get(), read.gets.get()),
        stalls: stall.stalls.load(Ordering::Relaxed),
        stalled_micros: stall.stalled_micros.load(Ordering::Relaxed),
        slowed: stall.slowed.load(Ordering::Relaxed),
        gets: read.gets.get(),
        hits: read.hits.get(),
        table_probes: read.table_probes.get(),
        filter_negatives: read.filter_negatives.get(),
        cache_hits: read.cache_hits.get(),
        cache_misses: read.cache_misses.get(),
        cache_bytes: core.blocks.bytes_used(),
        cache_capacity: core.blocks.capacity(),
        open_tables: open_tables as u64,
        open_table_bytes: open_table_bytes as u64,
        memtable_bytes: core.committer.active_bytes() as u64,
        sealed_bytes: stall.sealed_bytes() as u64,
        snapshots: core.snapshots.count() as u64,
        wal_segments: crate::sync::std_lock(&core.committer.segments).len() as u64
            + u64::from(!core.read_only),
        read_only: core.health.reason(),
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for keyspace in &self.keyspaces {
            writeln!(f, "keyspace {}: {} entries in tables", keyspace.name, keyspace.entries)?;
            if !keyspace.levels.is_empty() {
                writeln!(
                    f,
                    "  level  runs  tables         bytes       entries       deletes  range deletes"
                )?;
            }
            for l in &keyspace.levels {
                writeln!(
                    f,
                    "  {:>5} {:>5} {:>7} {:>13} {:>13} {:>13} {:>14}",
                    l.level, l.runs, l.tables, l.bytes, l.entries, l.deletes, l.range_deletes
                )?;
            }
        }
        writeln!(
            f,
            "amplification: write {:.2}, read {:.2}, space {:.2}",
            self.write_amplification, self.read_amplification, self.space_amplification
        )?;
        writeln!(
            f,
            "written: {} operations, {} bytes; log {} bytes in {} calls, flush {} bytes, compaction {} bytes; {} syncs",
            self.writes,
            self.user_bytes,
            self.wal_bytes,
            self.wal_writes,
            self.flush_bytes,
            self.compaction_bytes,
            self.fsyncs
        )?;
        writeln!(f, "stalls: {} ({} µs), {} writes slowed", self.stalls, self.stalled_micros, self.slowed)?;
        writeln!(
            f,
            "reads: {} lookups, {} found; {} tables asked, {} answered by filters",
            self.gets, self.hits, self.table_probes, self.filter_negatives
        )?;
        writeln!(
            f,
            "block cache: {} of {} bytes, {} hits, {} misses; {} tables open ({} bytes)",
            self.cache_bytes,
            self.cache_capacity,
            self.cache_hits,
            self.cache_misses,
            self.open_tables,
            self.open_table_bytes
        )?;
        write!(
            f,
            "memtables: {} bytes active, {} bytes sealed; {} log segments; {} snapshots",
            self.memtable_bytes, self.sealed_bytes, self.wal_segments, self.snapshots
        )?;
        if let Some(reason) = &self.read_only {
            write!(f, "\nread-only: {reason}")?;
        }
        Ok(())
    }
}
