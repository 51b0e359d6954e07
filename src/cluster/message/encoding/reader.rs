//! [`Reader`]: takes a message apart from its front, trusting nothing. [`super::writer`] is its mirror image.
//!
//! Invariants: nothing is allocated for a length or a count before as many bytes are known to be there, and every message
//! has one encoding only, so a number that is longer than it need be is refused.

use super::limits::{KEY_MAX, POSITION_MAX, TEXT_MAX, VALUE_MAX};
use super::malformed::MalformedMessage;
use crate::causality::{Actor, Dot};
use crate::id::NodeId;
use esker::Slice;

/// What every method returns.
pub(super) type Read<T> = Result<T, MalformedMessage>;

/// The longest varint.
const VARINT_MAX: usize = 10;

/// Reads pieces from the front of bytes.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// The next byte to be read.
    at: usize,
    /// The same bytes, if what is read may share them.
    shared: Option<&'a Slice>,
}

impl<'a> Reader<'a> {
    /// Keys and values become copies.
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0, shared: None }
    }

    /// Keys and values become parts of `bytes`.
    pub(super) fn sharing(bytes: &'a Slice) -> Reader<'a> {
        Reader { bytes, at: 0, shared: Some(bytes) }
    }

    /// Leaves out the last `n` bytes of those that are not read yet: the checksum, once it was found to be right.
    pub(super) fn without_last(mut self, n: usize) -> Reader<'a> {
        self.bytes = &self.bytes[..self.bytes.len().saturating_sub(n).max(self.at)];
        self
    }

    pub(super) fn wrong<T>(&self, what: &'static str) -> Read<T> {
        Err(MalformedMessage::Content { what, at: self.at })
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Read<()> {
        if self.left() == 0 { Ok(()) } else { self.wrong("it goes on after its end") }
    }

    pub(super) fn take(&mut self, len: usize) -> Read<&'a [u8]> {
        let Some(taken) = self.bytes[self.at..].get(..len) else { return self.wrong("it ends too early") };
        self.at += len;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let Some(taken) = self.bytes[self.at..].first_chunk() else { return self.wrong("it ends too early") };
        self.at += N;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Read<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn u64(&mut self) -> Read<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn u128(&mut self) -> Read<u128> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    pub(super) fn flag(&mut self) -> Read<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => self.wrong("a flag is neither 0 nor 1"),
        }
    }

    pub(super) fn varint(&mut self) -> Read<u64> {
        let mut number = 0u64;
        for i in 0..VARINT_MAX {
            let byte = self.u8()?;
            if i == VARINT_MAX - 1 && byte > 1 {
                return self.wrong("a number does not fit 64 bits");
            }
            number |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                if byte == 0 && i > 0 {
                    return self.wrong("a number is longer than it need be");
                }
                return Ok(number);
            }
        }
        self.wrong("a number does not fit 64 bits")
    }

    /// A varint that fits a smaller number.
    pub(super) fn number<T: TryFrom<u64>>(&mut self) -> Read<T> {
        match T::try_from(self.varint()?) {
            Ok(number) => Ok(number),
            Err(_) => self.wrong("a number is too large for what it counts"),
        }
    }

    /// A length that is at most `max` and not more than there is.
    fn length(&mut self, max: usize) -> Read<usize> {
        let len = self.varint()?;
        if len > max as u64 {
            return self.wrong("a length is beyond its limit");
        }
        if len > self.left() as u64 {
            return self.wrong("a length leads out of the message");
        }
        Ok(len as usize)
    }

    /// A list: how many, at most `max`, then each. Each takes at least `least` bytes, so a count that the bytes left cannot
    /// hold is refused before there is room made for it.
    pub(super) fn list<T>(
        &mut self,
        max: usize,
        least: usize,
        mut read: impl FnMut(&mut Self) -> Read<T>,
    ) -> Read<Vec<T>> {
        let count = self.varint()?;
        if count > max as u64 {
            return self.wrong("a count is beyond its limit");
        }
        if count > (self.left() / least.max(1)) as u64 {
            return self.wrong("a count is more than the message can hold");
        }
        let mut items = Vec::with_capacity(count as usize);
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    pub(super) fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    /// Bytes of which the length has been read and found to be there.
    fn slice(&mut self, len: usize) -> Read<Slice> {
        let start = self.at;
        let taken = self.take(len)?;
        Ok(match self.shared {
            Some(whole) if len > 0 => whole.slice(start..self.at),
            _ => Slice::copy_from(taken),
        })
    }

    pub(super) fn key(&mut self) -> Read<Slice> {
        let len = self.length(KEY_MAX)?;
        self.slice(len)
    }

    pub(super) fn value(&mut self) -> Read<Slice> {
        let len = self.length(VALUE_MAX)?;
        self.slice(len)
    }

    /// The length of a value that is not here.
    pub(super) fn length_elsewhere(&mut self) -> Read<u32> {
        let len: u32 = self.number()?;
        if len as usize > VALUE_MAX {
            return self.wrong("a length is beyond its limit");
        }
        Ok(len)
    }

    pub(super) fn position(&mut self) -> Read<Vec<u8>> {
        let len = self.length(POSITION_MAX)?;
        Ok(self.take(len)?.to_vec())
    }

    pub(super) fn text(&mut self, max: usize) -> Read<&'a str> {
        let len = self.length(max)?;
        match std::str::from_utf8(self.take(len)?) {
            Ok(text) => Ok(text),
            Err(_) => self.wrong("a text is not UTF-8"),
        }
    }

    pub(super) fn string(&mut self) -> Read<String> {
        Ok(self.text(TEXT_MAX)?.to_owned())
    }

    /// A piece that another room takes apart.
    pub(super) fn blob(&mut self) -> Read<&'a [u8]> {
        let len = self.length(usize::MAX)?;
        self.take(len)
    }

    pub(super) fn node(&mut self) -> Read<NodeId> {
        Ok(NodeId(self.u64()?))
    }

    /// A dot. Counters begin at 1: what a clock does not know has counter 0 there.
    pub(super) fn dot(&mut self) -> Read<Dot> {
        let dot = Dot { actor: Actor(self.u64()?), counter: self.u64()? };
        if dot.counter == 0 { self.wrong("a counter is 0") } else { Ok(dot) }
    }
}
