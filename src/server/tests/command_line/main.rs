//! The binary `esker` as a user meets it: real processes, real files, exit statuses and sentences.

mod bench;
mod keys;
mod killed;
mod operations;
mod pairs;
mod process;
mod trouble;
mod usage;
