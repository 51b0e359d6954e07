//! `esker verify`: reads everything and checks all of it.

use super::failure::{Ended, Failure, Outcome};
use super::output::{print_line, say};
use super::progress;
use super::store::{Location, open_for_reading, torn_sentence};
use crate::pairs::size::human_size;
use clap::Args;
use esker::{Error, VerifyReport};

/// Read every byte of the store and check all of it. Changes nothing; exit status 1 if something is damaged.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    #[command(flatten)]
    location: Location,
    /// Print an object with what was read, and the array `damages`.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(crate) fn run(&self) -> Ended {
        let spinner = progress::spinner("verifying");
        let report = match open_for_reading(&self.location) {
            Ok(db) => db.verify()?,
            // Too damaged to be opened: that is a finding too.
            Err(damage) if damage.is_corruption() => {
                let mut report = VerifyReport::default();
                report.problems.push(damage);
                report
            }
            Err(e) => return Err(e.into()),
        };
        spinner.finish_and_clear();
        self.say(&report)
    }

    fn say(&self, report: &VerifyReport) -> Ended {
        let damages: Vec<String> = report.problems.iter().map(Error::to_string).collect();
        let torn: Vec<String> = report.torn.iter().map(torn_sentence).collect();
        if self.json {
            let report = serde_json::json!({
                "tables": report.tables,
                "table_bytes": report.table_bytes,
                "entries": report.entries,
                "log_records": report.log_records,
                "torn": torn,
                "damages": damages,
            });
            print_line(report.to_string())?;
        } else {
            print_line(format!(
                "{} tables with {} entries in {} and {} records of the log: {}",
                report.tables,
                report.entries,
                human_size(report.table_bytes),
                report.log_records,
                if damages.is_empty() { "no damage" } else { "damaged" }
            ))?;
        }
        for damage in &damages {
            say(format_args!("esker: {damage}"));
        }
        if damages.is_empty() {
            return Ok(Outcome::Done);
        }
        if report.problems.iter().all(|problem| matches!(problem, Error::Unsupported { .. })) {
            return Err(Failure::new(
                "nothing is damaged, but not all of it could be read; use a newer Esker",
            ));
        }
        say(format_args!("esker: run `esker repair` to keep what is intact, or go back to a checkpoint"));
        Ok(Outcome::Negative)
    }
}
