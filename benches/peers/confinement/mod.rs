//! [`Confinement`]: a control group with a limit of memory that a process puts itself in.
//!
//! What counts is what the process allocates and what the system remembers of files for it. Both versions of control groups will
//! do. The group lies below the one that the process is in, so that limits which hold there hold on; where the second version
//! does not let groups lie there, since a group that gives memory to others has no processes of its own, it lies beside it.

mod controller;

use controller::{Controller, Version};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{error, fmt, fs, io, process, thread};

/// A control group that this process is in, alone, until this is dropped.
#[derive(Debug)]
pub(crate) struct Confinement {
    group: PathBuf,
    /// The group that it was in before.
    outside: PathBuf,
}

/// Why a process cannot be confined.
#[derive(Debug)]
pub(crate) enum ConfinementError {
    /// No control group of this process has a limit of memory that could be set.
    NoController,
    /// A file of a control group could not be read, created or written.
    Refused {
        /// The file or directory.
        path: PathBuf,
        /// What was being done, as in "cannot `create` ...".
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for ConfinementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory cannot be limited: ")?;
        match self {
            ConfinementError::NoController => {
                write!(f, "no memory controller of control groups is mounted that this process is under")
            }
            ConfinementError::Refused { path, action, source } => {
                write!(
                    f,
                    "cannot {action} {}: {source}; it takes root, or a group that is delegated",
                    path.display()
                )
            }
        }
    }
}

impl error::Error for ConfinementError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            ConfinementError::NoController => None,
            ConfinementError::Refused { source, .. } => Some(source),
        }
    }
}

type Result<T> = std::result::Result<T, ConfinementError>;

impl Confinement {
    /// Puts this process in a group with so many bytes.
    ///
    /// # Errors
    /// If there are no control groups, or this process may not make one.
    pub(crate) fn enter(bytes: u64) -> Result<Confinement> {
        let controller = Controller::of_this_process()?;
        let group = make(&controller, process::id(), bytes)?;
        let confinement = Confinement { group, outside: controller.own };
        join(&confinement.group)?;
        Ok(confinement)
    }

    /// Whether [`enter`](Self::enter) can be expected to work.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn try_out(bytes: u64) -> Result<()> {
        let group = make(&Controller::of_this_process()?, process::id(), bytes)?;
        remove(&group);
        Ok(())
    }

    /// Removes what a process left that was confined and has ended. Returns whether it was killed for its memory.
    pub(crate) fn clear_after(process: u32) -> bool {
        let Ok(controller) = Controller::of_this_process() else { return false };
        let mut was_killed = false;
        for group in groups(&controller, process).into_iter().filter(|group| group.is_dir()) {
            let events = fs::read_to_string(group.join(controller.version.events())).unwrap_or_default();
            was_killed |= kills(&events) > 0;
            remove(&group);
        }
        was_killed
    }
}

impl Drop for Confinement {
    fn drop(&mut self) {
        // If it cannot leave, whoever started it clears up.
        if join(&self.outside).is_ok() {
            remove(&self.group);
        }
    }
}

/// Where a process's group may be, the first of these preferred.
fn groups(controller: &Controller, process: u32) -> Vec<PathBuf> {
    let name = format!("esker-peers-{process}");
    let beside = controller
        .own
        .parent()
        .filter(|_| matches!(controller.version, Version::Second) && controller.own != controller.mounted);
    std::iter::once(&*controller.own).chain(beside).map(|above| above.join(&name)).collect()
}

/// Makes a group with so many bytes for a process.
fn make(controller: &Controller, process: u32, bytes: u64) -> Result<PathBuf> {
    let mut first_error = None;
    for group in groups(controller, process) {
        match make_at(&group, controller.version, bytes) {
            Ok(()) => return Ok(group),
            Err(error) => {
                remove(&group);
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or(ConfinementError::NoController))
}

fn make_at(group: &Path, version: Version, bytes: u64) -> Result<()> {
    if let (Version::Second, Some(above)) = (version, group.parent()) {
        give_memory(above)?;
    }
    fs::create_dir(group).map_err(refused(group, "create"))?;
    for (file, bytes) in version.limits(bytes) {
        write(&group.join(file), &bytes)?;
    }
    // Where swapping is not accounted for, or cannot be, there is no such file.
    for (file, bytes) in version.limits_of_swap(bytes) {
        let file = group.join(file);
        if file.exists() {
            write(&file, &bytes)?;
        }
    }
    Ok(())
}

/// Lets the groups below this one have limits of memory.
fn give_memory(above: &Path) -> Result<()> {
    let control = above.join("cgroup.subtree_control");
    let given = fs::read_to_string(&control).map_err(refused(&control, "read"))?;
    if given.split_ascii_whitespace().any(|controller| controller == "memory") {
        return Ok(());
    }
    write(&control, "+memory")
}

/// Puts this process in a group.
fn join(group: &Path) -> Result<()> {
    write(&group.join("cgroup.procs"), &process::id().to_string())
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).map_err(refused(file, "write"))
}

fn refused(path: &Path, action: &'static str) -> impl Fn(io::Error) -> ConfinementError {
    move |source| ConfinementError::Refused { path: path.to_owned(), action, source }
}

/// Removes an empty group. Its last process may be on its way out still.
fn remove(group: &Path) {
    for _ in 0..20 {
        match fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                thread::sleep(Duration::from_millis(10))
            }
            _ => break,
        }
    }
}

/// How many processes of a group were killed for their memory.
fn kills(events: &str) -> u64 {
    events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory stands for a control group: files can be written there, and are only looked at here.
    fn controller(version: Version, own: &str) -> (tempfile::TempDir, Controller) {
        let mounted = tempfile::tempdir().unwrap();
        let own = mounted.path().join(own);
        fs::create_dir_all(&own).unwrap();
        let controller = Controller { version, mounted: mounted.path().to_owned(), own };
        (mounted, controller)
    }

    #[test]
    fn a_group_of_the_first_version_lies_below() {
        let (_dir, controller) = controller(Version::First, "session");
        let group = make(&controller, 7, 1 << 20).unwrap();
        assert_eq!(group, controller.own.join("esker-peers-7"));
        assert_eq!(fs::read_to_string(group.join("memory.limit_in_bytes")).unwrap(), "1048576");
        assert!(!group.join("memory.memsw.limit_in_bytes").exists());
    }

    #[test]
    fn a_group_of_the_second_version_lies_beside_if_it_cannot_lie_below() {
        let (dir, controller) = controller(Version::Second, "session");
        // The group that the process is in cannot give memory to others.
        fs::create_dir(controller.own.join("cgroup.subtree_control")).unwrap();
        fs::write(dir.path().join("cgroup.subtree_control"), "cpu memory\n").unwrap();
        let group = make(&controller, 7, 1 << 20).unwrap();
        assert_eq!(group, dir.path().join("esker-peers-7"));
        assert_eq!(fs::read_to_string(group.join("memory.max")).unwrap(), "1048576");

        fs::remove_dir(controller.own.join("cgroup.subtree_control")).unwrap();
        fs::write(controller.own.join("cgroup.subtree_control"), "").unwrap();
        assert_eq!(make(&controller, 7, 1 << 20).unwrap(), controller.own.join("esker-peers-7"));
        assert_eq!(fs::read_to_string(controller.own.join("cgroup.subtree_control")).unwrap(), "+memory");
    }

    #[test]
    fn a_refusal_names_the_file() {
        let (_dir, controller) = controller(Version::Second, ".");
        let error = make(&controller, 7, 1 << 20).unwrap_err().to_string();
        assert!(error.contains("cannot read") && error.contains("cgroup.subtree_control"), "{error}");
    }

    #[test]
    fn kills_are_counted() {
        assert_eq!(kills("low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\noom_group_kill 0\n"), 1);
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), 2);
        assert_eq!(kills(""), 0);
    }
}
