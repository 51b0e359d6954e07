//! [`Scheduled`]: what a thread got of processors, and [`Schedule`], which says it again and again.

use crate::told::Told;
use std::time::Duration;

/// What a thread has had so far. The system may count what it does at the moment some milliseconds later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scheduled {
    /// It ran for so long.
    pub(crate) on_processor: Duration,
    /// It could have run for so long, and had no processor.
    pub(crate) waiting: Duration,
}

impl Scheduled {
    fn parse(schedstat: &str) -> Option<Scheduled> {
        let mut nanos =
            schedstat.split_whitespace().map(|field| field.parse().map(Duration::from_nanos).ok());
        Some(Scheduled { on_processor: nanos.next()??, waiting: nanos.next()?? })
    }
}

/// Where the system says it of one thread.
#[derive(Debug)]
pub(crate) struct Schedule(Told);

impl Schedule {
    /// That of the calling thread. `None` where there is no such file, as on anything but Linux.
    pub(crate) fn of_this_thread() -> Option<Schedule> {
        Told::open("/proc/thread-self/schedstat").map(Schedule)
    }

    /// What the thread has had so far.
    pub(crate) fn now(&mut self) -> Option<Scheduled> {
        // Three numbers and their spaces are never longer.
        Scheduled::parse(self.0.read(&mut [0; 80])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_numbers_are_understood() {
        let nanos = Duration::from_nanos;
        let expected = Scheduled { on_processor: nanos(1_138_592), waiting: nanos(4_943_706) };
        assert_eq!(Scheduled::parse("1138592 4943706 3\n"), Some(expected));
        assert_eq!(Scheduled::parse("1138592\n"), None);
        assert_eq!(Scheduled::parse("a b c\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_that_runs_is_seen_to_run() {
        let Some(mut schedule) = Schedule::of_this_thread() else { return };
        let first = schedule.now().unwrap();
        let began = std::time::Instant::now();
        while schedule.now().unwrap().on_processor <= first.on_processor {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "it ran for a minute, and nothing was counted"
            );
        }
    }
}
