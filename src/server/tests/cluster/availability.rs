//! What clients see of a node that dies or stops, while requests keep coming at their own pace.
//!
//! Requests are scheduled: each has its moment, whatever became of those before it. That one waits is time that its client
//! waits, so times are counted from the schedule. What is measured is printed; it is held against the promise only in the
//! full form, on a machine that has nothing else to do.

use super::cluster::Cluster;
use super::connection::{Answer, Connection};
use super::is_full;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Keys that are asked for.
const KEYS: u64 = 2000;

/// What clients saw.
#[derive(Default)]
struct Seen {
    /// When each success came, from the begin of the schedule, and how long after its moment.
    successes: Vec<(Duration, Duration)>,
    failures: Vec<String>,
}

impl Seen {
    fn sorted_times(&self) -> Vec<Duration> {
        let mut times: Vec<Duration> = self.successes.iter().map(|(_, took)| *took).collect();
        times.sort();
        times
    }

    fn quantile(&self, per_mille: usize) -> Duration {
        let times = self.sorted_times();
        times
            .get((times.len() * per_mille / 1000).min(times.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }

    /// The longest time without a success, and when it began.
    fn longest_gap(&self) -> (Duration, Duration) {
        let mut at: Vec<Duration> = self.successes.iter().map(|(at, _)| *at).collect();
        at.sort();
        at.windows(2).map(|pair| (pair[1] - pair[0], pair[0])).max().unwrap_or_default()
    }
}

/// A request: every second one writes, unless only reads are wanted.
fn ask(connection: &mut Connection, n: u64, only_reads: bool) -> Result<(), String> {
    let key = format!("key{}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % KEYS);
    let answer = if only_reads || n.is_multiple_of(2) {
        connection.ask(&[b"GET", key.as_bytes()])
    } else {
        connection.ask(&[b"SET", key.as_bytes(), n.to_string().as_bytes()])
    };
    match answer {
        Ok(Answer::Error(error)) if error.starts_with("SIBLINGS") => Ok(()),
        Ok(Answer::Error(error)) => Err(error),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn open(address: SocketAddr) -> Connection {
    Connection::open(address, Duration::from_secs(10)).unwrap()
}

/// Sends `rate` requests a second for `lasting` from `clients` connections spread over the nodes. A client that waits for an
/// answer leaves the next moments to the others.
fn scheduled(nodes: &[SocketAddr], clients: usize, rate: f64, lasting: Duration, only_reads: bool) -> Seen {
    let (begun, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let end = (lasting.as_secs_f64() * rate) as u64;
    let workers: Vec<_> = (0..clients)
        .map(|client| {
            let (address, next) = (nodes[client % nodes.len()], next.clone());
            std::thread::spawn(move || {
                let (mut seen, mut connection) = (Seen::default(), open(address));
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= end {
                        return seen;
                    }
                    let moment = Duration::from_secs_f64(n as f64 / rate);
                    std::thread::sleep(moment.saturating_sub(begun.elapsed()));
                    match ask(&mut connection, n, only_reads) {
                        Ok(()) => {
                            let at = begun.elapsed();
                            seen.successes.push((at, at - moment));
                        }
                        Err(error) => {
                            seen.failures.push(error);
                            connection = open(address);
                        }
                    }
                }
            })
        })
        .collect();
    let mut all = Seen::default();
    for worker in workers {
        let seen = worker.join().unwrap();
        all.successes.extend(seen.successes);
        all.failures.extend(seen.failures);
    }
    all
}

/// How many requests a second the nodes serve if nobody waits for a schedule.
fn peak(nodes: &[SocketAddr], clients: usize, lasting: Duration) -> f64 {
    let workers: Vec<_> = (0..clients)
        .map(|client| {
            let address = nodes[client % nodes.len()];
            std::thread::spawn(move || {
                let (mut connection, begun, mut n) = (open(address), Instant::now(), 0u64);
                while begun.elapsed() < lasting {
                    ask(&mut connection, n * 1009 + client as u64, false).unwrap();
                    n += 1;
                }
                n
            })
        })
        .collect();
    let all: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    all as f64 / lasting.as_secs_f64()
}

fn seconds(plain: u64, full: u64) -> Duration {
    Duration::from_secs(if is_full() { full } else { plain })
}

#[test]
fn one_of_five_nodes_killed() {
    let mut cluster = Cluster::start(5);
    let survivors: Vec<SocketAddr> =
        cluster.nodes[..4].iter().map(|node| node.settings.addresses.resp).collect();
    let clients = if is_full() { 64 } else { 16 };
    let peak = peak(&survivors, clients, seconds(2, 10));
    let lasting = seconds(5, 60);
    let mut dying = cluster.nodes.pop().unwrap();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        dying.kill();
    });
    let seen = scheduled(&survivors, clients * 2, peak / 2.0, lasting, false);
    killer.join().unwrap();
    let (good, bad) = (seen.successes.len(), seen.failures.len());
    let ratio = good as f64 / (good + bad) as f64;
    println!(
        "  peak {peak:.0}/s, half of it for {} s with one of five killed: {good} succeeded, {bad} failed ({:.4} %), longest gap \
         {} ms at {} ms (the node dies at 1000 ms), p50 {:?}, p99 {:?}, p99.9 {:?}",
        lasting.as_secs(),
        ratio * 100.0,
        seen.longest_gap().0.as_millis(),
        seen.longest_gap().1.as_millis(),
        seen.quantile(500),
        seen.quantile(990),
        seen.quantile(999),
    );
    seen.failures.iter().take(5).for_each(|failure| println!("  failed: {failure}"));
    if is_full() {
        assert!(ratio >= 0.9999, "{ratio}");
        assert!(seen.longest_gap().0 <= Duration::from_millis(500));
    }
    // Whatever the machine: most are served, and they are served again.
    assert!(ratio > 0.9, "{:?}", seen.failures.first());
}

#[test]
fn reads_beside_a_stopped_node() {
    let cluster = Cluster::start(3);
    let survivors: Vec<SocketAddr> =
        cluster.nodes[..2].iter().map(|node| node.settings.addresses.resp).collect();
    let peak = peak(&survivors, 8, seconds(1, 5));
    let rate = peak / 4.0;
    let healthy = scheduled(&survivors, 16, rate, seconds(2, 20), true);
    cluster.nodes[2].signal("STOP");
    let beside = scheduled(&survivors, 16, rate, seconds(3, 20), true);
    cluster.nodes[2].signal("CONT");
    let (before, after) = (healthy.quantile(990), beside.quantile(990));
    let ratio = after.as_secs_f64() / before.as_secs_f64();
    println!(
        "  reads at {rate:.0}/s: p50 {:?}, p99 {before:?} healthy; p50 {:?}, p99 {after:?}, p99.9 {:?} with one of three stopped \
         ({ratio:.2} x), {} failed",
        healthy.quantile(500),
        beside.quantile(500),
        beside.quantile(999),
        beside.failures.len()
    );
    assert!(beside.failures.len() * 100 < beside.successes.len(), "{:?}", beside.failures.first());
    if is_full() {
        assert!(ratio <= 2.0, "{ratio}");
    }
}
