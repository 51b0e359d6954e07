//! [`Glob`]: patterns as `KEYS`, `SCAN` and `CONFIG GET` take them: `*`, `?`, `[abc]`, `[^a-z]`, and a backslash before a
//! character that means itself.

/// A pattern over bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    pattern: Vec<u8>,
    prefix: Vec<u8>,
}

impl Glob {
    pub(crate) fn new(pattern: &[u8]) -> Glob {
        let mut prefix = Vec::new();
        let mut rest = pattern.iter();
        while let Some(byte) = rest.next() {
            match byte {
                b'*' | b'?' | b'[' => break,
                b'\\' => prefix.extend(rest.next()),
                _ => prefix.push(*byte),
            }
        }
        Glob { pattern: pattern.to_vec(), prefix }
    }

    /// What everything that matches begins with.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Whether the pattern matches all of `text`. Takes time in the product of the lengths at most: of several stars only the last one
    /// that was met is tried again.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let pattern = self.pattern.as_slice();
        let (mut p, mut t) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        loop {
            if pattern.get(p) == Some(&b'*') {
                p += 1;
                star = Some((p, t));
                continue;
            }
            match text.get(t) {
                None if p >= pattern.len() => return true,
                None => return false,
                Some(byte) => {
                    if let Some(len) = pattern.get(p..).and_then(|rest| one(rest, *byte)) {
                        p += len;
                        t += 1;
                        continue;
                    }
                }
            }
            match &mut star {
                None => return false,
                Some((after, from)) => {
                    *from += 1;
                    (p, t) = (*after, *from);
                }
            }
        }
    }
}

/// How much of the pattern stands for this byte; `None` if the pattern begins with something else.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => class(pattern, byte),
        b'\\' if pattern.len() > 1 => (pattern[1] == byte).then_some(2),
        literal => (literal == byte).then_some(1),
    }
}

/// A class in brackets. One that is not closed reaches to the end of the pattern, as in Redis.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let mut at = 1;
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut found = false;
    loop {
        match pattern.get(at) {
            None => break,
            Some(b']') => {
                at += 1;
                break;
            }
            Some(b'\\') if at + 1 < pattern.len() => {
                found |= pattern[at + 1] == byte;
                at += 2;
            }
            Some(&low) => {
                if pattern.get(at + 1) == Some(&b'-')
                    && let Some(&high) = pattern.get(at + 2)
                {
                    found |= (low.min(high)..=low.max(high)).contains(&byte);
                    at += 3;
                } else {
                    found |= low == byte;
                    at += 1;
                }
            }
        }
    }
    (found != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, matching, others) in [
            ("*", &["", "a", "abc"][..], &[][..]),
            ("h?llo", &["hello", "hxllo"], &["hllo", "heello"]),
            ("h*llo", &["hllo", "heeeello", "hllollo"], &["hllox"]),
            ("h[ae]llo", &["hello", "hallo"], &["hillo"]),
            ("h[^e]llo", &["hallo"], &["hello"]),
            ("h[a-b]llo", &["hallo", "hbllo"], &["hcllo"]),
            ("h[b-a]llo", &["hallo"], &["hcllo"]),
            ("a\\*c", &["a*c"], &["abc"]),
            ("[\\]]", &["]"], &["x"]),
            ("[a", &["a"], &["b", ""]),
            ("a*b*c", &["abc", "axxbyyc", "abbcc"], &["abcd", "acb"]),
            ("", &[""], &["a"]),
        ] {
            let glob = Glob::new(pattern.as_bytes());
            for text in matching {
                assert!(glob.matches(text.as_bytes()), "{pattern} {text}");
                assert!(text.as_bytes().starts_with(glob.prefix()), "{pattern} {text}");
            }
            for text in others {
                assert!(!glob.matches(text.as_bytes()), "{pattern} {text}");
            }
        }
        assert_eq!(Glob::new(b"user:\\[1*").prefix(), b"user:[1");
    }

    #[test]
    fn a_malicious_pattern_ends() {
        // Trying all ways to share the text out among the stars would take longer than the age of the universe.
        let glob = Glob::new(format!("{}b", "a*".repeat(100)).as_bytes());
        assert!(!glob.matches("a".repeat(10_000).as_bytes()));
    }
}
