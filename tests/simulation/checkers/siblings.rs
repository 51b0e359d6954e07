//! Siblings never exceed concurrent writers.
//!
//! Two values that stand beside each other, in a store, in an answer or at the end, were written without knowledge of each
//! other. That is so if
//! - their writes overlapped in time (one of which nobody knows how it ended goes on for ever), or
//! - the later one brought a context that does not cover the earlier one, or
//! - the later one brought none, and the store that took it did not have the earlier one yet.
//!
//! The last is the only one that is not the clients' doing, and it is what the write could not know: a store that has a value
//! replaces it when a write without context comes. In particular such a write leaves one sibling where it was taken. Where the
//! last write wins there is never more than one.

use crate::history::{History, KeyIndex, Mint, Write};
use esker_cluster::causality::{ConflictMode, Dot};
use std::collections::BTreeSet;

pub(super) fn check(history: &History) -> Vec<String> {
    let mut found = BTreeSet::new();
    for mint in &history.mints {
        let dots: Vec<Dot> = mint.after.siblings.iter().map(|(dot, _)| *dot).collect();
        let place = || format!("the store of machine {} at {:?}", mint.machine, mint.at);
        judge(history, mint.key, &dots, &place, &mut found);
    }
    for read in &history.reads {
        let Some(shown) = read.found() else { continue };
        let dots: Vec<Dot> = shown.versions.iter().map(|(dot, _)| *dot).collect();
        judge(history, read.key, &dots, &|| format!("read {}", read.id), &mut found);
    }
    for copy in &history.copies {
        let Ok(known) = &copy.known else { continue };
        let dots: Vec<Dot> = known.siblings.iter().map(|(dot, _)| *dot).collect();
        judge(history, copy.key, &dots, &|| format!("machine {} at the end", copy.machine), &mut found);
    }
    found.into_iter().collect()
}

fn judge(
    history: &History,
    key: KeyIndex,
    dots: &[Dot],
    place: &dyn Fn() -> String,
    found: &mut BTreeSet<String>,
) {
    if dots.len() > 1 && history.keys[key].mode == ConflictMode::LastWriteWins {
        found.insert(format!("{}: {} siblings where the last write wins", place(), dots.len()));
        return;
    }
    for (at, one) in dots.iter().enumerate() {
        for other in &dots[at + 1..] {
            let mint = |dot: Dot| history.mints_of(key).find(|mint| mint.dot == dot);
            let (Some(a), Some(b)) = (mint(*one), mint(*other)) else {
                found.insert(format!("{}: {one:?} or {other:?} was never written", place()));
                continue;
            };
            if !may_stand_beside(history, a, b) {
                let (a, b, name) = (&a.writes, &b.writes, &history.keys[key].name);
                found.insert(format!(
                    "{}: writes {a:?} and {b:?} of {name} are siblings, and one had seen the other",
                    place()
                ));
            }
        }
    }
}

fn may_stand_beside(history: &History, a: &Mint, b: &Mint) -> bool {
    let writes =
        |mint: &Mint| -> Vec<&Write> { mint.writes.iter().filter_map(|id| history.writes.get(id)).collect() };
    writes(a).iter().any(|of_a| {
        writes(b).iter().any(|of_b| match (of_a.is_over_before(of_b), of_b.is_over_before(of_a)) {
            (true, _) => did_not_see(of_b, b, a.dot),
            (_, true) => did_not_see(of_a, a, b.dot),
            // They overlapped. The one that was taken by a store which had the other still replaced it.
            _ => did_not_see(of_b, b, a.dot) && did_not_see(of_a, a, b.dot),
        })
    })
}

fn did_not_see(write: &Write, mint: &Mint, dot: Dot) -> bool {
    match &write.context {
        Some(context) => !context.covers(dot),
        None => !mint.before.holds(dot),
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, dot};
    use super::*;

    #[test]
    fn a_blind_write_beside_what_its_store_had_is_one_too_many() {
        let mut story = Story::new();
        story.put(1, 10, dot(1, 5), None, &[]);
        story.put(2, 20, dot(1, 9), None, &[(1, 5)]);
        assert!(check(&story.history).is_empty());
        story.history.mints[1].after.siblings.insert(0, (dot(1, 5), Some(1)));
        assert_eq!(check(&story.history).len(), 1);
    }

    #[test]
    fn a_write_that_had_seen_the_other_cannot_stand_beside_it() {
        let mut story = Story::new();
        story.put(1, 10, dot(1, 5), None, &[]);
        story.put(2, 20, dot(2, 9), Some(&[(1, 5)]), &[]);
        story.read(3, 30, &[(1, 5), (2, 9)], &[(dot(1, 5), 1), (dot(2, 9), 2)]);
        assert_eq!(check(&story.history).len(), 1);
    }

    #[test]
    fn writers_that_did_not_know_of_each_other_leave_siblings() {
        let mut story = Story::new();
        story.put(1, 10, dot(1, 5), None, &[]);
        story.put(2, 20, dot(2, 9), Some(&[]), &[]);
        story.put(3, 30, dot(3, 9), None, &[]);
        let all = [(dot(1, 5), 1), (dot(2, 9), 2), (dot(3, 9), 3)];
        story.copy(0, &[(1, 5), (2, 9), (3, 9)], &all);
        assert!(check(&story.history).is_empty());
        story.history.keys[0].mode = ConflictMode::LastWriteWins;
        assert_eq!(check(&story.history).len(), 1);
    }

    #[test]
    fn a_value_that_nobody_wrote_is_found() {
        let mut story = Story::new();
        story.put(1, 10, dot(1, 5), None, &[]);
        story.read(3, 30, &[(1, 5), (2, 9)], &[(dot(1, 5), 1), (dot(2, 9), 2)]);
        assert_eq!(check(&story.history).len(), 1);
    }
}
