//! Pairs of key and value as text: what `load` reads, `scan` writes, and arguments of the command line are given in.
//!
//! Two forms, a pair a line. `tsv` separates key and value by the first tab and escapes with backslashes; `jsonl` is an
//! object a line. Each form has one canonical spelling of a pair, which is what is written; reading accepts more.

pub(crate) mod escape;
pub(crate) mod jsonl;
pub(crate) mod lines;
pub(crate) mod size;
pub(crate) mod tsv;

use std::fmt;

/// A textual form of pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum PairFormat {
    /// Key, tab, value; `\t \n \r \\ \xNN` escape.
    #[default]
    Tsv,
    /// An object a line with `key` and `value`, or `key_b64` and `value_b64` where they are not UTF-8.
    Jsonl,
}

impl PairFormat {
    /// Parses a line (without its newline) and puts the pair's bytes into `key` and `value`, which are emptied first.
    pub(crate) fn parse(self, line: &[u8], key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<(), Malformed> {
        key.clear();
        value.clear();
        match self {
            PairFormat::Tsv => tsv::parse(line, key, value),
            PairFormat::Jsonl => jsonl::parse(line, key, value),
        }
    }

    /// Appends the canonical line, newline included.
    pub(crate) fn write(self, key: &[u8], value: &[u8], out: &mut Vec<u8>) {
        match self {
            PairFormat::Tsv => tsv::write(key, value, out),
            PairFormat::Jsonl => jsonl::write(key, value, out),
        }
    }
}

/// Why a text is not what it should be: half a sentence that fits after "line 7: ".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

impl Malformed {
    pub(crate) fn new(what: impl Into<String>) -> Malformed {
        Malformed(what.into())
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A few awkward byte strings, and pseudo-random ones that mix them.
    fn samples() -> Vec<Vec<u8>> {
        let mut all: Vec<Vec<u8>> = [
            &b""[..],
            b"plain",
            b"a\tb\nc\rd\\e",
            b"\\x41",
            b"\0\x01\x1f\x7f",
            "\u{80}\u{9f}\u{a0}\u{2028}\u{feff}\u{1f600}".as_bytes(),
            b"\xff\xfe\xc3",
            b"\xed\xa0\x80",
            "gr\u{fc}n\"{}".as_bytes(),
        ]
        .iter()
        .map(|b| b.to_vec())
        .collect();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..400 {
            let mut bytes = Vec::new();
            for _ in 0..state % 23 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                match state >> 62 {
                    0 => bytes.push((state >> 40) as u8),
                    1 => bytes.push(b"\t\n\r\\xtn0"[(state >> 40) as usize % 8]),
                    _ => bytes.extend_from_slice("a\u{7f}\u{85}\u{e9}\u{4e2d}".as_bytes()),
                }
            }
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
            all.push(bytes);
        }
        all
    }

    #[test]
    fn what_is_written_reads_back_and_is_written_the_same_again() {
        let samples = samples();
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for format in [PairFormat::Tsv, PairFormat::Jsonl] {
            for (i, k) in samples.iter().enumerate() {
                let v = &samples[(i * 7 + 3) % samples.len()];
                let mut line = Vec::new();
                format.write(k, v, &mut line);
                assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1, "{format:?} {k:?} {v:?}");
                assert!(std::str::from_utf8(&line).is_ok(), "{format:?} {k:?} {v:?}");
                let body = line.strip_suffix(b"\n").unwrap();
                format.parse(body, &mut key, &mut value).unwrap();
                assert_eq!((&key, &value), (k, v), "{format:?}");
                let mut again = Vec::new();
                format.write(&key, &value, &mut again);
                assert_eq!(again, line);
            }
        }
    }
}
