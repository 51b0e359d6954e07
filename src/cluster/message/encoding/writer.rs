//! [`Writer`]: the pieces that every message is made of, appended to a vector. [`super::reader`] is its mirror image.

use super::limits::TEXT_MAX;
use crate::causality::Dot;
use crate::id::NodeId;

/// Appends pieces. Whoever writes keeps to [`super::limits`]: what is beyond them is written as it is, and refused by whoever
/// reads it.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { out }
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn u8(&mut self, byte: u8) {
        self.out.push(byte);
    }

    pub(super) fn u64(&mut self, number: u64) {
        self.raw(&number.to_le_bytes());
    }

    pub(super) fn u128(&mut self, number: u128) {
        self.raw(&number.to_le_bytes());
    }

    pub(super) fn flag(&mut self, set: bool) {
        self.u8(u8::from(set));
    }

    /// LEB128: seven bits a byte, low bits first, the high bit says that more follow.
    pub(super) fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.out.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }

    pub(super) fn len(&mut self, len: usize) {
        self.varint(len as u64);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.len(bytes.len());
        self.raw(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// A sentence that somebody reads. One that is too long loses its end rather than its message.
    pub(super) fn sentence(&mut self, text: &str) {
        let mut end = text.len().min(TEXT_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.text(&text[..end]);
    }

    /// A piece with its length before it, which is known only once it is written.
    pub(super) fn blob(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut piece = Vec::new();
        write(&mut piece);
        self.bytes(&piece);
    }

    /// Whether there is something, then the thing.
    pub(super) fn option<T>(&mut self, option: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.flag(option.is_some());
        if let Some(inner) = option {
            write(self, inner);
        }
    }

    /// How many, then each.
    pub(super) fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.len(items.len());
        for item in items {
            write(self, item);
        }
    }

    pub(super) fn node(&mut self, id: NodeId) {
        self.u64(id.0);
    }

    pub(super) fn dot(&mut self, dot: Dot) {
        self.u64(dot.actor.0);
        self.u64(dot.counter);
    }
}
