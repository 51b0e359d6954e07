//! [`LocalEnv`]: the operating system's files.
/// The operating system's files, clock and threads.
#[derive(Debug, Default)]
pub struct LocalEnv;
