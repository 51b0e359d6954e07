//! Laying down headers and records. The layouts are drawn in `FORMAT.md`.

use super::{FEATURES, HEADER_LEN, Link, LogHeader, MAGIC, MAX_PAYLOAD_LEN, MAX_RECORD_HEADER_LEN, VERSION};
use esker_table::codec::checksum::{crc32c, crc32c_append};
use esker_table::codec::varint;

/// The bytes that a log begins with.
pub(crate) fn encode_header(header: &LogHeader) -> [u8; HEADER_LEN] {
    let mut out = [0; HEADER_LEN];
    out[..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[12..16].copy_from_slice(&header.kind.code().to_le_bytes());
    out[16..20].copy_from_slice(&FEATURES.incompatible.to_le_bytes());
    out[20..24].copy_from_slice(&FEATURES.read_only_compatible.to_le_bytes());
    out[24..28].copy_from_slice(&FEATURES.compatible.to_le_bytes());
    out[32..40].copy_from_slice(&header.number.to_le_bytes());
    out[40..48].copy_from_slice(&header.previous.to_le_bytes());
    out[48..56].copy_from_slice(&header.previous_end.to_le_bytes());
    let crc = crc32c(&out[..60]);
    out[60..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Appends to `out` the record whose payload is `payload_parts`, one after the other, for log `number`, where it will
/// lie at `offset`; the log is known to be synced up to `synced`. Allocates only if `out` has to grow.
///
/// # Panics
/// If the payload is longer than [`MAX_PAYLOAD_LEN`].
pub(crate) fn append_record(
    out: &mut Vec<u8>,
    number: u64,
    offset: u64,
    synced: u64,
    payload_parts: &[&[u8]],
) {
    let len: usize = payload_parts.iter().map(|part| part.len()).sum();
    assert!(len <= MAX_PAYLOAD_LEN, "a record of {len} bytes is longer than a log can hold");
    let start = out.len();
    out.reserve(MAX_RECORD_HEADER_LEN + len);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&super::tag(number).to_le_bytes());
    varint::put(out, len as u64);
    // To claim less than is synced is always true.
    varint::put(out, synced.min(u64::from(u32::MAX)));
    for part in payload_parts {
        out.extend_from_slice(part);
    }
    let crc = crc32c_append(super::position_crc(number, offset), &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Appends to `out`, which holds the records of log `number` from its beginning on, the record that says where the log before
/// ends.
pub(crate) fn append_link(out: &mut Vec<u8>, number: u64, link: Link) {
    let mut synced = Vec::with_capacity(2 * varint::MAX_LEN);
    varint::put(&mut synced, link.synced.0);
    varint::put(&mut synced, link.synced.1);
    append_record(out, number, HEADER_LEN as u64, link.end, &[&synced]);
}
