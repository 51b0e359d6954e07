//! `esker repair`: makes a store whole again from what is intact of it.

use super::failure::{Ended, Outcome};
use super::output::print_line;
use super::progress;
use super::store::Location;
use clap::Args;
use esker::{RepairOptions, RepairReport};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Make a store whole again from what is intact of it, and say what is lost. Deletes nothing: files that the repaired
/// store does not need are set aside. An intact store stays as it is.
#[derive(Args, Debug)]
pub(crate) struct Repair {
    #[command(flatten)]
    location: Location,
    /// Print an object.
    #[arg(long)]
    json: bool,
}

impl Repair {
    pub(crate) fn run(&self) -> Ended {
        let spinner = progress::spinner("repairing");
        let report = esker::repair(&self.location.db, RepairOptions::new())?;
        spinner.finish_and_clear();
        print_line(if self.json { object(&report).to_string() } else { report.to_string() })?;
        Ok(Outcome::Done)
    }
}

fn paths(paths: &[PathBuf]) -> Vec<Value> {
    paths.iter().map(|p| p.to_string_lossy().into()).collect()
}

fn object(report: &RepairReport) -> Value {
    let tables: Vec<Value> = report
        .damaged_tables
        .iter()
        .map(|t| json!({ "path": t.path.to_string_lossy(), "what": t.what, "kept": t.kept, "entries": t.entries }))
        .collect();
    let log: Vec<Value> = report
        .damaged_log
        .iter()
        .map(|d| json!({ "path": d.path.to_string_lossy(), "offset": d.offset, "bytes": d.bytes }))
        .collect();
    json!({
        "intact": report.is_intact(),
        "manifest": report.manifest,
        "tables_kept": report.tables_kept,
        "tables_rewritten": report.tables_rewritten,
        "damaged_tables": tables,
        "damaged_log": log,
        "missing_log": paths(&report.missing_log),
        "set_aside": paths(&report.set_aside),
        "keyspaces": report.keyspaces,
        "notes": report.notes,
    })
}
