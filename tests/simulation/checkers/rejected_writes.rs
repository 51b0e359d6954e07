//! A write that was rejected has no effect, ever: no store took it, no read shows it.

use super::lost_writes::name;
use crate::history::{History, Outcome};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    for write in history.writes.values() {
        let Outcome::Refused(why) = &write.outcome else { continue };
        // A delete that may be one of several is not known to be this one.
        let taken = history.mints_of(write.key).find(|mint| mint.writes == [write.id]);
        if let Some(mint) = taken {
            let (write, machine) = (name(history, write), mint.machine);
            found.push(format!("{write} was rejected (`{why}`), and the store of machine {machine} took it"));
        }
        let Some((hash, _)) = write.value else { continue };
        for read in history.reads.iter().filter(|read| read.key == write.key) {
            if read.found().is_some_and(|shown| shown.versions.iter().any(|(_, value)| *value == hash)) {
                found.push(format!("{} was rejected, and read {} shows it", name(history, write), read.id));
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
    fn a_rejected_write_that_was_taken_is_found() {
        let mut story = Story::new();
        story.put(1, 10, dot(1, 5), None, &[]);
        story.read(2, 20, &[(1, 5)], &[(dot(1, 5), 1)]);
        assert!(check(&story.history).is_empty());
        let write = story.history.writes.get_mut(&1);
        write.into_iter().for_each(|write| write.outcome = Outcome::Refused("no".into()));
        assert_eq!(check(&story.history).len(), 2);
    }
}
