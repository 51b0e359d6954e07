//! Reading: point lookups, merged iteration, snapshots.
//!
//! ```text
//!   Range, Cursor            user keys and values, both directions              range.rs, cursor.rs
//!   VisibleCursor            the newest version a snapshot sees; deletes hidden  visible.rs, tombstones.rs
//!   MergeCursor              all versions of all sources in internal order       merging.rs
//!   Source                   a memtable, or the tables of a sorted run           source.rs, level_cursor.rs
//!   ReadState                what one read looks at, pinned                      state.rs, get.rs
//! ```

mod bounds;
mod cursor;
mod get;
mod key_range;
mod level_cursor;
mod merging;
mod options;
mod range;
mod snapshot;
mod source;
mod state;
mod tombstones;
mod visible;

pub use cursor::Cursor;
pub use key_range::KeyRange;
pub use options::ReadOptions;
pub use range::Range;

pub(crate) use bounds::Bounds;
#[cfg(test)]
pub(crate) use merging::MergeCursor;
pub(crate) use snapshot::{SnapshotGuard, SnapshotList};
#[cfg(test)]
pub(crate) use source::Source;
pub(crate) use state::ReadState;

#[cfg(test)]
mod tests;
