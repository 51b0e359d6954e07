//! Medians as Markdown.

mod pace;
mod rates;

use crate::cells::{Group, groups, median};
use crate::header::Header;
use crate::measured::Measured;
use crate::named::Named as _;
use crate::peer::PeerName;
use std::fmt::Write as _;

const MIB: f64 = (1u64 << 20) as f64;

/// What was measured on and with which versions, and tables of everything that was measured, by the size of the records:
/// operations a second with their ratio to each of the others, latencies, memory, space and devices.
pub(crate) fn of(headers: &[Header], measured: &[Measured]) -> String {
    let mut out = String::new();
    let mut seen: Vec<&Header> = Vec::new();
    for header in headers {
        if !seen.contains(&header) {
            let _ = writeln!(out, "{header}\n");
            seen.push(header);
        }
    }
    let groups = groups(measured);
    for (at, group) in groups.iter().enumerate() {
        let after = if at == 0 { "" } else { "\n" };
        if groups.len() > 1 {
            let _ = writeln!(out, "{after}### Of {group}\n");
        }
        tables(group, &mut out);
    }
    out
}

/// The tables of one size of records.
fn tables(group: &Group<'_>, out: &mut String) {
    rates::table(group, out);
    let figures = "p50 / p99 / p99.9 in microseconds";
    shown(group, out, figures, |cell| {
        let micros = |of: fn(&Measured) -> f64| median(cell.iter().map(|one| of(one)));
        let (p50, p99, p999) =
            (micros(|one| one.p50_us)?, micros(|one| one.p99_us)?, micros(|one| one.p999_us)?);
        (p50 > 0.0).then(|| format!("{p50:.1} / {p99:.1} / {p999:.0}"))
    });
    shown(group, out, "peak resident MiB without mapped files", |cell| {
        let bytes = median(cell.iter().filter_map(|one| one.peak_anon_bytes).map(|bytes| bytes as f64))?;
        Some(format!("{:.0}", bytes / MIB))
    });
    let figures =
        "MiB on disk, settled / written bytes for each byte of the user's / seconds it took to settle";
    shown(group, out, figures, |cell| {
        let written = median(cell.iter().filter_map(|one| one.write_amp))?;
        let disk = median(cell.iter().map(|one| one.disk_bytes as f64))?;
        let seconds = median(cell.iter().filter_map(|one| one.settle_s))?;
        Some(format!("{:.0} / {written:.2} / {seconds:.1}", disk / MIB))
    });
    let figures =
        "bytes from the device for each operation / bytes that files were made to hold for each operation";
    shown(group, out, figures, |cell| {
        let for_each = |of: fn(&Measured) -> Option<u64>| {
            let bytes = |one: &&Measured| Some(of(one)? as f64 / one.all_operations().max(1) as f64);
            median(cell.iter().filter_map(bytes))
        };
        let (read, written) =
            (for_each(|one| one.device_read_bytes)?, for_each(|one| one.device_written_bytes)?);
        (read > 0.0 || written > 0.0).then(|| format!("{read:.0} / {written:.0}"))
    });
    shown(group, out, "syncs for each commit", |cell| {
        let syncs = |one: &&Measured| {
            let syncs = one.syncs.filter(|_| one.workload.is_synced())?;
            Some(syncs as f64 / one.operations.max(1) as f64)
        };
        median(cell.iter().filter_map(syncs)).map(|syncs| format!("{syncs:.3}"))
    });
    pace::table(group, out);
}

/// Writes the first two lines of a table.
fn heading(out: &mut String, first: &str, names: &[String]) {
    let _ = writeln!(out, "| {first} | {} |", names.join(" | "));
    let _ = writeln!(out, "|---|{}", "--:|".repeat(names.len()));
}

fn names(peers: &[PeerName]) -> Vec<String> {
    peers.iter().map(|peer| peer.name()).collect()
}

/// Writes one line of a table, with a dash where there is nothing. A line with nothing at all is left out.
fn row(out: &mut String, first: &str, cells: Vec<Option<String>>) {
    if cells.iter().any(Option::is_some) {
        let cells: Vec<String> = cells.into_iter().map(|cell| cell.unwrap_or("–".to_owned())).collect();
        let _ = writeln!(out, "| {first} | {} |", cells.join(" | "));
    }
}

/// A table of what `show` makes of each cell, with the rows that have something, if there are any.
fn shown(group: &Group<'_>, out: &mut String, what: &str, show: impl Fn(&[&Measured]) -> Option<String>) {
    let mut rows = String::new();
    for workload in &group.workloads {
        let cell = |peer: &PeerName| show(group.cell(*workload, *peer));
        row(&mut rows, &workload.name(), group.peers.iter().map(cell).collect());
    }
    if !rows.is_empty() {
        let _ = writeln!(out, "\n{what}:\n");
        heading(out, "workload", &names(&group.peers));
        out.push_str(&rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn tables_have_what_was_measured() {
        let text = of(&[example::header(), example::header()], &example::measured());
        assert_eq!(text.matches("Measured 2026-11-29").count(), 1);
        assert!(!text.contains("###"));
        let row = |first: &str, at: usize| {
            text.lines().filter(|line| line.starts_with(&format!("| {first} |"))).nth(at).unwrap().to_owned()
        };
        assert!(
            row("readrandom", 0).contains("| 960k | 920k | 880k | 840k | 800k | 760k | 1.09 |"),
            "{text}"
        );
        assert_eq!(row("syncedputs", 4), "| syncedputs | 0.250 | – | – | – | – | – |");
        assert_eq!(
            row("readrandom", 3),
            "| readrandom | 4096 / 8192 | 4096 / 8192 | 4096 / 8192 | 4096 / 8192 | 4096 / 8192 | 4096 / 8192 |"
        );
        assert!(row("p99.99 of paced writes, ms", 0).contains("| 12.0 | 24.0 |"), "{text}");
        assert!(row("p99.9 of reads, beside / idle", 0).contains("| 2.00 | 2.00 |"), "{text}");
        let slow = "writes that were late by more than 50 ms / in so many episodes";
        assert!(row(slow, 0).contains("| 30 / 2 | 30 / 2 |"), "{text}");
        let spent = "where these spent their time, ms: store stalled / waiting for a processor / on a processor / other";
        assert!(row(spent, 0).contains("| 100 / 20 / 40 / 10 | – / 20 / 40 / 10 |"), "{text}");
        let stolen = "what the host took of all processors meanwhile, ms";
        assert!(row(stolen, 0).contains("| 30 | 30 |"), "{text}");
    }

    #[test]
    fn each_size_has_its_tables() {
        let small = example::measured();
        let large = small.iter().map(|one| Measured { value_bytes: 1024, ..one.clone() });
        let all: Vec<Measured> = small.iter().cloned().chain(large).collect();
        let text = of(&[], &all);
        assert!(text.contains("### Of values of 100 bytes, 5000 records\n"));
        assert!(text.contains("\n\n### Of values of 1024 bytes, 5000 records\n"));
    }

    #[test]
    fn a_table_without_rows_is_left_out() {
        let only_reads: Vec<Measured> = example::measured()
            .into_iter()
            .filter(|one| !one.workload.is_synced() && one.paced.is_none())
            .collect();
        let text = of(&[], &only_reads);
        assert!(!text.contains("syncs for each commit") && !text.contains("paced"));
    }
}
