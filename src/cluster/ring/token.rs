//! [`Token`]: where a key stands on the ring.
//!
//! ```text
//!   63            50 49                                    0
//!   +---------------+---------------------------------------+
//!   | slot: 14 bits |  the top 50 bits of xxh3_64(user key)  |
//!   +---------------+---------------------------------------+
//! ```
//!
//! The slot is the one that Redis Cluster gives the key, hash tags included. So a stock cluster client, which knows slots
//! and nothing else, can go straight to a replica, and keys with one hash tag lie side by side. The rest comes from the
//! whole key, so it spreads keys evenly within their slot.
//!
//! Invariant: the token of a key is part of the stored key and therefore never changes.

use xxhash_rust::xxh3::xxh3_64;

/// How many slots Redis Cluster has.
const SLOTS: u16 = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 14;

/// Where a key stands on the ring. Tokens ascend as the stored keys do that begin with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

impl Token {
    /// The token of a user key.
    pub fn of_key(key: &[u8]) -> Token {
        let slot = u64::from(slot_of_key(key));
        Token(slot << (u64::BITS - SLOT_BITS) | xxh3_64(key) >> SLOT_BITS)
    }

    /// The slot of Redis Cluster that the token lies in.
    pub fn slot(self) -> u16 {
        (self.0 >> (u64::BITS - SLOT_BITS)) as u16
    }

    /// The bytes that stored keys begin with: they sort as tokens do.
    pub fn to_be_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// One of the equal parts of the token space, counted from its front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u32);

/// The slot of Redis Cluster that a key belongs to. If the key has a `{`, and behind it a `}` with something in between,
/// then only what lies between the first `{` and the first `}` after it counts; else the whole key does.
pub fn slot_of_key(key: &[u8]) -> u16 {
    crc16(hash_tag(key).unwrap_or(key)) % SLOTS
}

fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|byte| *byte == b'{')?;
    let behind = &key[open + 1..];
    let close = behind.iter().position(|byte| *byte == b'}')?;
    (close > 0).then(|| &behind[..close])
}

/// CRC16 as XMODEM has it: polynomial 0x1021, beginning with 0, nothing reflected.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        let at = (crc >> 8) as u8 ^ byte;
        (crc << 8) ^ CRC16[usize::from(at)]
    })
}

/// What each value of the top byte does to the checksum.
const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis_cluster() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(crc16(b""), 0);
        for (key, slot) in [
            (&b"123456789"[..], 12739),
            (b"foo", 12182),
            (b"bar", 5061),
            (b"hello", 866),
            (b"somekey", 11058),
            (b"", 0),
        ] {
            assert_eq!(slot_of_key(key), slot, "of {key:?}");
        }
    }

    #[test]
    fn a_hash_tag_stands_for_its_key() {
        for (key, counted) in [
            (&b"{user1000}.following"[..], &b"user1000"[..]),
            (b"{user1000}.followers", b"user1000"),
            (b"foo{}{bar}", b"foo{}{bar}"),
            (b"foo{{bar}}zap", b"{bar"),
            (b"foo{bar}{zap}", b"bar"),
            (b"foo{bar", b"foo{bar"),
            (b"foo}bar{", b"foo}bar{"),
            (b"}{a}", b"a"),
            (b"{}", b"{}"),
            (b"{", b"{"),
        ] {
            assert_eq!(slot_of_key(key), crc16(counted) % SLOTS, "of {key:?}");
        }
        assert_eq!(slot_of_key(b"foo{bar}{zap}"), slot_of_key(b"bar"));
        assert_ne!(Token::of_key(b"{a}1"), Token::of_key(b"{a}2"), "one slot, two tokens");
    }

    /// Stored keys hold tokens: these must stay what they are.
    #[test]
    fn tokens_never_change() {
        for key in [&b"foo"[..], b"", b"{user1000}.following"] {
            let token = Token::of_key(key);
            assert_eq!(token.slot(), slot_of_key(key));
            assert_eq!(token.0 & ((1 << 50) - 1), xxh3_64(key) >> 14);
            assert_eq!(u64::from_be_bytes(token.to_be_bytes()), token.0);
        }
        assert_eq!(Token::of_key(b"foo").0, 12182 << 50 | 0xab6e_5f64_077e_7d8a >> 14);
    }
}
