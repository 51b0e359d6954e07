//! [`Stolen`]: what a virtual machine's host took from its processors.

use crate::told::Told;
use std::time::Duration;

/// Where the system says it.
#[derive(Debug)]
pub(crate) struct Stolen(Told);

impl Stolen {
    /// `None` where there is no such file, as on anything but Linux.
    pub(crate) fn open() -> Option<Stolen> {
        Told::open("/proc/stat").map(Stolen)
    }

    /// How long processors were ready to run something since the system started and did not run, all of them together. Counted in
    /// steps, mostly of ten milliseconds.
    pub(crate) fn now(&mut self) -> Option<Duration> {
        // The first line is that of all processors, and its ten numbers are never longer.
        parse(self.0.read(&mut [0; 256])?, ticks_per_second())
    }
}

#[cfg(target_os = "linux")]
fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

/// There is no such file to be read.
#[cfg(not(target_os = "linux"))]
fn ticks_per_second() -> u64 {
    100
}

fn parse(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let mut fields = stat.lines().next()?.split_whitespace();
    let is_whole = fields.next()? == "cpu";
    let ticks: u64 = fields.nth(7)?.parse().ok()?;
    is_whole.then(|| Duration::from_millis(ticks.saturating_mul(1000) / ticks_per_second.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_line_is_understood() {
        let stat = "cpu  637302 102706 84627 205247 8134 0 505 562 7 0\ncpu0 325269 44893 41019 107385 1281 0 81 283 0 0\n";
        assert_eq!(parse(stat, 100), Some(Duration::from_millis(5620)));
        assert_eq!(parse("cpu  1 2 3\n", 100), None);
        assert_eq!(parse("intr 1 2 3 4 5 6 7 8 9\n", 100), None);
        assert_eq!(parse("", 100), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn it_never_goes_back() {
        let Some(mut stolen) = Stolen::open() else { return };
        let first = stolen.now().unwrap();
        assert!(stolen.now().unwrap() >= first);
    }
}
