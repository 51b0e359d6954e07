//! Monotonic quorum reads: of two reads of a key whose replicas must overlap, the one that began after the other had
//! returned has seen all that the other had.
//!
//! Excused is what no read can promise: a write that too few replicas had made durable when the first read returned, if a
//! machine that keeps the key lost its process or its power before the second returned (what was not synced counts for
//! nothing when the power went); a write that a single replica had, if that was destroyed; and anything if bits were
//! flipped under one.

use super::fresh_reads::read_quota;
use crate::history::{History, Loss, Read};
use esker_cluster::causality::Dot;
use std::time::Duration;

pub(super) fn check(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    for (key, facts) in history.keys.iter().enumerate() {
        let n = facts.replicas.len();
        let reads: Vec<(&Read, usize)> = history
            .reads
            .iter()
            .filter(|read| read.key == key && read.found().is_some())
            .filter_map(|read| Some((read, read_quota(read.level, n)?)))
            .collect();
        for (first, r1) in &reads {
            let (Some(shown), Some(ret)) = (first.found(), first.ret) else { continue };
            for (second, r2) in reads.iter().filter(|(second, _)| second.call > ret) {
                let Some(later) = second.found() else { continue };
                if r1 + r2 <= n {
                    continue;
                }
                let missing = shown.context.entries().iter().filter(|dot| !later.context.covers(**dot));
                let missing: Vec<Dot> =
                    missing.copied().filter(|dot| !excused(history, first, second, *dot, n - r2)).collect();
                if !missing.is_empty() {
                    found.push(format!(
                        "read {} of {} saw {missing:?}, and read {} after it did not",
                        first.id, facts.name, second.id
                    ));
                }
            }
        }
    }
    found
}

/// Whether the faults explain that `second` missed this. `spare` replicas need not have been asked by it.
fn excused(history: &History, first: &Read, second: &Read, dot: Dot, spare: usize) -> bool {
    let until = second.ret.unwrap_or(Duration::MAX);
    if history.lost_between(first.key, Duration::ZERO, until, |loss| loss == Loss::Bits) > 0 {
        return true;
    }
    let crashed = |loss| matches!(loss, Loss::Process | Loss::Power | Loss::Directory);
    if history.lost_between(first.key, first.call, until, crashed) == 0 {
        return false;
    }
    let went = |counts: fn(Loss) -> bool| history.lost_between(first.key, Duration::ZERO, until, counts) > 0;
    let power_went = went(|loss| loss == Loss::Power);
    let mut had: Vec<usize> = history
        .durable
        .iter()
        .filter(|durable| durable.synced || !power_went)
        .filter(|durable| {
            durable.key == first.key && Some(durable.at) <= first.ret && durable.clock.covers(dot)
        })
        .map(|durable| durable.machine)
        .collect();
    had.sort_unstable();
    had.dedup();
    had.len() <= spare || (had.len() < 2 && went(|loss| loss == Loss::Directory))
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, clock, dot};
    use super::*;
    use crate::history::Durable;

    #[test]
    fn a_read_that_forgets_what_an_earlier_one_saw_is_found() {
        let mut story = Story::new();
        story.read(1, 10, &[(1, 5)], &[(dot(1, 5), 1)]);
        story.read(2, 20, &[(1, 5), (2, 3)], &[]);
        assert!(check(&story.history).is_empty());
        story.read(3, 30, &[(1, 5)], &[(dot(1, 5), 1)]);
        assert_eq!(check(&story.history).len(), 1);
    }

    #[test]
    fn reads_that_overlap_may_see_either() {
        let mut story = Story::new();
        story.read(1, 10, &[(1, 5)], &[]);
        story.read(2, 11, &[], &[]);
        assert!(check(&story.history).is_empty());
    }

    #[test]
    fn a_crash_excuses_what_was_not_durable_and_nothing_else() {
        let mut story = Story::new();
        story.read(1, 10, &[(1, 5)], &[]);
        story.read(2, 20, &[], &[]);
        assert_eq!(check(&story.history).len(), 1);
        story.lose(0, 15, Loss::Power);
        assert!(check(&story.history).is_empty());
        for machine in [1, 2] {
            let at = Duration::from_secs(9);
            story.history.durable.push(Durable {
                at,
                machine,
                key: 0,
                clock: clock(&[(1, 5)]),
                synced: true,
            });
        }
        assert_eq!(check(&story.history).len(), 1);
    }
}
