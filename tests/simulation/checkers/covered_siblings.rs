//! A put never leaves a sibling that its context covers: not where it was taken, and nowhere that it is known.
//!
//! A store or an answer knows of a write if its clock covers the write's dot.

use crate::history::{History, KeyIndex};
use esker_cluster::causality::{Dot, VectorClock};
use std::collections::BTreeSet;

pub(super) fn check(history: &History) -> Vec<String> {
    let mut found = BTreeSet::new();
    for mint in &history.mints {
        let dots: Vec<Dot> = mint.after.siblings.iter().map(|(dot, _)| *dot).collect();
        let place = || format!("the store of machine {} at {:?}", mint.machine, mint.at);
        judge(history, mint.key, &mint.after.clock, &dots, &place, &mut found);
    }
    for read in &history.reads {
        let Some(shown) = read.found() else { continue };
        let dots: Vec<Dot> = shown.versions.iter().map(|(dot, _)| *dot).collect();
        judge(history, read.key, &shown.context, &dots, &|| format!("read {}", read.id), &mut found);
    }
    for copy in &history.copies {
        let Ok(known) = &copy.known else { continue };
        let dots: Vec<Dot> = known.siblings.iter().map(|(dot, _)| *dot).collect();
        let place = || format!("machine {} at the end", copy.machine);
        judge(history, copy.key, &known.clock, &dots, &place, &mut found);
    }
    found.into_iter().collect()
}

fn judge(
    history: &History,
    key: KeyIndex,
    clock: &VectorClock,
    dots: &[Dot],
    place: &dyn Fn() -> String,
    found: &mut BTreeSet<String>,
) {
    for mint in history.mints_of(key).filter(|mint| clock.covers(mint.dot)) {
        // Of a delete that may be one of several it is not known what it had seen.
        let [id] = mint.writes[..] else { continue };
        let Some(context) = history.writes.get(&id).and_then(|write| write.context.as_ref()) else {
            continue;
        };
        for dot in dots.iter().filter(|dot| **dot != mint.dot && context.covers(**dot)) {
            found.insert(format!("{}: {dot:?} stayed, and write {id} had seen it", place()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, dot};
    use super::*;

    #[test]
    fn a_sibling_that_the_context_covers_is_found_in_store_and_answer() {
        let mut story = Story::new();
        story.put(1, 10, dot(1, 5), None, &[]);
        story.put(2, 20, dot(2, 9), Some(&[(1, 5)]), &[(1, 5)]);
        assert!(check(&story.history).is_empty());
        story.read(3, 30, &[(1, 5), (2, 9)], &[(dot(1, 5), 1), (dot(2, 9), 2)]);
        assert_eq!(check(&story.history).len(), 1);
        story.history.mints[1].after.siblings.push((dot(1, 5), Some(1)));
        assert_eq!(check(&story.history).len(), 2);
    }

    #[test]
    fn what_does_not_know_of_the_put_may_still_show_the_other() {
        let mut story = Story::new();
        story.put(1, 10, dot(1, 5), None, &[]);
        story.put(2, 20, dot(2, 9), Some(&[(1, 5)]), &[(1, 5)]);
        story.read(3, 20, &[(1, 5)], &[(dot(1, 5), 1)]);
        assert!(check(&story.history).is_empty());
    }
}
