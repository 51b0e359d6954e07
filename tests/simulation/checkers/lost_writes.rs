//! No acknowledged write is lost.
//!
//! A write that was acknowledged is there at the end, at some replica, or gave way to a write that had seen it: one whose
//! context covers it, or one without a context that was taken by a store which had it. The write that it gave way to must be
//! there itself or have given way in turn (its dot is covered by what the replicas know), must not have been refused, and
//! must not have been over before the lost one began: a late repetition of an old write may not undo a new one. The same
//! holds for what each read shows: if the read knows of the write, it shows it or what it gave way to.
//!
//! Where the last write wins, a write may also give way to one with a later dot that its store did not have, even if that
//! was over before: clocks are not equal, and this is what the mode is named for.
//!
//! Excused: a write that fewer than two replicas acknowledged, if one of the key's replicas was destroyed after it was
//! called; a buffered write, if as many replicas lost power or were destroyed as acknowledged it. A value whose time is over
//! is not shown by reads.

use crate::history::{History, KeyIndex, Known, Loss, Mint, Write};
use esker_cluster::causality::{ConflictMode, Dot, VectorClock};
use std::time::Duration;

pub(super) fn check(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    for write in history.writes.values() {
        if write.acknowledged().is_none() {
            continue;
        }
        let dots = history.dots_of(write);
        if dots.is_empty() {
            found.push(format!("{} was acknowledged, and no store took it", name(history, write)));
            continue;
        }
        if !must_stay(history, write) {
            continue;
        }
        in_copies(history, write, &dots, &mut found);
        in_reads(history, write, &dots, &mut found);
    }
    found
}

/// Whether the write is there at the end.
fn in_copies(history: &History, write: &Write, dots: &[Dot], found: &mut Vec<String>) {
    let copies: Vec<&Known> = history
        .copies
        .iter()
        .filter(|copy| copy.key == write.key)
        .filter_map(|copy| copy.known.as_ref().ok())
        .collect();
    if copies.is_empty() {
        return;
    }
    let mut clock = VectorClock::new();
    copies.iter().for_each(|copy| clock.join(&copy.clock));
    let there = |dot: Dot| copies.iter().any(|copy| copy.holds(dot));
    if !dots.iter().any(|dot| there(*dot) || gave_way(history, write, *dot, &clock)) {
        let copies = crate::trace::short(&copies);
        found.push(format!("{} with dot {dots:?} is gone; left are {copies}", name(history, write)));
    }
}

/// Whether each read that knows of the write shows it.
fn in_reads(history: &History, write: &Write, dots: &[Dot], found: &mut Vec<String>) {
    let Some((hash, _)) = write.value else { return };
    if history.mints_of(write.key).any(|mint| mint.expires && dots.contains(&mint.dot)) {
        return;
    }
    for read in history.reads.iter().filter(|read| read.key == write.key) {
        let Some(shown) = read.found() else { continue };
        let known: Vec<Dot> = dots.iter().copied().filter(|dot| shown.context.covers(*dot)).collect();
        let there = known.is_empty()
            || shown.versions.iter().any(|(dot, shown)| dots.contains(dot) && *shown == hash)
            || known.iter().any(|dot| gave_way(history, write, *dot, &shown.context));
        if !there {
            let shown = crate::trace::short(shown);
            let (id, write) = (read.id, name(history, write));
            found.push(format!("read {id} knows of {write} with dot {dots:?} and does not show it: {shown}"));
        }
    }
}

/// Whether a write that `clock` knows of has replaced this one rightly.
fn gave_way(history: &History, write: &Write, dot: Dot, clock: &VectorClock) -> bool {
    let last_wins = history.keys[write.key].mode == ConflictMode::LastWriteWins;
    let replaced = |mint: &Mint| history.replaces(mint, dot) && history.may_follow(mint, write);
    // A write that its store had would have got a lower dot.
    let had = |other: Dot| {
        history.mints_of(write.key).any(|mint| mint.dot == dot && mint.before.clock.covers(other))
    };
    let won = |mint: &Mint| last_wins && mint.dot.age() > dot.age() && !had(mint.dot);
    history.mints_of(write.key).any(|mint| clock.covers(mint.dot) && (replaced(mint) || won(mint)))
}

/// Whether the faults leave no excuse.
pub(super) fn must_stay(history: &History, write: &Write) -> bool {
    let Some(told) = write.acknowledged() else { return false };
    let lost = |key: KeyIndex, counts: fn(Loss) -> bool| {
        history.lost_between(key, write.call, Duration::MAX, counts)
    };
    let destroyed = lost(write.key, |loss| matches!(loss, Loss::Directory | Loss::Bits));
    if told.acks < 2 && (destroyed > 0 || told.acks == 0) {
        // What only a stand-in acknowledged is gone with that, and a stand-in may be any machine.
        return told.acks == 0 && history.lost.iter().all(|lost| lost.at < write.call);
    }
    write.synced || lost(write.key, |loss| loss != Loss::Process) < told.acks
}

pub(super) fn name(history: &History, write: &Write) -> String {
    let kind = if write.value.is_some() { "put" } else { "delete" };
    format!("{kind} {} of {}", write.id, history.keys[write.key].name)
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, dot};
    use super::*;

    #[test]
    fn a_value_that_nobody_replaced_and_nobody_has_is_lost() {
        let mut story = Story::new();
        story.put(1, 10, dot(1, 5), None, &[]);
        story.copy(0, &[(1, 5)], &[(dot(1, 5), 1)]);
        assert!(check(&story.history).is_empty());
        story.history.copies.clear();
        story.copy(0, &[(1, 5)], &[]);
        assert_eq!(check(&story.history).len(), 1);
    }

    #[test]
    fn giving_way_to_a_write_that_had_not_seen_it_is_being_lost() {
        let mut story = Story::new();
        story.put(1, 10, dot(1, 5), None, &[]);
        story.put(2, 20, dot(2, 9), None, &[]);
        story.copy(0, &[(1, 5), (2, 9)], &[(dot(2, 9), 2)]);
        assert_eq!(check(&story.history).len(), 1);
        story.history.mints[1].before.siblings.push((dot(1, 5), Some(1)));
        assert!(check(&story.history).is_empty());
    }

    #[test]
    fn an_old_write_that_comes_again_loses_the_new_one() {
        let mut story = Story::new();
        story.put(1, 10, dot(1, 5), None, &[]);
        story.put(2, 20, dot(2, 9), None, &[(1, 5)]);
        story.mint(1, 30, dot(1, 30), &[(2, 9)]);
        story.copy(0, &[(1, 30), (2, 9)], &[(dot(1, 30), 1)]);
        assert_eq!(check(&story.history).len(), 1);
    }

    #[test]
    fn a_read_that_knows_of_a_value_and_hides_it_is_found() {
        let mut story = Story::new();
        story.put(1, 10, dot(1, 5), None, &[]);
        story.copy(0, &[(1, 5)], &[(dot(1, 5), 1)]);
        story.read(7, 40, &[(1, 5)], &[]);
        assert_eq!(check(&story.history).len(), 1);
    }

    #[test]
    fn one_copy_may_go_with_its_only_replica() {
        let mut story = Story::new();
        story.put(1, 10, dot(1, 5), None, &[]);
        story.acks(1, 1);
        story.copy(0, &[(1, 5)], &[]);
        assert_eq!(check(&story.history).len(), 1);
        story.lose(0, 30, Loss::Directory);
        assert!(check(&story.history).is_empty());
        story.acks(1, 2);
        assert_eq!(check(&story.history).len(), 1, "two replicas had it");
    }
}
