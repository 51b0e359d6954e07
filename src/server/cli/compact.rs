//! `esker compact`: merges everything, so that deleted and overwritten data leaves the disk.

use super::failure::{Ended, Outcome};
use super::output::print_line;
use super::progress;
use super::store::{Layout, Location};
use crate::pairs::size::human_size;
use clap::Args;
use std::path::Path;

/// Merge all tables, so that deleted and overwritten data leaves the disk.
#[derive(Args, Debug)]
pub(crate) struct Compact {
    #[command(flatten)]
    location: Location,
    #[command(flatten)]
    layout: Layout,
    /// Only this keyspace. [default: all]
    #[arg(long, value_name = "K")]
    keyspace: Option<String>,
    /// Print an object with `disk_bytes_before` and `disk_bytes_after`.
    #[arg(long)]
    json: bool,
}

impl Compact {
    pub(crate) fn run(&self) -> Ended {
        let db = self.layout.open(&self.location, self.keyspace.as_deref().unwrap_or_default(), false)?;
        let names = match &self.keyspace {
            Some(name) => vec![name.clone()],
            None => db.keyspaces(),
        };
        let before = disk_bytes(&self.location.db);
        let spinner = progress::spinner("compacting");
        for name in names {
            spinner.set_message(format!("compacting {name}"));
            let keyspace = db.keyspace(&name)?;
            keyspace.flush()?;
            keyspace.compact(..)?;
        }
        db.close()?;
        spinner.finish_and_clear();
        let after = disk_bytes(&self.location.db);
        if self.json {
            let summary = serde_json::json!({ "disk_bytes_before": before, "disk_bytes_after": after });
            print_line(summary.to_string())?;
        } else {
            print_line(format!("{} on disk before, {} after", human_size(before), human_size(after)))?;
        }
        Ok(Outcome::Done)
    }
}

/// What the files of a directory occupy on the disk, in bytes. Files that go while they are counted count nothing.
pub(crate) fn disk_bytes(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries.flatten().filter_map(|e| e.metadata().ok()).filter(|m| m.is_file()).map(|m| allocated(&m)).sum()
}

#[cfg(unix)]
fn allocated(metadata: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    metadata.blocks() * 512
}

#[cfg(not(unix))]
fn allocated(metadata: &std::fs::Metadata) -> u64 {
    metadata.len()
}
