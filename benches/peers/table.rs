//! Medians as Markdown.

use crate::child::Measured;
use crate::named::Named as _;
use crate::peer::PeerName;
use crate::workload::Workload;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The measurements of one workload on one peer.
type Cells<'a> = BTreeMap<(Workload, PeerName), Vec<&'a Measured>>;

/// Tables of everything that was measured: operations a second with their ratio to each of the others, latencies, memory and
/// space.
pub(crate) fn of(measured: &[Measured]) -> String {
    let mut cells = Cells::new();
    for one in measured {
        cells.entry((one.workload, one.peer)).or_default().push(one);
    }
    let mut peers: Vec<PeerName> = cells.keys().map(|(_, peer)| *peer).collect();
    let mut workloads: Vec<Workload> = cells.keys().map(|(workload, _)| *workload).collect();
    peers.sort_unstable();
    peers.dedup();
    workloads.dedup();
    let mut out = String::new();
    let table = Table { cells: &cells, peers: &peers, workloads: &workloads };
    table.rates(&mut out);
    table.shown(&mut out, "p50 / p99 / p99.9 in microseconds", |cell| {
        let micros = |of: fn(&Measured) -> f64| median(cell.iter().map(|one| of(one)));
        let (p50, p99, p999) =
            (micros(|one| one.p50_us)?, micros(|one| one.p99_us)?, micros(|one| one.p999_us)?);
        (p50 > 0.0).then(|| format!("{p50:.1} / {p99:.1} / {p999:.0}"))
    });
    table.shown(&mut out, "peak resident MiB without mapped files", |cell| {
        let bytes = median(cell.iter().filter_map(|one| one.peak_anon_bytes).map(|bytes| bytes as f64))?;
        Some(format!("{:.0}", bytes / f64::from(1 << 20)))
    });
    let settled =
        "MiB on disk, settled / written bytes for each byte of the user's / seconds it took to settle";
    table.shown(&mut out, settled, |cell| {
        let written = median(cell.iter().filter_map(|one| one.write_amp))?;
        let disk = median(cell.iter().map(|one| one.disk_bytes as f64))?;
        let seconds = median(cell.iter().filter_map(|one| one.settle_s))?;
        Some(format!("{:.0} / {written:.2} / {seconds:.1}", disk / f64::from(1 << 20)))
    });
    out
}

struct Table<'a> {
    cells: &'a Cells<'a>,
    peers: &'a [PeerName],
    workloads: &'a [Workload],
}

impl Table<'_> {
    fn heading(&self, out: &mut String, more: &[String]) {
        let names: Vec<String> =
            self.peers.iter().map(|peer| peer.name()).chain(more.iter().cloned()).collect();
        let _ = writeln!(out, "| workload | {} |", names.join(" | "));
        let _ = writeln!(out, "|---|{}", "--:|".repeat(names.len()));
    }

    fn rates(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "Operations a second; of readseq and readreverse, pairs; of readwhilewriting also what was written beside. \
             `*`: its time was over before everything was written. `!`: it lost what had been written.\n"
        );
        let others: Vec<PeerName> =
            self.peers.iter().copied().filter(|peer| *peer != PeerName::Esker).collect();
        let ratios = others.iter().map(|peer| format!("Esker / {}", peer.name()));
        let ratios: Vec<String> = ratios.chain(["Esker / best LSM".to_owned()]).collect();
        self.heading(out, &ratios);
        for workload in self.workloads {
            let own = self.rate(*workload, PeerName::Esker);
            let over = |rate: Option<f64>| {
                own.zip(rate).map_or("–".to_owned(), |(own, other)| format!("{:.2}", own / other))
            };
            let rate = |peer: &PeerName| self.rate(*workload, *peer);
            let best = others.iter().filter(|peer| peer.is_lsm()).filter_map(rate).max_by(f64::total_cmp);
            let cells = self.peers.iter().map(|peer| self.rate_cell(*workload, *peer));
            let cells = cells.chain(others.iter().map(|peer| over(rate(peer)))).chain([over(best)]);
            let _ = writeln!(out, "| {} | {} |", workload.name(), cells.collect::<Vec<_>>().join(" | "));
        }
    }

    /// What counts in comparisons: nothing of a store that lost something.
    fn rate(&self, workload: Workload, peer: PeerName) -> Option<f64> {
        let cell = self.cells.get(&(workload, peer))?;
        let kept_all = cell.iter().all(|one| one.kept.is_none_or(|kept| kept == 1.0));
        median(cell.iter().map(|one| one.ops_per_s)).filter(|_| kept_all)
    }

    fn rate_cell(&self, workload: Workload, peer: PeerName) -> String {
        let Some(cell) = self.cells.get(&(workload, peer)) else { return "–".to_owned() };
        let mut shown = median(cell.iter().map(|one| one.ops_per_s)).map_or(String::new(), short);
        if let Some(beside) = median(cell.iter().filter_map(|one| one.beside_ops_per_s)) {
            let _ = write!(shown, " / {}", short(beside));
        }
        if cell.iter().any(|one| one.cut_short) {
            shown.push('*');
        }
        if self.rate(workload, peer).is_none() {
            shown.push('!');
        }
        shown
    }

    /// A table of what `show` makes of each cell, with the rows that have something.
    fn shown(&self, out: &mut String, what: &str, show: impl Fn(&[&Measured]) -> Option<String>) {
        let _ = writeln!(out, "\n{what}:\n");
        self.heading(out, &[]);
        for workload in self.workloads {
            let cell = |peer: &PeerName| self.cells.get(&(*workload, *peer)).and_then(|cell| show(cell));
            let row: Vec<Option<String>> = self.peers.iter().map(cell).collect();
            if row.iter().any(Option::is_some) {
                let row: Vec<String> = row.into_iter().map(|cell| cell.unwrap_or("–".to_owned())).collect();
                let _ = writeln!(out, "| {} | {} |", workload.name(), row.join(" | "));
            }
        }
    }
}

/// The middle of some figures; of an even number the lower of the two in the middle.
fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().checked_sub(1)? / 2).copied()
}

/// A rate with three figures.
fn short(rate: f64) -> String {
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
}
