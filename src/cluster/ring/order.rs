//! The order of the replicas within a row: who comes first.
//!
//! Reads prefer the first place, so first places follow the weights as all places do. No data moves for that, but caches grow
//! cold: after a previous ring, whoever stood somewhere in a row stays there unless first places would be out of balance.
//!
//! First places are settled like places (see `exchange`), with paths of rows in which the first replica changes with
//! another one.

use super::placement::{GONE, Origin};
use super::{RingMember, scatter, shares};

/// Puts the replicas of all rows, `n` in each, in order.
pub(super) fn arrange(
    places: &mut [u16],
    n: usize,
    weights: &[u32],
    origin: &Origin,
    members: &[RingMember],
) {
    let mut owned = vec![0; members.len()];
    for at in places.iter() {
        owned[usize::from(*at)] += 1;
    }
    let rows = (places.len() / n) as u32;
    let mut before = vec![0; members.len()];
    for (p, row) in (0..rows).zip(places.chunks_exact_mut(n)) {
        row.sort_by_key(|at| scatter(members[usize::from(*at)].id.0, u64::from(p)));
        if origin.is_some() {
            stay(row, origin.row(p));
            if let Some(first) = before.get_mut(usize::from(origin.row(p)[0])) {
                *first += 1;
            }
        }
    }
    let shares = shares::first_places(&owned, weights, rows, &before);
    let slack = |share: u32| if origin.is_some() { (share / 12).saturating_sub(1) } else { 0 };
    let mut firsts = Firsts::new(places, n, members.len());
    while firsts.settle_one(&shares, slack) {}
}

/// Puts those who stood in this row before where they stood, and the others where there is room, in their order.
fn stay(row: &mut [u16], old: &[u16]) {
    let mut sorted = vec![GONE; row.len()];
    let mut others = Vec::new();
    for at in row.iter() {
        match old.iter().position(|was| was == at).and_then(|was| sorted.get_mut(was)) {
            Some(place) => *place = *at,
            None => others.push(*at),
        }
    }
    let mut others = others.into_iter();
    for (place, stays) in row.iter_mut().zip(sorted) {
        *place = if stays == GONE { others.next().unwrap_or(*place) } else { stays };
    }
}

/// Who is first in how many rows, and who could take over from whom.
struct Firsts<'a> {
    places: &'a mut [u16],
    n: usize,
    first: Vec<u32>,
    /// By first replica and other replica: in how many rows they are that.
    beside: Vec<u32>,
    turn: u64,
}

impl Firsts<'_> {
    fn new(places: &mut [u16], n: usize, members: usize) -> Firsts<'_> {
        let mut firsts =
            Firsts { places, n, first: vec![0; members], beside: vec![0; members * members], turn: 0 };
        for p in 0..firsts.places.len() / n {
            firsts.first[usize::from(firsts.places[p * n])] += 1;
            firsts.count_row(p, 1);
        }
        firsts
    }

    fn count_row(&mut self, p: usize, sign: i32) {
        let row = &self.places[p * self.n..][..self.n];
        for other in &row[1..] {
            let beside = &mut self.beside[usize::from(row[0]) * self.first.len() + usize::from(*other)];
            *beside = beside.wrapping_add_signed(sign);
        }
    }

    /// Settles one first place along a shortest path, for a member that misses its share by more than `slack` allows. Says
    /// whether there was one that could be helped.
    fn settle_one(&mut self, shares: &[u32], slack: impl Fn(u32) -> u32) -> bool {
        let of = |wrong: &dyn Fn(u32, u32) -> bool| -> Vec<bool> {
            self.first.iter().zip(shares).map(|(has, share)| wrong(*has, *share)).collect()
        };
        let short = of(&|has, share| has + slack(share) < share);
        let over = of(&|has, share| has > share + slack(share));
        let below = of(&|has, share| has < share);
        let above = of(&|has, share| has > share);
        let help = self.shortest_path(&above, &short).or_else(|| self.shortest_path(&over, &below));
        let Some(path) = help else { return false };
        for pair in path.windows(2) {
            self.step_back(pair[0], pair[1]);
        }
        true
    }

    /// Breadth first, from all who may give to the nearest who may take.
    fn shortest_path(&self, give: &[bool], take: &[bool]) -> Option<Vec<u16>> {
        let members = self.first.len();
        let mut from: Vec<Option<u16>> = vec![None; members];
        let mut queue: Vec<u16> = (0..members as u16).filter(|at| give[usize::from(*at)]).collect();
        let mut next = 0;
        while let Some(giver) = queue.get(next).copied() {
            next += 1;
            for taker in 0..members {
                let beside = self.beside[usize::from(giver) * members + taker];
                if beside == 0 || from[taker].is_some() || give[taker] {
                    continue;
                }
                from[taker] = Some(giver);
                queue.push(taker as u16);
                if take[taker] {
                    let mut path = vec![taker as u16];
                    let mut at = taker;
                    while let Some(before) = from[at] {
                        path.push(before);
                        at = usize::from(before);
                    }
                    path.reverse();
                    return Some(path);
                }
            }
        }
        None
    }

    /// In one row of those where it can be, taken at random, the first replica changes with another.
    fn step_back(&mut self, first: u16, other: u16) {
        self.turn += 1;
        let rows = self.places.len() / self.n;
        let start = (scatter(self.turn, 1) % rows as u64) as usize;
        let fits = |p: &usize| {
            let row = &self.places[p * self.n..][..self.n];
            row[0] == first && row.contains(&other)
        };
        let Some(p) = (start..rows).chain(0..start).find(fits) else { return };
        self.count_row(p, -1);
        let row = &mut self.places[p * self.n..][..self.n];
        if let Some(at) = row.iter().position(|member| *member == other) {
            row.swap(0, at);
        }
        self.count_row(p, 1);
        self.first[usize::from(first)] -= 1;
        self.first[usize::from(other)] += 1;
    }
}
