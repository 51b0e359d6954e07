//! How much memory this process may take, with what the system remembers of files for it.

use std::fs;
use std::path::{Path, PathBuf};

/// The least of what the machine has and what the control groups that this process is in allow it. `None` if nothing says so.
pub(super) fn limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let files = limits_of(&groups);
    let grouped = files.iter().filter_map(|path| number(&fs::read_to_string(path).ok()?)).min();
    let machine = fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(installed);
    grouped.into_iter().chain(machine).min()
}

/// The files that may hold a limit for a process that is in these groups, in either version of control groups, at the places
/// where they are found on most machines. Limits of the groups above count too.
fn limits_of(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let Some((_, rest)) = line.split_once(':') else { continue };
        let Some((controllers, path)) = rest.split_once(':') else { continue };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|one| one == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(path).strip_prefix("/").unwrap_or(Path::new(path));
        files.extend(group.ancestors().map(|above| Path::new(root).join(above).join(name)));
    }
    files
}

/// A limit, if there is one: without one there is a word, or a number that no machine has.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|&bytes| bytes < 1 << 60)
}

/// What the machine has.
fn installed(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_all_groups_above_count() {
        let first = limits_of("4:cpu,cpuacct:/c\n3:memory:/a/b\n");
        let expected = ["a/b", "a", ""]
            .map(|group| Path::new("/sys/fs/cgroup/memory").join(group).join("memory.limit_in_bytes"));
        assert_eq!(first, expected);
        assert_eq!(limits_of("0::/\n"), [Path::new("/sys/fs/cgroup/memory.max")]);
        assert!(limits_of("nonsense").is_empty());
    }

    #[test]
    fn words_and_enormous_numbers_are_no_limits() {
        assert_eq!(number("1048576\n"), Some(1 << 20));
        assert_eq!((number("max\n"), number("9223372036854771712\n")), (None, None));
        assert_eq!(installed("MemFree: 1 kB\nMemTotal:       16384 kB\n"), Some(16 << 20));
        assert_eq!(installed("MemTotal: much"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn there_is_some_memory() {
        assert!(limit().unwrap() > 1 << 20);
    }
}
