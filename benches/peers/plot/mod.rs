//! Plots of what was measured, as SVG. The same measurements make the same bytes.
//!
//! | part | what it is |
//! |---|---|
//! | [`svg`] | text, lines and boxes |
//! | [`axis`] | where a figure is between two edges |
//! | [`legend`] | the colour of each peer |
//! | [`throughput`] | operations a second |
//! | [`latency`] | quantiles |
//! | [`time`] | `longfill` second by second |
//!
//! The array is no store, and left out.

mod axis;
mod latency;
mod legend;
mod svg;
mod throughput;
mod time;

use crate::cells::{Group, groups};
use crate::measured::Measured;
use crate::peer::PeerName;
use svg::Svg;

/// Draws what was measured of records of one size below what is there.
type Panel = fn(&mut Svg, &Group<'_>);

/// Each plot, by the name of its file. One without anything in it is left out.
pub(crate) fn of(measured: &[Measured]) -> Vec<(&'static str, String)> {
    let stores: Vec<Measured> = measured.iter().filter(|one| one.peer != PeerName::Array).cloned().collect();
    let groups = groups(&stores);
    let plots: [(&str, Panel); 3] = [
        ("throughput.svg", throughput::panel),
        ("latency.svg", latency::panel),
        ("over-time.svg", time::panel),
    ];
    let drawn = plots.into_iter().filter_map(|(name, panel)| {
        let mut svg = Svg::new();
        groups.iter().for_each(|group| panel(&mut svg, group));
        svg.finish().map(|svg| (name, svg))
    });
    drawn.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::workload::Workload;

    /// Panics if a tag is not closed by its own, or a letter stands for itself that may not.
    fn check_tags(svg: &str) {
        let mut open: Vec<&str> = Vec::new();
        for (at, part) in svg.split('<').enumerate().skip(1) {
            let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("tag {at} has no end: {part}"));
            assert!(!text.contains('>') && tag.matches('"').count() % 2 == 0, "{part}");
            assert!(text.split('&').skip(1).all(|rest| rest.contains(';')), "{part}");
            let name = tag.trim_end_matches('/').split(' ').next().unwrap();
            match tag.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop(), Some(closed), "tag {at}"),
                None if tag.ends_with('/') => {}
                None => open.push(name),
            }
        }
        assert!(open.is_empty(), "{open:?} are not closed");
    }

    #[test]
    fn plots_are_well_formed_and_have_every_peer() {
        let measured = example::measured();
        let plots = of(&measured);
        let files: Vec<&str> = plots.iter().map(|(name, _)| *name).collect();
        assert_eq!(files, ["throughput.svg", "latency.svg", "over-time.svg"]);
        for (name, svg) in &plots {
            check_tags(svg);
            assert!(svg.starts_with("<svg ") && svg.contains("fill=\"#ffffff\""), "{name}");
            for peer in ["esker", "rocksdb", "fjall", "lmdb", "redb"] {
                assert!(svg.contains(&format!(">{peer}</text>")), "{name} has no {peer}");
            }
            assert!(!svg.contains(">array<") && !svg.contains("NaN") && !svg.contains("inf"), "{name}");
        }
        assert_eq!(of(&measured), plots);
    }

    #[test]
    fn what_was_not_measured_is_not_drawn() {
        assert!(of(&[]).is_empty());
        let reads: Vec<Measured> =
            example::measured().into_iter().filter(|one| one.workload == Workload::Readrandom).collect();
        let files: Vec<&str> = of(&reads).iter().map(|(name, _)| *name).collect();
        assert_eq!(files, ["throughput.svg", "latency.svg"]);
    }

    #[test]
    fn figures_that_are_missing_or_nothing_do_no_harm() {
        let mut all = example::measured();
        for one in &mut all {
            one.ops_per_s = 0.0;
            (one.p50_us, one.p99_us, one.p999_us, one.p9999_us) = (0.0, 0.0, 0.0, 0.0);
            one.kept = Some(0.5);
            one.series.truncate(1);
        }
        for (name, svg) in of(&all) {
            check_tags(&svg);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
        }
    }
}
