//! exploring
use super::cluster::*;
use super::reference::*;
use crate::ring::*;
use std::time::{Duration, Instant};

#[test]
fn explore() {
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(20);
    let from: u64 = std::env::var("FROM").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let steps: u64 = std::env::var("STEPS").ok().and_then(|s| s.parse().ok()).unwrap_or(12);
    let parts: u32 = std::env::var("PARTS").ok().and_then(|s| s.parse().ok()).unwrap_or(4096);
    let (mut slow, mut slowchain) = (Duration::ZERO, Duration::ZERO);
    let (mut bad_move, mut bad_bal, mut bad_first, mut all) = (0, 0, 0, 0);
    let mut total = Duration::ZERO;
    for seed in from..from + seeds {
        let mut draw = Draw::new(seed);
        let mut cluster = Cluster::draw(&mut draw, 64);
        let mut prev: Option<Ring> = None;
        let mut what = "fresh".to_string();
        for step in 0..steps {
            let t = Instant::now();
            let ring = Ring::place(parts, cluster.replicas, &cluster.members, prev.as_ref()).unwrap();
            let t = t.elapsed();
            total += t;
            all += 1;
            if prev.is_none() {
                slow = slow.max(t)
            } else {
                slowchain = slowchain.max(t)
            }
            if t > Duration::from_millis(500) {
                println!(
                    "seed {seed} step {step}: {t:?} n={} members={}",
                    ring.replicas(),
                    ring.members().len()
                );
            }
            let best = best_shares(ring.members(), cluster.replicas, parts);
            let wsum: f64 = ring.members().iter().map(|m| f64::from(m.weight)).sum();
            for ((m, b), (id, has, first)) in ring.members().iter().zip(&best).zip(ring.shares()) {
                let off = (f64::from(has) - b).abs();
                if off > (b * 0.05).max(1.0) {
                    bad_bal += 1;
                    println!(
                        "BALANCE seed {seed} step {step} {what}: {id} has {has} best {b} members {} n {}",
                        ring.members().len(),
                        ring.replicas()
                    );
                }
                let f = f64::from(m.weight) / wsum * f64::from(parts);
                let off = (f64::from(first) - f).abs();
                if off > (f * 0.10).max(1.0) {
                    bad_first += 1;
                    println!(
                        "FIRST seed {seed} step {step} {what}: {id} has {first} best {f} places {has} members {} n {}",
                        ring.members().len(),
                        ring.replicas()
                    );
                }
            }
            if std::env::var("SHOWALL").is_ok() {
                println!("{what} {step}");
                for (m, b) in ring.members().iter().zip(&best) {
                    let sh = ring.shares();
                    let at = ring.members().iter().position(|x| x.id == m.id).unwrap();
                    println!(
                        "   {} {} w{} {:?} best {b:.0} first {:.0}",
                        m.dc,
                        m.zone,
                        m.weight,
                        sh[at],
                        f64::from(m.weight) / wsum * f64::from(parts)
                    );
                }
            }
            if let Some(prev) = &prev {
                let moved = ring.gained(prev).count();
                let old = prev.shares();
                let growth: u32 = ring
                    .shares()
                    .iter()
                    .map(|(id, has, _)| {
                        let o = old.iter().find(|(i, _, _)| i == id).map_or(0, |o| o.1);
                        has.saturating_sub(o)
                    })
                    .sum();
                let ratio = moved as f64 / f64::from(growth.max(1));
                if ratio > 1.05 {
                    bad_move += 1;
                    println!(
                        "MOVE seed {seed} step {step} {what}: moved {moved} growth {growth} {ratio:.3} members {} n {}",
                        ring.members().len(),
                        ring.replicas()
                    );
                    if ring.members().len() < 65 {
                        for slack in [0.05, 0.02, 0.0] {
                            println!(
                                "     least at {slack}: {}",
                                super::least::least_moved(prev, ring.members(), cluster.replicas, slack)
                            );
                        }
                    }
                    if std::env::var("SHOW").is_ok() {
                        let best = best_shares(ring.members(), cluster.replicas, parts);
                        let obest = best_shares(prev.members(), cluster.replicas, parts);
                        for (m, (id, has, _)) in prev.members().iter().zip(&old) {
                            let at = ring.members().iter().position(|x| x.id == *id);
                            let oat = prev.members().iter().position(|x| x.id == *id).unwrap();
                            println!(
                                "   {} {} w{} : {has} (best {:.0}) -> {:?} best {:?}",
                                m.dc,
                                m.zone,
                                m.weight,
                                obest[oat],
                                at.map(|a| ring.shares()[a].1),
                                at.map(|a| best[a])
                            );
                        }
                        for m in ring.members() {
                            if prev.member(m.id).is_none() {
                                let at = ring.members().iter().position(|x| x.id == m.id).unwrap();
                                println!(
                                    "   {} {} w{} : NEW -> {} best {}",
                                    m.dc,
                                    m.zone,
                                    m.weight,
                                    ring.shares()[at].1,
                                    best[at]
                                );
                            }
                        }
                    }
                }
            }
            prev = Some(ring);
            what = cluster.change(&mut draw, 64);
        }
    }
    println!(
        "{all} rings, slowest fresh {slow:?} chain {slowchain:?} total {total:?}; bad: move {bad_move} balance {bad_bal} first {bad_first}"
    );
}
