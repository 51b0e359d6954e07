//! How many requests three nodes in one process serve. Run by hand:
//! `ESKER_MEASURE_SECONDS=5 cargo test --release -p esker-server --test rpc -- --nocapture measure`.

use super::members::{Member, request, three};
use esker::{Durability, Slice};
use esker_cluster::request::{Level, Operation, Request, Response};
use esker_cluster::store::Change;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const CALLERS: usize = 50;
const KEYS: u64 = 100_000;

fn key(random: &mut u64) -> Slice {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    Slice::from(format!("user{:012}", (*random >> 33) % KEYS))
}

/// Microseconds, up to a minute.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds make sense")
}

async fn run(
    members: &[Member],
    seconds: u64,
    make: impl Fn(Slice) -> Request + Clone + Send + Sync + 'static,
) {
    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds);
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (handle, make) = (members[caller % members.len()].handle.clone(), make.clone());
            tokio::spawn(async move {
                let mut times = histogram();
                let mut random = caller as u64 * 7919 + 1;
                while Instant::now() < until {
                    let request = make(key(&mut random));
                    let at = Instant::now();
                    let response = handle.request(request).await;
                    times.saturating_record(at.elapsed().as_micros() as u64);
                    let done = matches!(response, Response::Written { .. } | Response::Found { .. });
                    assert!(done, "{response:?}");
                }
                times
            })
        })
        .collect();
    let mut all = histogram();
    for caller in callers {
        all.add(caller.await.expect("it ends")).expect("they are alike");
    }
    let rate = all.len() as f64 / begun.elapsed().as_secs_f64();
    let (p50, p99) = (all.value_at_quantile(0.5), all.value_at_quantile(0.99));
    println!("  {rate:>8.0} ops/s   p50 {p50:>6} us   p99 {p99:>6} us");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn measure() {
    // A measurement: it takes its time only where that was given.
    let Some(seconds) = std::env::var("ESKER_MEASURE_SECONDS").ok().and_then(|s| s.parse().ok()) else {
        return;
    };
    let scratch = TempDir::new().expect("a directory");
    let members = three(&scratch).await;
    for durability in [Durability::Buffered, Durability::Synced] {
        let put = move |key| {
            let change = Change::Put { value: Slice::from(vec![7; 100]), expires_at: None };
            let operation = Operation::Write { key, change, context: None };
            Request { durability, ..request(operation, Level::Quorum) }
        };
        println!("put, QUORUM of 3, {durability:?}, {CALLERS} callers, 100 B");
        run(&members, seconds, put).await;
    }
    println!("get, QUORUM of 3, {CALLERS} callers");
    run(&members, seconds, |key| request(Operation::Get { key, context: None }, Level::Quorum)).await;
    for member in members {
        println!("  {:?}", member.handle.traffic().counts());
        member.stop().await;
    }
}
