//! Tests of whole jobs: memtables are flushed and tables compacted in a simulated file system, and everything is read
//! back.

mod expiry;
mod hooks;
mod jobs;
mod store;
