//! A small campaign that never was, for tests of what is made of one.

use crate::header::{Header, Settings};
use crate::latency::Quantiles;
use crate::machine::Machine;
use crate::measured::{Measured, Paced, Slow};
use crate::peer::PeerName;
use crate::series::{Sample, Second};
use crate::workload::Workload;

pub(crate) fn header() -> Header {
    let cpu = Some("A <processor> & more".to_owned());
    Header {
        machine: Machine { cpu, cores: Some(2), memory_bytes: Some(8 << 30), kernel: None, filesystem: None },
        versions: [("esker".to_owned(), "0.1.0".to_owned())].into(),
        date: "2026-11-29T06:21:07Z".to_owned(),
        settings: Settings {
            keys: 5000,
            value_bytes: vec![100],
            seconds: 6,
            cache_mib: 8,
            write_buffer_mib: 4,
            memory_limit_mib: None,
            rounds: 1,
        },
    }
}

/// Five stores and the array, each as slow as its place says.
pub(crate) fn measured() -> Vec<Measured> {
    let peers = [
        PeerName::Esker,
        PeerName::Array,
        PeerName::Rocksdb,
        PeerName::Fjall,
        PeerName::Lmdb,
        PeerName::Redb,
    ];
    let workloads = [Workload::Fillrandom, Workload::Readrandom, Workload::Syncedputs, Workload::Longfill];
    let mut all = Vec::new();
    for workload in workloads {
        all.extend(peers.iter().zip(1..).map(|(peer, place)| one(workload, *peer, f64::from(place))));
    }
    all
}

fn one(workload: Workload, peer: PeerName, place: f64) -> Measured {
    let long = workload == Workload::Longfill;
    Measured {
        peer,
        workload,
        keys: 5000,
        value_bytes: 100,
        memory_limit_mib: None,
        operations: 1000,
        seconds: 2.0,
        ops_per_s: 1_000_000.0 - 40_000.0 * place,
        p50_us: place,
        p99_us: 8.0 * place,
        p999_us: 50.0 * place,
        p9999_us: 9000.0 * place,
        max_us: 20_000.0 * place,
        cut_short: false,
        kept: None,
        settle_s: workload.settles().then_some(1.0),
        beside_ops_per_s: None,
        peak_anon_bytes: Some(10 << 20),
        disk_bytes: 20 << 20,
        write_amp: workload.settles().then_some(2.0),
        cpu_s: Some(3.0),
        device_read_bytes: Some(4_096_000),
        device_written_bytes: Some(8_192_000),
        syncs: (peer == PeerName::Esker).then_some(250),
        paced: long.then(|| paced(place)),
        series: if long { series(place) } else { Vec::new() },
    }
}

fn paced(place: f64) -> Paced {
    let quantiles = |scale: f64| Quantiles {
        done: 700,
        p50_us: scale,
        p99_us: 5.0 * scale,
        p999_us: 30.0 * scale,
        p9999_us: 12_000.0 * scale,
        max_us: 40_000.0 * scale,
    };
    Paced {
        due_per_s: 70_000.0,
        seconds: 4.0,
        writes: quantiles(place),
        missed: 0,
        reads: quantiles(2.0 * place),
        idle_reads: quantiles(place),
        slow: Some(Slow {
            writes: 30,
            episodes: 2,
            longest_ms: 90.0 * place,
            stalled_ms: (place < 2.0).then_some(100.0),
            waiting_for_processor_ms: Some(20.0),
            on_processor_ms: Some(40.0),
            stolen_ms: Some(30.0),
            other_ms: 10.0,
        }),
    }
}

fn series(place: f64) -> Vec<Second> {
    let sample = |done: u64| Sample { done, p50_us: place, p99_us: 5.0 * place, max_us: 900.0 * place };
    let second = |at: u32| Second {
        from_s: f64::from(at),
        for_s: 1.0,
        paced: at >= 2,
        writes: sample(if at < 2 { 100_000 } else { 70_000 }),
        reads: if at < 2 { Sample::default() } else { sample(40_000) },
    };
    (0..6).map(second).collect()
}
