//! Operations a second, with Esker's ratios to the others.

use super::{heading, names};
use crate::cells::{Group, short};
use crate::named::Named as _;
use crate::peer::PeerName;
use crate::workload::Workload;
use std::fmt::Write as _;

pub(super) fn table(group: &Group<'_>, out: &mut String) {
    let _ = writeln!(
        out,
        "Operations a second; of readseq and readreverse, pairs; of readwhilewriting also what was written beside. \
         `*`: its time was over before everything was written. `!`: it lost what had been written.\n"
    );
    let others: Vec<PeerName> =
        group.peers.iter().copied().filter(|peer| !peer.is_own() && *peer != PeerName::Array).collect();
    let mut columns: Vec<(String, PeerName, PeerName)> = Vec::new();
    for own in group.peers.iter().filter(|peer| peer.is_own()) {
        let ratio = |other: &PeerName| (format!("{} / {}", own.name(), other.name()), *own, *other);
        columns.extend(others.iter().map(ratio));
    }
    let mut headings = names(&group.peers);
    headings.extend(columns.iter().map(|(heading, ..)| heading.clone()));
    headings.push("esker / best LSM".to_owned());
    heading(out, "workload", &headings);
    for workload in &group.workloads {
        let over = |own: PeerName, other: Option<f64>| {
            let own = group.rate(*workload, own);
            own.zip(other).map_or("–".to_owned(), |(own, other)| format!("{:.2}", own / other))
        };
        let rate = |peer: &PeerName| group.rate(*workload, *peer);
        let best = others.iter().filter(|peer| peer.is_lsm()).filter_map(rate).max_by(f64::total_cmp);
        let cells = group.peers.iter().map(|peer| cell(group, *workload, *peer));
        let cells = cells.chain(columns.iter().map(|(_, own, other)| over(*own, rate(other))));
        let cells = cells.chain([over(PeerName::Esker, best)]);
        let _ = writeln!(out, "| {} | {} |", workload.name(), cells.collect::<Vec<_>>().join(" | "));
    }
}

fn cell(group: &Group<'_>, workload: Workload, peer: PeerName) -> String {
    let Some(rate) = group.median(workload, peer, |one| Some(one.ops_per_s)) else { return "–".to_owned() };
    let mut shown = short(rate);
    if let Some(beside) = group.median(workload, peer, |one| one.beside_ops_per_s) {
        let _ = write!(shown, " / {}", short(beside));
    }
    if group.cell(workload, peer).iter().any(|one| one.cut_short) {
        shown.push('*');
    }
    if group.rate(workload, peer).is_none() {
        shown.push('!');
    }
    shown
}
