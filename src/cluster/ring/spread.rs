//! [`Spread`]: how many replicas of a partition each data centre and each zone takes. [`Tally`]: filling places one by one
//! without ever breaking that.
//!
//! The n places of a row are poured over the data centres as water is over vessels of different height, the height being
//! the number of nodes: every data centre takes L, or all its nodes if it has fewer, with the greatest L for which that is
//! not more than n; what is left over is spread over data centres that have more than L nodes, one each. What a data centre
//! takes is poured over its zones in the same way. So each data centre and each zone takes one of at most two numbers,
//! `least` and `most`, which do not depend on the partition:
//!
//! ```text
//!   n = 5           east: zones a (9 nodes), b (1), c (4)     west: zone d (3)
//!   data centres    2..=3                                     2..=3
//!   zones           a 0..=1   b 0..=1   c 0..=1               d 2..=3
//! ```
//!
//! Rows that keep within these bounds at every level are the bases of a matroid (the sets are nested), which is what the
//! rest of the room stands on:
//! - Filling greedily, best first, finds the best row; a place that cannot be given to a node once never can be again.
//! - A sum of such rows can have any number of places per node that keeps within the same bounds, each multiplied by the
//!   number of rows. So shares can be settled first, and rows made to fit them.

use super::RingMember;
use std::collections::BTreeMap;

/// The fewest and the most places that something takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) least: u32,
    pub(super) most: u32,
}

/// How the places of one row are spread. See the head of this file.
#[derive(Debug)]
pub(super) struct Spread {
    /// The number of places of a row.
    pub(super) places: u32,
    zone_of_member: Vec<u16>,
    dc_of_zone: Vec<u16>,
    zones: Vec<Bounds>,
    dcs: Vec<Bounds>,
}

impl Spread {
    /// `places` is at most the number of members.
    pub(super) fn new(members: &[RingMember], places: usize) -> Spread {
        let places = places as u32;
        let mut sizes: BTreeMap<&str, BTreeMap<&str, u32>> = BTreeMap::new();
        for member in members {
            *sizes.entry(&member.dc).or_default().entry(&member.zone).or_default() += 1;
        }
        let dc_sizes: Vec<u32> = sizes.values().map(|zones| zones.values().sum()).collect();
        let dcs = pour(&dc_sizes, Bounds { least: places, most: places });
        let mut spread =
            Spread { places, zone_of_member: Vec::new(), dc_of_zone: Vec::new(), zones: Vec::new(), dcs };
        let mut numbers = BTreeMap::new();
        for (dc, (dc_name, zones)) in sizes.iter().enumerate() {
            for (zone, bounds) in
                zones.keys().zip(pour(&Vec::from_iter(zones.values().copied()), spread.dcs[dc]))
            {
                numbers.insert((*dc_name, *zone), spread.zones.len() as u16);
                spread.zones.push(bounds);
                spread.dc_of_zone.push(dc as u16);
            }
        }
        let zone_of = |member: &RingMember| numbers[&(member.dc.as_str(), member.zone.as_str())];
        spread.zone_of_member = members.iter().map(zone_of).collect();
        spread
    }

    pub(super) fn members(&self) -> usize {
        self.zone_of_member.len()
    }

    pub(super) fn zone(&self, member: u16) -> u16 {
        self.zone_of_member[usize::from(member)]
    }

    pub(super) fn dc(&self, member: u16) -> u16 {
        self.dc_of_zone[usize::from(self.zone(member))]
    }

    pub(super) fn zone_bounds(&self, member: u16) -> Bounds {
        self.zones[usize::from(self.zone(member))]
    }

    pub(super) fn dc_bounds(&self, member: u16) -> Bounds {
        self.dcs[usize::from(self.dc(member))]
    }

    /// Whether a row of distinct members is spread as it must be.
    pub(super) fn allows(&self, row: &[u16]) -> bool {
        let mut tally = Tally::new(self, 1);
        row.len() == self.places as usize && row.iter().all(|member| tally.add(*member))
    }
}

/// Pours an amount, which varies by one at most, over vessels of these sizes.
fn pour(sizes: &[u32], amount: Bounds) -> Vec<Bounds> {
    let filled = |level: u32| sizes.iter().map(|size| (*size).min(level)).sum::<u32>();
    let highest = sizes.iter().copied().max().unwrap_or(0);
    let level = (0..=highest).rev().find(|level| filled(*level) <= amount.least).unwrap_or(0);
    let more = filled(level) < amount.most;
    let bounds = |size: &u32| {
        let least = (*size).min(level);
        Bounds { least, most: least + u32::from(more && *size > level) }
    };
    sizes.iter().map(bounds).collect()
}

/// Places given so far, in one row or in several at once, and which may be given next.
pub(super) struct Tally<'a> {
    spread: &'a Spread,
    rows: u32,
    members: Vec<u32>,
    zones: Vec<u32>,
    /// By data centre: the places that its zones have or are bound to take.
    dcs: Vec<u32>,
    /// The places that all data centres have or are bound to take.
    bound: u32,
}

impl<'a> Tally<'a> {
    /// Fills as many rows at once.
    pub(super) fn new(spread: &'a Spread, rows: u32) -> Tally<'a> {
        let members = vec![0; spread.members()];
        let zones = vec![0; spread.zones.len()];
        let mut tally = Tally { spread, rows, members, zones, dcs: vec![0; spread.dcs.len()], bound: 0 };
        tally.clear();
        tally
    }

    /// Takes all places back.
    pub(super) fn clear(&mut self) {
        self.members.fill(0);
        self.zones.fill(0);
        self.dcs.fill(0);
        for (zone, dc) in self.spread.zones.iter().zip(&self.spread.dc_of_zone) {
            self.dcs[usize::from(*dc)] += zone.least * self.rows;
        }
        self.bound = (0..self.dcs.len()).map(|dc| self.taken(dc)).sum();
    }

    fn taken(&self, dc: usize) -> u32 {
        self.dcs[dc].max(self.spread.dcs[dc].least * self.rows)
    }

    /// Gives a place to a member, unless that leads to rows that are not spread as they must be.
    pub(super) fn add(&mut self, member: u16) -> bool {
        let zone = usize::from(self.spread.zone(member));
        let dc = usize::from(self.spread.dc(member));
        let zone_bounds = self.spread.zones[zone];
        if self.members[usize::from(member)] == self.rows || self.zones[zone] == zone_bounds.most * self.rows
        {
            return false;
        }
        // A place that the zone was bound to take anyway is a place less for nobody.
        if self.zones[zone] >= zone_bounds.least * self.rows {
            let before = self.taken(dc);
            if self.dcs[dc] == self.spread.dcs[dc].most * self.rows {
                return false;
            }
            let more = u32::from(self.dcs[dc] == before);
            if self.bound + more > self.spread.places * self.rows {
                return false;
            }
            self.dcs[dc] += 1;
            self.bound += more;
        }
        self.zones[zone] += 1;
        self.members[usize::from(member)] += 1;
        true
    }

    pub(super) fn of_member(&self, member: u16) -> u32 {
        self.members[usize::from(member)]
    }
}
