//! [`Group`]: measurements of records of one size, by workload and peer, with their medians.

use crate::measured::Measured;
use crate::peer::PeerName;
use crate::workload::Workload;
use std::collections::BTreeMap;
use std::fmt;

/// Measurements that can be compared with each other.
pub(crate) struct Group<'a> {
    kind: Kind,
    pub(crate) peers: Vec<PeerName>,
    pub(crate) workloads: Vec<Workload>,
    cells: BTreeMap<(Workload, PeerName), Vec<&'a Measured>>,
}

/// What tells groups apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    memory_limit_mib: Option<u64>,
    value_bytes: usize,
    keys: u64,
}

/// The groups that there are, those without a limit of memory first, and of those the ones with the smallest values.
pub(crate) fn groups(measured: &[Measured]) -> Vec<Group<'_>> {
    let mut kinds: BTreeMap<Kind, BTreeMap<(Workload, PeerName), Vec<&Measured>>> = BTreeMap::new();
    for one in measured {
        let Measured { memory_limit_mib, value_bytes, keys, .. } = *one;
        let cells = kinds.entry(Kind { memory_limit_mib, value_bytes, keys }).or_default();
        cells.entry((one.workload, one.peer)).or_default().push(one);
    }
    let group = |(kind, cells): (Kind, BTreeMap<(Workload, PeerName), Vec<_>>)| {
        let mut peers: Vec<PeerName> = cells.keys().map(|(_, peer)| *peer).collect();
        let mut workloads: Vec<Workload> = cells.keys().map(|(workload, _)| *workload).collect();
        peers.sort_unstable();
        peers.dedup();
        workloads.dedup();
        Group { kind, peers, workloads, cells }
    };
    kinds.into_iter().map(group).collect()
}

impl<'a> Group<'a> {
    /// What was measured of a workload on a peer, in the order in which it was.
    pub(crate) fn cell(&self, workload: Workload, peer: PeerName) -> &[&'a Measured] {
        self.cells.get(&(workload, peer)).map_or(&[], Vec::as_slice)
    }

    /// The median of a figure, of those measurements that have it.
    pub(crate) fn median(
        &self,
        workload: Workload,
        peer: PeerName,
        figure: impl Fn(&Measured) -> Option<f64>,
    ) -> Option<f64> {
        median(self.cell(workload, peer).iter().filter_map(|one| figure(one)))
    }

    /// What counts in comparisons: nothing of a store that lost something.
    pub(crate) fn rate(&self, workload: Workload, peer: PeerName) -> Option<f64> {
        let kept_all = self.cell(workload, peer).iter().all(|one| one.kept.is_none_or(|kept| kept == 1.0));
        self.median(workload, peer, |one| Some(one.ops_per_s)).filter(|_| kept_all)
    }
}

impl fmt::Display for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kind { memory_limit_mib, value_bytes, keys } = self.kind;
        write!(f, "values of {value_bytes} bytes, {keys} records")?;
        memory_limit_mib.map_or(Ok(()), |limit| write!(f, ", {limit} MiB of memory"))
    }
}

/// The middle of some figures; of an even number the lower of the two in the middle.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().checked_sub(1)? / 2).copied()
}

/// A rate with three figures.
pub(crate) fn short(rate: f64) -> String {
    let (scaled, unit) = match rate {
        1e6.. => (rate / 1e6, "M"),
        1e3.. => (rate / 1e3, "k"),
        _ => (rate, ""),
    };
    match scaled {
        100.0.. => format!("{scaled:.0}{unit}"),
        10.0.. => format!("{scaled:.1}{unit}"),
        _ => format!("{scaled:.2}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn figures_are_short_and_medians_are_in_the_middle() {
        assert_eq!(
            [24_900_000.0, 370_123.0, 4_700.0, 99.5, 0.25].map(short),
            ["24.9M", "370k", "4.70k", "99.5", "0.25"]
        );
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.0));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn sizes_and_limits_are_not_mixed() {
        let small = example::measured();
        let large: Vec<Measured> = small
            .iter()
            .map(|one| Measured { value_bytes: 1024, keys: 500, ops_per_s: 1.0, ..one.clone() })
            .collect();
        let limited: Vec<Measured> =
            small.iter().map(|one| Measured { memory_limit_mib: Some(64), ..one.clone() }).collect();
        let all = [limited, large, small].concat();
        let names: Vec<String> = groups(&all).iter().map(Group::to_string).collect();
        assert_eq!(
            names,
            [
                "values of 100 bytes, 5000 records",
                "values of 1024 bytes, 500 records",
                "values of 100 bytes, 5000 records, 64 MiB of memory"
            ]
        );
        let groups = groups(&all);
        assert_eq!(groups[1].rate(Workload::Readrandom, PeerName::Esker), Some(1.0));
        assert_eq!(groups[0].rate(Workload::Readrandom, PeerName::Lmdb), Some(800_000.0));
    }
}
