//! Tests of the read path on tables and memtables without a store around them.

mod failures;
mod history;
mod model;
mod scans;
