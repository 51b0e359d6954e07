//! The binary `esker`: the command line of the store.

#![forbid(unsafe_code)]
#![allow(dead_code)]

mod bench;
mod pairs;

fn main() {}
