//! The binary `esker`. Everything it does lives in the library beside it, where fuzz targets and tests reach it too.

#![forbid(unsafe_code)]

use mimalloc::MiMalloc;

/// Messages are made on the node's thread and dropped on those of connections, or the other way round. glibc's allocator takes
/// a lock for memory that goes back to another thread's arena; this one does not.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> std::process::ExitCode {
    esker_server::main()
}
