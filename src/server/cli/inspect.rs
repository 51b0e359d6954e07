//! `esker inspect`: what a single file says.

use super::failure::{Ended, Failure, Outcome};
use super::output::Output;
use crate::pairs::escape::escaped;
use crate::pairs::jsonl::member;
use clap::Args;
use esker::{InspectOptions, Inspected};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// Print what a table, a segment of the log, a MANIFEST or a CURRENT says. Changes nothing.
///
/// The file need not be in a store. Damage is shown where it lies, and makes the exit status 2.
#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// Also print every entry.
    #[arg(long)]
    entries: bool,
    /// Print an object a line: `line` with a text, or an entry's `seqno`, `kind`, `key` and `value`.
    #[arg(long)]
    json: bool,
    /// The file.
    file: PathBuf,
}

impl Inspect {
    pub(crate) fn run(&self) -> Ended {
        let mut out = Output::new();
        let mut written = Ok(());
        let options = InspectOptions::new().entries(self.entries);
        let inspected = esker::inspect(&self.file, options, &mut |said| {
            if written.is_ok() {
                written = out.line(if self.json { object(said) } else { text(said) });
            }
        });
        written?;
        // What could be read is printed before the damage is said.
        out.finish()?;
        inspected.map_err(Failure::from)?;
        Ok(Outcome::Done)
    }
}

/// A line, with an entry's key and value in the form of `scan`.
fn text(said: Inspected<'_>) -> String {
    let Inspected::Entry { keyspace, seqno, kind, key, value } = said else { return said.to_string() };
    let keyspace = keyspace.map_or_else(String::new, |k| format!("keyspace {k} "));
    let (key, value) = (escaped(key), escaped(value));
    match kind {
        "delete" => format!("  {seqno} {keyspace}{kind} {key}"),
        _ => format!("  {seqno} {keyspace}{kind} {key}\t{value}"),
    }
}

fn object(said: Inspected<'_>) -> String {
    let mut object = Map::new();
    match said {
        Inspected::Entry { keyspace, seqno, kind, key, value } => {
            object.insert("seqno".to_owned(), seqno.into());
            if let Some(keyspace) = keyspace {
                object.insert("keyspace".to_owned(), keyspace.into());
            }
            object.insert("kind".to_owned(), kind.into());
            let range = kind == "delete-range";
            object.extend([member(if range { "from" } else { "key" }, key)]);
            if kind != "delete" {
                object.extend([member(if range { "to" } else { "value" }, value)]);
            }
        }
        other => {
            object.insert("line".to_owned(), other.to_string().into());
        }
    }
    Value::Object(object).to_string()
}
