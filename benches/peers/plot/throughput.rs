//! Operations a second: a bar for each peer, as long as it is fast beside the fastest of the same workload.

use super::legend::{colour, heading};
use super::svg::{Anchor, FAINT, INK, MARGIN, PALE, Svg, WIDTH};
use crate::cells::{Group, short};
use crate::named::Named as _;
use crate::peer::PeerName;
use crate::workload::Workload;

const BAR: f64 = 13.0;
/// Between two workloads.
const GAP: f64 = 10.0;
/// Where bars begin, and where those of the fastest end.
const LEFT: f64 = MARGIN + 130.0;
const RIGHT: f64 = WIDTH - MARGIN - 110.0;

pub(super) fn panel(svg: &mut Svg, group: &Group<'_>) {
    let what = "Beside the fastest of each workload. *: its time was over before everything was written.";
    heading(svg, &format!("Operations a second: {group}"), what, &group.peers);
    for workload in &group.workloads {
        bars(svg, group, *workload);
    }
    svg.bottom += GAP;
}

/// The bars of one workload.
fn bars(svg: &mut Svg, group: &Group<'_>, workload: Workload) {
    let measured = |peer: &PeerName| !group.cell(workload, *peer).is_empty();
    let peers: Vec<PeerName> = group.peers.iter().copied().filter(measured).collect();
    let best = peers.iter().filter_map(|peer| group.rate(workload, *peer)).fold(0.0, f64::max);
    let top = svg.bottom;
    let height = BAR * peers.len() as f64;
    svg.line((MARGIN, top - GAP / 2.0), (WIDTH - MARGIN, top - GAP / 2.0), 1.0, FAINT);
    svg.text(LEFT - 8.0, top + height / 2.0, Anchor::End, 12, INK, &workload.name());
    for (at, peer) in peers.iter().enumerate() {
        let y = top + BAR * at as f64;
        let Some(rate) = group.rate(workload, *peer) else {
            svg.text(LEFT + 6.0, y + BAR / 2.0, Anchor::Start, 10, PALE, "lost what had been written");
            continue;
        };
        let part = if best > 0.0 { rate / best } else { 0.0 };
        // The slowest has a bar still, or nobody saw whose figure it is.
        let length = (part * (RIGHT - LEFT)).max(1.0);
        svg.bar(LEFT, y + 1.0, length, BAR - 2.0, colour(*peer));
        let cut = if group.cell(workload, *peer).iter().any(|one| one.cut_short) { "*" } else { "" };
        let label = format!("{}{cut}", short(rate));
        svg.text(LEFT + length + 6.0, y + BAR / 2.0, Anchor::Start, 10, INK, &label);
    }
    svg.bottom = top + height + GAP;
}
