//! The command line: one file a subcommand.
//!
//! Exit status 0: done. 1: not found, or verification failed. 2: wrong usage, or an error. Results go to standard output,
//! everything else to standard error, an error as one sentence.

mod bench;
mod checkpoint;
mod cluster;
mod compact;
mod demo;
mod failure;
mod inspect;
mod kv;
mod load;
mod output;
mod progress;
mod repair;
mod scan;
mod serve;
mod source;
mod stats;
mod store;
mod verify;

pub(crate) use compact::disk_bytes;
pub(crate) use failure::Failure;
pub(crate) use output::say;
pub(crate) use progress::steps;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use failure::Ended;
use std::process::ExitCode;

/// An always-on key-value store: nodes, clusters of them, and the files below.
///
/// `esker demo` shows what it does. Exit status: 0 done; 1 not found, or verification failed; 2 wrong usage, or an error.
#[derive(Parser, Debug)]
#[command(name = "esker", version, propagate_version = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Demo(demo::Demo),
    Serve(serve::Serve),
    Cluster(cluster::Cluster),
    Load(load::Load),
    Get(kv::Get),
    Put(kv::Put),
    Delete(kv::Delete),
    DeleteRange(kv::DeleteRange),
    Scan(scan::Scan),
    Stats(stats::Stats),
    Verify(verify::Verify),
    Compact(compact::Compact),
    Repair(repair::Repair),
    Checkpoint(checkpoint::Checkpoint),
    Keyspaces(kv::Keyspaces),
    Inspect(inspect::Inspect),
    Bench(bench::Bench),
}

impl Command {
    fn run(&self) -> Ended {
        match self {
            Command::Demo(c) => c.run(),
            Command::Serve(c) => c.run(),
            Command::Cluster(c) => c.run(),
            Command::Load(c) => c.run(),
            Command::Get(c) => c.run(),
            Command::Put(c) => c.run(),
            Command::Delete(c) => c.run(),
            Command::DeleteRange(c) => c.run(),
            Command::Scan(c) => c.run(),
            Command::Stats(c) => c.run(),
            Command::Verify(c) => c.run(),
            Command::Compact(c) => c.run(),
            Command::Repair(c) => c.run(),
            Command::Checkpoint(c) => c.run(),
            Command::Keyspaces(c) => c.run(),
            Command::Inspect(c) => c.run(),
            Command::Bench(c) => c.run(),
        }
    }
}

/// Runs the command that the process was given.
pub fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(e) => return wrong_usage(&e),
    };
    match command_line.command.run() {
        Ok(outcome) => outcome.into(),
        Err(failure) => failure.report(),
    }
}

/// Help and version are answers; everything else is said in one sentence.
fn wrong_usage(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => Failure::output(&e).report(),
        };
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Failure::new("no command was given; `esker help` lists them").report();
    }
    Failure::new(sentence(&error.to_string())).report()
}

/// The first paragraph of a message of `clap`, in one line, with where to look further.
fn sentence(message: &str) -> String {
    let paragraph = message.strip_prefix("error: ").unwrap_or(message);
    let paragraph = paragraph.split("\n\n").next().unwrap_or(paragraph);
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let said = words.join(" ");
    let dash = if said.contains("unexpected argument '-") || said.contains("a value is required for '--") {
        "; what begins with a dash goes after `--`, or behind `=` for an option"
    } else {
        ""
    };
    format!("{}{dash}; `esker help` shows how to use it", said.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn wrong_usage_is_one_sentence() {
        for arguments in [
            &["esker", "get"][..],
            &["esker", "get", "--db"],
            &["esker", "nonsense"],
            &["esker", "load", "--db", "d", "--memory-budget", "lots", "f"],
            &["esker", "scan", "--db", "d", "--limit", "x"],
            &["esker", "put", "--db", "d", "k", "v", "w"],
            &["esker", "load", "--db", "d", "--durability", "maybe", "f"],
        ] {
            let error = CommandLine::try_parse_from(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let sentence = sentence(&error.to_string());
            assert!(!sentence.contains('\n') && !sentence.contains("error:"), "{sentence}");
            assert!(sentence.len() > 40, "{sentence}");
            println!("{sentence}");
        }
    }
}
