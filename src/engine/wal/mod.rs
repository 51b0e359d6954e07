//! The write-ahead log: what was written since the tables were, in segments that follow one another.
//!
//! ```text
//!   000012.wal ◄──previous── 000015.wal ◄──previous── 000019.wal
//!   [batch][batch][batch]    [link][batch][batch]     [link][batch]   the newest takes the records
//!   ├─ synced ─┤             ├┤                       ├┤
//! ```
//!
//! A segment is a log in the sense of [`crate::record`], one record a commit. Its header names the one before, and its first record
//! says where that ends and how far the log was synced: a segment may be left unsynced. A sync is of all segments that are needed, oldest
//! first, so that whatever is known to be synced proves what is before it to be. A lost, cut or damaged segment is told from a torn end by that.
//! What a record's payload says is the write room's business.

mod replay;
mod segment;

pub(crate) use replay::{Known, Replay, replay, settle};
pub(crate) use segment::Segment;

use crate::fs::Env;
use crate::fs::filename::FileName;
use crate::{Error, Result};
use std::path::Path;

/// The numbers of the segments in a store's directory, ascending.
///
/// # Errors
/// `Io` if the directory cannot be read.
pub(crate) fn list(env: &dyn Env, dir: &Path) -> Result<Vec<u64>> {
    let names = env.read_dir(dir).map_err(|e| Error::io(dir, "list", e))?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| match FileName::parse(name) {
            Some(FileName::Wal(number)) => Some(number),
            _ => None,
        })
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}
