//! Requests as bytes: [`Parser`] finds one request at a time in what a connection has received.
//!
//! A request is an array of bulk strings, or a line as people and `redis-benchmark` type it:
//!
//! ```text
//!   *<arguments>\r\n  then for each  $<bytes>\r\n<bytes>\r\n
//!   word "quoted \x00 word" 'another'\n
//! ```
//!
//! The parser remembers how far it came, so that bytes are looked at once however they are cut on their way. It copies no
//! argument and allocates nothing per request: arguments are ranges of the input. What a client announces is checked against
//! [`Limits`] when it is announced, and no memory is taken for bytes that have not come. Nesting is not part of the grammar: an
//! array in an array ends the connection.
//!
//! This is why requests are not left to a decoder of frames at large, such as `redis-protocol`: it begins anew with each piece that
//! comes, follows nesting by recursion until the stack ends, and takes several times as long since it builds a tree for what is a
//! flat list. The tests hold the two against each other.

use std::fmt;
use std::ops::Range;

/// The longest line of an inline request. The same as in Redis.
const MAX_LINE: usize = 64 << 10;

/// What a client may announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Arguments of a request.
    pub(crate) arguments: usize,
    /// Bytes of an argument.
    pub(crate) bulk: usize,
    /// Bytes of a request.
    pub(crate) request: usize,
}

impl Limits {
    /// What is taken from somebody who has not said yet who they are.
    pub(crate) const STRANGER: Limits = Limits { arguments: 10, bulk: 16 << 10, request: 64 << 10 };
}

/// Bytes that are no request. The connection cannot go on after it: nobody knows where the next request begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProtocolError(String);

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Protocol error: {}", self.0)
    }
}

fn wrong<T>(what: impl Into<String>) -> Result<T, ProtocolError> {
    Err(ProtocolError(what.into()))
}

/// The arguments of one request, the command's name the first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Range<usize>],
}

impl<'a> Args<'a> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// One of them; empty if there are not so many.
    pub(crate) fn get(&self, at: usize) -> &'a [u8] {
        self.spans.get(at).and_then(|span| self.bytes.get(span.clone())).unwrap_or_default()
    }

    /// The ones from this place on.
    pub(crate) fn from(&self, at: usize) -> Args<'a> {
        Args { bytes: self.bytes, spans: self.spans.get(at..).unwrap_or_default() }
    }

    /// All of them, in order.
    pub(crate) fn iter(
        &self,
    ) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone + use<'a> {
        let bytes = self.bytes;
        self.spans.iter().map(move |span| bytes.get(span.clone()).unwrap_or_default())
    }
}

/// Finds requests, and remembers how far it is in one that has not come whole.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    spans: Vec<Range<usize>>,
    /// Arguments that are still to come.
    missing: usize,
    /// The length of the argument whose bytes come next, if it was announced.
    bulk: Option<usize>,
    /// How much of the request has been understood.
    at: usize,
    /// The arguments of an inline request, without their quotes.
    words: Vec<u8>,
    inline: bool,
}

/// Span lists longer than this are not kept for the next request.
const KEEP_SPANS: usize = 1024;

impl Parser {
    /// Looks for the end of the request that `input` begins with. Returns how many bytes it takes, or `None` if more have to come;
    /// the next call must be given the same bytes and more. A request without arguments is nothing to answer.
    pub(crate) fn next(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        if self.at == 0 {
            self.begin();
            match input.first() {
                None => return Ok(None),
                Some(b'*') => {}
                Some(_) => return self.next_inline(input, limits),
            }
            let Some((count, end)) = line_number(input, 1, "invalid multibulk length")? else {
                return Ok(None);
            };
            if count > limits.arguments as i64 {
                return wrong(if *limits == Limits::STRANGER {
                    "unauthenticated multibulk length"
                } else {
                    "invalid multibulk length"
                });
            }
            self.at = end;
            self.missing = usize::try_from(count).unwrap_or(0);
        }
        while self.missing > 0 {
            if !self.next_bulk(input, limits)? {
                return Ok(None);
            }
        }
        Ok(Some(std::mem::take(&mut self.at)))
    }

    /// Takes one argument. Returns whether it was there.
    fn next_bulk(&mut self, input: &[u8], limits: &Limits) -> Result<bool, ProtocolError> {
        let len = match self.bulk {
            Some(len) => len,
            None => {
                let Some(&mark) = input.get(self.at) else { return Ok(false) };
                if mark != b'$' {
                    return wrong(format!("expected '$', got '{}'", mark.escape_ascii()));
                }
                let Some((len, end)) = line_number(input, self.at + 1, "invalid bulk length")? else {
                    return Ok(false);
                };
                let len = usize::try_from(len).ok().filter(|len| *len <= limits.bulk);
                let Some(len) = len else {
                    return wrong(if *limits == Limits::STRANGER {
                        "unauthenticated bulk length"
                    } else {
                        "invalid bulk length"
                    });
                };
                if end.saturating_add(len) > limits.request {
                    return wrong(format!("the request is longer than {} bytes", limits.request));
                }
                self.at = end;
                self.bulk = Some(len);
                len
            }
        };
        let end = self.at + len;
        match input.get(end..end + 2) {
            None => return Ok(false),
            Some(b"\r\n") => {}
            Some(_) => return wrong("a bulk string does not end where its length says"),
        }
        self.spans.push(self.at..end);
        self.at = end + 2;
        self.bulk = None;
        self.missing -= 1;
        Ok(true)
    }

    fn next_inline(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        let longest = MAX_LINE.min(limits.request);
        let Some(newline) = input.iter().take(longest + 1).position(|b| *b == b'\n') else {
            return if input.len() > longest { wrong("too big inline request") } else { Ok(None) };
        };
        self.inline = true;
        let line = input.get(..newline).unwrap_or_default();
        split_words(line.strip_suffix(b"\r").unwrap_or(line), &mut self.words, &mut self.spans)?;
        Ok(Some(newline + 1))
    }

    fn begin(&mut self) {
        self.spans.clear();
        if self.spans.capacity() > KEEP_SPANS {
            self.spans.shrink_to(KEEP_SPANS);
        }
        self.words.clear();
        self.inline = false;
        self.missing = 0;
        self.bulk = None;
    }

    /// The arguments of the request that was found in `input`.
    pub(crate) fn args<'a>(&'a self, input: &'a [u8]) -> Args<'a> {
        Args { bytes: if self.inline { &self.words } else { input }, spans: &self.spans }
    }
}

/// The number on the line that begins at `at`, and where the next line begins. `None` if the line has not come whole.
fn line_number(input: &[u8], at: usize, invalid: &str) -> Result<Option<(i64, usize)>, ProtocolError> {
    let rest = input.get(at..).unwrap_or_default();
    let mut number = 0i64;
    let mut digits = 0;
    let negative = rest.first() == Some(&b'-');
    for (offset, byte) in rest.iter().enumerate().skip(usize::from(negative)) {
        match byte {
            b'0'..=b'9' if digits < 18 => {
                number = number * 10 + i64::from(byte - b'0');
                digits += 1;
            }
            b'\r' if digits > 0 => {
                return match rest.get(offset + 1) {
                    None => Ok(None),
                    Some(b'\n') => Ok(Some((if negative { -number } else { number }, at + offset + 2))),
                    Some(_) => wrong(invalid),
                };
            }
            _ => return wrong(invalid),
        }
    }
    Ok(None)
}

/// Cuts a line into words as a shell would: `"..."` with the escapes `\n \r \t \b \a \xHH`, `'...'` with `\'`.
fn split_words(line: &[u8], words: &mut Vec<u8>, spans: &mut Vec<Range<usize>>) -> Result<(), ProtocolError> {
    const UNBALANCED: &str = "unbalanced quotes in request";
    let mut rest = line.iter().copied().peekable();
    loop {
        while rest.next_if(|b| b.is_ascii_whitespace() || *b == 0).is_some() {}
        let Some(first) = rest.peek().copied() else { return Ok(()) };
        let start = words.len();
        if first == b'"' || first == b'\'' {
            rest.next();
            loop {
                match rest.next() {
                    None => return wrong(UNBALANCED),
                    Some(quote) if quote == first => break,
                    Some(b'\\') if first == b'"' => unescape(&mut rest, words)?,
                    Some(b'\\') if rest.next_if_eq(&b'\'').is_some() => words.push(b'\''),
                    Some(byte) => words.push(byte),
                }
            }
            // A closing quote ends the word.
            if rest.peek().is_some_and(|b| !b.is_ascii_whitespace()) {
                return wrong(UNBALANCED);
            }
        } else {
            while let Some(byte) = rest.next_if(|b| !b.is_ascii_whitespace() && *b != 0) {
                if byte == b'"' || byte == b'\'' {
                    return wrong(UNBALANCED);
                }
                words.push(byte);
            }
        }
        spans.push(start..words.len());
    }
}

/// What follows a backslash in double quotes.
fn unescape(
    rest: &mut std::iter::Peekable<impl Iterator<Item = u8> + Clone>,
    words: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    let Some(byte) = rest.next() else { return wrong("unbalanced quotes in request") };
    if byte == b'x' {
        let mut ahead = rest.clone();
        let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        if let (Some(high), Some(low)) = (hex(ahead.next()), hex(ahead.next())) {
            words.push((high * 16 + low) as u8);
            rest.next();
            rest.next();
            return Ok(());
        }
    }
    words.push(match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    });
    Ok(())
}

#[cfg(test)]
mod tests;
