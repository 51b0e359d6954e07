//! Keys and values of the workloads. A value can be checked against its key alone, whoever wrote it and when:
//!
//! ```text
//!   key    16 decimal digits of the record's number; a missing key has a letter after them
//!   value  ┌──────────┬───────────────────────────┬──────────────────────────┐
//!          │ stamp 8  │ from stamp, key, length   │ the last 8 of it, again  │
//!          └──────────┴───────────────────────────┴──────────────────────────┘
//!          up to half of the value does not compress, the rest does; a value below 8 bytes has no stamp
//! ```

use super::choice::mix;

/// Length of a key.
pub const KEY_LEN: usize = 16;

/// The key of record `number`.
pub fn key(number: u64) -> [u8; KEY_LEN] {
    let mut key = [b'0'; KEY_LEN];
    let mut rest = number;
    for digit in key.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// A key that no workload writes, right behind the key of record `number`.
pub fn missing_key(number: u64) -> [u8; KEY_LEN + 1] {
    let mut missing = [b'm'; KEY_LEN + 1];
    missing[..KEY_LEN].copy_from_slice(&key(number));
    missing
}

/// The number of the record that has this key.
pub fn number_of(key: &[u8]) -> Option<u64> {
    let key: &[u8; KEY_LEN] = key.try_into().ok()?;
    let (high, low) = key.split_first_chunk::<8>()?;
    Some(eight_digits(*high)? * 100_000_000 + eight_digits(*low.first_chunk()?)?)
}

/// The number that eight digits say, the first of which counts most: pairs, then fours, then eights are joined at once.
fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    let digits = u64::from_le_bytes(digits);
    let values = digits.wrapping_sub(ZEROS);
    // A byte below `0` borrows and a byte above `9` reaches the high bit with 0x76 on it.
    let outside = (values | values.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080;
    if outside != 0 {
        return None;
    }
    let pairs = (values * 10 + (values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

/// Writes the value of record `number` with this stamp over `out`, in `len` bytes.
pub fn fill_value(number: u64, stamp: u64, len: usize, out: &mut Vec<u8>) {
    out.clear();
    let mut words = Words::new(number, if len < 8 { 0 } else { stamp }, len);
    if len >= 8 {
        out.extend_from_slice(&stamp.to_le_bytes());
    }
    while out.len() < len {
        let word = words.next(out.len()).to_le_bytes();
        out.extend_from_slice(&word[..word.len().min(len - out.len())]);
    }
}

/// Whether `value` is one that a workload wrote for record `number`.
pub fn is_value_of(number: u64, value: &[u8]) -> bool {
    let (stamp, mut at) = match value.first_chunk::<8>() {
        Some(stamp) => (u64::from_le_bytes(*stamp), 8),
        None => (0, 0),
    };
    let mut words = Words::new(number, stamp, value.len());
    let (whole, rest) = value[at..].as_chunks::<8>();
    for part in whole {
        if u64::from_le_bytes(*part) != words.next(at) {
            return false;
        }
        at += part.len();
    }
    rest.is_empty() || rest == &words.next(at).to_le_bytes()[..rest.len()]
}

/// The eight-byte words that a value is made of.
struct Words {
    state: u64,
    word: u64,
    /// From here on the last word is repeated.
    repeat_from: usize,
}

impl Words {
    fn new(number: u64, stamp: u64, len: usize) -> Words {
        let state = mix(number ^ mix(stamp ^ ((len as u64) << 32)));
        Words { state, word: state, repeat_from: len / 2 }
    }

    fn next(&mut self, at: usize) -> u64 {
        if at < self.repeat_from || at <= 8 {
            self.state =
                self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.word = self.state ^ (self.state >> 29);
        }
        self.word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_as_their_numbers() {
        assert_eq!(&key(42), b"0000000000000042");
        for n in [0, 1, 9, 10, 99, 123_456_789, 9_999_999_999_999_999] {
            assert_eq!(number_of(&key(n)), Some(n));
            assert_eq!(number_of(&missing_key(n)), None);
            assert!(missing_key(n).as_slice() > key(n).as_slice());
            assert!(missing_key(n)[..] < key(n + 1)[..] || n == 9_999_999_999_999_999);
        }
        assert_eq!(number_of(b"000000000000004x"), None);
        for (at, byte) in (0..KEY_LEN).flat_map(|at| (0..=255).map(move |byte| (at, byte))) {
            let mut key = *b"0123456789012345";
            key[at] = byte;
            let expected = std::str::from_utf8(&key)
                .ok()
                .filter(|_| byte.is_ascii_digit())
                .map(|text| text.parse().unwrap());
            assert_eq!(number_of(&key), expected, "byte {byte} at {at}");
        }
    }

    #[test]
    fn a_value_belongs_to_its_key_and_to_no_other() {
        let mut value = Vec::new();
        for len in [0, 1, 7, 8, 9, 15, 16, 17, 100, 1000, 4096] {
            for (number, stamp) in [(0, 0), (1, 5), (77, u64::MAX)] {
                fill_value(number, stamp, len, &mut value);
                assert_eq!(value.len(), len);
                assert!(is_value_of(number, &value), "{len} {number}");
                if len > 8 {
                    assert!(!is_value_of(number + 1, &value), "{len} {number}");
                    for at in 0..len {
                        value[at] ^= 1;
                        assert!(!is_value_of(number, &value), "{len} {number} at {at}");
                        value[at] ^= 1;
                    }
                }
                if len > 17 {
                    assert!(!is_value_of(number, &value[..len - 1]), "cut by a byte: {len}");
                }
            }
        }
    }

    #[test]
    fn half_of_a_value_repeats() {
        let mut value = Vec::new();
        fill_value(3, 4, 1000, &mut value);
        let distinct: std::collections::HashSet<&[u8]> = value.chunks_exact(8).collect();
        assert!((60..=66).contains(&distinct.len()), "{}", distinct.len());
    }
}
