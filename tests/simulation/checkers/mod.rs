//! The checkers: each names one promise, reads a [`History`] and says where the promise was broken.
//!
//! What a checker excuses is part of what it means, and stands on top of its file.

mod covered_siblings;
mod equal_copies;
mod fresh_reads;
mod hints_drained;
mod lost_writes;
mod monotonic_reads;
mod rejected_writes;
mod seen_contexts;
mod siblings;
mod story;

use crate::history::{History, Violation};

/// A checker's name, and itself.
pub(crate) type Checker = (&'static str, fn(&History) -> Vec<String>);

/// All of them.
pub(crate) const ALL: &[Checker] = &[
    ("no acknowledged write lost", lost_writes::check),
    ("rejected writes have no effect", rejected_writes::check),
    ("siblings never exceed concurrent writers", siblings::check),
    ("a put leaves no sibling that its context covers", covered_siblings::check),
    ("a put's context covers only what its client has seen", seen_contexts::check),
    ("monotonic quorum reads", monotonic_reads::check),
    ("quorum reads see acknowledged writes", fresh_reads::check),
    ("replicas equal after healing and reading", equal_copies::check),
    ("hints drain", hints_drained::check),
];

/// What all checkers find, after what was seen to be wrong on the way.
pub(crate) fn check(history: &History) -> Vec<Violation> {
    let found = ALL
        .iter()
        .flat_map(|(checker, check)| check(history).into_iter().map(|what| Violation { checker, what }));
    history.seen.iter().cloned().chain(found).collect()
}
