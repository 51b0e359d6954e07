//! When all machines run and can reach each other for long enough, no hint waits any more.

use crate::history::History;

pub(super) fn check(history: &History) -> Vec<String> {
    let left = history.hints_left.iter();
    left.map(|(holder, target, count)| {
        format!("machine {holder} still keeps {count} hints for machine {target}")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;

    #[test]
    fn hints_that_wait_for_ever_are_found() {
        let mut story = Story::new();
        assert!(check(&story.history).is_empty());
        story.history.hints_left.push((0, 1, 3));
        assert_eq!(check(&story.history).len(), 1);
    }
}
