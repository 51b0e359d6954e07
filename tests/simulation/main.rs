//! Whole clusters from one seed: the same nodes and stores that the server runs, on simulated disks, clocks and networks, while
//! whatever can go wrong does.
//!
//! ```text
//!   seed ──► plan ──► world: machines (node + store + disk + clock), network, clients, faults ──► history ──► checkers
//! ```
//! `docs/testing.md` says how to run it, how to replay a seed, and what the checkers hold.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod budget;
mod checkers;
mod dice;
mod driving;
mod ending;
mod faults;
mod history;
mod machine;
mod network;
mod plan;
mod requests;
mod seeds;
mod trace;
mod workload;
mod world;

use esker_cluster::Protection;
use history::Violation;
use plan::{Fear, Plan};
use seeds::{Report, from_environment, run_many, run_seed};
use trace::Keep;

/// How many schedules the plain test command runs.
const PLAIN: u64 = 200;

/// Within so many schedules a checker has to notice that a protection is off.
const PATIENCE: u64 = 500;

fn print(report: &Report) {
    let Report { schedules, tally, failing, per_minute } = report;
    println!("{schedules} schedules, {per_minute:.0} a minute, {} failing", failing.len());
    println!("{} events, {} faults", tally.events, tally.faults);
    println!(
        "writes: {} acknowledged, {} rejected, {} unknown; reads: {} answered, {} not",
        tally.acknowledged, tally.rejected, tally.unknown, tally.reads, tally.failed_reads
    );
    for (seed, violations) in failing {
        println!("seed {seed} ({:?}), again with ESKER_SIM_SEED={seed}:", Plan::of(*seed).fear);
        for violation in violations.iter().take(5) {
            println!("    {}: {}", violation.checker, violation.what);
        }
    }
}

/// Replays one seed with its trace.
fn replay(seed: u64) {
    let plan = Plan::of(seed);
    println!("{plan:#?}");
    let ended = ending::run(plan, Keep::Lines);
    ended.trace.lines().iter().for_each(|line| println!("{line}"));
    if let Ok(path) = std::env::var("ESKER_SIM_HISTORY") {
        std::fs::write(path, ended.history.json_lines()).unwrap();
    }
    for violation in &ended.violations {
        println!("{}: {}", violation.checker, violation.what);
    }
    assert!(ended.violations.is_empty(), "seed {seed} violates {} checks", ended.violations.len());
}

#[test]
fn no_checker_is_violated() {
    if let Some(seed) = from_environment("ESKER_SIM_SEED") {
        return replay(seed);
    }
    let count = from_environment("ESKER_SIM_SCHEDULES").unwrap_or(PLAIN);
    let first = from_environment("ESKER_SIM_FIRST").unwrap_or(1);
    println!("seeds {first} to {}", first + count - 1);
    let report = run_many(first, count, Plan::of);
    print(&report);
    let tally = report.tally;
    assert!(tally.acknowledged > 50 * count && tally.reads > 50 * count, "too little came of it: {tally:?}");
    assert!(report.failing.is_empty(), "seeds {:?} fail", report.failing.keys());
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 12, 21] {
        let hash = |seed| {
            let ended = ending::run(Plan::of(seed), Keep::Hash);
            (ended.trace.hash(), ended.events)
        };
        let (first, events) = hash(seed);
        assert!(events > 1_000, "seed {seed} had {events} events");
        assert_eq!(hash(seed).0, first, "seed {seed} went another way");
    }
}

/// Shows that these checkers notice when a protection is off.
fn is_noticed(protection: Protection, fear: Fear, by: &[&str]) {
    // In small pieces, so that what comes after the first finding is not run for nothing.
    const PIECE: u64 = 10;
    for first in (1..PATIENCE).step_by(PIECE as usize) {
        let report = run_many(first, PIECE, |seed| Plan::with(seed, fear, Some(protection)));
        let noticed =
            |violations: &[Violation]| violations.iter().any(|violation| by.contains(&violation.checker));
        let Some((seed, violations)) = report.failing.iter().find(|(_, violations)| noticed(violations))
        else {
            continue;
        };
        println!("without {protection:?} a checker is violated after {seed} schedules:");
        for violation in violations.iter().filter(|violation| by.contains(&violation.checker)).take(3) {
            println!("    {}: {}", violation.checker, violation.what);
        }
        let (sound, _) = run_seed(Plan::with(*seed, fear, None));
        assert!(sound.is_empty(), "seed {seed} fails with {protection:?} too: {sound:?}");
        return;
    }
    panic!("without {protection:?} none of {by:?} was violated in {PATIENCE} schedules");
}

#[test]
fn without_read_repair_before_the_answer_a_checker_fails() {
    is_noticed(Protection::ReadRepair, Fear::PartialWrites, &["monotonic quorum reads"]);
}

#[test]
fn without_incarnations_a_checker_fails() {
    let by = ["no acknowledged write lost", "quorum reads see acknowledged writes", "monotonic quorum reads"];
    is_noticed(Protection::Incarnations, Fear::LostDirectories, &by);
}

#[test]
fn without_marks_a_checker_fails() {
    let by = ["no acknowledged write lost", "quorum reads see acknowledged writes", "monotonic quorum reads"];
    is_noticed(Protection::Marks, Fear::OlderCopies, &by);
}

#[test]
fn without_local_context_for_plain_puts_a_checker_fails() {
    is_noticed(Protection::LocalContext, Fear::BlindWriters, &["siblings never exceed concurrent writers"]);
}

#[test]
fn without_leaving_out_of_contexts_what_was_not_seen_a_checker_fails() {
    is_noticed(
        Protection::SeenContexts,
        Fear::Absence,
        &["a put's context covers only what its client has seen"],
    );
}

#[test]
fn without_healing_of_damaged_records_a_checker_fails() {
    is_noticed(Protection::Healing, Fear::Disks, &["a healed cluster comes back"]);
}

#[test]
fn without_merging_what_hints_bring_a_checker_fails() {
    is_noticed(Protection::MergedHints, Fear::Absence, &["no acknowledged write lost"]);
}
