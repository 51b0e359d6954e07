//! [`Second`]: what was done in one second of a workload, and [`Recorder`], which finds that out for one thread.

use crate::latency::{histogram, nanos};
use crate::peer::Result;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// One second of a workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Second {
    /// When it began, in seconds from the beginning of the workload.
    pub(crate) from_s: f64,
    /// How long it was: the last one of a phase is what is left of it, half a second at least and less than one and a half.
    pub(crate) for_s: f64,
    /// Whether writes came at their times, and not as fast as they could.
    pub(crate) paced: bool,
    pub(crate) writes: Sample,
    pub(crate) reads: Sample,
}

/// The operations of one kind that ended within a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) done: u64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) max_us: f64,
}

impl Sample {
    fn of(latencies: &Histogram<u64>) -> Sample {
        let micros = |nanos: u64| nanos as f64 / 1000.0;
        Sample {
            done: latencies.len(),
            p50_us: micros(latencies.value_at_quantile(0.5)),
            p99_us: micros(latencies.value_at_quantile(0.99)),
            max_us: micros(latencies.max()),
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// The latencies of one thread's operations, second by second and all together.
pub(crate) struct Recorder {
    /// When the second ends that is running.
    ends: Instant,
    running: Histogram<u64>,
    /// The second before, which may get what little there is behind it.
    before: Option<Histogram<u64>>,
    seconds: Vec<Sample>,
    whole: Histogram<u64>,
}

impl Recorder {
    /// The first second begins then.
    pub(crate) fn new(began: Instant) -> Result<Recorder> {
        let (running, whole) = (histogram()?, histogram()?);
        Ok(Recorder { ends: began + SECOND, running, before: None, seconds: Vec::new(), whole })
    }

    /// An operation that ended now took so long.
    pub(crate) fn record(&mut self, now: Instant, latency: Duration) -> Result<()> {
        while now >= self.ends {
            self.end_second()?;
        }
        self.running.saturating_record(nanos(latency));
        Ok(())
    }

    /// An operation has been waiting for so long, and is not done.
    pub(crate) fn still_waiting(&mut self, latency: Duration) {
        self.whole.saturating_record(nanos(latency));
    }

    fn end_second(&mut self) -> Result<()> {
        let mut next = match self.before.take() {
            Some(before) => self.keep(before)?,
            None => histogram()?,
        };
        std::mem::swap(&mut next, &mut self.running);
        self.before = Some(next);
        self.ends += SECOND;
        Ok(())
    }

    /// Keeps what a second has, and gives its histogram to the next.
    fn keep(&mut self, mut second: Histogram<u64>) -> Result<Histogram<u64>> {
        self.seconds.push(Sample::of(&second));
        self.whole.add(&second)?;
        second.reset();
        Ok(second)
    }

    /// Every second up to now, and all together. What is left behind whole seconds is one by itself if it is half of one.
    pub(crate) fn finish(mut self, now: Instant) -> Result<(Vec<Sample>, Histogram<u64>)> {
        while now >= self.ends {
            self.end_second()?;
        }
        if let Some(mut before) = self.before.take() {
            if self.ends - now > SECOND / 2 {
                before.add(&self.running)?;
                self.running.reset();
                self.keep(before)?;
                return Ok((self.seconds, self.whole));
            }
            self.keep(before)?;
        }
        let running = std::mem::replace(&mut self.running, histogram()?);
        self.keep(running)?;
        Ok((self.seconds, self.whole))
    }
}

/// The seconds of a phase that began at `from` and was so long. Where one of the two did nothing, that is what is there.
pub(crate) fn seconds(
    from: Duration,
    length: Duration,
    paced: bool,
    writes: &[Sample],
    reads: &[Sample],
) -> Vec<Second> {
    let of = |samples: &[Sample], at: usize| samples.get(at).copied().unwrap_or_default();
    let count = writes.len().max(reads.len());
    let second = |at: usize| {
        let before = Duration::from_secs(at as u64);
        let for_s = if at + 1 < count { SECOND } else { length.saturating_sub(before) }.as_secs_f64();
        Second {
            from_s: (from + before).as_secs_f64(),
            for_s,
            paced,
            writes: of(writes, at),
            reads: of(reads, at),
        }
    };
    (0..count).map(second).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_belong_to_the_second_in_which_they_ended() {
        let began = Instant::now();
        let millis = Duration::from_millis;
        let mut recorder = Recorder::new(began).unwrap();
        for (ended, took) in [(10, 10), (999, 20), (1000, 1), (3200, 2200)] {
            recorder.record(began + millis(ended), millis(took)).unwrap();
        }
        recorder.still_waiting(millis(5000));
        let (samples, whole) = recorder.finish(began + millis(3500)).unwrap();
        assert_eq!(samples.iter().map(|sample| sample.done).collect::<Vec<_>>(), [2, 1, 0, 1]);
        assert!((samples[3].max_us / 2_200_000.0 - 1.0).abs() < 0.01);
        assert_eq!(samples[2], Sample::default());
        assert_eq!(whole.len(), 5);
        assert!((whole.max() as f64 / 5e9 - 1.0).abs() < 0.01);

        let seconds = seconds(millis(500), millis(3500), true, &samples, &[]);
        let times: Vec<(f64, f64)> = seconds.iter().map(|second| (second.from_s, second.for_s)).collect();
        assert_eq!(times, [(0.5, 1.0), (1.5, 1.0), (2.5, 1.0), (3.5, 0.5)]);
        assert!(seconds.iter().all(|second| second.reads == Sample::default()));
    }

    #[test]
    fn what_little_is_left_belongs_to_the_second_before() {
        let began = Instant::now();
        let millis = Duration::from_millis;
        let counts = |ended: u64| {
            let mut recorder = Recorder::new(began).unwrap();
            for at in [200, 1200, 2000, 2200] {
                if at <= ended {
                    recorder.record(began + millis(at), millis(1)).unwrap();
                }
            }
            let (samples, whole) = recorder.finish(began + millis(ended)).unwrap();
            assert_eq!(whole.len(), samples.iter().map(|sample| sample.done).sum::<u64>());
            samples.iter().map(|sample| sample.done).collect::<Vec<_>>()
        };
        assert_eq!(counts(2000), [1, 2]);
        assert_eq!(counts(2300), [1, 3]);
        assert_eq!(counts(2600), [1, 1, 2]);
        assert_eq!(counts(250), [1]);
        let two = seconds(millis(0), millis(2300), false, &[Sample::default(); 2], &[]);
        assert!((two[1].for_s - 1.3).abs() < 1e-9);
    }
}
