//! The binary `esker`. Everything it does lives in the library beside it, where fuzz targets and tests reach it too.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    esker_server::main()
}
