//! [`Trace`]: what happened in a schedule, one line an event, and the hash of it all.
//!
//! Lines are made only if somebody wants them: to print them, or to compare two runs of one seed.

use std::fmt;
use std::time::Duration;
use xxhash_rust::xxh3::Xxh3;

/// What is done with what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Nothing.
    Nothing,
    /// It is hashed.
    Hash,
    /// It is hashed and written down.
    Lines,
}

/// What happened.
pub(crate) struct Trace {
    keep: Keep,
    hash: Xxh3,
    lines: Vec<String>,
}

impl Trace {
    pub(crate) fn new(keep: Keep) -> Trace {
        Trace { keep, hash: Xxh3::new(), lines: Vec::new() }
    }

    /// Something happened.
    pub(crate) fn note(&mut self, now: Duration, what: impl FnOnce() -> String) {
        if self.keep == Keep::Nothing {
            return;
        }
        let line = format!("{:>11.6} {}", now.as_secs_f64(), what());
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        if self.keep == Keep::Lines {
            self.lines.push(line);
        }
    }

    /// The hash of all that happened.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.digest()
    }

    /// What happened, one line an event.
    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }
}

/// The beginning of something long, without what values are filled with.
pub(crate) fn short(what: &dyn fmt::Debug) -> String {
    let mut text = format!("{what:?}").replace("\\xa5", "");
    if text.len() > 400 {
        let mut end = 400;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
