//! `jsonl`: a JSON object a line: `key` and `value` as strings, or `key_b64` and `value_b64` (base64 with padding) where
//! they are not UTF-8. A field that is not one of these is refused, so that nothing is dropped unseen.

use super::Malformed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
struct Line {
    #[serde(deserialize_with = "text")]
    key: Option<String>,
    #[serde(deserialize_with = "text")]
    key_b64: Option<String>,
    #[serde(deserialize_with = "text")]
    value: Option<String>,
    #[serde(deserialize_with = "text")]
    value_b64: Option<String>,
}

/// A field that is there is a string; `null` is not.
fn text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    serde::Deserialize::deserialize(from).map(Some)
}

/// Parses a line without its newline.
pub(crate) fn parse(line: &[u8], key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<(), Malformed> {
    // Derived code would take an array for an object without names.
    if line.trim_ascii_start().first().is_some_and(|&first| first != b'{') {
        return Err(Malformed::new("this is no JSON object of a key and a value"));
    }
    let line: Line = serde_json::from_slice(line).map_err(|e| {
        Malformed::new(format!("this is no JSON object of a key and a value ({})", without_position(&e)))
    })?;
    field("key", line.key, line.key_b64, key)?;
    field("value", line.value, line.value_b64, value)
}

/// What serde_json found, without its line number: that counts within the one line it was given.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => format!("{}, at column {}", &text[..at], error.column()),
        None => text,
    }
}

fn field(
    name: &str,
    text: Option<String>,
    coded: Option<String>,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    match (text, coded) {
        (Some(text), None) => {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
        (None, Some(coded)) => STANDARD
            .decode_vec(coded, out)
            .map_err(|e| Malformed::new(format!("`{name}_b64` is not base64 ({e})"))),
        (None, None) => Err(Malformed::new(format!("there is neither `{name}` nor `{name}_b64`"))),
        (Some(_), Some(_)) => Err(Malformed::new(format!("there are both `{name}` and `{name}_b64`"))),
    }
}

/// A field's name and value as JSON.
pub(crate) fn member(name: &str, bytes: &[u8]) -> (String, serde_json::Value) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (name.to_owned(), text.into()),
        Err(_) => (format!("{name}_b64"), STANDARD.encode(bytes).into()),
    }
}

fn write_field(name: &str, bytes: &[u8], out: &mut Vec<u8>) {
    let (name, value) = member(name, bytes);
    out.extend_from_slice(format!("\"{name}\":{value}").as_bytes());
}

/// Appends the canonical line.
pub(crate) fn write(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.push(b'{');
    write_field("key", key, out);
    out.push(b',');
    write_field("value", value, out);
    out.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form() {
        for (key, value, line) in [
            (&b"a"[..], &b"b"[..], r#"{"key":"a","value":"b"}"#),
            (b"\"\n", b"", r#"{"key":"\"\n","value":""}"#),
            (b"\xff", b"v", r#"{"key_b64":"/w==","value":"v"}"#),
            (b"k", b"\0\xff", r#"{"key":"k","value_b64":"AP8="}"#),
        ] {
            let mut out = Vec::new();
            write(key, value, &mut out);
            assert_eq!(std::str::from_utf8(&out).unwrap().trim_end(), line);
        }
    }

    #[test]
    fn lines_that_are_no_pair_say_why() {
        for (line, why) in [
            ("", "no JSON object"),
            ("[1]", "no JSON object"),
            (r#"["a",null,"b",null]"#, "no JSON object"),
            (r#"{"key":null,"key_b64":"YQ==","value":"b"}"#, "no JSON object"),
            (r#"{"key":"a"}"#, "neither `value`"),
            (r#"{"value":"a"}"#, "neither `key`"),
            (r#"{"key":"a","key_b64":"YQ==","value":""}"#, "both `key`"),
            (r#"{"key":"a","value":1}"#, "no JSON object"),
            (r#"{"key":"a","value":"b","more":"c"}"#, "more"),
            (r#"{"key":"a","value":"b"} x"#, "no JSON object"),
            (r#"{"key_b64":"?","value":"b"}"#, "not base64"),
            (r#"{"key":"\ud800","value":"b"}"#, "no JSON object"),
        ] {
            let error = parse(line.as_bytes(), &mut Vec::new(), &mut Vec::new()).unwrap_err();
            assert!(error.0.contains(why), "{line}: {error}");
            assert!(!error.0.contains("line 1"), "{error}");
        }
        let (mut key, mut value) = (Vec::new(), Vec::new());
        parse(br#" {"value":"\u0000", "key_b64":"AAE="} "#, &mut key, &mut value).unwrap();
        assert_eq!((key.as_slice(), value.as_slice()), (&[0u8, 1][..], &[0u8][..]));
    }
}
