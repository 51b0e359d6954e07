//! The power goes at each call to the disk: what was acknowledged as synced is there afterwards, whole, and no dot is given
//! twice.

use super::*;
use crate::causality::Dot;
use esker::testing::{CrashMode, Fault};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Acknowledged {
    /// The last set of each key that was durable, as values.
    sets: BTreeMap<String, SiblingSet>,
    dots: BTreeSet<Dot>,
}

/// Opens a store and writes to it, waiting for each write, until something fails.
fn run(env: &SimEnv, entropy: u64, acknowledged: &mut Acknowledged) {
    let Ok(store) = Store::open("node", config(env), HERE, entropy, NOW) else { return };
    let keep = StoreOperation::KeepClusterState { bytes: b"state".to_vec(), keyspaces: definitions() };
    if !matches!(store.execute(keep).0, StoreOutcome::Done) {
        return;
    }
    for round in 0..8 {
        let key = format!("k{}", round % 3);
        let value = format!("{round}{}", ", lying apart from its record".repeat(round % 2));
        let seen = (round % 4 == 3).then(Context::default);
        let (outcome, commit) = try_mint(&store, CAUSAL, &key, put(&value), seen, Copy::Own);
        let StoreOutcome::Minted { set, .. } = outcome else { return };
        let given = set.siblings().iter().map(|sibling| sibling.dot).max().unwrap();
        assert!(acknowledged.dots.insert(given), "{given:?} is given a second time");
        if commit.is_none_or(|commit| commit.wait().is_err()) {
            return;
        }
        acknowledged.sets.insert(key, set);
        if round == 5 && store.db().flush().is_err() {
            return;
        }
    }
    let _ = store.close();
}

#[test]
fn what_was_acknowledged_survives_a_power_loss_at_any_call() {
    let whole = SimEnv::new();
    run(&whole, 1, &mut Acknowledged::default());
    let calls = whole.calls();
    assert!(calls > 60, "{calls} calls");
    for at in 0..calls {
        for mode in [CrashMode::LoseAll, CrashMode::Subset(at), CrashMode::TornLast(at)] {
            let env = SimEnv::new();
            env.fail_at(at, Fault::Stop);
            let mut acknowledged = Acknowledged::default();
            run(&env, 1, &mut acknowledged);
            let after = env.power_loss(mode);
            let store = open_as(&after, Continuity { boot: 2, ..HERE }, 2);
            for (key, set) in &acknowledged.sets {
                let found = read(&store, key);
                assert!(
                    found.clock().covers_all(set.clock()),
                    "call {at}, {mode:?}: {key} is {found:?}, not {set:?}"
                );
                let whole = found.siblings().iter().all(|sibling| sibling.bytes().is_some());
                assert!(whole && (found.same_dots(set) || found.clock() != set.clock()));
            }
            bodies::assert_no_leak(&store);
            drop(store);
            run(&after, 3, &mut acknowledged);
        }
    }
}
