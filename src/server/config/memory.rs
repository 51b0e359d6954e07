//! How much memory a server takes that was not told how much: a share of what the machine, or its container, has.

const LEAST: u64 = 256 << 20;
const MOST: u64 = 1 << 30;

/// A sixteenth of the memory, at least 256 MiB and at most 1 GiB.
pub(super) fn default_budget() -> u64 {
    budget_of(memory())
}

fn budget_of(memory: Option<u64>) -> u64 {
    memory.map_or(LEAST, |memory| (memory / 16).clamp(LEAST, MOST))
}

/// What there is, as far as the system says.
#[cfg(target_os = "linux")]
fn memory() -> Option<u64> {
    let info = rustix::system::sysinfo();
    let machine = info.totalram as u64 * u64::from(info.mem_unit);
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|limit| limit.trim().parse().ok());
    Some(container.map_or(machine, |limit: u64| limit.min(machine)))
}

#[cfg(not(target_os = "linux"))]
fn memory() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_machines_and_large_ones_have_their_bounds() {
        assert_eq!(budget_of(None), LEAST);
        assert_eq!(budget_of(Some(1 << 30)), LEAST);
        assert_eq!(budget_of(Some(8 << 30)), 512 << 20);
        assert_eq!(budget_of(Some(1 << 40)), MOST);
        assert!((LEAST..=MOST).contains(&default_budget()));
    }
}
