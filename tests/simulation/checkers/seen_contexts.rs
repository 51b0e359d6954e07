//! The context that a put returns covers what its client has seen and its own write, and nothing else.
//!
//! What its client had seen is what the context that it brought covers. Of the rest only such writes may be covered as the store
//! that took the put knew to be replaced: to cover those takes nothing from anybody. A put without a context replaces all that its
//! store has, which is what it has seen then.

use crate::history::{History, Mint, Write};
use esker_cluster::causality::Context;

pub(super) fn check(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    for write in history.writes.values() {
        let Some(told) = write.acknowledged() else { continue };
        let mints: Vec<&Mint> =
            history.mints_of(write.key).filter(|mint| mint.writes.contains(&write.id)).collect();
        // Of a delete that may be one of several it is not known which mint is its own.
        let [mint] = mints[..] else { continue };
        if mint.writes.len() == 1 {
            judge(history, write, mint, &told.context, &mut found);
        }
    }
    found
}

fn judge(history: &History, write: &Write, mint: &Mint, told: &Context, found: &mut Vec<String>) {
    let name = super::lost_writes::name(history, write);
    if !told.covers(mint.dot) {
        found.push(format!("the context that {name} returned does not cover it"));
    }
    for other in history.mints_of(write.key).map(|other| other.dot).filter(|dot| *dot != mint.dot) {
        let had_seen = write.context.as_ref().is_some_and(|context| context.covers(other));
        let stays = mint.after.holds(other);
        if had_seen && !told.covers(other) {
            found.push(format!("the context that {name} returned has forgotten {other:?}"));
        }
        if !had_seen && told.covers(other) && (stays || !mint.after.clock.covers(other)) {
            found.push(format!(
                "the context that {name} returned covers {other:?}, which its client has not seen"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, dot};
    use super::*;

    #[test]
    fn covering_what_stands_beside_is_found() {
        let mut story = Story::new();
        story.put(1, 10, dot(1, 5), None, &[]);
        story.put(2, 20, dot(1, 9), Some(&[]), &[(1, 5)]);
        story.tell(2, &[(1, 9)], &[dot(1, 5)]);
        assert!(check(&story.history).is_empty());
        story.tell(2, &[(1, 9)], &[]);
        assert_eq!(check(&story.history).len(), 1);
    }

    #[test]
    fn covering_what_the_store_never_heard_of_is_found() {
        let mut story = Story::new();
        story.put(1, 10, dot(2, 5), None, &[]);
        story.put(2, 20, dot(1, 9), Some(&[]), &[]);
        assert!(check(&story.history).is_empty());
        story.tell(2, &[(1, 9), (2, 5)], &[]);
        assert_eq!(check(&story.history).len(), 1);
    }

    #[test]
    fn forgetting_what_was_seen_or_written_is_found() {
        let mut story = Story::new();
        story.put(1, 10, dot(2, 5), None, &[]);
        story.put(2, 20, dot(1, 9), Some(&[(2, 5)]), &[(2, 5)]);
        assert!(check(&story.history).is_empty());
        story.tell(2, &[(1, 9)], &[]);
        assert_eq!(check(&story.history).len(), 1);
        story.tell(2, &[(2, 5)], &[]);
        assert_eq!(check(&story.history).len(), 1);
    }
}
