//! `longfill`: how a store keeps up with writes that do not wait for it, second by second.
//!
//! | phase | how long | what |
//! |---|---|---|
//! | as fast as it can | a third of the time | one thread writes records in random order, from the first again when all are written: the rate; another thread reads what is there, one record at a time |
//! | paced | two thirds | it overwrites random ones of them at 70 % of that rate, beside the reader |
//! | idle | a few seconds, after the store has settled | that reader alone |
//!
//! Paced writes have a time at which they are due, and their latency counts from then: one that waits while the store stalls on
//! another counts as waiting. Where the thread has nothing due it sleeps, so that it takes no processor time from the store, and of
//! that its writes are late by some tenth of a millisecond.

use crate::late::Late;
use crate::latency::Quantiles;
use crate::measured::{Paced, Slow};
use crate::peer::{Peer, Result};
use crate::series::{Recorder, Sample, Second, seconds};
use crate::work::{Done, Scale};
use crate::worker::{Shared, Worker};
use crate::workload::Workload;
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Paced writes come at this part of the rate at which they can.
const PACE: f64 = 0.7;
/// A thread sleeps this long at least: shorter sleeps take as long, and more of the processor.
const SHORTEST_SLEEP: Duration = Duration::from_micros(50);
/// Idle reads are measured for a sixth of the time, but for so long at least and at most.
const IDLE_SECONDS: (u64, u64) = (1, 5);

/// What came of the paced phase.
#[derive(Debug)]
pub(crate) struct Long {
    pub(crate) paced: Paced,
    pub(crate) series: Vec<Second>,
    /// Records that are there: so many of the first of the random order.
    present: u64,
}

/// Writes as fast as it can, and then at a pace while another thread reads.
pub(crate) fn longfill(peer: &dyn Peer, scale: Scale) -> Result<Done> {
    let shared = Shared::new(scale);
    let mut writer = Worker::new(peer, Workload::Longfill, scale, &shared, 0, 2)?;
    let mut reader = Worker::new(peer, Workload::Longfill, scale, &shared, 1, 2)?;
    let began = Instant::now();
    // The rate that can be kept up is that beside the reader, who takes a processor of its own.
    let there = AtomicU64::new(0);
    let (filled, reads) = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let there = || there.load(Ordering::Acquire);
            let read = read(&mut reader, there, began, |_| shared.stop.load(Ordering::Acquire));
            shared.stop.store(true, Ordering::Release);
            read
        });
        let filled = fill(&mut writer, began, scale, &there, &shared);
        shared.stop.store(true, Ordering::Release);
        (filled, reader.join().unwrap_or_else(|_| Err("the reader panicked".into())))
    });
    shared.stop.store(false, Ordering::Release);
    let (filled, samples, latencies) = filled?;
    let (read_samples, _) = reads?.finish(Instant::now())?;
    let fill_time = began.elapsed();
    let mut series = seconds(Duration::ZERO, fill_time, false, &samples, &read_samples);
    let present = filled.min(scale.keys);
    let rate = PACE * filled as f64 / fill_time.as_secs_f64();

    let paced_began = Instant::now();
    let due = Due { began: paced_began, rate, time: scale.time * 2 / 3 };
    let (writes, reads) = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let read = read(&mut reader, || present, paced_began, |_| shared.stop.load(Ordering::Acquire));
            // Where reads fail there is no sense in writing on.
            shared.stop.store(true, Ordering::Release);
            read
        });
        let writes = write(&mut writer, peer, present, due, &shared);
        shared.stop.store(true, Ordering::Release);
        (writes, reader.join().unwrap_or_else(|_| Err("the reader panicked".into())))
    });
    let (writes, missed, slow) = writes?;
    let reads = reads?;
    let now = Instant::now();
    let paced_time = now - paced_began;
    let (write_samples, writes) = writes.finish(now)?;
    let (read_samples, reads) = reads.finish(now)?;
    series.extend(seconds(paced_began - began, paced_time, true, &write_samples, &read_samples));
    let paced = Paced {
        due_per_s: rate,
        seconds: paced_time.as_secs_f64(),
        writes: Quantiles::of(&writes),
        missed,
        reads: Quantiles::of(&reads),
        idle_reads: Quantiles::default(),
        slow: Some(slow),
    };
    let done = Done::new(filled, fill_time, latencies);
    Ok(Done { user_bytes: writer.user_bytes, long: Some(Long { paced, series, present }), ..done })
}

impl Long {
    /// Measures the same reads on a store that has nothing else to do. Half as long as is measured it reads before, since what was
    /// written last has not been read yet.
    pub(crate) fn read_idle(&mut self, peer: &dyn Peer, scale: Scale) -> Result<()> {
        let (shortest, longest) = IDLE_SECONDS;
        let time = (scale.time / 6).clamp(Duration::from_secs(shortest), Duration::from_secs(longest));
        let shared = Shared::new(scale);
        let mut reader = Worker::new(peer, Workload::Longfill, scale, &shared, 1, 2)?;
        let mut read_for = |time| {
            let began = Instant::now();
            read(&mut reader, || self.present, began, |now| now - began >= time)?.finish(Instant::now())
        };
        read_for(time / 2)?;
        self.paced.idle_reads = Quantiles::of(&read_for(time)?.1);
        Ok(())
    }
}

/// Writes for a third of the time, as fast as it can, and says how many records are there. Returns how many were written.
fn fill(
    writer: &mut Worker<'_>,
    began: Instant,
    scale: Scale,
    there: &AtomicU64,
    shared: &Shared,
) -> Result<(u64, Vec<Sample>, Histogram<u64>)> {
    let mut recorder = Recorder::new(began)?;
    let (mut filled, mut last) = (0, began);
    while last - began < scale.time / 3 && !shared.stop.load(Ordering::Relaxed) {
        writer.put_at(filled)?;
        filled += 1;
        there.store(filled.min(scale.keys), Ordering::Release);
        let now = Instant::now();
        recorder.record(now, now - last)?;
        last = now;
    }
    let (samples, latencies) = recorder.finish(last)?;
    Ok((filled, samples, latencies))
}

/// When paced writes are due.
#[derive(Clone, Copy, Debug)]
struct Due {
    began: Instant,
    /// How many a second.
    rate: f64,
    /// How long they go on.
    time: Duration,
}

impl Due {
    /// When write `number` is due, if the time is not over by then.
    fn at(&self, number: u64) -> Option<Instant> {
        let after = Duration::from_secs_f64(number as f64 / self.rate);
        (after < self.time).then(|| self.began + after)
    }
}

/// Overwrites some of the first records, each when it is due or as soon as the one before it is done. Those that are not done when
/// the time is over count with what they have waited by then; returns how many these are, and what made writes late.
fn write(
    writer: &mut Worker<'_>,
    peer: &dyn Peer,
    first: u64,
    due: Due,
    shared: &Shared,
) -> Result<(Recorder, u64, Slow)> {
    let mut recorder = Recorder::new(due.began)?;
    let mut late = Late::new(peer);
    let (mut number, mut now) = (0, due.began);
    while let Some(at) = due.at(number) {
        if now - due.began >= due.time || shared.stop.load(Ordering::Relaxed) {
            break;
        }
        if now < at {
            late.nothing_due(now, at);
        }
        while now < at {
            // Looking at what makes writes late takes of the time that there is.
            let left = at.saturating_duration_since(Instant::now());
            thread::sleep(left.max(SHORTEST_SLEEP));
            now = Instant::now();
        }
        writer.put_among(first)?;
        number += 1;
        now = Instant::now();
        recorder.record(now, now - at)?;
        late.done(now - at);
    }
    let mut missed = 0;
    while let Some(at) = due.at(number + missed) {
        let waited = now.saturating_duration_since(at);
        recorder.still_waiting(waited);
        late.done(waited);
        missed += 1;
    }
    Ok((recorder, missed, late.finish()))
}

/// Reads some of the records that are there, of which `first` says how many they are, one at a time, until it is over.
fn read(
    reader: &mut Worker<'_>,
    first: impl Fn() -> u64,
    began: Instant,
    is_over: impl Fn(Instant) -> bool,
) -> Result<Recorder> {
    let mut recorder = Recorder::new(began)?;
    let mut last = Instant::now();
    while !is_over(last) {
        match first() {
            0 => thread::yield_now(),
            first => reader.get_among(first)?,
        }
        let now = Instant::now();
        recorder.record(now, now - last)?;
        last = now;
    }
    Ok(recorder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Order, PeerName, Setup, Visit};

    const SETUP: Setup = Setup { cache: 0, write_buffer: 0, synced: false, limited: false };
    const SCALE: Scale = Scale { keys: 1000, value_bytes: 100, time: Duration::from_millis(300) };

    #[test]
    fn writes_that_wait_for_others_count_from_when_they_were_due() {
        let dir = tempfile::tempdir().unwrap();
        let peer = PeerName::Array.open(dir.path(), SETUP).unwrap();
        let shared = Shared::new(SCALE);
        let mut writer = Worker::new(&*peer, Workload::Longfill, SCALE, &shared, 0, 1).unwrap();
        // The first two thirds passed before anything was written.
        let began = Instant::now() - Duration::from_millis(200);
        let due = Due { began, rate: 1000.0, time: SCALE.time };
        let (recorder, missed, slow) = write(&mut writer, &*peer, 1000, due, &shared).unwrap();
        let (_, latencies) = recorder.finish(Instant::now()).unwrap();
        // Those of the last milliseconds may be late, and are counted still.
        assert!(missed < 90, "{missed}");
        assert_eq!(latencies.len(), 300);
        assert!(latencies.max() >= 199_000_000, "{}", latencies.max());
        let late = latencies.iter_recorded().filter(|at| at.value_iterated_to() > 50_000_000);
        let late: u64 = late.map(|at| at.count_since_last_iteration()).sum();
        assert!((140..=300).contains(&late), "{late}");
        assert!(slow.episodes >= 1 && (140..=300).contains(&slow.writes), "{slow:?}");

        // All of the time had passed.
        let due = Due { began: began - SCALE.time, ..due };
        let (recorder, missed, slow) = write(&mut writer, &*peer, 1000, due, &shared).unwrap();
        assert_eq!(recorder.finish(Instant::now()).unwrap().1.len(), 300);
        assert!(missed >= 299, "{missed}");
        assert_eq!((slow.writes, slow.episodes), (300, 1));
    }

    #[test]
    fn longfill_finds_the_rate_keeps_to_it_and_reads() {
        let dir = tempfile::tempdir().unwrap();
        let peer = PeerName::Array.open(dir.path(), SETUP).unwrap();
        let done = longfill(&*peer, SCALE).unwrap();
        let mut long = done.long.unwrap();
        assert!(done.operations > 1000);
        let per_s = done.operations as f64 / done.elapsed.as_secs_f64();
        assert!((long.paced.due_per_s / per_s - PACE).abs() < 1e-6);
        let expected = long.paced.due_per_s * 0.2;
        assert!((long.paced.writes.done as f64 / expected - 1.0).abs() < 0.01);
        assert!(long.paced.reads.done > 0);
        assert_eq!(long.series.iter().map(|second| second.paced).collect::<Vec<_>>(), [false, true]);
        let samples = |of: fn(&Second) -> u64| long.series.iter().map(of).sum::<u64>();
        let paced_reads = long.series.iter().filter(|second| second.paced).map(|second| second.reads.done);
        assert_eq!(paced_reads.sum::<u64>(), long.paced.reads.done);
        assert!(
            samples(|second| second.reads.done) > long.paced.reads.done,
            "nothing was read beside the fill"
        );
        assert_eq!(
            samples(|second| second.writes.done),
            done.operations + long.paced.writes.done - long.paced.missed
        );
        long.read_idle(&*peer, SCALE).unwrap();
        assert!(long.paced.idle_reads.done > 0);
    }

    /// Keeps nothing, and sleeps in its second write, of which it may say that it was a stall.
    struct Sleeper {
        puts: AtomicU64,
        says: bool,
    }

    const NAP: Duration = Duration::from_millis(120);

    impl Peer for Sleeper {
        fn put(&self, _: &[u8], _: &[u8]) -> Result<()> {
            if self.puts.fetch_add(1, Ordering::Relaxed) == 1 {
                thread::sleep(NAP);
            }
            Ok(())
        }

        fn put_all(&self, _: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
            Ok(())
        }

        fn delete(&self, _: &[u8]) -> Result<()> {
            Ok(())
        }

        fn get(&self, _: &[u8], _: &mut dyn FnMut(&[u8])) -> Result<bool> {
            Ok(false)
        }

        fn scan(&self, _: &[u8], _: Order, _: Visit<'_>) -> Result<()> {
            Ok(())
        }

        fn settle(&self) -> Result<()> {
            Ok(())
        }

        fn stalled(&self) -> Option<Duration> {
            let naps = u32::from(self.puts.load(Ordering::Relaxed) > 1);
            self.says.then_some(NAP * naps)
        }
    }

    #[test]
    fn what_a_write_that_was_begun_in_time_waited_for_is_found() {
        for says in [true, false] {
            let peer = Sleeper { puts: AtomicU64::new(0), says };
            let shared = Shared::new(SCALE);
            let mut writer = Worker::new(&peer, Workload::Longfill, SCALE, &shared, 0, 1).unwrap();
            let due = Due { began: Instant::now(), rate: 200.0, time: SCALE.time * 3 };
            let (_, _, slow) = write(&mut writer, &peer, 1000, due, &shared).unwrap();
            assert!(slow.writes >= 1 && slow.episodes >= 1, "{slow:?}");
            assert!(slow.longest_ms >= 120.0, "{slow:?}");
            assert_eq!(slow.stalled_ms, says.then_some(120.0));
            let times = [slow.stalled_ms, slow.waiting_for_processor_ms, slow.on_processor_ms];
            let known: f64 = times.into_iter().flatten().sum();
            assert!(known + slow.other_ms >= 120.0, "{slow:?}");
            // The system counts what a thread runs up to a tick late, and so some of it may seem to be of the nap.
            assert!(says || slow.other_ms >= 60.0, "{slow:?}");
        }
    }
}
