//! One workload on one store, in a process of its own: what is measured there, and printed as one line of JSON.

use crate::peer::{Peer, PeerName, Result, Setup};
use crate::work::{Done, Scale, latencies, work};
use crate::workload::{Start, Workload};
use esker_server::bench::process::{self, MemoryWatch};
use esker_server::bench::record::{KEY_LEN, is_value_of, key};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) peer: PeerName,
    pub(crate) workload: Workload,
    pub(crate) keys: u64,
    pub(crate) value_bytes: usize,
    pub(crate) operations: u64,
    pub(crate) seconds: f64,
    pub(crate) ops_per_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) p9999_us: f64,
    pub(crate) max_us: f64,
    /// Whether it ended when its time was over, with records left that it would have written.
    pub(crate) cut_short: bool,
    /// What a store that was killed kept of what had been written, from 0 to 1.
    pub(crate) kept: Option<f64>,
    /// Seconds until it had settled, after the work.
    pub(crate) settle_s: Option<f64>,
    /// Operations a second of the thread that wrote beside it.
    pub(crate) beside_ops_per_s: Option<f64>,
    /// The most memory that was resident and of no file, from when the store was open to when it had settled.
    pub(crate) peak_anon_bytes: Option<u64>,
    /// What its directory takes.
    pub(crate) disk_bytes: u64,
    /// Bytes that files were made to hold, those included that were removed before they went to the device, for each byte of
    /// keys and values that was written.
    pub(crate) write_amp: Option<f64>,
    /// Processor time of the work and the settling.
    pub(crate) cpu_s: Option<f64>,
}

/// What a killed store had written since it was last opened.
const KILLED_BYTES: u64 = 40 << 20;

/// Does a workload and says what was measured.
pub(crate) fn measure(
    peer: PeerName,
    workload: Workload,
    dir: &Path,
    setup: Setup,
    scale: Scale,
) -> Result<Measured> {
    if workload.start() != Start::Empty {
        warm(dir)?;
    }
    let (store, opened) = open(peer, dir, setup)?;
    let (cpu_before, written_before) = (process::cpu(), device_bytes());
    let watch = MemoryWatch::start();
    let done = match workload {
        Workload::Reopen => opened,
        _ => work(&*store, workload, scale)?,
    };
    let settling = Instant::now();
    if workload.settles() {
        store.settle()?;
    }
    let settle_s = workload.settles().then(|| settling.elapsed().as_secs_f64());
    let peak = watch.finish();
    let written = device_bytes().zip(written_before).map(|(after, before)| after.saturating_sub(before));
    let cpu =
        process::cpu().zip(cpu_before).map(|(after, before)| after.saturating_sub(before).as_secs_f64());
    let micros = |quantile| done.latencies.value_at_quantile(quantile) as f64 / 1000.0;
    let seconds = done.elapsed.as_secs_f64();
    Ok(Measured {
        peer,
        workload,
        keys: scale.keys,
        value_bytes: scale.value_bytes,
        operations: done.operations,
        seconds,
        ops_per_s: done.operations as f64 / seconds.max(1e-9),
        p50_us: micros(0.5),
        p99_us: micros(0.99),
        p999_us: micros(0.999),
        p9999_us: micros(0.9999),
        max_us: done.latencies.max() as f64 / 1000.0,
        cut_short: workload.writes_all().is_some_and(|times| done.operations < times * scale.keys),
        kept: (workload == Workload::Reopen).then(|| kept(&*store, killed_keys(scale))).transpose()?,
        settle_s,
        beside_ops_per_s: done.beside,
        peak_anon_bytes: peak.map(|peak| peak.anon),
        disk_bytes: disk_bytes(dir)?,
        write_amp: written.filter(|_| workload.settles()).map(|bytes| bytes as f64 / done.user_bytes as f64),
        cpu_s: cpu,
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
    let mut latencies = latencies()?;
    latencies.saturating_record(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    Ok((store, Done { operations: 1, elapsed, latencies, user_bytes: 0, beside: None }))
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

/// Reads the files of a directory, so that none of a measurement is what the system had forgotten meanwhile. Of a sparse file as
/// much is read as it takes.
fn warm(dir: &Path) -> Result<()> {
    for file in files(dir)? {
        let taken = taken_bytes(&fs::metadata(&file)?);
        io::copy(&mut io::Read::take(File::open(&file)?, taken), &mut io::sink())?;
    }
    Ok(())
}

/// What the files of a directory take on disk.
fn disk_bytes(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in files(dir)? {
        bytes += taken_bytes(&fs::metadata(&file)?);
    }
    Ok(bytes)
}

fn taken_bytes(metadata: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    metadata.blocks() * 512
}

fn files(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let (mut files, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let list = if entry.file_type()?.is_dir() { &mut dirs } else { &mut files };
            list.push(entry.path());
        }
    }
    Ok(files)
}

/// Bytes that this process has made the system write, now or later. `None` where there is no `/proc`.
fn device_bytes() -> Option<u64> {
    let io = fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}
