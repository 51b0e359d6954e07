//! Progress of long work, on a terminal only: elsewhere nothing is shown.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::time::Duration;

fn bar(len: Option<u64>, template: &str, what: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(len, ProgressDrawTarget::stderr_with_hz(10));
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A bar that counts bytes; without a known end, it only counts.
pub(crate) fn bytes(what: &str, len: Option<u64>) -> ProgressBar {
    match len {
        Some(_) => bar(len, "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}", what),
        None => bar(None, "{spinner} {msg} {bytes} {bytes_per_sec}", what),
    }
}

/// A bar that counts steps.
pub(crate) fn steps(what: &str, len: u64) -> ProgressBar {
    bar(Some(len), "{msg} {wide_bar} {human_pos}/{human_len} {eta}", what)
}

/// Says that something goes on, for work whose length is not known.
pub(crate) fn spinner(what: &str) -> ProgressBar {
    bar(None, "{spinner} {msg} {elapsed}", what)
}
