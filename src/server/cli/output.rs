//! Standard output: written through a buffer, with a reader that has left taken for a reason to stop quietly. Standard
//! error: said if somebody can hear it.

use super::failure::Failure;
use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};

/// Standard output, locked and buffered. Call [`Output::finish`] at the end: dropping it flushes too, but cannot say
/// that this failed.
pub(crate) struct Output {
    out: BufWriter<StdoutLock<'static>>,
}

impl Output {
    /// Takes standard output.
    pub(crate) fn new() -> Output {
        Output { out: BufWriter::with_capacity(64 << 10, io::stdout().lock()) }
    }

    /// Writes bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(|e| Failure::output(&e))
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) -> Result<(), Failure> {
        self.bytes(line.as_ref().as_bytes())?;
        self.bytes(b"\n")
    }

    /// Hands everything on.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|e| Failure::output(&e))
    }

    /// Hands everything on and gives standard output back.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.flush()
    }
}

/// Prints one line.
pub(crate) fn print_line(line: impl AsRef<str>) -> Result<(), Failure> {
    let mut out = Output::new();
    out.line(line)?;
    out.finish()
}

/// Prints one line to standard error. If that cannot be written nobody is left to be told, and the exit status still says
/// how the command ended.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
