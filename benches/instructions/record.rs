//! Keys and values: a number gives the same record in every run.

/// The length of a value in bytes.
pub(crate) const VALUE_LEN: usize = 100;

/// A record as it is written.
pub(crate) type Record = ([u8; 16], [u8; VALUE_LEN]);

/// A key; numbers next to each other give keys far from each other.
fn key(number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

/// A value, half of which is compressible.
fn value(number: u64) -> [u8; VALUE_LEN] {
    let mut value = [0; VALUE_LEN];
    let mut state = number | 1;
    for piece in value[..VALUE_LEN / 2].chunks_mut(8) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        piece.copy_from_slice(&state.to_be_bytes()[..piece.len()]);
    }
    value
}

/// The record of a number.
pub(crate) fn record(number: u64) -> Record {
    (key(number), value(number))
}
