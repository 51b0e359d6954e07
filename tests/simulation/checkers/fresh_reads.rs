//! Quorum reads see acknowledged writes: a read whose replicas must overlap with those that acknowledged a write, and that
//! began after the acknowledgement, has seen the write.
//!
//! Excused: a buffered write, if a machine that keeps the key lost power or its directory since; and anything if bits were
//! flipped under one, or, for a write that a single replica acknowledged, if one lost its directory.

use super::lost_writes::name;
use crate::history::{History, Loss};
use esker_cluster::request::Level;
use std::time::Duration;

/// How many of `n` replicas a read at this level has asked; `None` if the level does not say that they are any so many.
pub(super) fn read_quota(level: Level, n: usize) -> Option<usize> {
    match level {
        Level::Two => Some(2),
        Level::Three => Some(3),
        Level::All => Some(n),
        Level::Quorum => Some(n / 2 + 1),
        Level::Count(count) => Some(usize::from(count)),
        _ => None,
    }
}

pub(super) fn check(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    for write in history.writes.values() {
        let (Some(told), Some(ret)) = (write.acknowledged(), write.ret) else { continue };
        let n = history.keys[write.key].replicas.len();
        let dots = history.dots_of(write);
        for read in history.reads.iter().filter(|read| read.key == write.key && read.call > ret) {
            let (Some(shown), Some(r)) = (read.found(), read_quota(read.level, n)) else { continue };
            if told.acks + r <= n || dots.is_empty() || dots.iter().any(|dot| shown.context.covers(*dot)) {
                continue;
            }
            let until = read.ret.unwrap_or(Duration::MAX);
            let excuses = |loss| match loss {
                Loss::Bits => true,
                Loss::Directory => told.acks < 2 || !write.synced,
                Loss::Power => !write.synced,
                Loss::Process => false,
            };
            if history.lost_between(write.key, write.call, until, excuses) == 0 {
                let write = name(history, write);
                found.push(format!(
                    "read {} began after {write} was acknowledged, and does not know of it",
                    read.id
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, dot};
    use super::*;

    #[test]
    fn a_read_that_missed_an_acknowledged_write_is_found() {
        let mut story = Story::new();
        story.put(1, 10, dot(1, 5), None, &[]);
        story.read(2, 9, &[], &[]);
        assert!(check(&story.history).is_empty());
        story.read(3, 12, &[], &[]);
        assert_eq!(check(&story.history).len(), 1);
        story.acks(1, 1);
        assert!(check(&story.history).is_empty(), "one and two of three need not overlap");
    }
}
