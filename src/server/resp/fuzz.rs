//! The body of the fuzz target for requests: a plain function, so that tests run it too.

use super::parse::{Limits, Parser, ProtocolError};

const LIMITS: Limits = Limits { arguments: 64, bulk: 512, request: 4096 };

/// The requests in `bytes` when they come in pieces of `piece` bytes, where the last one ends, and how it ended.
fn requests(bytes: &[u8], piece: usize) -> (Vec<Vec<Vec<u8>>>, usize, Option<ProtocolError>) {
    let mut parser = Parser::default();
    let (mut found, mut start, mut end) = (Vec::new(), 0, 0);
    while end < bytes.len() {
        end = (end + piece).min(bytes.len());
        loop {
            let rest = bytes.get(start..end).unwrap_or_default();
            match parser.next(rest, &LIMITS) {
                Ok(Some(len)) => {
                    found.push(parser.args(rest).iter().map(<[u8]>::to_vec).collect());
                    start += len;
                }
                Ok(None) => break,
                Err(error) => return (found, start, Some(error)),
            }
        }
    }
    (found, start, None)
}

/// Parses bytes as requests, whole and in pieces.
///
/// # Panics
/// If that makes a difference, or if a request is over a limit.
pub fn fuzz_requests(bytes: &[u8]) {
    let whole = requests(bytes, bytes.len().max(1));
    for piece in [1, 3, 64] {
        assert_eq!(requests(bytes, piece), whole, "in pieces of {piece} bytes");
    }
    let (found, end, _) = whole;
    assert!(end <= bytes.len());
    for request in &found {
        let inline = request.iter().map(Vec::len).sum::<usize>() <= LIMITS.request;
        assert!(inline, "a request is over the limit");
    }
}

#[cfg(test)]
mod tests {
    use super::fuzz_requests;

    #[test]
    fn random_requests_are_parsed_alike_however_they_are_cut() {
        const PARTS: [&[u8]; 14] = [
            b"*2\r\n",
            b"$3\r\nGET\r\n",
            b"$1\r\nk\r\n",
            b"PING\r\n",
            b"*",
            b"$",
            b"\r\n",
            b"\n",
            b"'a b'",
            b"\"\\x41\"",
            b"*1000\r\n",
            b"$600\r\n",
            b"-",
            b"\x00",
        ];
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..5000 {
            let mut bytes = Vec::new();
            for _ in 0..random % 12 + 1 {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                bytes.extend_from_slice(PARTS[(random >> 33) as usize % PARTS.len()]);
            }
            fuzz_requests(&bytes);
        }
        fuzz_requests(&vec![b'x'; 10_000]);
    }
}
