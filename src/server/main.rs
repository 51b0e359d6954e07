//! The binary `esker`. Everything it does lives in the library beside it, where fuzz targets and tests reach it too.

#![forbid(unsafe_code)]

use mimalloc::MiMalloc;

/// What a request needs in memory is small, short-lived, and often freed by another thread than took it. glibc's allocator takes
/// a lock for memory that goes back to another thread's arena; this one does not.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> std::process::ExitCode {
    esker_server::main()
}
