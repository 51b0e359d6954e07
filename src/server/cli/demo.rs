//! `esker demo`: a cluster on this machine that loses a node, and nothing else.

use super::failure::{Ended, Failure, Outcome};
use super::output::{print_line, say};
use crate::demo::{Nodes, Stopped, tell};
use clap::Args;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Start a cluster of real processes on this machine, load it, kill a node under load, and bring it back.
///
/// It takes about twenty seconds. Everything that it started is ended, and its directory removed, however it ends.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// How many nodes.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(3..=9))]
    nodes: u8,
    /// Where their data goes, and stays: a directory that is empty or not there. [default: one in the system's temporary directory,
    /// removed at the end]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Leave the nodes running, and say how to talk to them.
    #[arg(long)]
    keep: bool,
}

/// The status of a process that was told to stop by SIGINT.
const STATUS_INTERRUPTED: u8 = 130;

impl Demo {
    pub(crate) fn run(&self) -> Ended {
        let own = std::env::temp_dir().join(format!("esker-demo-{}", std::process::id()));
        let dir = self.dir.clone().unwrap_or(own);
        if std::fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Failure::new(format!(
                "the directory {} is not empty; give another one with --dir, or remove it",
                dir.display()
            )));
        }
        let nodes = Nodes::new(&dir, usize::from(self.nodes))
            .map_err(|error| Failure::new(format!("the demonstration cannot begin: {error}")))?;
        let nodes = Arc::new(nodes);
        let ended = self.show(&nodes, &dir);
        let kept = self.keep && matches!(ended, Ok(Outcome::Done));
        if !kept {
            nodes.end();
        }
        if self.dir.is_none() && !kept {
            let _ = std::fs::remove_dir_all(&dir);
        }
        ended
    }

    /// Tells the story in a thread of its own, so that a signal ends it at any point.
    fn show(&self, nodes: &Arc<Nodes>, dir: &Path) -> Ended {
        let no_system = |error: io::Error| Failure::new(format!("the demonstration cannot begin: {error}"));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_system)?;
        let (told, end) = oneshot::channel();
        let teller = nodes.clone();
        runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).map_err(no_system)?;
            let mut terminate = signal(SignalKind::terminate()).map_err(no_system)?;
            let mut hangup = signal(SignalKind::hangup()).map_err(no_system)?;
            std::thread::spawn(move || {
                let _ = told.send(tell(&teller, &mut |line| {
                    let mut out = io::stdout().lock();
                    writeln!(out, "{line}").and_then(|()| out.flush())
                }));
            });
            tokio::select! {
                end = end => match end {
                    Ok(Ok(())) => self.finish(nodes, dir),
                    Ok(Err(Stopped::Wrong(what))) => Err(Failure::new(what)),
                    Ok(Err(Stopped::Unheard(error))) => Err(Failure::output(&error)),
                    Err(_) => Err(Failure::new("the demonstration ended unexpectedly; run it again")),
                },
                _ = interrupt.recv() => Ok(interrupted()),
                _ = terminate.recv() => Ok(interrupted()),
                _ = hangup.recv() => Ok(interrupted()),
            }
        })
    }

    fn finish(&self, nodes: &Nodes, dir: &Path) -> Ended {
        let Some(first) = nodes.ports.first() else { return Ok(Outcome::Done) };
        if !self.keep {
            let kept = match &self.dir {
                Some(dir) => format!("The nodes are stopped; their data and logs are in {}.", dir.display()),
                None => "The nodes are stopped and their data is removed.".to_owned(),
            };
            print_line(format!("\n{kept} `esker demo --keep` leaves them running."))?;
            return Ok(Outcome::Done);
        }
        let pids: Vec<String> = nodes.keep().iter().map(u32::to_string).collect();
        print_line(format!(
            "\nThe nodes run on, with their data and logs in {}.\n\n   redis-cli -p {} GET U+01F600\n   redis-cli -p {} EK.GET cart\n   \
             {} cluster status --at 127.0.0.1:{}\n\nStop them:  kill {}",
            dir.display(),
            first.resp,
            first.resp,
            std::env::current_exe()
                .map_or_else(|_| "esker".to_owned(), |binary| binary.display().to_string()),
            first.http,
            pids.join(" ")
        ))?;
        Ok(Outcome::Done)
    }
}

fn interrupted() -> Outcome {
    say(format_args!("esker: interrupted; the nodes are stopped"));
    Outcome::Status(ExitCode::from(STATUS_INTERRUPTED))
}
