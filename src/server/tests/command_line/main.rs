//! The binary `esker` as a user meets it: real processes, real files, exit statuses and sentences.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod bench;
mod cluster;
mod demo;
mod files_of_a_node;
mod keys;
mod killed;
mod node;
mod operations;
mod pairs;
mod process;
mod trouble;
mod usage;
