//! [`Machine`]: what was measured on.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::path::Path;

/// What was measured on, as far as the system says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: Option<String>,
    /// Processors that this process may use.
    pub(crate) cores: Option<usize>,
    pub(crate) memory_bytes: Option<u64>,
    /// The name and the release of the system.
    pub(crate) kernel: Option<String>,
    /// The kind of file system that the stores are on.
    pub(crate) filesystem: Option<String>,
}

impl Machine {
    /// This machine, with the file system that `dir` is on.
    pub(crate) fn here(dir: &Path) -> Machine {
        let read = |path| fs::read_to_string(path).ok();
        let (cpus, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let kernel = |name| read(name).map(|text| text.trim().to_owned());
        let (name, release) = (kernel("/proc/sys/kernel/ostype"), kernel("/proc/sys/kernel/osrelease"));
        let filesystem = dir.canonicalize().ok().zip(read("/proc/self/mountinfo"));
        Machine {
            cpu: cpus.and_then(|text| field(&text, "model name").map(str::to_owned)),
            cores: std::thread::available_parallelism().ok().map(usize::from),
            memory_bytes: memory.and_then(|text| kilobytes(field(&text, "MemTotal")?)),
            kernel: name.zip(release).map(|(name, release)| format!("{name} {release}")),
            filesystem: filesystem.and_then(|(dir, mounts)| kind_of_filesystem(&mounts, &dir)),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = self.cores.map(|cores| format!("{cores} cores"));
        let memory = self.memory_bytes.map(|bytes| format!("{:.1} GiB of memory", bytes as f64 / GIB));
        let parts = [self.cpu.clone(), cores, memory, self.kernel.clone(), self.filesystem.clone()];
        match parts.into_iter().flatten().collect::<Vec<_>>() {
            known if known.is_empty() => write!(f, "a machine that nothing is known of"),
            known => write!(f, "{}", known.join(", ")),
        }
    }
}

const GIB: f64 = (1u64 << 30) as f64;

/// What stands behind a name and a colon.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':')).map(str::trim)
}

fn kilobytes(text: &str) -> Option<u64> {
    text.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The kind of the file system that `dir` is on: that of the longest mount point that leads there, and of those the last,
/// which hides the others.
fn kind_of_filesystem(mounts: &str, dir: &Path) -> Option<String> {
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let point = before.split(' ').nth(4)?.to_owned();
        dir.starts_with(&point).then(|| (point.len(), after.split(' ').next().map(str::to_owned)))
    };
    mounts.lines().filter_map(mount).max_by_key(|(len, _)| *len)?.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_words_are_understood() {
        assert_eq!(
            field("processor\t: 0\nmodel name\t: A CPU\nmodel name\t: B\n", "model name"),
            Some("A CPU")
        );
        assert_eq!(kilobytes("2048 kB"), Some(2 << 20));
        let mounts = "27 1 254:0 / / rw - ext4 /dev/a rw\n30 27 0:5 / /data rw shared:1 - xfs /dev/b rw\n\
                      31 27 0:6 / /dat rw - tmpfs none rw\n";
        let kind = |dir: &str| kind_of_filesystem(mounts, Path::new(dir));
        assert_eq!(kind("/data/stores"), Some("xfs".to_owned()));
        assert_eq!(kind("/database"), Some("ext4".to_owned()));
    }

    #[test]
    fn what_is_unknown_is_left_out() {
        let nothing = Machine { cpu: None, cores: None, memory_bytes: None, kernel: None, filesystem: None };
        assert_eq!(nothing.to_string(), "a machine that nothing is known of");
        let some = Machine { cores: Some(2), memory_bytes: Some(3 << 29), ..nothing };
        assert_eq!(some.to_string(), "2 cores, 1.5 GiB of memory");
    }
}
