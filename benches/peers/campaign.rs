//! [`Campaign`]: rounds of measurements, each in a child process.

use crate::command::{Size, Task};
use crate::confinement::Confinement;
use crate::lines::Out;
use crate::measured::Measured;
use crate::named::Named as _;
use crate::peer::{PeerName, Result};
use crate::workload::{Start, Workload};
use esker_server::bench::choice::Random;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The signal of a process that ends itself without a word.
const SIGABRT: i32 = 6;

/// What is to be measured, and where.
#[derive(Debug)]
pub(crate) struct Campaign {
    pub(crate) size: Size,
    pub(crate) value_size: usize,
    pub(crate) dir: PathBuf,
    pub(crate) peers: Vec<PeerName>,
    pub(crate) workloads: Vec<Workload>,
}

/// What came of campaigns.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) measured: Vec<Measured>,
    /// Measurements that there are none of.
    pub(crate) failed: usize,
}

impl Campaign {
    /// Measures. Each measurement is written when it is there, so that a campaign that is cut short leaves what it has.
    ///
    /// A workload that fails on a peer is told, counted and left out: what others do on it is of interest still.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn run(&self, rounds: u32, out: &mut Out, outcome: &mut Outcome) -> Result<()> {
        let mut choice = Random::new(1);
        let loaded = self.load();
        for round in 0..rounds as usize {
            for workload in &self.workloads {
                let mut peers = self.peers.clone();
                while !peers.is_empty() {
                    let peer = peers.swap_remove(choice.below(peers.len() as u64) as usize);
                    if needs_loaded(*workload) && !loaded.contains(&peer) {
                        outcome.failed += 1;
                        continue;
                    }
                    let begun =
                        format!("round {} of {rounds}: {} on {}", round + 1, workload.name(), peer.name());
                    match self.measure(peer, *workload) {
                        Ok(measured) => {
                            eprintln!("{begun}: {:.0} a second", measured.ops_per_s);
                            out.write(&measured)?;
                            outcome.measured.push(measured);
                        }
                        Err(error) => {
                            eprintln!("{begun}: {error}");
                            outcome.failed += 1;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The store of a peer that has every record.
    fn loaded(&self, peer: PeerName) -> PathBuf {
        self.dir.join(peer.name()).join("loaded")
    }

    /// Fills a store for each peer, if a workload begins with one. Returns those that could be filled.
    fn load(&self) -> Vec<PeerName> {
        let Some(workload) = self.workloads.iter().find(|workload| needs_loaded(**workload)) else {
            return Vec::new();
        };
        let fill = |peer: &PeerName| {
            eprintln!("filling {}", peer.name());
            let filled =
                empty(self.loaded(*peer)).and_then(|dir| self.child(Task::Load, *peer, *workload, &dir));
            filled.inspect_err(|error| eprintln!("{}: {error}", peer.name())).is_ok()
        };
        self.peers.iter().copied().filter(fill).collect()
    }

    fn measure(&self, peer: PeerName, workload: Workload) -> Result<Measured> {
        let own = self.dir.join(peer.name()).join("run");
        let dir = match workload.start() {
            Start::Loaded => self.loaded(peer),
            Start::Empty => empty(own)?,
            Start::Copied => {
                copy(&self.loaded(peer), &own)?;
                own
            }
            Start::Killed => {
                let dir = empty(own)?;
                self.child(Task::Die, peer, workload, &dir)?;
                dir
            }
        };
        // What others left to be written would be written while this is measured.
        run("sync", &[])?;
        let line = self.child(Task::Measure, peer, workload, &dir)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Runs a child, and gives what it printed.
    fn child(&self, task: Task, peer: PeerName, workload: Workload, dir: &Path) -> Result<String> {
        let Size { keys, seconds, cache, write_buffer, memory_limit } = &self.size;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["child", &task.name(), &peer.name(), &workload.name()])
            .arg(dir)
            .args(["--keys", &keys.to_string(), "--value-size", &self.value_size.to_string()])
            .args(["--seconds", &seconds.to_string(), "--cache", &cache.to_string()])
            .args(["--write-buffer", &write_buffer.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Some(limit) = memory_limit {
            command.args(["--memory-limit", &limit.to_string()]);
        }
        let child = command.spawn()?;
        let process = child.id();
        let output = child.wait_with_output()?;
        if memory_limit.is_some() && Confinement::clear_after(process) {
            return Err("the child was killed since it needed more memory than its limit".into());
        }
        let ended_well = match task {
            Task::Die => output.status.signal() == Some(SIGABRT),
            _ => output.status.success(),
        };
        match ended_well {
            true => Ok(String::from_utf8(output.stdout)?),
            false => Err(format!("the child ended with {}", output.status).into()),
        }
    }
}

/// Makes an empty directory.
fn empty(dir: PathBuf) -> Result<PathBuf> {
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// Copies a store. Holes stay holes, or the map of LMDB would take all of its size.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let to = empty(to.to_owned())?;
    let (from, to) = (from.join("."), to.as_os_str());
    run(
        "cp",
        &[
            "--recursive".as_ref(),
            "--sparse=always".as_ref(),
            "--reflink=auto".as_ref(),
            from.as_os_str(),
            to,
        ],
    )
}

fn run(program: &str, arguments: &[&OsStr]) -> Result<()> {
    let status = Command::new(program).args(arguments).status()?;
    if status.success() { Ok(()) } else { Err(format!("`{program}` ended with {status}").into()) }
}

fn needs_loaded(workload: Workload) -> bool {
    matches!(workload.start(), Start::Copied | Start::Loaded)
}
