//! Runs the binary, and says what came of it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A command line of the binary.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a process left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn of(output: Output) -> Ended {
        Ended {
            status: output.status.code().expect("the process was killed"),
            out: output.stdout,
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The output as text; the process must have ended with this status.
    #[track_caller]
    pub(crate) fn text(&self, status: i32) -> &str {
        assert_eq!(self.status, status, "{}", self.err);
        std::str::from_utf8(&self.out).unwrap()
    }

    /// The JSON object on standard output.
    #[track_caller]
    pub(crate) fn json(&self, status: i32) -> serde_json::Value {
        serde_json::from_str(self.text(status)).unwrap()
    }

    /// The one sentence of an error, without the program's name; nothing else is on standard error.
    #[track_caller]
    pub(crate) fn sentence(&self, status: i32) -> &str {
        assert_eq!(self.status, status, "{} {}", self.err, String::from_utf8_lossy(&self.out));
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        self.err.trim_end().strip_prefix("esker: ").expect(&self.err)
    }
}

/// Runs a command line.
pub(crate) fn esker(arguments: &[&str]) -> Ended {
    Ended::of(command(arguments).output().unwrap())
}

/// Runs a command line with this standard input.
pub(crate) fn esker_with(arguments: &[&str], input: &[u8]) -> Ended {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A process that stops reading is judged by how it ends.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Ended::of(output)
}

/// A directory for one test, and the path of a store in it that is not there yet. A test that fails leaves it behind.
pub(crate) struct Scratch {
    pub(crate) dir: tempfile::TempDir,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.dir.disable_cleanup(true);
            println!("what the test did is left in {}", self.dir.path().display());
        }
    }
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        Scratch { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn db(&self) -> String {
        self.path("db")
    }

    /// A store with these pairs.
    pub(crate) fn with_pairs(tsv: &[u8]) -> Scratch {
        let scratch = Scratch::new();
        let ended = esker_with(&["load", "--db", &scratch.db(), "-"], tsv);
        assert_eq!(ended.status, 0, "{}", ended.err);
        scratch
    }
}

/// The names and contents of the files in a directory, in order.
pub(crate) fn picture(dir: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

/// The file of a store whose name satisfies this; the first by name.
pub(crate) fn file_of(dir: &str, wanted: impl Fn(&str) -> bool) -> PathBuf {
    let mut names: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    let name = |p: &Path| p.file_name().unwrap().to_str().unwrap().to_owned();
    names.into_iter().find(|p| wanted(&name(p))).expect("there is no such file in the store")
}

/// The data set that ships with the sources.
pub(crate) fn data_set() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/unicode.tsv")
}
