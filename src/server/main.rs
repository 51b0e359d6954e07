//! The binary `esker`: server and command line of the store.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    esker_server::main()
}
