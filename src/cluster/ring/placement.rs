//! Placing: from members, and perhaps a previous ring, to a new ring.
//!
//! 1. [`shares`] says how many places each member should have.
//! 2. Every row keeps of its previous replicas as many as its [`Spread`] allows, and what is then missing is filled, so that
//!    all along the ring members have about their part of what has been filled so far, with some chance in it.
//! 3. [`Exchange`] trades places until the shares are met, moving as little as possible.
//! 4. [`order`] puts the replicas of each row in order.
//!
//! The chance comes from a fixed hash of partition and id. It matters: where two nodes meet in more rows than they must,
//! a later change would have to move more than what the shares grow by.

use super::exchange::Exchange;
use super::spread::{Spread, Tally};
use super::{MAX_MEMBERS, MAX_NAME_LEN, MAX_PARTITIONS, MAX_REPLICAS, Partition};
use super::{Ring, RingError, RingMember, order, scatter, shares};
use std::cmp::Reverse;

/// One place, in the fixed-point numbers that places are compared in.
const ONE: u64 = 1 << 16;

/// By how many places chance lets a member come too early or too late.
const JITTER: u64 = 3 * ONE;

pub(super) fn place(
    partitions: u32,
    replicas: usize,
    members: &[RingMember],
    previous: Option<&Ring>,
) -> Result<Ring, RingError> {
    let members = checked(partitions, replicas, members)?;
    let n = replicas.min(members.len());
    let spread = Spread::new(&members, n);
    let weights: Vec<u32> = members.iter().map(|member| member.weight).collect();
    let origin = Origin::new(&members, partitions, previous);
    let before = origin.places();
    let shares = shares::places(&spread, &weights, partitions, &before);
    if let Some(previous) = previous
        && previous.members == members
        && previous.replicas() == n
        && origin.holds(&spread, &shares)
    {
        return Ok(Ring { partitions, asked: replicas, members, places: origin.rows });
    }
    let draft = fill(keep(&spread, &shares, &before, &origin), &spread, &shares, &members);
    let mut exchange = Exchange::new(&spread, &origin, draft.clone());
    exchange.settle(&shares);
    if exchange.is_wasteful() {
        // The constraints force more to be moved than the shares grow by. Then the less they grow the better.
        let mut barely = Exchange::new(&spread, &origin, draft);
        barely.settle_barely(&shares);
        if barely.moved() < exchange.moved() {
            exchange = barely;
        }
    }
    let mut places = exchange.into_rows();
    order::arrange(&mut places, n, &weights, &origin, &members);
    Ok(Ring { partitions, asked: replicas, members, places })
}

/// The members sorted by id, if they and the numbers are acceptable.
fn checked(partitions: u32, replicas: usize, members: &[RingMember]) -> Result<Vec<RingMember>, RingError> {
    if !partitions.is_power_of_two() || partitions > MAX_PARTITIONS {
        return Err(RingError::Partitions { asked: partitions });
    }
    if !(1..=MAX_REPLICAS).contains(&replicas) {
        return Err(RingError::Replicas { asked: replicas });
    }
    if members.is_empty() {
        return Err(RingError::NoMembers);
    }
    if members.len() > MAX_MEMBERS {
        return Err(RingError::TooManyMembers { count: members.len() });
    }
    let mut members = members.to_vec();
    members.sort_by_key(|member| member.id);
    if let Some(pair) = members.windows(2).find(|pair| pair[0].id == pair[1].id) {
        return Err(RingError::DuplicateMember { id: pair[0].id });
    }
    for member in &members {
        if member.weight == 0 {
            return Err(RingError::NoWeight { id: member.id });
        }
        let len = member.zone.len().max(member.dc.len());
        if len > MAX_NAME_LEN {
            return Err(RingError::LongName { id: member.id, len });
        }
    }
    Ok(members)
}

/// Who had which place before, in the numbers of the new members.
pub(super) struct Origin {
    width: usize,
    partitions: u32,
    members: usize,
    /// How many new partitions one of the previous ring became.
    split: u32,
    /// [`GONE`] where a previous replica is no member any more.
    rows: Vec<u16>,
}

/// No member has this number.
pub(super) const GONE: u16 = u16::MAX;

impl Origin {
    fn new(members: &[RingMember], partitions: u32, previous: Option<&Ring>) -> Origin {
        let mut origin = Origin { width: 0, partitions, members: members.len(), split: 1, rows: Vec::new() };
        let Some(previous) = previous else { return origin };
        let number = |old: &RingMember| {
            members.binary_search_by_key(&old.id, |member| member.id).map_or(GONE, |at| at as u16)
        };
        let numbers: Vec<u16> = previous.members.iter().map(number).collect();
        origin.width = previous.replicas();
        origin.split = partitions.div_ceil(previous.partitions);
        for p in 0..partitions {
            // Partitions that are cut in two, or joined with their neighbour, begin with what stood at their front.
            let from = u64::from(p) * u64::from(previous.partitions) / u64::from(partitions);
            origin
                .rows
                .extend(previous.row(Partition(from as u32)).iter().map(|at| numbers[usize::from(*at)]));
        }
        origin
    }

    /// What stood in row `p`, in its order.
    pub(super) fn row(&self, p: u32) -> &[u16] {
        &self.rows[p as usize * self.width..][..self.width]
    }

    /// Whether there was a ring before.
    pub(super) fn is_some(&self) -> bool {
        self.width > 0
    }

    /// How many places each member had.
    pub(super) fn places(&self) -> Vec<u32> {
        let mut places = vec![0; self.members];
        for at in self.rows.iter().filter(|at| **at != GONE) {
            places[usize::from(*at)] += 1;
        }
        places
    }

    /// Whether the previous rows can stay as they are: spread as they must be, and close enough to the best shares. Splitting
    /// partitions splits the shares exactly, where the best ones round.
    fn holds(&self, spread: &Spread, shares: &[u32]) -> bool {
        let close = |(had, best): (u32, &u32)| had.abs_diff(*best) <= tolerance(*best).max(self.split - 1);
        self.places().into_iter().zip(shares).all(close)
            && (0..self.partitions).all(|p| spread.allows(self.row(p)))
    }
}

/// By how many places a member may miss its best share: what is promised is a twentieth.
pub(super) fn tolerance(share: u32) -> u32 {
    (share / 22).saturating_sub(1)
}

/// A table whose rows are not full yet.
struct Draft {
    n: usize,
    rows: Vec<Vec<u16>>,
}

/// Takes over of every previous row as many replicas as can stay. Where not all can, those stay that keep their share.
fn keep(spread: &Spread, shares: &[u32], before: &[u32], origin: &Origin) -> Draft {
    let mut tally = Tally::new(spread, 1);
    let mut seen = vec![0u64; spread.members()];
    let mut kept = vec![0u64; spread.members()];
    let mut rows = Vec::new();
    for p in 0..origin.partitions {
        tally.clear();
        let mut row: Vec<u16> = Vec::new();
        if origin.is_some() {
            let mut old: Vec<u16> = origin.row(p).iter().copied().filter(|at| *at != GONE).collect();
            old.sort_by_cached_key(|at| {
                let member = usize::from(*at);
                seen[member] += 1;
                let stays = u64::from(shares[member].min(before[member])) * ONE / u64::from(before[member]);
                let owed = seen[member] * stays + scatter(u64::from(p), u64::from(*at)) % ONE;
                Reverse(owed as i64 - (kept[member] * ONE) as i64)
            });
            row.extend(old.into_iter().filter(|at| tally.add(*at)));
            for at in &row {
                kept[usize::from(*at)] += 1;
            }
        }
        rows.push(row);
    }
    Draft { n: spread.places as usize, rows }
}

/// Fills the rows. Whoever is farthest behind its part of the places filled so far goes first, give or take [`JITTER`].
fn fill(mut draft: Draft, spread: &Spread, shares: &[u32], members: &[RingMember]) -> Vec<u16> {
    let mut wanted: Vec<u64> = shares.iter().copied().map(u64::from).collect();
    for at in draft.rows.iter().flatten() {
        let wanted = &mut wanted[usize::from(*at)];
        *wanted = wanted.saturating_sub(1);
    }
    let all = wanted.iter().sum::<u64>().max(1);
    let mut given = vec![0u64; members.len()];
    let mut filled = 0;
    let mut tally = Tally::new(spread, 1);
    let mut queue: Vec<(Reverse<i64>, u16)> = Vec::with_capacity(members.len());
    for (p, row) in draft.rows.iter_mut().enumerate().filter(|(_, row)| row.len() < draft.n) {
        tally.clear();
        for at in row.iter() {
            tally.add(*at);
        }
        filled += (draft.n - row.len()) as u64;
        queue.clear();
        queue.extend((0..members.len()).map(|at| {
            let owed = wanted[at] * filled * ONE / all + scatter(members[at].id.0, p as u64) % JITTER;
            (Reverse(owed as i64 - (given[at] * ONE) as i64), at as u16)
        }));
        queue.sort_unstable();
        for (_, at) in &queue {
            if row.len() < draft.n && tally.add(*at) {
                given[usize::from(*at)] += 1;
                row.push(*at);
            }
        }
    }
    draft.rows.concat()
}
