//! Quantiles of latencies: a line for each workload and peer on one logarithmic axis, with a mark for each quantile.

use super::axis::{Axis, micros};
use super::legend::{colour, heading};
use super::svg::{Anchor, FAINT, INK, MARGIN, PALE, Svg, WIDTH};
use crate::cells::Group;
use crate::latency::Quantiles;
use crate::measured::Measured;
use crate::named::Named as _;
use crate::peer::PeerName;
use crate::workload::Workload;

const ROW: f64 = 12.0;
/// Between two workloads.
const GAP: f64 = 10.0;
/// Where the axis begins and ends.
const LEFT: f64 = MARGIN + 130.0;
const RIGHT: f64 = WIDTH - MARGIN - 20.0;
/// Half of a mark.
const MARK: f64 = 4.0;

/// What stands on the left, and the quantiles of each peer, from the lowest to the highest.
type Lines = (String, Vec<(PeerName, [f64; 4])>);

pub(super) fn panel(svg: &mut Svg, group: &Group<'_>) {
    let lines = lines(group);
    if lines.is_empty() {
        return;
    }
    let what = "Of single operations, and of batches where there are batches; of paced writes from when each was due.";
    heading(svg, &format!("Latencies: {group}"), what, &group.peers);
    marks(svg);
    let figures = lines.iter().flat_map(|(_, peers)| peers.iter().flat_map(|(_, quantiles)| *quantiles));
    let axis = Axis::logarithmic(figures, LEFT, RIGHT);
    let top = svg.bottom + 16.0;
    let height: f64 = lines.iter().map(|(_, peers)| ROW * peers.len() as f64 + GAP).sum();
    for mark in axis.marks() {
        let x = axis.at(mark);
        svg.line((x, top), (x, top + height), 1.0, FAINT);
        svg.text(x, top - 8.0, Anchor::Middle, 10, PALE, &micros(mark));
        svg.text(x, top + height + 10.0, Anchor::Middle, 10, PALE, &micros(mark));
    }
    let mut y = top + GAP / 2.0;
    for (name, peers) in lines {
        let middle = y + ROW * peers.len() as f64 / 2.0;
        svg.text(LEFT - 8.0, middle, Anchor::End, 12, INK, &name);
        svg.line((MARGIN, y - GAP / 2.0), (RIGHT, y - GAP / 2.0), 1.0, FAINT);
        for (peer, quantiles) in peers {
            line(svg, &axis, y + ROW / 2.0, quantiles, colour(peer));
            y += ROW;
        }
        y += GAP;
    }
    svg.bottom = top + height + 30.0;
}

/// The medians of every workload, and behind those of `longfill` the ones of its other phases.
fn lines(group: &Group<'_>) -> Vec<Lines> {
    let mut lines = Vec::new();
    for workload in &group.workloads {
        let mut add = |name: String, figures: fn(&Measured) -> Option<[f64; 4]>| {
            let of = |peer: &PeerName| Some((*peer, quantiles(group, *workload, *peer, figures)?));
            let peers: Vec<_> = group.peers.iter().filter_map(of).collect();
            if !peers.is_empty() {
                lines.push((name, peers));
            }
        };
        add(workload.name(), |one| Some([one.p50_us, one.p99_us, one.p999_us, one.p9999_us]));
        add("paced writes".to_owned(), |one| Some(figures(&one.paced.as_ref()?.writes)));
        add("reads beside".to_owned(), |one| Some(figures(&one.paced.as_ref()?.reads)));
        add("idle reads".to_owned(), |one| Some(figures(&one.paced.as_ref()?.idle_reads)));
    }
    lines
}

fn figures(of: &Quantiles) -> [f64; 4] {
    [of.p50_us, of.p99_us, of.p999_us, of.p9999_us]
}

/// The median of each quantile, if there were single operations.
fn quantiles(
    group: &Group<'_>,
    workload: Workload,
    peer: PeerName,
    figures: fn(&Measured) -> Option<[f64; 4]>,
) -> Option<[f64; 4]> {
    let mut medians = [0.0; 4];
    for (at, median) in medians.iter_mut().enumerate() {
        *median = group.median(workload, peer, |one| figures(one).map(|figures| figures[at]))?;
    }
    (medians[0] > 0.0).then_some(medians)
}

/// Explains the marks, to the right of the peers.
fn marks(svg: &mut Svg) {
    let y = svg.bottom - 18.0;
    for (at, name) in ["p50", "p99", "p99.9", "p99.99"].iter().enumerate() {
        let x = WIDTH - MARGIN - 240.0 + 60.0 * at as f64;
        mark(svg, at, x, y, PALE);
        svg.text(x + 8.0, y, Anchor::Start, 11, PALE, name);
    }
}

fn line(svg: &mut Svg, axis: &Axis, y: f64, quantiles: [f64; 4], colour: &str) {
    svg.line((axis.at(quantiles[0]), y), (axis.at(quantiles[3]), y), 1.5, colour);
    for (at, figure) in quantiles.iter().enumerate() {
        mark(svg, at, axis.at(*figure), y, colour);
    }
}

/// The mark of quantile number `at`: a dot, a box, a box on its corner, a triangle.
fn mark(svg: &mut Svg, at: usize, x: f64, y: f64, colour: &str) {
    match at {
        0 => svg.dot(x, y, MARK, colour),
        1 => svg.bar(x - MARK + 0.5, y - MARK + 0.5, 2.0 * MARK - 1.0, 2.0 * MARK - 1.0, colour),
        2 => svg.shape(&[(x - MARK, y), (x, y - MARK), (x + MARK, y), (x, y + MARK)], colour),
        _ => svg.shape(&[(x - MARK, y + MARK - 0.5), (x, y - MARK), (x + MARK, y + MARK - 0.5)], colour),
    }
}
