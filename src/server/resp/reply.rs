//! Answers as bytes: [`Reply`] writes one answer behind the others of its connection, in the version of the protocol that the
//! connection speaks. What only RESP3 can say is said in RESP2 as Redis says it: a map as a flat array, a set as an array, a
//! boolean as a number, a double as a string.

/// Writes answers.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    out: &'a mut Vec<u8>,
    resp3: bool,
}

impl<'a> Reply<'a> {
    /// Answers go behind what is in `out`.
    pub(crate) fn new(out: &'a mut Vec<u8>, resp3: bool) -> Reply<'a> {
        Reply { out, resp3 }
    }

    /// Speaks RESP3 from here on, or RESP2.
    pub(crate) fn speak_resp3(&mut self, yes: bool) {
        self.resp3 = yes;
    }

    /// Bytes that lie there, those of earlier answers among them.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// An answer that was encoded elsewhere.
    pub(crate) fn encoded(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// `+OK`.
    pub(crate) fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A word of the protocol.
    pub(crate) fn simple(&mut self, word: &str) {
        self.line(b'+', word);
    }

    /// An error: a code in capitals and a sentence. Line ends in it would end it early and become spaces.
    pub(crate) fn error(&mut self, sentence: &str) {
        self.line(b'-', sentence);
    }

    fn line(&mut self, mark: u8, text: &str) {
        self.out.push(mark);
        self.out.extend(text.bytes().map(|b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
        self.out.extend_from_slice(b"\r\n");
    }

    fn number(&mut self, mark: u8, number: i64) {
        self.out.push(mark);
        push_integer(self.out, number);
        self.out.extend_from_slice(b"\r\n");
    }

    fn count(&mut self, mark: u8, count: usize) {
        self.number(mark, i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A number.
    pub(crate) fn integer(&mut self, number: i64) {
        self.number(b':', number);
    }

    /// How many.
    pub(crate) fn size(&mut self, count: usize) {
        self.count(b':', count);
    }

    /// Yes as 1, no as 0: what commands older than RESP3 answer in both versions.
    pub(crate) fn flag(&mut self, yes: bool) {
        self.integer(i64::from(yes));
    }

    /// Bytes.
    pub(crate) fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 32);
        self.count(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Bytes, or nothing.
    pub(crate) fn optional(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// Text that is meant for people.
    pub(crate) fn verbatim(&mut self, text: &str) {
        if self.resp3 {
            self.count(b'=', text.len() + 4);
            self.out.extend_from_slice(b"txt:");
            self.out.extend_from_slice(text.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text.as_bytes());
        }
    }

    /// Nothing.
    pub(crate) fn null(&mut self) {
        self.out.extend_from_slice(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// `count` answers follow.
    pub(crate) fn array(&mut self, count: usize) {
        self.count(b'*', count);
    }

    /// `count` different answers follow, in no order.
    pub(crate) fn set(&mut self, count: usize) {
        self.count(if self.resp3 { b'~' } else { b'*' }, count);
    }

    /// `count` pairs of answers follow.
    pub(crate) fn map(&mut self, count: usize) {
        if self.resp3 {
            self.count(b'%', count);
        } else {
            self.count(b'*', 2 * count);
        }
    }
}

/// Appends a number in decimal.
pub(crate) fn push_integer(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis_protocol::resp2::types::OwnedFrame as Frame2;
    use redis_protocol::resp3::types::OwnedFrame as Frame3;

    fn say(resp3: bool, what: impl FnOnce(&mut Reply<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        what(&mut Reply::new(&mut out, resp3));
        out
    }

    fn resp2(bytes: &[u8]) -> Frame2 {
        let (frame, used) = redis_protocol::resp2::decode::decode(bytes).unwrap().unwrap();
        assert_eq!(used, bytes.len());
        frame
    }

    fn resp3(bytes: &[u8]) -> Frame3 {
        let (frame, used) = redis_protocol::resp3::decode::complete::decode(bytes).unwrap().unwrap();
        assert_eq!(used, bytes.len());
        frame
    }

    #[test]
    fn another_decoder_reads_what_is_written() {
        for number in [0, 7, -7, 10, i64::MAX, i64::MIN] {
            assert_eq!(resp2(&say(false, |r| r.integer(number))), Frame2::Integer(number));
        }
        assert_eq!(resp2(&say(false, |r| r.bulk(b"\r\n\0"))), Frame2::BulkString(b"\r\n\0".to_vec()));
        assert_eq!(resp2(&say(false, |r| r.null())), Frame2::Null);
        assert!(matches!(resp3(&say(true, |r| r.null())), Frame3::Null));
        assert_eq!(resp2(&say(false, |r| r.error("ERR a\r\nb"))), Frame2::Error("ERR a  b".to_owned()));
        let pair = |r: &mut Reply<'_>| {
            r.map(1);
            r.bulk(b"k");
            r.verbatim("v");
        };
        let [k, v] = ["k", "v"].map(|s| Frame2::BulkString(s.into()));
        assert_eq!(resp2(&say(false, pair)), Frame2::Array(vec![k, v]));
        let Frame3::Map { data, .. } = resp3(&say(true, pair)) else { panic!("no map") };
        assert!(matches!(data.values().next(), Some(Frame3::VerbatimString { data, .. }) if data == b"v"));
        let set = |r: &mut Reply<'_>| {
            r.set(1);
            r.simple("x");
        };
        assert!(matches!(resp3(&say(true, set)), Frame3::Set { .. }));
        assert!(matches!(resp2(&say(false, set)), Frame2::Array(_)));
    }
}
