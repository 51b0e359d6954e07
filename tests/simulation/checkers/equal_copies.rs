//! The replicas of a key are equal after healing and reading: they hold the same siblings, with the same values. Their
//! clocks may differ, since one may have been truncated.

use crate::history::{FinalCopy, History, Known};
use esker_cluster::causality::VectorClock;

pub(super) fn check(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    for (key, facts) in history.keys.iter().enumerate() {
        let copies: Vec<&FinalCopy> = history.copies.iter().filter(|copy| copy.key == key).collect();
        let mut first: Option<(usize, &Known)> = None;
        for copy in copies {
            let known = match &copy.known {
                Ok(known) => known,
                Err(why) => {
                    found.push(format!("machine {} cannot read {}: {why}", copy.machine, facts.name));
                    continue;
                }
            };
            match first {
                None => first = Some((copy.machine, known)),
                Some((machine, other)) if other.siblings != known.siblings => found.push(format!(
                    "{}: machine {machine} has {}, machine {} has {}",
                    facts.name,
                    shown(other),
                    copy.machine,
                    shown(known)
                )),
                Some(_) => {}
            }
        }
    }
    found
}

fn shown(known: &Known) -> String {
    let clock: &VectorClock = &known.clock;
    let dots: Vec<String> = known.siblings.iter().map(|(dot, _)| format!("{dot:?}")).collect();
    format!("[{}] under {clock:?}", dots.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, dot};
    use super::*;

    #[test]
    fn copies_that_differ_are_found() {
        let mut story = Story::new();
        story.copy(0, &[(1, 5)], &[(dot(1, 5), 1)]);
        story.copy(1, &[(1, 5), (2, 1)], &[(dot(1, 5), 1)]);
        assert!(check(&story.history).is_empty());
        story.copy(2, &[(1, 5)], &[(dot(1, 5), 2)]);
        assert_eq!(check(&story.history).len(), 1);
        story.history.copies.push(FinalCopy { machine: 3, key: 0, known: Err("damaged".into()) });
        assert_eq!(check(&story.history).len(), 2);
    }
}
