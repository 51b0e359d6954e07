//! [`Late`]: what made paced writes late.
//!
//! A write is late because of what its thread did since it last had nothing due: mostly because of another write, which was begun in
//! time. So an episode goes from one time when nothing was due to the next, and what is counted is remembered while nothing is due,
//! before anything is late. That is not done each time, but again when it is [`FRESH`] no longer; an episode may have the writes of so
//! long before it, and what the thread slept until one was due is taken off. Nothing is read for a write.

use crate::measured::Slow;
use crate::peer::Peer;
use crate::scheduled::{Schedule, Scheduled};
use crate::stolen::Stolen;
use std::time::{Duration, Instant};

/// A write is slow if it is done later than this after it was due.
const SLOW: Duration = Duration::from_millis(50);
/// What is counted is read again when it is older than this: much less than an episode with a slow write takes.
const FRESH: Duration = Duration::from_millis(10);

/// What was counted up to some time.
#[derive(Clone, Copy, Debug)]
struct Counted {
    at: Instant,
    stalled: Option<Duration>,
    scheduled: Option<Scheduled>,
    stolen: Option<Duration>,
}

/// Finds the episodes of one thread that has writes late, and what they went by with.
pub(crate) struct Late<'a> {
    peer: &'a dyn Peer,
    schedule: Option<Schedule>,
    stolen: Option<Stolen>,
    /// When nothing was due, or nothing was done yet.
    before: Counted,
    /// How long nothing has been due since then.
    idle: Duration,
    /// Slow writes since then.
    slow: u64,
    found: Slow,
}

impl<'a> Late<'a> {
    /// Begins now, with writes that this thread does.
    pub(crate) fn new(peer: &'a dyn Peer) -> Late<'a> {
        let (mut schedule, mut stolen) = (Schedule::of_this_thread(), Stolen::open());
        let before = count(peer, schedule.as_mut(), stolen.as_mut());
        let found = Slow {
            stalled_ms: before.stalled.map(|_| 0.0),
            waiting_for_processor_ms: before.scheduled.map(|_| 0.0),
            on_processor_ms: before.scheduled.map(|_| 0.0),
            stolen_ms: before.stolen.map(|_| 0.0),
            ..Slow::default()
        };
        Late { peer, schedule, stolen, before, idle: Duration::ZERO, slow: 0, found }
    }

    /// Nothing is due now, and until then. Ends an episode.
    pub(crate) fn nothing_due(&mut self, now: Instant, until: Instant) {
        let mut from = now;
        if self.slow > 0 || now.saturating_duration_since(self.before.at) > FRESH {
            from = self.end_episode();
        }
        self.idle += until.saturating_duration_since(from);
    }

    /// A write was done, or given up, so long after it was due.
    pub(crate) fn done(&mut self, latency: Duration) {
        self.slow += u64::from(latency > SLOW);
    }

    /// What was found when all is over.
    pub(crate) fn finish(mut self) -> Slow {
        if self.slow > 0 {
            self.end_episode();
        }
        self.found
    }

    /// Adds what there was since nothing was due, if there were slow writes, and begins anew. Returns since when.
    fn end_episode(&mut self) -> Instant {
        let now = count(self.peer, self.schedule.as_mut(), self.stolen.as_mut());
        let wall = now.at.saturating_duration_since(self.before.at).saturating_sub(self.idle);
        if self.slow > 0 {
            self.add(wall, now);
        }
        (self.before, self.idle, self.slow) = (now, Duration::ZERO, 0);
        now.at
    }

    fn add(&mut self, wall: Duration, now: Counted) {
        let since = |of: fn(&Counted) -> Option<Duration>| {
            of(&now).zip(of(&self.before)).map(|(now, before)| millis(now.saturating_sub(before)))
        };
        let stalled = since(|counted| counted.stalled);
        let waiting = since(|counted| counted.scheduled.map(|scheduled| scheduled.waiting));
        let running = since(|counted| counted.scheduled.map(|scheduled| scheduled.on_processor));
        let stolen = since(|counted| counted.stolen);
        let known: f64 = [stalled, waiting, running].into_iter().flatten().sum();
        let sum =
            |before: Option<f64>, more: Option<f64>| before.zip(more).map(|(before, more)| before + more);
        let found = &mut self.found;
        found.writes += self.slow;
        found.episodes += 1;
        found.longest_ms = found.longest_ms.max(millis(wall));
        found.stalled_ms = sum(found.stalled_ms, stalled);
        found.waiting_for_processor_ms = sum(found.waiting_for_processor_ms, waiting);
        found.on_processor_ms = sum(found.on_processor_ms, running);
        found.stolen_ms = sum(found.stolen_ms, stolen);
        // A thread that is woken from a stall may wait for a processor, which counts as both.
        found.other_ms += (millis(wall) - known).max(0.0);
    }
}

fn count(peer: &dyn Peer, schedule: Option<&mut Schedule>, stolen: Option<&mut Stolen>) -> Counted {
    Counted {
        at: Instant::now(),
        stalled: peer.stalled(),
        scheduled: schedule.and_then(Schedule::now),
        stolen: stolen.and_then(Stolen::now),
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{PeerName, Setup};

    const SETUP: Setup = Setup { cache: 0, write_buffer: 0, synced: false, limited: false };

    #[test]
    fn an_episode_ends_when_nothing_is_due() {
        let dir = tempfile::tempdir().unwrap();
        let peer = PeerName::Array.open(dir.path(), SETUP).unwrap();
        let mut late = Late::new(&*peer);
        let nothing_due = |late: &mut Late<'_>| late.nothing_due(Instant::now(), Instant::now());
        late.done(SLOW * 2);
        late.done(SLOW * 3);
        nothing_due(&mut late);
        late.done(SLOW);
        nothing_due(&mut late);
        late.done(SLOW * 2);
        let found = late.finish();
        assert_eq!((found.writes, found.episodes), (3, 2));
        assert!(found.longest_ms > 0.0);
        assert_eq!(found.stalled_ms, None, "the array does not say");
    }

    #[test]
    fn without_a_slow_write_nothing_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let peer = PeerName::Array.open(dir.path(), SETUP).unwrap();
        let mut late = Late::new(&*peer);
        // Long enough that what is counted is read again.
        std::thread::sleep(FRESH * 2);
        late.done(SLOW);
        late.nothing_due(Instant::now(), Instant::now());
        late.done(Duration::ZERO);
        let found = late.finish();
        let known = |time: Option<f64>| time.is_none_or(|time| time == 0.0);
        assert!(
            known(found.waiting_for_processor_ms) && known(found.on_processor_ms) && known(found.stolen_ms)
        );
        let none = Slow { waiting_for_processor_ms: None, on_processor_ms: None, stolen_ms: None, ..found };
        assert_eq!(none, Slow::default());
    }

    #[test]
    fn sleep_until_a_write_is_due_is_none_of_an_episode() {
        let dir = tempfile::tempdir().unwrap();
        let peer = PeerName::Array.open(dir.path(), SETUP).unwrap();
        let mut late = Late::new(&*peer);
        let now = Instant::now();
        // As if an hour had been slept.
        late.nothing_due(now, now + Duration::from_secs(3600));
        late.done(SLOW * 2);
        let found = late.finish();
        assert_eq!((found.episodes, found.longest_ms, found.other_ms), (1, 0.0, 0.0));
    }
}
