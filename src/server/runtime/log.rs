//! The log: one line for each event, to standard error.

use tracing::Level;

/// Starts logging. Whoever started it before, as a test does, keeps it.
pub(super) fn start(level: Level) {
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .try_init();
}
