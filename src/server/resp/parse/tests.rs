//! Requests: whole, cut anywhere, inline, beyond limits, and none at all.

use super::*;

const LIMITS: Limits = Limits { arguments: 1000, bulk: 1 << 20, request: 2 << 20 };

type Request = Vec<Vec<u8>>;

/// The requests in `bytes` as they come in pieces of `piece` bytes, and what was left over.
fn parse(bytes: &[u8], piece: usize) -> Result<(Vec<Request>, usize), ProtocolError> {
    let mut parser = Parser::default();
    let (mut requests, mut start) = (Vec::new(), 0);
    let mut end = 0;
    while end < bytes.len() {
        end = (end + piece).min(bytes.len());
        while let Some(len) = parser.next(&bytes[start..end], &LIMITS)? {
            let args = parser.args(&bytes[start..end]);
            requests.push(args.iter().map(<[u8]>::to_vec).collect());
            start += len;
        }
    }
    Ok((requests, bytes.len() - start))
}

fn words(list: &[&str]) -> Request {
    list.iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[test]
fn requests_however_they_are_cut() {
    let bytes = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n*0\r\n*-1\r\n*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\n\r\n\r\n\r\n\r\nset \"a b\" 'c'\n*1\r\n$4\r\nPI";
    for piece in 1..=bytes.len() {
        let (requests, left) = parse(bytes, piece).unwrap();
        assert_eq!(
            requests,
            [
                words(&["GET", "k"]),
                words(&["PING"]),
                words(&[]),
                words(&[]),
                words(&["SET", "", "\r\n\r\n"]),
                words(&[]),
                words(&["set", "a b", "c"]),
            ],
            "in pieces of {piece}"
        );
        assert_eq!(left, 10);
    }
}

#[test]
fn another_encoder_is_understood() {
    use redis_protocol::resp2::encode::encode;
    use redis_protocol::resp2::types::OwnedFrame;
    let args = words(&["SET", "key", "\0\r\n$5\r\n*3"]);
    let frame = OwnedFrame::Array(args.iter().cloned().map(OwnedFrame::BulkString).collect());
    let mut bytes = vec![0; 100];
    let len = encode(&mut bytes, &frame, false).unwrap();
    assert_eq!(parse(&bytes[..len], 7).unwrap(), (vec![args], 0));
}

#[test]
fn words_of_a_line() {
    for (line, expected) in [
        ("a  b\tc", &["a", "b", "c"][..]),
        (r#""\x41\n\t\"\\" 'it\'s' x"#, &["A\n\t\"\\", "it's", "x"]),
        (r#""\xzz""#, &["xzz"]),
        ("''", &[""]),
        ("", &[]),
    ] {
        let (requests, _) = parse(format!("{line}\r\n").as_bytes(), 100).unwrap();
        assert_eq!(requests, [words(expected)], "{line}");
    }
    for line in ["\"open", "'open", "\"a\"b", "a\"b\"", "\"\\"] {
        let error = parse(format!("{line}\r\n").as_bytes(), 100).unwrap_err();
        assert_eq!(error.to_string(), "Protocol error: unbalanced quotes in request", "{line}");
    }
}

#[test]
fn garbage_is_named() {
    for (bytes, what) in [
        ("*x\r\n", "invalid multibulk length"),
        ("*\r\n", "invalid multibulk length"),
        ("*1001\r\n", "invalid multibulk length"),
        ("*99999999999999999999\r\n", "invalid multibulk length"),
        ("*1\rx", "invalid multibulk length"),
        ("*1\r\n:3\r\n", "expected '$', got ':'"),
        ("*1\r\n*1\r\n$4\r\nPING\r\n", "expected '$', got '*'"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$x\r\n", "invalid bulk length"),
        ("*1\r\n$1048577\r\n", "invalid bulk length"),
        ("*1\r\n$4\r\nPINGxx", "a bulk string does not end where its length says"),
    ] {
        for piece in [1, 1000] {
            let error = parse(bytes.as_bytes(), piece).unwrap_err().to_string();
            assert_eq!(error, format!("Protocol error: {what}"), "{bytes:?}");
        }
    }
    let long = vec![b'a'; MAX_LINE + 2];
    assert_eq!(parse(&long, 4096).unwrap_err().to_string(), "Protocol error: too big inline request");
    let mut large = b"*3\r\n".to_vec();
    for _ in 0..2 {
        large.extend_from_slice(b"$1048576\r\n");
        large.resize(large.len() + (1 << 20), b'v');
        large.extend_from_slice(b"\r\n");
    }
    assert!(parse(&large, 1 << 16).unwrap_err().to_string().contains("longer than"));
}

#[test]
fn strangers_may_announce_little() {
    for (bytes, what) in
        [("*11\r\n", "unauthenticated multibulk length"), ("*1\r\n$16385\r\n", "unauthenticated bulk length")]
    {
        let error = Parser::default().next(bytes.as_bytes(), &Limits::STRANGER).unwrap_err();
        assert_eq!(error.to_string(), format!("Protocol error: {what}"));
    }
}

#[test]
fn an_announcement_takes_no_memory() {
    let mut parser = Parser::default();
    let limits = Limits { arguments: 1 << 20, ..LIMITS };
    assert_eq!(parser.next(b"*1048576\r\n$1048576\r\n", &limits), Ok(None));
    assert_eq!(parser.spans.capacity(), 0);
}
