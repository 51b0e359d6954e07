//! `esker scan`: the pairs of a range, in the form that `esker load` takes.

use super::failure::{Ended, Outcome};
use super::output::Output;
use super::source::Source;
use super::store::{KeyspaceName, Location, Text};
use crate::pairs::PairFormat;
use clap::Args;
use std::ops::Bound;

/// Print the pairs of a range, in the form that `load` takes.
///
/// Keys come in their order, but those of a replicated keyspace in the order of their tokens. Each sibling is a pair, the newest
/// the last.
#[derive(Args, Debug)]
pub(crate) struct Scan {
    #[command(flatten)]
    location: Location,
    #[command(flatten)]
    keyspace: KeyspaceName,
    /// The first key, inclusive, with the escapes `\t \n \r \\ \xNN`.
    #[arg(long, value_name = "K", value_parser = Text::parser(), allow_hyphen_values = true)]
    from: Option<Text>,
    /// The last key, exclusive.
    #[arg(long, value_name = "K", value_parser = Text::parser(), allow_hyphen_values = true)]
    to: Option<Text>,
    /// Only keys that begin with P.
    #[arg(long, value_name = "P", value_parser = Text::parser(), allow_hyphen_values = true)]
    prefix: Option<Text>,
    /// From the last key to the first.
    #[arg(long)]
    reverse: bool,
    /// At most N pairs.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t)]
    format: PairFormat,
    /// The same as `--format jsonl`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// The first key after all that begin with `prefix`; `None` if there is no such key.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|b| *b != 0xff)?;
    let mut after = prefix[..=last].to_vec();
    after[last] += 1;
    Some(after)
}

/// Where a scan begins and ends.
type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The range that lies in all of the bounds; `None` if nothing can.
fn intersection(from: Option<Vec<u8>>, to: Option<Vec<u8>>, prefix: Option<Vec<u8>>) -> Option<Bounds> {
    let prefix_end = prefix.as_deref().and_then(after_prefix);
    let start = from.max(prefix);
    let end = match (to, prefix_end) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    if let (Some(start), Some(end)) = (&start, &end)
        && start >= end
    {
        return None;
    }
    Some((start.map_or(Bound::Unbounded, Bound::Included), end.map_or(Bound::Unbounded, Bound::Excluded)))
}

impl Scan {
    pub(crate) fn run(&self) -> Ended {
        let bytes = |text: &Option<Text>| text.as_ref().map(Text::bytes).transpose();
        let range = intersection(bytes(&self.from)?, bytes(&self.to)?, bytes(&self.prefix)?);
        let source = Source::open(&self.location, &self.keyspace)?;
        let Some(range) = range else { return Ok(Outcome::Done) };
        let format = if self.json { PairFormat::Jsonl } else { self.format };
        let limit = self.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let mut out = Output::new();
        let mut line = Vec::new();
        for pair in source.pairs(range, self.reverse).take(limit) {
            let (key, value) = match pair {
                Ok(pair) => pair,
                Err(e) => {
                    // What came before the damage is good and shall be seen.
                    out.finish()?;
                    return Err(e);
                }
            };
            line.clear();
            format.write(&key, &value, &mut line);
            out.bytes(&line)?;
        }
        out.finish()?;
        Ok(Outcome::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: &str, to: &str, prefix: Option<&[u8]>) -> Option<Bounds> {
        let some = |s: &str| (!s.is_empty()).then(|| s.as_bytes().to_vec());
        intersection(some(from), some(to), prefix.map(<[u8]>::to_vec))
    }

    fn within(from: &str, to: &str) -> Option<Bounds> {
        let start = if from.is_empty() { Bound::Unbounded } else { Bound::Included(from.into()) };
        let end = if to.is_empty() { Bound::Unbounded } else { Bound::Excluded(to.into()) };
        Some((start, end))
    }

    #[test]
    fn bounds_are_intersected() {
        assert_eq!(range("", "", None), within("", ""));
        assert_eq!(range("a", "", None), within("a", ""));
        assert_eq!(range("a", "c", None), within("a", "c"));
        assert_eq!(range("c", "a", None), None);
        assert_eq!(range("a", "a", None), None);
        assert_eq!(range("", "", Some(b"ab")), within("ab", "ac"));
        assert_eq!(range("a", "z", Some(b"ab")), within("ab", "ac"));
        assert_eq!(range("abc", "abd", Some(b"ab")), within("abc", "abd"));
        assert_eq!(range("b", "", Some(b"ab")), None);
        assert_eq!(after_prefix(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(after_prefix(b"\xff\xff"), None);
        assert_eq!(after_prefix(b""), None);
    }
}
