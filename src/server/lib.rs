//! What the binary `esker` is made of: the server and the command line of the store.
//!
//! It is a library for the sake of the binary's `main.rs` and of the fuzz targets, which cannot link a binary; it promises
//! nothing to other programs.

#![forbid(unsafe_code)]

pub mod bench;
mod bounded;
mod cli;
mod config;
mod database;
mod demo;
mod http;
mod metrics;
pub mod node;
mod pairs;
mod resp;
pub mod rpc;
mod runtime;
mod server;

pub use cli::main;
pub use resp::fuzz_requests;
