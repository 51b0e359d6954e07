//! The arithmetic of levels.

use super::{Level, Quota};
use crate::id::NodeId;

fn nodes(dcs: &[&'static str]) -> Vec<(NodeId, &'static str)> {
    dcs.iter().enumerate().map(|(n, dc)| (NodeId(n as u64 + 1), *dc)).collect()
}

fn ids(numbers: &[u64]) -> Vec<NodeId> {
    numbers.iter().map(|n| NodeId(*n)).collect()
}

#[test]
fn each_level_needs_what_its_name_says() {
    let five = nodes(&["a", "a", "a", "b", "b"]);
    let need = |level| Quota::new(level, &five, "b").map(|quota| quota.need());
    assert_eq!(need(Level::Any), Ok(1));
    assert_eq!(need(Level::One), Ok(1));
    assert_eq!(need(Level::Two), Ok(2));
    assert_eq!(need(Level::Three), Ok(3));
    assert_eq!(need(Level::Quorum), Ok(3));
    assert_eq!(need(Level::All), Ok(5));
    assert_eq!(need(Level::LocalOne), Ok(1));
    assert_eq!(need(Level::LocalQuorum), Ok(2));
    assert_eq!(need(Level::EachQuorum), Ok(4));
    assert_eq!(need(Level::Count(4)), Ok(4));
    assert!(need(Level::Count(6)).is_err());
    assert!(Quota::new(Level::Three, &nodes(&["a", "a"]), "a").is_err());
    assert!(Quota::new(Level::LocalOne, &five, "c").is_err(), "no replica is local");
    assert!(Quota::new(Level::All, &[], "a").is_err());
}

#[test]
fn only_local_replicas_count_for_local_levels() {
    let five = nodes(&["a", "a", "a", "b", "b"]);
    let quota = Quota::new(Level::LocalQuorum, &five, "a").unwrap();
    assert!(!quota.is_met(&ids(&[1, 4, 5])));
    assert!(quota.is_met(&ids(&[1, 3])));
    assert_eq!(quota.choose(&ids(&[5, 4, 3, 2, 1])), ids(&[3, 2]));
}

#[test]
fn each_quorum_needs_a_majority_everywhere() {
    let six = nodes(&["a", "a", "a", "b", "b", "b"]);
    let quota = Quota::new(Level::EachQuorum, &six, "a").unwrap();
    assert!(!quota.is_met(&ids(&[1, 2, 3, 4])));
    assert!(quota.is_met(&ids(&[1, 2, 4, 6])));
    assert_eq!(quota.choose(&ids(&[1, 2, 3, 4, 5, 6])), ids(&[1, 2, 4, 5]));
}

#[test]
fn strangers_do_not_count() {
    let three = nodes(&["a", "a", "a"]);
    let quota = Quota::new(Level::Quorum, &three, "a").unwrap();
    assert!(!quota.is_met(&ids(&[1, 9, 10])));
}

/// Two quorums of the same replicas share one of them, whatever their number.
#[test]
fn quorums_meet() {
    for n in 1..=9usize {
        let replicas = nodes(&["a"; 9][..n]);
        let need = Quota::new(Level::Quorum, &replicas, "a").unwrap().need();
        assert!(need * 2 > n, "{n}");
    }
}
