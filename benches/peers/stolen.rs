//! [`Stolen`]: what a virtual machine's host took from its processors.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::time::Duration;

/// Where the system says it.
#[derive(Debug)]
pub(crate) struct Stolen(File);

impl Stolen {
    /// `None` where there is no such file, as on anything but Linux.
    pub(crate) fn open() -> Option<Stolen> {
        File::open("/proc/stat").ok().map(Stolen)
    }

    /// How long processors were ready to run something since the system started and did not run, all of them together. Counted in
    /// steps, mostly of ten milliseconds.
    pub(crate) fn now(&mut self) -> Option<Duration> {
        self.0.rewind().ok()?;
        // The first line has ten numbers, and is that of all processors.
        let mut bytes = [0; 256];
        let len = self.0.read(&mut bytes).ok()?;
        parse(std::str::from_utf8(&bytes[..len]).ok()?, rustix::param::clock_ticks_per_second())
    }
}

fn parse(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let mut fields = stat.lines().next()?.split_whitespace();
    let is_whole = fields.next()? == "cpu";
    let ticks: u64 = fields.nth(7)?.parse().ok()?;
    is_whole.then(|| Duration::from_secs(ticks) / u32::try_from(ticks_per_second).unwrap_or(100).max(1))
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
