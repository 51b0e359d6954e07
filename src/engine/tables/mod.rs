//! Open tables: formats by number and name, the block cache, the table cache, and views of sorted runs.
//!
//! ```text
//!   FileMeta ──► TableSlot ──► Table ──► dyn TableReader          opened at the first use, shared by all versions
//!   SortedRun ──► LevelView: slots and the heads of their bounds, for one quick binary search
//! ```

mod block_cache;
mod level_view;
mod offers;
mod registry;
mod table;
mod table_cache;
mod way;

pub(crate) use block_cache::CachedBlocks;
pub(crate) use level_view::LevelView;
pub(crate) use registry::FormatRegistry;
pub(crate) use table::{Table, TableRuns};
pub(crate) use table_cache::{TableCache, TableSlot};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
