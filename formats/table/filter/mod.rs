//! Filters: whether a key may be in a table, without reading it.

pub mod bloom;

pub use bloom::{BloomBuilder, may_contain};
