//! `tsv`: key, tab, value. The first tab separates; both sides may be empty and are escaped, see [`super::escape`].
//!
//! Only a newline ends a line: a carriage return before it belongs to the value.

use super::Malformed;
use super::escape::{escape_into, unescape_into};

/// Parses a line without its newline.
pub(crate) fn parse(line: &[u8], key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<(), Malformed> {
    let Some(tab) = memchr::memchr(b'\t', line) else {
        return Err(Malformed::new("there is no tab between a key and a value"));
    };
    unescape_into(&line[..tab], key)?;
    unescape_into(&line[tab + 1..], value)
}

/// Appends the canonical line.
pub(crate) fn write(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    escape_into(key, out);
    out.push(b'\t');
    escape_into(value, out);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tab_separates() {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for (line, k, v) in [
            (&b"a\tb"[..], &b"a"[..], &b"b"[..]),
            (b"a\t", b"a", b""),
            (b"\tb", b"", b"b"),
            (b"\t", b"", b""),
            (b"a\tb\tc", b"a", b"b\tc"),
            (b"a\\tb\tc\r", b"a\tb", b"c\r"),
        ] {
            key.clear();
            value.clear();
            parse(line, &mut key, &mut value).unwrap();
            assert_eq!((key.as_slice(), value.as_slice()), (k, v));
        }
        for line in [&b""[..], b"no tab", b"k\\\tv", b"k\tv\\"] {
            assert!(parse(line, &mut key, &mut value).is_err(), "{}", line.escape_ascii());
        }
    }
}
