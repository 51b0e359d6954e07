//! [`Lines`]: the lines of a stream, in chunks of what has arrived.
//!
//! A caller that acknowledges what it reads must not wait for more input while it holds lines back. So lines are handed
//! out as long as whole ones are there, and [`Lines::fill`], the only call that blocks, is the caller's moment to act on
//! what it has. Memory is bounded by the longest line that is accepted; a longer one is skipped to its end.

use std::io::{self, Read};

const CHUNK: usize = 256 << 10;

/// The lines of a stream.
pub(crate) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    /// The part of the buffer that has not been handed out.
    start: usize,
    end: usize,
    /// Where to look on for a newline: everything from `start` to here has none.
    searched: usize,
    max_line: usize,
    /// The line at the start was too long and its beginning is gone already.
    skipping: bool,
    ended: bool,
}

/// A line, or what stands for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A whole line without its newline.
    Whole(&'a [u8]),
    /// A line that is longer than accepted; it has been skipped.
    TooLong,
}

impl<R: Read> Lines<R> {
    /// Lines of at most `max_line` bytes.
    pub(crate) fn new(input: R, max_line: usize) -> Lines<R> {
        Lines {
            input,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            searched: 0,
            max_line,
            skipping: false,
            ended: false,
        }
    }

    /// Reads more input, waiting for it if need be. `false` at its end, when all lines have been handed out.
    pub(crate) fn fill(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.end, self.searched, self.start) = (self.end - self.start, self.searched - self.start, 0);
        if self.end > self.max_line {
            // No newline in more than a line's length: let it go, keep nothing of it.
            (self.end, self.searched, self.skipping) = (0, 0, true);
        }
        if self.buffer.len() - self.end < CHUNK / 2 {
            self.buffer.resize((self.buffer.len() * 2).min(self.max_line + 2 * CHUNK), 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.ended = true;
                    // The last line may lack its newline; what was too long and skipped still counts as a line.
                    if self.end > 0 || self.skipping {
                        self.buffer[self.end] = b'\n';
                        self.end += 1;
                        return Ok(true);
                    }
                    return Ok(false);
                }
                Ok(n) => {
                    self.end += n;
                    return Ok(true);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// The next line, if a whole one has arrived.
    pub(crate) fn next(&mut self) -> Option<Line<'_>> {
        let Some(length) = memchr::memchr(b'\n', &self.buffer[self.searched..self.end]) else {
            self.searched = self.end;
            return None;
        };
        let newline = self.searched + length;
        let line = self.start..newline;
        (self.start, self.searched) = (newline + 1, newline + 1);
        if std::mem::take(&mut self.skipping) || line.len() > self.max_line {
            return Some(Line::TooLong);
        }
        Some(Line::Whole(&self.buffer[line]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out a stream in pieces of a given size.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(out.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn all(input: &[u8], piece: usize, max: usize) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(Trickle(input, piece), max);
        let mut found = Vec::new();
        loop {
            while let Some(line) = lines.next() {
                found.push(match line {
                    Line::Whole(l) => Some(l.to_vec()),
                    Line::TooLong => None,
                });
            }
            if !lines.fill().unwrap() {
                return found;
            }
        }
    }

    #[test]
    fn lines_do_not_depend_on_how_they_arrive() {
        for piece in [1, 2, 3, 7, 1 << 20] {
            let text = |s: &str| Some(s.as_bytes().to_vec());
            assert_eq!(all(b"", piece, 10), vec![]);
            assert_eq!(all(b"\n", piece, 10), vec![text("")]);
            assert_eq!(all(b"a\nbc\n\nlast", piece, 10), vec![text("a"), text("bc"), text(""), text("last")]);
            assert_eq!(
                all(b"0123456789\n0123456789x\nok\n0123456789abcdef", piece, 10),
                vec![text("0123456789"), None, text("ok"), None]
            );
        }
    }

    #[test]
    fn long_lines_grow_the_buffer_up_to_the_limit() {
        let mut input = vec![b'a'; 3 << 20];
        input.push(b'\n');
        input.extend_from_slice(b"b\n");
        assert_eq!(all(&input, 100_000, 4 << 20), vec![Some(vec![b'a'; 3 << 20]), Some(b"b".to_vec())]);
        assert_eq!(all(&input, 100_000, 1 << 20), vec![None, Some(b"b".to_vec())]);
        let mut lines = Lines::new(&input[..], 1 << 20);
        while lines.fill().unwrap() {
            while lines.next().is_some() {}
            assert!(lines.buffer.len() <= (1 << 20) + 2 * CHUNK);
        }
    }
}
