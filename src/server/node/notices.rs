//! [`Notices`]: a node's notices as lines of the log, without saying the same over and over.

use esker_cluster::Notice;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// For how long a warning is not repeated. A peer that is misconfigured causes one with each of its messages.
const QUIET: Duration = Duration::from_secs(10);

/// How many warnings are remembered.
const REMEMBERED: usize = 32;

/// Writes notices to the log.
#[derive(Debug, Default)]
pub(super) struct Notices {
    recent: VecDeque<(String, Instant)>,
}

impl Notices {
    /// Logs a notice. Returns the sentence of one after which the node cannot go on.
    pub(super) fn log(&mut self, notice: Notice) -> Option<String> {
        match notice {
            Notice::Fatal(why) => {
                tracing::error!("{why}");
                return Some(why);
            }
            Notice::Info(what) => tracing::info!("{what}"),
            Notice::Warning(what) => self.warn(what),
            Notice::Divided { epoch, other } => {
                self.warn(format!("node {other} keeps another state of the cluster under the epoch {epoch}"));
            }
            _ => {}
        }
        None
    }

    fn warn(&mut self, what: String) {
        self.recent.retain(|(_, at)| at.elapsed() < QUIET);
        if self.recent.iter().any(|(said, _)| *said == what) {
            return;
        }
        tracing::warn!("{what}");
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((what, Instant::now()));
    }
}
