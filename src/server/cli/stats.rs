//! `esker stats`: what the store says of itself.

use super::failure::{Ended, Outcome};
use super::output::print_line;
use super::store::{Location, open_for_reading};
use clap::Args;
use serde_json::{Value, json};

/// Print what the store says of itself: levels, sizes, amplification, caches.
#[derive(Args, Debug)]
pub(crate) struct Stats {
    #[command(flatten)]
    location: Location,
    /// Print an object.
    #[arg(long)]
    json: bool,
}

impl Stats {
    pub(crate) fn run(&self) -> Ended {
        let stats = open_for_reading(&self.location)?.stats();
        print_line(if self.json { object(&stats).to_string() } else { stats.to_string() })?;
        Ok(Outcome::Done)
    }
}

fn keyspace(stats: &esker::KeyspaceStats) -> Value {
    let levels: Vec<Value> = stats
        .levels
        .iter()
        .map(|l| {
            json!({
                "level": l.level, "runs": l.runs, "tables": l.tables, "bytes": l.bytes, "entries": l.entries,
                "deletes": l.deletes, "range_deletes": l.range_deletes,
            })
        })
        .collect();
    json!({ "entries": stats.entries, "sealed_memtables": stats.sealed_memtables, "levels": levels })
}

/// The fields of [`esker::Stats`] by their names; the keyspaces by theirs.
fn object(stats: &esker::Stats) -> Value {
    let keyspaces: serde_json::Map<String, Value> =
        stats.keyspaces.iter().map(|k| (k.name.clone(), keyspace(k))).collect();
    json!({
        "keyspaces": keyspaces,
        "writes": stats.writes,
        "user_bytes": stats.user_bytes,
        "wal_bytes": stats.wal_bytes,
        "wal_writes": stats.wal_writes,
        "flush_bytes": stats.flush_bytes,
        "compaction_bytes": stats.compaction_bytes,
        "compaction_read_bytes": stats.compaction_read_bytes,
        "flushes": stats.flushes,
        "compactions": stats.compactions,
        "fsyncs": stats.fsyncs,
        "write_amplification": stats.write_amplification,
        "space_amplification": stats.space_amplification,
        "read_amplification": stats.read_amplification,
        "stalls": stats.stalls,
        "stalled_micros": stats.stalled_micros,
        "slowed": stats.slowed,
        "gets": stats.gets,
        "hits": stats.hits,
        "table_probes": stats.table_probes,
        "filter_negatives": stats.filter_negatives,
        "cache_hits": stats.cache_hits,
        "cache_misses": stats.cache_misses,
        "cache_bytes": stats.cache_bytes,
        "cache_capacity": stats.cache_capacity,
        "open_tables": stats.open_tables,
        "open_table_bytes": stats.open_table_bytes,
        "memtable_bytes": stats.memtable_bytes,
        "sealed_bytes": stats.sealed_bytes,
        "snapshots": stats.snapshots,
        "wal_segments": stats.wal_segments,
        "read_only": stats.read_only,
    })
}
