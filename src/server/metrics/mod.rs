//! What the server counts, and its exposition as text.
//!
//! Counters are atomics that commands reach without a lookup, a lock or an allocation; the text is made when somebody asks. The format
//! is small and fixed, so that it is written here and not by a library that would bring a registry of its own.

mod histogram;
mod text;

pub(crate) use histogram::Histogram;
pub(crate) use text::render;

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Calls and errors of a command.
#[derive(Debug, Default)]
pub(crate) struct CommandCounter {
    pub(crate) name: &'static str,
    pub(crate) calls: Counter,
    pub(crate) errors: Counter,
}

/// Calls and errors by command.
#[derive(Debug)]
pub(crate) struct CommandCounters {
    by_place: Vec<CommandCounter>,
}

impl CommandCounters {
    /// Counts for the command at this place of the table; a place behind its end is that of unknown commands.
    pub(crate) fn count(&self, place: usize, calls: u64, errors: u64) {
        if let Some(counter) = self.by_place.get(place) {
            counter.calls.add(calls);
            if errors > 0 {
                counter.errors.add(errors);
            }
        }
    }

    /// The counters, in the order of the table.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &CommandCounter> {
        self.by_place.iter()
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) connections_opened: Counter,
    pub(crate) connections_refused: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) protocol_errors: Counter,
    pub(crate) auth_failures: Counter,
    pub(crate) expired: Counter,
    pub(crate) commands: CommandCounters,
    pub(crate) latency: Histogram,
}

impl Metrics {
    /// Everything at zero, with a counter for each of these commands and one for unknown ones.
    pub(crate) fn new(commands: impl Iterator<Item = &'static str>) -> Metrics {
        let names = commands.chain(["unknown"]);
        Metrics {
            connections_opened: Counter::default(),
            connections_refused: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            protocol_errors: Counter::default(),
            auth_failures: Counter::default(),
            expired: Counter::default(),
            commands: CommandCounters {
                by_place: names.map(|name| CommandCounter { name, ..CommandCounter::default() }).collect(),
            },
            latency: Histogram::default(),
        }
    }

    /// Commands answered.
    pub(crate) fn total_commands(&self) -> u64 {
        self.commands.iter().map(|c| c.calls.get()).sum()
    }

    /// What `CONFIG RESETSTAT` sets back.
    pub(crate) fn reset(&self) {
        for counter in [
            &self.connections_opened,
            &self.connections_refused,
            &self.bytes_in,
            &self.bytes_out,
            &self.protocol_errors,
            &self.auth_failures,
            &self.expired,
        ] {
            counter.reset();
        }
        for command in self.commands.iter() {
            command.calls.reset();
            command.errors.reset();
        }
    }
}
