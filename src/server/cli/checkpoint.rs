//! `esker checkpoint`: a second store that shares this one's tables.

use super::failure::{Ended, Outcome};
use super::output::print_line;
use super::progress;
use super::store::{Layout, Location};
use clap::Args;
use std::path::PathBuf;

/// Make a store in DEST with what this one holds now; tables are shared by hard links where the file system can.
#[derive(Args, Debug)]
pub(crate) struct Checkpoint {
    #[command(flatten)]
    location: Location,
    #[command(flatten)]
    layout: Layout,
    /// Print an object with `checkpoint`, the directory.
    #[arg(long)]
    json: bool,
    /// The directory to create; there must be nothing there yet.
    dest: PathBuf,
}

impl Checkpoint {
    pub(crate) fn run(&self) -> Ended {
        let db = self.layout.open(&self.location, "", false)?;
        let spinner = progress::spinner("writing the checkpoint");
        db.checkpoint(&self.dest)?;
        db.close()?;
        spinner.finish_and_clear();
        if self.json {
            let dest = self.dest.to_string_lossy();
            print_line(serde_json::json!({ "checkpoint": dest }).to_string())?;
        }
        Ok(Outcome::Done)
    }
}
