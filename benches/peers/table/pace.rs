//! What `longfill` found, with a column for each peer.

use super::{heading, names, row};
use crate::cells::{Group, short};
use crate::measured::{Paced, Slow};
use crate::peer::PeerName;
use crate::workload::Workload;
use std::fmt::Write as _;

/// A row: what it has, how its figures are shown, and the figures.
type Row = (&'static str, fn(f64) -> String, &'static [fn(&Paced) -> f64]);

const ROWS: [Row; 10] = [
    (
        "writes a second, paced / due",
        short,
        &[|paced| (paced.writes.done - paced.missed) as f64 / paced.seconds, |paced| paced.due_per_s],
    ),
    ("due writes that were not done", whole, &[|paced| paced.missed as f64]),
    (
        "p50 / p99 / p99.9 of paced writes, µs",
        whole,
        &[|paced| paced.writes.p50_us, |paced| paced.writes.p99_us, |paced| paced.writes.p999_us],
    ),
    ("p99.99 of paced writes, ms", tenths, &[|paced| paced.writes.p9999_us / 1e3]),
    ("longest paced write, ms", tenths, &[|paced| paced.writes.max_us / 1e3]),
    ("reads a second beside paced writes", short, &[|paced| paced.reads.done as f64 / paced.seconds]),
    (
        "p50 / p99 / p99.9 of reads beside, µs",
        tenths,
        &[|paced| paced.reads.p50_us, |paced| paced.reads.p99_us, |paced| paced.reads.p999_us],
    ),
    ("longest read beside, ms", tenths, &[|paced| paced.reads.max_us / 1e3]),
    (
        "p50 / p99 / p99.9 of reads, idle, µs",
        tenths,
        &[|paced| paced.idle_reads.p50_us, |paced| paced.idle_reads.p99_us, |paced| paced.idle_reads.p999_us],
    ),
    ("p99.9 of reads, beside / idle", hundredths, &[|paced| paced.reads.p999_us / paced.idle_reads.p999_us]),
];

/// Rows of writes that were slow. Of some figures nobody may say anything.
type SlowRow = (&'static str, fn(f64) -> String, &'static [fn(&Slow) -> Option<f64>]);

const SLOW_ROWS: [SlowRow; 4] = [
    (
        "writes that were late by more than 50 ms / in so many episodes",
        whole,
        &[|slow| Some(slow.writes as f64), |slow| Some(slow.episodes as f64)],
    ),
    ("longest of these episodes, ms", tenths, &[|slow| Some(slow.longest_ms)]),
    (
        "where these spent their time, ms: store stalled / waiting for a processor / on a processor / other",
        whole,
        &[
            |slow| slow.stalled_ms,
            |slow| slow.waiting_for_processor_ms,
            |slow| slow.on_processor_ms,
            |slow| Some(slow.other_ms),
        ],
    ),
    ("what the host took of all processors meanwhile, ms", whole, &[|slow| slow.stolen_ms]),
];

pub(super) fn table(group: &Group<'_>, out: &mut String) {
    let is_there = |peer: &PeerName| !group.cell(Workload::Longfill, *peer).is_empty();
    let peers: Vec<PeerName> = group.peers.iter().copied().filter(is_there).collect();
    if peers.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\nlongfill: as fast as it can, then paced at 70 % of that rate beside a thread that reads, then idle. Latencies of paced \
         writes count from when each was due:\n"
    );
    heading(out, "figure", &names(&peers));
    let rate = |peer: &PeerName| group.rate(Workload::Longfill, *peer).map(short);
    row(out, "writes a second, as fast as it can", peers.iter().map(rate).collect());
    for (what, show, figures) in ROWS {
        let figure = |peer: PeerName, figure: &fn(&Paced) -> f64| {
            group.median(Workload::Longfill, peer, |one| one.paced.as_ref().map(figure)).map(show)
        };
        let cell = |peer: &PeerName| {
            let figures: Option<Vec<String>> = figures.iter().map(|of| figure(*peer, of)).collect();
            figures.map(|figures| figures.join(" / "))
        };
        row(out, what, peers.iter().map(cell).collect());
    }
    for (what, show, figures) in SLOW_ROWS {
        let figure = |peer: PeerName, figure: &fn(&Slow) -> Option<f64>| {
            let of = |paced: &Paced| paced.slow.as_ref().and_then(figure);
            group.median(Workload::Longfill, peer, |one| one.paced.as_ref().and_then(of)).map(show)
        };
        let cell = |peer: &PeerName| {
            let figures: Vec<Option<String>> = figures.iter().map(|of| figure(*peer, of)).collect();
            let is_known = figures.iter().any(Option::is_some);
            let figures = figures.into_iter().map(|figure| figure.unwrap_or("–".to_owned()));
            is_known.then(|| figures.collect::<Vec<_>>().join(" / "))
        };
        row(out, what, peers.iter().map(cell).collect());
    }
}

fn whole(figure: f64) -> String {
    format!("{figure:.0}")
}

fn tenths(figure: f64) -> String {
    format!("{figure:.1}")
}

fn hundredths(figure: f64) -> String {
    format!("{figure:.2}")
}
