//! One workload on one store, in a process of its own: what is measured there, and printed as one line of JSON.

use crate::files;
use crate::latency::{Quantiles, histogram, nanos};
use crate::measured::Measured;
use crate::peer::{Peer, PeerName, Result, Setup};
use crate::spent::Spent;
use crate::work::{Done, Scale, work};
use crate::workload::{Start, Workload};
use esker_server::bench::process::MemoryWatch;
use esker_server::bench::record::{KEY_LEN, is_value_of, key};
use std::path::Path;
use std::time::{Duration, Instant};

/// What a killed store had written since it was last opened.
const KILLED_BYTES: u64 = 40 << 20;

/// Does a workload and says what was measured.
pub(crate) fn measure(
    peer: PeerName,
    workload: Workload,
    dir: &Path,
    setup: Setup,
    scale: Scale,
    memory_limit_mib: Option<u64>,
) -> Result<Measured> {
    // Where memory is limited, what has to come from the device is what is of interest.
    match memory_limit_mib {
        Some(_) => files::cool(dir)?,
        None if workload.start() != Start::Empty => files::warm(dir)?,
        None => {}
    }
    let before_opening = Spent::now();
    let (store, opened) = open(peer, dir, setup)?;
    let before = if workload == Workload::Reopen { before_opening } else { Spent::now() };
    let syncs_before = store.syncs();
    let watch = MemoryWatch::start();
    let mut done = match workload {
        Workload::Reopen => opened,
        _ => work(&*store, workload, scale)?,
    };
    let syncs = store.syncs().zip(syncs_before).map(|(after, before)| after - before);
    let settling = Instant::now();
    if workload.settles() {
        store.settle()?;
    }
    let settle_s = workload.settles().then(|| settling.elapsed().as_secs_f64());
    let peak = watch.finish();
    let Spent { cpu, device } = Spent::now().since(before);
    if let Some(long) = &mut done.long {
        long.read_idle(&*store, scale)?;
    }
    let written = device.filter(|_| workload.settles()).map(|device| device.written);
    let (seconds, latencies) = (done.elapsed.as_secs_f64(), Quantiles::of(&done.latencies));
    let (paced, series) = done.long.map_or((None, Vec::new()), |long| (Some(long.paced), long.series));
    Ok(Measured {
        peer,
        workload,
        keys: scale.keys,
        value_bytes: scale.value_bytes,
        memory_limit_mib,
        operations: done.operations,
        seconds,
        ops_per_s: done.operations as f64 / seconds.max(1e-9),
        p50_us: latencies.p50_us,
        p99_us: latencies.p99_us,
        p999_us: latencies.p999_us,
        p9999_us: latencies.p9999_us,
        max_us: latencies.max_us,
        cut_short: workload.writes_all().is_some_and(|times| done.operations < times * scale.keys),
        kept: (workload == Workload::Reopen).then(|| kept(&*store, killed_keys(scale))).transpose()?,
        settle_s,
        beside_ops_per_s: done.beside,
        peak_anon_bytes: peak.map(|peak| peak.anon),
        disk_bytes: files::disk_bytes(dir)?,
        write_amp: written.map(|bytes| bytes as f64 / done.user_bytes as f64),
        cpu_s: cpu.map(|cpu| cpu.as_secs_f64()),
        device_read_bytes: device.map(|device| device.read),
        device_written_bytes: device.map(|device| device.written),
        syncs,
        paced,
        series,
    })
}

/// Fills a store with every record, in random order.
pub(crate) fn load(peer: PeerName, dir: &Path, setup: Setup, scale: Scale) -> Result<()> {
    let store = peer.open(dir, setup)?;
    // Writes them all, whatever time there is.
    work(&*store, Workload::Fillbatch100, Scale { time: Duration::from_secs(1 << 30), ..scale })?;
    store.settle()
}

/// Writes records to a store and ends without a word.
pub(crate) fn be_killed(peer: PeerName, dir: &Path, setup: Setup, scale: Scale) -> Result<()> {
    let store = peer.open(dir, setup)?;
    work(&*store, Workload::Fillrandom, Scale { keys: killed_keys(scale), ..scale })?;
    std::process::abort();
}

/// How many records a store that was killed had been given.
fn killed_keys(scale: Scale) -> u64 {
    KILLED_BYTES / (scale.value_bytes as u64 + KEY_LEN as u64)
}

/// Opens a store, and says how long it took until something could be read.
fn open(peer: PeerName, dir: &Path, setup: Setup) -> Result<(Box<dyn Peer>, Done)> {
    let began = Instant::now();
    let store = peer.open(dir, setup)?;
    store.get(b"any", &mut |_| ())?;
    let elapsed = began.elapsed();
    let mut latencies = histogram()?;
    latencies.saturating_record(nanos(elapsed));
    Ok((store, Done::new(1, elapsed, latencies)))
}

/// What a store has of the records below `records`, from 0 to 1.
fn kept(store: &dyn Peer, records: u64) -> Result<f64> {
    let mut kept = 0;
    for number in 0..records {
        let mut is_right = false;
        store.get(&key(number), &mut |value| is_right = is_value_of(number, value))?;
        kept += u64::from(is_right);
    }
    Ok(kept as f64 / records as f64)
}
