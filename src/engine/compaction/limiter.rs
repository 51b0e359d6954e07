//! Pacing: how much each written byte has to wait, as a function of how far background work is behind.
//!
//! Writers are slowed down gently and early instead of being stopped hard and late. Every resource that can run out
//! has a *soft* and a *hard* limit; between them the delay rises, at the hard limit writers wait for background work.
//! The curve is such that half way between the limits a writer is as fast as background work drains what it is that runs out:
//!
//! ```text
//!   delay per byte
//!        │                        ┊  stop
//!     4d │                      ⟋ ┊           d = the time background work needs for a byte
//!     2d │                   ⟋ ─ ─┊
//!      d │              ⟋ ─       ┊           ⟋   memtables
//!        │_________⟋─             ┊           ─ ─ L0 runs, debt
//!        └─────────┴────┴─────────┴──────► L0 runs, debt, sealed memtables
//!                 soft half      hard
//! ```
//!
//! A merge takes many runs of L0 at once and takes long, so that their number swings around what the writers' speed makes it. A
//! writer that is a third slower than merges can bear should not feel that: the line is straight there, and where there are more runs than
//! there were on average, the average counts.
//!
//! Pure arithmetic: whoever accepts writes measures, asks and waits.

use crate::options::CompactionStrategy;

/// What compaction of a keyspace has before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backlog {
    /// Runs at L0.
    pub(crate) l0_runs: u64,
    /// How many there were lately, on average.
    pub(crate) l0_average: u64,
    /// What [`super::picker::debt`] says.
    pub(crate) debt: u64,
}

/// How far background work is behind, for one keyspace.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Pressure {
    pub(crate) backlog: Backlog,
    /// Bytes of memtables that are sealed and not yet flushed.
    pub(crate) sealed_bytes: u64,
    /// How many bytes of them the memory budget allows.
    pub(crate) sealed_limit: u64,
    /// Bytes of the memtables that are written.
    pub(crate) active_bytes: u64,
    /// How many bytes they are sealed at.
    pub(crate) active_limit: u64,
    /// How many bytes of memtables a second flushes have lately brought out of the way; 0 if that is not known.
    pub(crate) flush_drain: u64,
    /// The same of merges: how many that were flushed before left L0. If it is not known, flushes' speed counts.
    pub(crate) merge_drain: u64,
}

/// What a writer has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Write.
    Free,
    /// Write, and take this many nanoseconds for each byte. Why is told in [`Event::Stalled`](crate::Event::Stalled), here and below.
    Slow { nanos_per_byte: u64, why: &'static str },
    /// Wait until background work has caught up.
    Stop { why: &'static str },
}

/// When slowing begins and ends, of one strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    l0_runs: (usize, usize),
    debt: (u64, u64),
}

/// The slowest that writers are made before they are stopped: one megabyte a second.
const MAX_NANOS_PER_BYTE: u64 = 1000;
/// What background work is taken to drain before it has been measured.
const ASSUMED_DRAIN: u64 = 64 << 20;

impl Limits {
    /// The limits that suit a strategy.
    pub(crate) fn of(strategy: &CompactionStrategy) -> Limits {
        match *strategy {
            CompactionStrategy::Leveled { l0_trigger, table_bytes, ratio } => {
                let trigger = l0_trigger.max(1);
                let base = table_bytes.max(1).saturating_mul(trigger as u64);
                // A merge of L0 into a full base level owes `ratio` times that, and is nothing to slow down for.
                let base = base.max(base.saturating_mul(ratio) / 16);
                Limits {
                    // A merge of many runs writes the level below once for all of them.
                    l0_runs: (trigger.saturating_mul(6), trigger.saturating_mul(12)),
                    debt: (base.saturating_mul(32).max(2 << 30), base.saturating_mul(256).max(16 << 30)),
                }
            }
            // All runs count at L0 and most of them are large: the picker itself bounds their number.
            CompactionStrategy::Tiered { runs, .. } => {
                let runs = runs.max(2);
                Limits {
                    l0_runs: (runs.saturating_mul(5), runs.saturating_mul(12)),
                    debt: (u64::MAX - 1, u64::MAX),
                }
            }
            CompactionStrategy::Fifo { .. } => {
                Limits { l0_runs: (usize::MAX - 1, usize::MAX), debt: (u64::MAX - 1, u64::MAX) }
            }
        }
    }
}

/// Whether what compaction has before it is nearly so much that writers are slowed down. L0 counts by its number of runs here, of which
/// writers feel the average.
pub(crate) fn is_pressed(backlog: &Backlog, limits: &Limits) -> bool {
    backlog.l0_runs >= limits.l0_runs.0 as u64 || backlog.debt >= limits.debt.0 / 8 * 7
}

/// Whether what is written since a memtable was sealed is nearly so much that writers are slowed down.
pub(crate) fn is_filling_up(active_bytes: u64, active_limit: u64) -> bool {
    active_bytes > beside_limits(active_limit).0 / 2
}

/// When slowing begins and ends for a memtable that fills up while another is flushed.
fn beside_limits(active_limit: u64) -> (u64, u64) {
    (active_limit / 2, active_limit)
}

/// What writers have to do under this pressure.
pub(crate) fn pace(pressure: &Pressure, limits: &Limits) -> Pace {
    let (soft, hard) = limits.l0_runs;
    // What fills up while another memtable is flushed takes memory beside it.
    let beside = if pressure.sealed_bytes > 0 { pressure.active_bytes } else { 0 };
    let (sealed_limit, active_limit) = (pressure.sealed_limit, pressure.active_limit);
    let Backlog { l0_runs, l0_average, debt } = pressure.backlog;
    let l0_counts = if l0_runs < hard as u64 { l0_runs.min(l0_average) } else { l0_runs };
    let merges = [
        (l0_counts, (soft as u64, hard as u64), f64::MAX, "L0 has too many runs"),
        (debt, limits.debt, f64::MAX, "compaction is too far behind"),
    ];
    let flushes = [
        (pressure.sealed_bytes, (sealed_limit / 2, sealed_limit), f64::MAX, "memtables wait to be flushed"),
        // Never a reason to stop: when it is full it is sealed, and counts above.
        (beside, beside_limits(active_limit), 0.99, "a memtable fills up before another is flushed"),
    ];
    // So it is for most writes, and there is no more to be reckoned.
    if merges.iter().chain(&flushes).all(|(now, (soft, _), ..)| now <= soft) {
        return Pace::Free;
    }
    let worst = |resources: [(u64, (u64, u64), f64, &'static str); 2]| {
        let parts = resources.map(|(now, (soft, hard), most, why)| {
            let part = now.saturating_sub(soft) as f64 / hard.saturating_sub(soft).max(1) as f64;
            (part.min(most), why)
        });
        parts.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, ""))
    };
    let ((merged, why_merge), (flushed, why_flush)) = (worst(merges), worst(flushes));
    if merged >= 1.0 || flushed >= 1.0 {
        return Pace::Stop { why: if merged >= 1.0 { why_merge } else { why_flush } };
    }
    let known = |drain: u64, otherwise: u64| if drain == 0 { otherwise } else { drain };
    let flush_drain = known(pressure.flush_drain, ASSUMED_DRAIN);
    let merge_drain = known(pressure.merge_drain, flush_drain);
    let for_merges = merged * 2.0 / merge_drain as f64;
    let for_flushes = flushed * flushed * 4.0 / flush_drain as f64;
    let (seconds, why) =
        if for_merges > for_flushes { (for_merges, why_merge) } else { (for_flushes, why_flush) };
    match ((seconds * 1e9) as u64).min(MAX_NANOS_PER_BYTE) {
        0 => Pace::Free,
        nanos_per_byte => Pace::Slow { nanos_per_byte, why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits::of(&CompactionStrategy::default())
    }

    #[test]
    fn an_idle_store_is_free_and_an_overrun_one_stops() {
        let at = |pressure| pace(&pressure, &limits());
        let calm = Pressure { sealed_limit: 100, ..Pressure::default() };
        assert_eq!(at(calm), Pace::Free);
        assert_eq!(at(Pressure { sealed_bytes: 50, ..calm }), Pace::Free);
        let runs =
            |l0_runs, l0_average| Pressure { backlog: Backlog { l0_runs, l0_average, debt: 0 }, ..calm };
        assert_eq!(at(runs(24, 40)), Pace::Free);
        assert!(matches!(at(runs(25, 25)), Pace::Slow { .. } | Pace::Free));
        assert_eq!((at(runs(40, 30)), at(runs(30, 40))), (at(runs(30, 30)), at(runs(30, 30))));
        assert!(matches!(at(runs(48, 30)), Pace::Stop { .. }));
        assert!(matches!(at(Pressure { sealed_bytes: 100, ..calm }), Pace::Stop { .. }));
        let backlog = Backlog { debt: u64::MAX, ..Backlog::default() };
        assert!(matches!(at(Pressure { backlog, ..calm }), Pace::Stop { .. }));
    }

    #[test]
    fn a_memtable_fills_up_slowly_while_another_is_flushed() {
        let at = |sealed_bytes, active_bytes| {
            let pressure = Pressure {
                sealed_bytes,
                sealed_limit: 200,
                active_bytes,
                active_limit: 100,
                flush_drain: 1_000_000_000,
                ..Pressure::default()
            };
            pace(&pressure, &limits())
        };
        assert_eq!((at(0, 99), at(80, 50)), (Pace::Free, Pace::Free));
        assert!(matches!(at(80, 80), Pace::Slow { .. }));
        assert!(matches!(at(80, 100), Pace::Slow { nanos_per_byte: 3, .. }));
        assert_eq!((is_filling_up(25, 100), is_filling_up(26, 100)), (false, true));
    }

    #[test]
    fn background_work_is_pressed_before_writers_are_slowed_for_it() {
        let limits = limits();
        let pressed = |backlog: Backlog| is_pressed(&backlog, &limits);
        let runs = |l0_runs| Backlog { l0_runs, ..Backlog::default() };
        assert_eq!((pressed(runs(23)), pressed(runs(24))), (false, true));
        let debt = |debt| Backlog { debt, ..Backlog::default() };
        assert_eq!((pressed(debt(3 << 30)), pressed(debt(4 << 30))), (false, true));
    }

    #[test]
    fn half_way_writers_are_as_fast_as_the_drain() {
        let backlog = Backlog { l0_runs: 36, l0_average: 36, debt: 0 };
        let pressure =
            Pressure { backlog, sealed_limit: 100, merge_drain: 10_000_000, ..Pressure::default() };
        let why = "L0 has too many runs";
        assert_eq!(pace(&pressure, &limits()), Pace::Slow { nanos_per_byte: 100, why });
        let pressure =
            Pressure { sealed_bytes: 75, sealed_limit: 100, flush_drain: 20_000_000, ..Pressure::default() };
        let why = "memtables wait to be flushed";
        assert_eq!(pace(&pressure, &limits()), Pace::Slow { nanos_per_byte: 50, why });
    }

    #[test]
    fn what_takes_longest_is_named() {
        let at = |l0_runs, sealed_bytes, active_bytes| {
            let pressure = Pressure {
                backlog: Backlog { l0_runs, l0_average: l0_runs, debt: 0 },
                sealed_bytes,
                sealed_limit: 100,
                active_bytes,
                active_limit: 100,
                flush_drain: 1_000_000,
                merge_drain: 1_000_000,
            };
            match pace(&pressure, &limits()) {
                Pace::Slow { why, .. } => why,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(at(47, 60, 30), "L0 has too many runs");
        assert_eq!(at(26, 95, 30), "memtables wait to be flushed");
        assert_eq!(at(26, 40, 90), "a memtable fills up before another is flushed");
    }

    #[test]
    fn the_delay_rises_and_stays_bounded() {
        let mut last = 0;
        for l0_runs in 0..48 {
            let backlog = Backlog { l0_runs, l0_average: l0_runs, debt: 0 };
            let pressure =
                Pressure { backlog, sealed_limit: 100, merge_drain: 1_000_000, ..Pressure::default() };
            let now = match pace(&pressure, &limits()) {
                Pace::Free => 0,
                Pace::Slow { nanos_per_byte, .. } => nanos_per_byte,
                Pace::Stop { why } => panic!("stopped at {l0_runs}: {why}"),
            };
            assert!(now >= last && now <= MAX_NANOS_PER_BYTE);
            last = now;
        }
        assert!(last > 0);
    }

    #[test]
    fn fifo_never_waits_for_a_compaction_that_does_not_come() {
        let limits = Limits::of(&CompactionStrategy::Fifo { max_bytes: 1 });
        let backlog = Backlog { l0_runs: 100_000, l0_average: 100_000, debt: 0 };
        let pressure = Pressure { backlog, sealed_limit: 100, ..Pressure::default() };
        assert_eq!(pace(&pressure, &limits), Pace::Free);
    }
}
