//! Backslash escapes: any bytes as one line of UTF-8 text without control characters.
//!
//! ```text
//!   \t tab   \n newline   \r carriage return   \\ backslash   \xNN the byte with this hexadecimal number
//! ```
//!
//! Written are: valid UTF-8 as it is, except for control characters (C0, DEL and C1) and the backslash, which are
//! escaped, as is every byte that is not part of valid UTF-8. Read is whatever bytes come, with these escapes and no
//! others.

use super::Malformed;
use std::borrow::Cow;

const HEX: &[u8; 16] = b"0123456789abcdef";

fn push_hex(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

/// Appends the canonical escaped form of `bytes`.
pub(crate) fn escape_into(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        let mut copied = 0;
        for (at, c) in valid.char_indices() {
            if c != '\\' && !c.is_control() {
                continue;
            }
            out.extend_from_slice(&valid.as_bytes()[copied..at]);
            copied = at + c.len_utf8();
            match c {
                '\t' => out.extend_from_slice(b"\\t"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\\' => out.extend_from_slice(b"\\\\"),
                _ => valid.as_bytes()[at..copied].iter().for_each(|b| push_hex(*b, out)),
            }
        }
        out.extend_from_slice(&valid.as_bytes()[copied..]);
        chunk.invalid().iter().for_each(|b| push_hex(*b, out));
    }
}

/// The canonical escaped form of `bytes`, for messages.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    escape_into(bytes, &mut out);
    // What is written is UTF-8: valid text and ASCII.
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends the bytes that `text` stands for.
pub(crate) fn unescape_into(text: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let (byte, len) = match rest.get(at + 1) {
            Some(b't') => (b'\t', 2),
            Some(b'n') => (b'\n', 2),
            Some(b'r') => (b'\r', 2),
            Some(b'\\') => (b'\\', 2),
            Some(b'x') => {
                let digit = |i: usize| rest.get(at + i).and_then(|b| char::from(*b).to_digit(16));
                let (Some(high), Some(low)) = (digit(2), digit(3)) else {
                    return Err(Malformed::new("`\\x` needs two hexadecimal digits after it"));
                };
                ((high * 16 + low) as u8, 4)
            }
            Some(other) => {
                return Err(Malformed::new(format!(
                    "`\\{}` is no escape; a backslash itself is written `\\\\`",
                    other.escape_ascii()
                )));
            }
            None => {
                return Err(Malformed::new(
                    "there is nothing after the last backslash; a backslash itself is written `\\\\`",
                ));
            }
        };
        out.push(byte);
        rest = &rest[at + len..];
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// The bytes that `text` stands for, borrowed where nothing is escaped.
pub(crate) fn unescape(text: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
    if memchr::memchr(b'\\', text).is_none() {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    unescape_into(text, &mut out)?;
    Ok(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form() {
        for (bytes, text) in [
            (&b"plain"[..], "plain"),
            (b"a\tb\nc\rd\\", "a\\tb\\nc\\rd\\\\"),
            (b"\0\x1b\x7f", "\\x00\\x1b\\x7f"),
            ("\u{85}".as_bytes(), "\\xc2\\x85"),
            ("\u{a0}\u{e9}\u{1f600}".as_bytes(), "\u{a0}\u{e9}\u{1f600}"),
            (b"\xff\xc3(", "\\xff\\xc3("),
        ] {
            assert_eq!(escaped(bytes), text);
            assert_eq!(unescape(text.as_bytes()).unwrap(), bytes);
        }
        assert_eq!(unescape(b"\\xFf").unwrap().as_ref(), b"\xff");
    }

    #[test]
    fn what_is_no_escape_is_refused() {
        for text in
            [&b"\\"[..], b"a\\", b"\\q", b"\\x", b"\\x4", b"\\x4g", b"\\xg4", b"\\0", b"\\\xff", b"\\X41"]
        {
            assert!(unescape(text).is_err(), "{}", text.escape_ascii());
        }
    }
}
