//! How a command ends: [`Outcome`], [`Failure`], and the exit status of each.

use super::output::say;
use crate::pairs::Malformed;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// How a command that ran ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// Done: exit status 0.
    Done,
    /// Not found, or verification failed; what exactly has been said. Exit status 1.
    Negative,
    /// Ended with a status of its own.
    Status(ExitCode),
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> ExitCode {
        match outcome {
            Outcome::Done => ExitCode::SUCCESS,
            Outcome::Negative => ExitCode::from(1),
            Outcome::Status(status) => status,
        }
    }
}

/// Why a command could not run to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// One sentence that says what is wrong and what to do: exit status 2.
    Said(String),
    /// Nobody reads the output any more, as in `esker scan | head`: silence, and exit status 0.
    OutputClosed,
}

impl Failure {
    /// A failure with this sentence.
    pub(crate) fn new(sentence: impl Into<String>) -> Failure {
        Failure::Said(sentence.into())
    }

    /// What the operating system said about a file.
    pub(crate) fn file(action: &str, path: &Path, error: &io::Error) -> Failure {
        Failure::Said(format!("cannot {action} {}: {error}", path.display()))
    }

    /// What happened to the output.
    pub(crate) fn output(error: &io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure::OutputClosed
        } else {
            Failure::Said(format!("cannot write to standard output: {error}"))
        }
    }

    /// Says the sentence, if there is one, and turns into an exit status.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Failure::Said(sentence) => {
                say(format_args!("esker: {sentence}"));
                ExitCode::from(2)
            }
            Failure::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

impl From<esker::Error> for Failure {
    /// The engine says what is wrong, and mostly what to do; what it leaves open is added here.
    fn from(error: esker::Error) -> Failure {
        let mut sentence = error.to_string();
        let advice = match &error {
            esker::Error::Corruption { .. } if !sentence.contains("esker repair") => {
                "; go back to a checkpoint, or run `esker repair` to keep what is intact"
            }
            esker::Error::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => "; check who owns the directory and what its rights are",
                io::ErrorKind::ReadOnlyFilesystem => "; write to another place, or make this one writable",
                _ => "",
            },
            _ => "",
        };
        sentence.push_str(advice);
        Failure::Said(sentence)
    }
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Failure {
        Failure::Said(malformed.to_string())
    }
}

/// What a command returns.
pub(crate) type Ended = Result<Outcome, Failure>;
