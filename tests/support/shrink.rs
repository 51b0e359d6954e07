//! Makes a failing case small: operations are left out as long as it still fails.

use crate::op::Case;
use crate::run::{Tally, run};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Runs a case; a panic of the engine is a finding like any other.
///
/// # Errors
/// What was found, and at which operation, if that is known.
pub fn attempt(case: &Case) -> Result<Tally, (Option<usize>, String)> {
    match catch_unwind(AssertUnwindSafe(|| run(case))) {
        Ok(Ok(tally)) => Ok(tally),
        Ok(Err(finding)) => Err((Some(finding.at), finding.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err((None, format!("panic: {}", text.unwrap_or_default())))
        }
    }
}

/// The smallest failing case that is found within `limit`, and what it fails with.
pub fn shrink(case: &Case, limit: Duration) -> (Case, String) {
    let began = Instant::now();
    let mut best = case.clone();
    let mut why = match attempt(&best) {
        Ok(_) => return (best, "it does not fail again".to_owned()),
        Err((at, why)) => {
            if let Some(at) = at {
                best.ops.truncate(at + 1);
            }
            why
        }
    };
    if attempt(&best).is_ok() {
        best = case.clone();
    }
    let mut chunk = best.ops.len().div_ceil(2);
    while chunk > 0 && began.elapsed() < limit {
        let mut at = 0;
        let mut removed = false;
        while at < best.ops.len() && began.elapsed() < limit {
            let mut smaller = best.clone();
            smaller.ops.drain(at..(at + chunk).min(best.ops.len()));
            match attempt(&smaller) {
                Err((_, reason)) => {
                    (best, why, removed) = (smaller, reason, true);
                }
                Ok(_) => at += chunk,
            }
        }
        if !removed || chunk > 1 {
            chunk /= 2;
        }
    }
    (best, why)
}
