//! [`Controller`]: the control groups' memory controller, and where this process is in its tree.

use super::{ConfinementError, Result, refused};
use std::fs;
use std::path::{Path, PathBuf};

/// The version of control groups that memory is controlled by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    First,
    Second,
}

impl Version {
    /// The files that limit memory, and what they are to hold.
    pub(super) fn limits(self, bytes: u64) -> Vec<(&'static str, String)> {
        match self {
            Version::First => vec![("memory.limit_in_bytes", bytes.to_string())],
            Version::Second => vec![("memory.max", bytes.to_string())],
        }
    }

    /// The same of what keeps memory from being swapped out. The first version limits memory and swap together.
    pub(super) fn limits_of_swap(self, bytes: u64) -> Vec<(&'static str, String)> {
        match self {
            Version::First => vec![("memory.memsw.limit_in_bytes", bytes.to_string())],
            Version::Second => vec![("memory.swap.max", "0".to_owned())],
        }
    }

    /// The file that tells how many processes were killed.
    pub(super) fn events(self) -> &'static str {
        match self {
            Version::First => "memory.oom_control",
            Version::Second => "memory.events",
        }
    }
}

/// Where the memory of this process is controlled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Controller {
    pub(super) version: Version,
    /// Where the tree of groups is mounted.
    pub(super) mounted: PathBuf,
    /// The directory of the group that this process is in.
    pub(super) own: PathBuf,
}

impl Controller {
    pub(super) fn of_this_process() -> Result<Controller> {
        let read = |path: &str| fs::read_to_string(path).map_err(refused(Path::new(path), "read"));
        let (groups, mounts) = (read("/proc/self/cgroup")?, read("/proc/self/mountinfo")?);
        let controller = Controller::find(&groups, &mounts).ok_or(ConfinementError::NoController)?;
        let is_there = controller.version == Version::First || {
            let controllers = fs::read_to_string(controller.own.join("cgroup.controllers"));
            controllers.is_ok_and(|all| all.split_ascii_whitespace().any(|one| one == "memory"))
        };
        is_there.then_some(controller).ok_or(ConfinementError::NoController)
    }

    /// The first version's, if it controls memory, or the second one's.
    fn find(groups: &str, mounts: &str) -> Option<Controller> {
        let fields = |line: &'_ str| -> Option<(String, String)> {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            Some((controllers.to_owned(), path.to_owned()))
        };
        let group = |is_it: &dyn Fn(&str) -> bool| {
            groups.lines().filter_map(fields).find(|(names, _)| is_it(names)).map(|(_, path)| path)
        };
        let has_memory = |names: &str| names.split(',').any(|name| name == "memory");
        match group(&has_memory) {
            Some(path) => Controller::at(Version::First, &path, mounts, "cgroup", &has_memory),
            None => {
                let path = group(&|names| names.is_empty())?;
                Controller::at(Version::Second, &path, mounts, "cgroup2", &|_| true)
            }
        }
    }

    /// The one whose tree is mounted with this kind and these options. A mount may show a part of the tree only.
    fn at(
        version: Version,
        path: &str,
        mounts: &str,
        kind: &str,
        fits: &dyn Fn(&str) -> bool,
    ) -> Option<Controller> {
        mounts.lines().find_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut after = after.split(' ');
            if after.next() != Some(kind) || !after.nth(1).is_some_and(fits) {
                return None;
            }
            let mut before = before.split(' ').skip(3);
            let (root, mounted) = (before.next()?, PathBuf::from(before.next()?));
            let inside = Path::new(path).strip_prefix(root).ok()?;
            Some(Controller { version, own: mounted.join(inside), mounted })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "33 27 0:28 / /groups/cpu rw - cgroup cgroup rw,cpu\n\
                         36 27 0:31 / /groups/memory rw,relatime - cgroup cgroup rw,memory\n";
    const SECOND: &str = "42 27 0:36 / /groups/unified rw,relatime - cgroup2 cgroup2 rw\n";

    fn found(groups: &str, mounts: &str) -> Option<(Version, String)> {
        let controller = Controller::find(groups, mounts)?;
        Some((controller.version, controller.own.to_str().unwrap().to_owned()))
    }

    #[test]
    fn the_group_of_this_process_is_found_in_either_version() {
        let both = [FIRST, SECOND].concat();
        assert_eq!(
            found("4:cpu:/c\n3:memory:/m/n\n0::/u\n", &both),
            Some((Version::First, "/groups/memory/m/n".to_owned()))
        );
        assert_eq!(
            found("4:cpu:/c\n0::/u\n", &both),
            Some((Version::Second, "/groups/unified/u".to_owned()))
        );
        assert_eq!(found("0::/\n", SECOND), Some((Version::Second, "/groups/unified/".to_owned())));
        assert_eq!(found("0::/\n", FIRST), None);
        assert_eq!(found("", &both), None);
    }

    #[test]
    fn a_mount_may_show_a_part_of_the_tree() {
        let part = "42 27 0:36 /box /groups rw,relatime - cgroup2 cgroup2 rw\n";
        assert_eq!(found("0::/box/a\n", part), Some((Version::Second, "/groups/a".to_owned())));
        assert_eq!(found("0::/other\n", part), None);
    }
}
