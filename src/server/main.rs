//! The binary `esker`: the command line of the store.

#![forbid(unsafe_code)]

mod bench;
mod cli;
mod pairs;

fn main() -> std::process::ExitCode {
    cli::main()
}
