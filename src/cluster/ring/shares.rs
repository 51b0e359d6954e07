//! How many places each member should have: the shares.
//!
//! The best shares are those that the constraints allow and for which the sum over all members of `places² / weight` is
//! smallest. Without constraints that is in proportion to the weights. With them it is what water-filling gives: a member
//! that would have more than one place of a row has one of each, a zone or data centre takes no more and no less than it
//! must, and what this leaves or lacks is shared by the others in proportion to their weights, at every level.
//!
//! Whole places are given one by one, each to the member for which the sum grows least: (2·places + 1) / weight. As the
//! rows are bases of a matroid, giving greedily is exact, and whoever cannot take a place once never can again.

use super::spread::{Spread, Tally};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A member that would take the next place.
#[derive(PartialEq, Eq)]
struct Claim {
    /// 2·places + 1.
    rank: u64,
    weight: u64,
    /// What it had before; so that of equals the one grows that had more, and nothing moves for nothing.
    before: u32,
    member: u16,
}

impl Ord for Claim {
    /// The greatest claim is served first.
    fn cmp(&self, other: &Claim) -> Ordering {
        let (mine, others) = (self.rank * other.weight, other.rank * self.weight);
        others.cmp(&mine).then(self.before.cmp(&other.before)).then(other.member.cmp(&self.member))
    }
}

impl PartialOrd for Claim {
    fn partial_cmp(&self, other: &Claim) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn claims(weights: &[u32], before: &[u32]) -> BinaryHeap<Claim> {
    let claim = |(member, (weight, before)): (usize, (&u32, &u32))| Claim {
        rank: 1,
        weight: u64::from(*weight),
        before: *before,
        member: member as u16,
    };
    weights.iter().zip(before).enumerate().map(claim).collect()
}

/// The best shares of all places of `rows` rows. `before` says what the members had, and decides between equals.
pub(super) fn places(spread: &Spread, weights: &[u32], rows: u32, before: &[u32]) -> Vec<u32> {
    let mut tally = Tally::new(spread, rows);
    let mut claims = claims(weights, before);
    while let Some(mut claim) = claims.pop() {
        if tally.add(claim.member) {
            claim.rank += 2;
            claims.push(claim);
        }
    }
    (0..weights.len()).map(|member| tally.of_member(member as u16)).collect()
}

/// The best shares of the first places of `rows` rows, among members that have so many `places` at all.
pub(super) fn first_places(places: &[u32], weights: &[u32], rows: u32, before: &[u32]) -> Vec<u32> {
    let mut first = vec![0; weights.len()];
    let mut claims = claims(weights, before);
    let mut left = rows;
    while left > 0
        && let Some(mut claim) = claims.pop()
    {
        let member = usize::from(claim.member);
        if first[member] < places[member] {
            first[member] += 1;
            left -= 1;
            claim.rank += 2;
            claims.push(claim);
        }
    }
    first
}
