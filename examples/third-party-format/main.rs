//! What a program does with a format of its own: registers it, chooses it for a keyspace, and goes on as with any other.
//!
//! `third-party-format [DIRECTORY]`: the store is made there and kept; otherwise in a temporary place, and removed.

use esker::{ByLevel, Db, KeyspaceOptions};
use std::path::Path;
use std::sync::Arc;
use third_party_format::{Chunked, NAME};

fn main() -> esker::Result<()> {
    if let Some(dir) = std::env::args_os().nth(1) {
        return tell(Path::new(&dir));
    }
    let dir = std::env::temp_dir().join(format!("third-party-format-{}", std::process::id()));
    tell(&dir)?;
    Db::destroy(&dir)
}

/// The name chooses the format for new tables. Old ones are read in whatever format they are.
fn chunked() -> KeyspaceOptions {
    KeyspaceOptions::new().format(ByLevel::all(NAME.to_owned()))
}

fn tell(dir: &Path) -> esker::Result<()> {
    let builder = || Db::builder().table_format(Arc::new(Chunked)).keyspace_options("readings", chunked());

    let db = builder().open(dir)?;
    let readings = db.create_keyspace("readings", chunked())?;
    for hour in 0..24 {
        readings.put(format!("2026-01-01T{hour:02}"), format!("{} degrees", hour % 7))?;
        db.put(format!("note/{hour}"), "in the format `block`")?;
    }
    readings.delete_range("2026-01-01T03".."2026-01-01T20")?;
    db.close()?;

    let db = builder().open(dir)?;
    let readings = db.keyspace("readings")?;
    readings.compact(..)?;
    for pair in readings.range(..).rev() {
        let (hour, reading) = pair?;
        println!("{}: {}", hour.escape_ascii(), reading.escape_ascii());
    }
    println!("{} notes in `block`", db.prefix("note/").count());
    let report = db.verify()?;
    println!("{} tables verified, {} problems", report.tables, report.problems.len());
    db.close()?;

    match Db::open(dir) {
        Err(error) => println!("without the format: {error}"),
        Ok(_) => println!("without the format: opened, which must not be"),
    }
    Ok(())
}
