//! `longfill` second by second: how many writes, and how long reads and the longest write took. Of several rounds the first is
//! shown, since the middle of several has no stall where only one had it.

use super::axis::{Axis, micros};
use super::legend::{colour, heading};
use super::svg::{Anchor, FAINT, INK, MARGIN, PALE, Svg, WIDTH};
use crate::cells::{Group, short};
use crate::peer::PeerName;
use crate::series::Second;
use crate::workload::Workload;

/// Where the axis of time begins and ends.
const LEFT: f64 = MARGIN + 60.0;
const RIGHT: f64 = WIDTH - MARGIN - 16.0;
const HEIGHT: f64 = 180.0;

/// A figure of a second, if it has it.
type Figure = fn(&Second) -> Option<f64>;

/// What is drawn of the seconds.
struct Curve {
    title: &'static str,
    figure: Figure,
    /// Whether its axis is one of microseconds, and logarithmic.
    is_latency: bool,
}

const CURVES: [Curve; 3] = [
    Curve {
        title: "Writes a second",
        figure: |second| (second.for_s > 0.0).then(|| second.writes.done as f64 / second.for_s),
        is_latency: false,
    },
    Curve {
        title: "p99 of reads",
        figure: |second| (second.reads.done > 0).then_some(second.reads.p99_us),
        is_latency: true,
    },
    Curve {
        title: "Longest write",
        figure: |second| (second.writes.done > 0).then_some(second.writes.max_us),
        is_latency: true,
    },
];

pub(super) fn panel(svg: &mut Svg, group: &Group<'_>) {
    let series = |peer: &PeerName| {
        let first = group.cell(Workload::Longfill, *peer).first()?;
        (!first.series.is_empty()).then_some((*peer, first.series.as_slice()))
    };
    let series: Vec<(PeerName, &[Second])> = group.peers.iter().filter_map(series).collect();
    if series.is_empty() {
        return;
    }
    let peers: Vec<PeerName> = series.iter().map(|(peer, _)| *peer).collect();
    let what = "As fast as it can up to the line, then each write when it is due, at 70 % of that rate, beside a thread that reads.";
    heading(svg, &format!("longfill, second by second: {group}"), what, &peers);
    let ends =
        series.iter().flat_map(|(_, seconds)| seconds.iter().map(|second| second.from_s + second.for_s));
    let time = Axis::up_to_the_last(ends, LEFT, RIGHT);
    for curve in &CURVES {
        draw(svg, curve, &time, &series);
    }
    svg.text((LEFT + RIGHT) / 2.0, svg.bottom, Anchor::Middle, 11, PALE, "seconds");
    svg.bottom += 30.0;
}

fn draw(svg: &mut Svg, curve: &Curve, time: &Axis, series: &[(PeerName, &[Second])]) {
    let (top, bottom) = (svg.bottom + 24.0, svg.bottom + 24.0 + HEIGHT);
    svg.text(MARGIN, top - 12.0, Anchor::Start, 12, INK, curve.title);
    let figures = series.iter().flat_map(|(_, seconds)| seconds.iter().filter_map(curve.figure));
    let axis = match curve.is_latency {
        true => Axis::logarithmic(figures, bottom, top),
        false => Axis::linear(figures, bottom, top),
    };
    for mark in axis.marks() {
        let label = match curve.is_latency {
            true => micros(mark),
            false if mark == 0.0 => "0".to_owned(),
            false => short(mark),
        };
        svg.line((LEFT, axis.at(mark)), (RIGHT, axis.at(mark)), 1.0, FAINT);
        svg.text(LEFT - 6.0, axis.at(mark), Anchor::End, 10, PALE, &label);
    }
    for mark in time.marks() {
        svg.text(time.at(mark), bottom + 12.0, Anchor::Middle, 10, PALE, &format!("{mark}"));
    }
    // The phases of all peers are equally long.
    if let Some(paced) = series.iter().find_map(|(_, seconds)| seconds.iter().find(|second| second.paced)) {
        svg.line((time.at(paced.from_s), top), (time.at(paced.from_s), bottom), 1.0, PALE);
    }
    for (peer, seconds) in series {
        // Where there is nothing the curve is interrupted.
        for part in seconds.split(|second| (curve.figure)(second).is_none()) {
            let point = |second: &Second| {
                let middle = second.from_s + second.for_s / 2.0;
                (curve.figure)(second).map(|figure| (time.at(middle), axis.at(figure)))
            };
            let points: Vec<(f64, f64)> = part.iter().filter_map(point).collect();
            match points[..] {
                [] => {}
                [(x, y)] => svg.dot(x, y, 2.0, colour(*peer)),
                _ => svg.path(&points, colour(*peer)),
            }
        }
    }
    svg.bottom = bottom + 24.0;
}
