//! Random operations, all of them, held against a model, on the simulated environment.
//!
//! The plain run takes a fixed number of seeds. `ESKER_MODEL_SECONDS=600` goes on with further seeds for so long;
//! `ESKER_SEED=n` runs one seed and says what it does. A finding is printed with its seed and the fewest operations that
//! were found to show it.

mod threads;

use esker_tests::op::Case;
use esker_tests::run::Tally;
use esker_tests::shrink::{attempt, shrink};
use std::time::{Duration, Instant};

/// Seeds of the plain run.
const SEEDS: u64 = 280;

/// No more time than this is spent on making a finding small.
const SHRINK: Duration = Duration::from_secs(60);

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

fn check(seed: u64) -> Tally {
    let case = Case::of_seed(seed);
    match attempt(&case) {
        Ok(tally) => tally,
        Err((_, first)) => {
            let hook = std::panic::take_hook();
            std::panic::set_hook(Box::new(|_| {}));
            let (small, why) = shrink(&case, SHRINK);
            std::panic::set_hook(hook);
            panic!(
                "ESKER_SEED={seed}: {first}\nshrunk to {} of {} operations: {why}\n{small}",
                small.ops.len(),
                case.ops.len()
            );
        }
    }
}

#[test]
fn every_answer_is_the_models() {
    if let Some(seed) = number("ESKER_SEED") {
        println!("{}", Case::of_seed(seed));
        println!("{:?}", check(seed));
        return;
    }
    let seconds = number("ESKER_MODEL_SECONDS");
    let began = Instant::now();
    let mut total = Tally::default();
    let mut seed = 0;
    // The long run begins where the plain one ends, so that it says something new.
    let first = if seconds.is_some() { number("ESKER_MODEL_FIRST").unwrap_or(SEEDS) } else { 0 };
    loop {
        let over = match seconds {
            Some(seconds) => began.elapsed() >= Duration::from_secs(seconds),
            None => seed == SEEDS,
        };
        if over {
            break;
        }
        total.add(&check(first + seed));
        seed += 1;
    }
    println!("{seed} seeds from {first} on in {:?}: {total:?}", began.elapsed());
    // A run that does not get to the places where stores go wrong would show nothing.
    assert!(total.flushes > seed, "too few flushes: {total:?}");
    assert!(total.compactions > seed, "too few compactions: {total:?}");
    assert!(total.deepest >= 4, "no deep level was reached: {total:?}");
    assert!(total.set_back > 0, "no power loss took anything: {total:?}");
    assert!(total.changed > seed, "hooks and sizes took too little: {total:?}");
    assert!(total.busy > 0, "no write was refused: {total:?}");
}
