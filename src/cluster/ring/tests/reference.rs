//! The best shares, worked out in another way than the ring does it: in real numbers, by the multipliers of the optimum.
//!
//! Where the sum of `places² / weight` is least, every member has a level, `places / weight`, and levels differ only where a
//! bound keeps them apart. So there is one level for all, one for each data centre, and one for each zone: those of what is
//! at a bound are whatever they must be, the others are the level above.

use crate::ring::RingMember;
use std::collections::BTreeMap;

/// The fewest and the most places of a row that each of several vessels of these sizes can take, if `amount` is spread over
/// them evenly: unit by unit, always to one that has least, which of them is free.
pub(super) fn even(sizes: &[usize], amount: usize) -> Vec<(usize, usize)> {
    let pour = |favourite: usize, liked: bool| {
        let mut filled = vec![0; sizes.len()];
        for _ in 0..amount {
            let open = (0..sizes.len()).filter(|at| filled[*at] < sizes[*at]);
            let next = open.min_by_key(|at| (filled[*at], (*at == favourite) != liked)).unwrap();
            filled[next] += 1;
        }
        filled[favourite]
    };
    (0..sizes.len()).map(|at| (pour(at, false), pour(at, true))).collect()
}

/// The members by data centre and zone.
pub(super) fn zones_by_dc(members: &[RingMember]) -> Vec<Vec<Vec<usize>>> {
    let mut tree: BTreeMap<&str, BTreeMap<&str, Vec<usize>>> = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        tree.entry(&member.dc).or_default().entry(&member.zone).or_default().push(at);
    }
    tree.into_values().map(|zones| zones.into_values().collect()).collect()
}

struct Zone {
    members: Vec<usize>,
    least: f64,
    most: f64,
}

struct Dc {
    zones: Vec<Zone>,
    least: f64,
    most: f64,
}

/// The level at which `places`, which grows with it, is `wanted`.
fn level(wanted: f64, places: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1e9);
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if places(middle) < wanted { low = middle } else { high = middle }
    }
    high
}

pub(super) fn best_shares(members: &[RingMember], replicas: usize, partitions: u32) -> Vec<f64> {
    let rows = f64::from(partitions);
    let n = replicas.min(members.len());
    let tree = zones_by_dc(members);
    let sizes: Vec<usize> = tree.iter().map(|zones| zones.iter().map(Vec::len).sum()).collect();
    let mut dcs = Vec::new();
    for (zones, (least, most)) in tree.iter().zip(even(&sizes, n)) {
        let sizes: Vec<usize> = zones.iter().map(Vec::len).collect();
        let (fewest, utmost) = (even(&sizes, least), even(&sizes, most));
        let zone = |(at, members): (usize, &Vec<usize>)| Zone {
            members: members.clone(),
            least: rows * fewest[at].0.min(utmost[at].0) as f64,
            most: rows * fewest[at].1.max(utmost[at].1) as f64,
        };
        let zones = zones.iter().enumerate().map(zone).collect();
        dcs.push(Dc { zones, least: rows * least as f64, most: rows * most as f64 });
    }
    let of_member = |at: usize, level: f64| (level * f64::from(members[at].weight)).min(rows);
    let in_zone = |zone: &Zone, level: f64| zone.members.iter().map(|at| of_member(*at, level)).sum::<f64>();
    let of_zone = |zone: &Zone, level: f64| in_zone(zone, level).clamp(zone.least, zone.most);
    let in_dc = |dc: &Dc, level: f64| dc.zones.iter().map(|zone| of_zone(zone, level)).sum::<f64>();
    let of_dc = |dc: &Dc, level: f64| in_dc(dc, level).clamp(dc.least, dc.most);
    let mut best = vec![0.0; members.len()];
    let top = level(rows * n as f64, |level| dcs.iter().map(|dc| of_dc(dc, level)).sum());
    for dc in &dcs {
        let dc_level = level(of_dc(dc, top), |level| in_dc(dc, level));
        for zone in &dc.zones {
            let zone_level = level(of_zone(zone, dc_level), |level| in_zone(zone, level));
            for at in &zone.members {
                best[*at] = of_member(*at, zone_level);
            }
        }
    }
    best
}
