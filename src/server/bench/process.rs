//! Memory and processor time of this process, as the kernel counts them. Where there is no `/proc`, nothing is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Memory that is resident now, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Not backed by a file.
    pub anon: u64,
    /// All of it, mapped files included.
    pub rss: u64,
}

fn parse_status(status: &str) -> Option<Memory> {
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|l| l.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|k| k * 1024)
    };
    Some(Memory { anon: field("RssAnon:")?, rss: field("VmRSS:")? })
}

/// What is resident now.
pub fn memory() -> Option<Memory> {
    parse_status(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// Processor time of all threads of this process so far, ended ones included.
pub fn cpu() -> Option<Duration> {
    parse_stat(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

fn parse_stat(stat: &str) -> Option<Duration> {
    // The second field is the program's name in parentheses, which may hold anything.
    let after_name = stat.get(stat.rfind(')')? + 1..)?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    // The kernel reports in hundredths of a second, whatever its own clock is.
    Some(Duration::from_millis(ticks * 10))
}

/// Watches the memory of this process from a thread of its own.
pub struct MemoryWatch {
    stop: Arc<AtomicBool>,
    anon: Arc<AtomicU64>,
    rss: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

/// The least time between two looks.
const PERIOD: Duration = Duration::from_millis(5);
/// Of what is watched for long, the time between two looks is such a part, so that they take nothing from it.
const PART: u32 = 1000;

impl MemoryWatch {
    /// Begins to watch. If no thread can be had, only the beginning and the end are seen.
    pub fn start() -> MemoryWatch {
        let mut watch = MemoryWatch {
            stop: Arc::new(AtomicBool::new(false)),
            anon: Arc::default(),
            rss: Arc::default(),
            thread: None,
        };
        let (stop, anon, rss) = (Arc::clone(&watch.stop), Arc::clone(&watch.anon), Arc::clone(&watch.rss));
        watch.sample();
        watch.thread = thread::Builder::new()
            .name("memory-watch".to_owned())
            .spawn(move || {
                let began = Instant::now();
                while !stop.load(Ordering::Acquire) {
                    sample_into(&anon, &rss);
                    thread::park_timeout(PERIOD.max(began.elapsed() / PART));
                }
            })
            .ok();
        watch
    }

    fn sample(&self) {
        sample_into(&self.anon, &self.rss);
    }

    /// The peaks since the start; `None` where they cannot be known.
    pub fn finish(mut self) -> Option<Memory> {
        self.sample();
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The thread only reads and compares; it has no way to fail that would matter here.
            let _ = thread.join();
        }
        let peak = Memory { anon: self.anon.load(Ordering::Relaxed), rss: self.rss.load(Ordering::Relaxed) };
        (peak != Memory::default()).then_some(peak)
    }
}

fn sample_into(anon: &AtomicU64, rss: &AtomicU64) {
    if let Some(memory) = memory() {
        anon.fetch_max(memory.anon, Ordering::Relaxed);
        rss.fetch_max(memory.rss, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_words_are_understood() {
        let status = "Name:\tesker\nVmRSS:\t    2048 kB\nRssAnon:\t     512 kB\nRssFile:\t 1 kB\n";
        assert_eq!(parse_status(status), Some(Memory { anon: 512 << 10, rss: 2 << 20 }));
        assert_eq!(parse_status("Name:\tesker\n"), None);
        let stat = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0";
        assert_eq!(parse_stat(stat), Some(Duration::from_secs(2)));
        assert_eq!(parse_stat("12 (cut"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_peak_is_seen() {
        let watch = MemoryWatch::start();
        let before = memory().unwrap();
        let held = vec![1u8; 64 << 20];
        assert_eq!(held.iter().map(|b| u64::from(*b)).sum::<u64>(), 64 << 20);
        thread::sleep(PERIOD * 4);
        let during = memory().unwrap();
        drop(held);
        let peak = watch.finish().unwrap();
        assert!(during.anon >= before.anon + (60 << 20));
        assert!(peak.anon >= before.anon + (60 << 20) && peak.rss >= peak.anon);
        assert!(cpu().is_some());
    }
}
