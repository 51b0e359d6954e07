//! The frame around every message: how it begins, and the checksum at its end.
//!
//! ```text
//!   ┌────────┬─────────┬──────┬────────────┬────────┬──────────┬─────────┬──────────┐
//!   │ "ESKP" │ version │ kind │ cluster 16 │ from 8 │ reply to │ message │ crc32c 4 │
//!   │   4    │    1    │  1   │            │        │   text   │         │          │
//!   └────────┴─────────┴──────┴────────────┴────────┴──────────┴─────────┴──────────┘
//! ```
//! The version is looked at before the checksum, because a later version may end in another one.

use super::body;
use super::limits::TEXT_MAX;
use super::malformed::MalformedMessage;
use super::reader::{Read, Reader};
use super::writer::Writer;
use crate::id::Address;
use crate::message::Envelope;
use esker::Slice;

/// The version that is written, and the only one that is read.
pub const VERSION: u8 = 1;

const MAGIC: [u8; 4] = *b"ESKP";
const CHECKSUM_LEN: usize = 4;

/// What a frame without its message takes, and a little more, so that short messages are written in one piece.
const SHORT: usize = 256;

/// Appends the bytes of a message with where it comes from.
///
/// The limits are the sender's to keep; see [`super::limits`]. Only sentences are cut to theirs.
pub fn encode(envelope: &Envelope, out: &mut Vec<u8>) {
    out.reserve(SHORT + body::size_hint(&envelope.message));
    let start = out.len();
    let mut w = Writer::new(out);
    w.raw(&MAGIC);
    w.u8(VERSION);
    w.u8(body::kind(&envelope.message));
    w.u128(envelope.cluster);
    w.node(envelope.from);
    w.text(&envelope.reply_to);
    body::put_message(&mut w, &envelope.message);
    append_checksum(out, start);
}

/// Reads the bytes of a message. Keys and values are copied out of them.
///
/// # Errors
/// If they are not what [`encode`] makes.
pub fn decode(bytes: &[u8]) -> Result<Envelope, MalformedMessage> {
    envelope(Reader::new(bytes), bytes)
}

/// Reads the bytes of a message. Keys and values stay parts of them: nothing is copied, and each of them keeps all of the
/// bytes alive.
///
/// # Errors
/// If they are not what [`encode`] makes.
pub fn decode_shared(bytes: Slice) -> Result<Envelope, MalformedMessage> {
    envelope(Reader::sharing(&bytes), &bytes)
}

fn envelope(mut r: Reader<'_>, frame: &[u8]) -> Result<Envelope, MalformedMessage> {
    if r.array()? != MAGIC {
        return Err(MalformedMessage::Content { what: "they do not begin as a message does", at: 0 });
    }
    let version = r.u8()?;
    if version != VERSION {
        return Err(MalformedMessage::Version { found: version });
    }
    check(frame)?;
    let mut r = r.without_last(CHECKSUM_LEN);
    let kind = r.u8()?;
    let cluster = r.u128()?;
    let from = r.node()?;
    let reply_to = Address::from(r.text(TEXT_MAX)?);
    let message = body::message(&mut r, kind)?;
    r.end()?;
    Ok(Envelope { cluster, from, reply_to, message })
}

/// Appends the checksum of everything from `start` on.
pub(super) fn append_checksum(out: &mut Vec<u8>, start: usize) {
    let crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// Whether bytes end in their checksum.
fn check(bytes: &[u8]) -> Read<()> {
    let wrong = |what| Err(MalformedMessage::Content { what, at: bytes.len().saturating_sub(CHECKSUM_LEN) });
    match bytes.split_last_chunk() {
        Some((covered, crc)) if crc32c::crc32c(covered).to_le_bytes() == *crc => Ok(()),
        Some(_) => wrong("the checksum does not fit: it was damaged on the way, or cut"),
        None => wrong("it ends too early"),
    }
}

/// A reader of bytes that end in their checksum, which is checked and left out.
pub(super) fn checked(bytes: &[u8]) -> Read<Reader<'_>> {
    check(bytes)?;
    Ok(Reader::new(bytes).without_last(CHECKSUM_LEN))
}
