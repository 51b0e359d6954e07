//! How writes become visible and durable: batches, the commit pipeline, the log's way to disk, stalls.

pub(crate) mod batch;
pub(crate) mod commit;
pub(crate) mod drain;
pub(crate) mod handle;
pub(crate) mod health;
pub(crate) mod log;
pub(crate) mod publish;
pub(crate) mod stall;
pub(crate) mod tree;

#[cfg(all(test, loom))]
mod loom_tests;

pub use batch::WriteBatch;
pub use commit::WriteOptions;
pub use handle::Commit;
