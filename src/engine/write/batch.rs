//! [`WriteBatch`]: puts and deletes that happen together or not at all.
//!
//! A batch is kept in the form in which it goes into the log, so that committing copies it once:
//!
//! ```text
//!   payload of a log record
//!   ┌────────────────────┬──────────────┬──────┬──────┬─────┐
//!   │ first seqno varint │ count varint │  op  │  op  │ ... │
//!   └────────────────────┴──────────────┴──────┴──────┴─────┘
//!   op
//!   ┌─────────┬─────────────────┬────────────────┬─────┬──────────────────┬───────┐
//!   │ kind u8 │ keyspace varint │ key len varint │ key │ value len varint │ value │   no value for a delete;
//!   └─────────┴─────────────────┴────────────────┴─────┴──────────────────┴───────┘   a range delete's is its end
//! ```
//!
//! The n-th op has the sequence number `first seqno + n`.

use crate::error::{Error, Result};
use crate::manifest::KeyspaceId;
use crate::{MAX_KEY_LEN, MAX_VALUE_LEN};
use esker_table::codec::varint::{self, Reader};
use esker_table::{Kind, SeqNo};

/// The keyspace that a store always has.
pub(crate) const DEFAULT_KEYSPACE: KeyspaceId = 0;

/// Bytes before the first op of a payload, at most: a sequence number has 56 bits.
const MAX_PAYLOAD_HEADER_LEN: usize = 8 + 5;

/// Kind, keyspace and key length at their longest.
const MAX_OP_HEADER_LEN: usize = 1 + 5 + 3;

/// Puts and deletes that happen together or not at all, in the order in which they were added.
///
/// Later operations win over earlier ones. Limits are checked when the batch is written: the first operation that is
/// beyond one makes the write fail, and nothing of the batch happens.
///
/// ```
/// use esker::WriteBatch;
/// let mut batch = WriteBatch::new();
/// batch.put("user/2", "alan").delete("user/1").delete_range("tmp/", "tmp0");
/// assert_eq!(batch.len(), 3);
/// ```
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    ops: Vec<u8>,
    count: u32,
    /// The store whose keyspaces the batch names.
    store: Option<u64>,
    /// The first operation that is beyond a limit.
    refused: Option<Error>,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> WriteBatch {
        WriteBatch::default()
    }

    /// Sets `key` to `value` in the default keyspace.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut WriteBatch {
        self.add(Op { kind: Kind::Put, keyspace: DEFAULT_KEYSPACE, key: key.as_ref(), value: value.as_ref() })
    }

    /// Deletes `key` in the default keyspace.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> &mut WriteBatch {
        self.add(Op { kind: Kind::Delete, keyspace: DEFAULT_KEYSPACE, key: key.as_ref(), value: &[] })
    }

    /// Deletes every key from `start` (inclusive) to `end` (exclusive) in the default keyspace. An empty or inverted
    /// range deletes nothing.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// db.put("a", "")?;
    /// db.put("c", "")?;
    /// let mut batch = esker::WriteBatch::new();
    /// batch.delete_range("a", "c").put("b", "");
    /// db.write(batch, esker::Durability::Buffered)?;
    /// assert_eq!(db.range(..).count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn delete_range(&mut self, start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> &mut WriteBatch {
        self.add(Op {
            kind: Kind::RangeDelete,
            keyspace: DEFAULT_KEYSPACE,
            key: start.as_ref(),
            value: end.as_ref(),
        })
    }

    /// The number of operations.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are no operations.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The size in bytes that the batch has in the log, at most.
    pub fn byte_len(&self) -> usize {
        MAX_PAYLOAD_HEADER_LEN + self.ops.len()
    }

    /// Removes all operations and keeps the memory.
    pub fn clear(&mut self) {
        self.ops.clear();
        self.count = 0;
        self.store = None;
        self.refused = None;
    }

    /// Adds an operation on a keyspace of the store `store`.
    pub(crate) fn add_in(&mut self, store: u64, op: Op<'_>) -> &mut WriteBatch {
        if *self.store.get_or_insert(store) != store {
            self.refused.get_or_insert(Error::invalid("batch", "it names keyspaces of two different stores"));
        }
        self.add(op)
    }

    fn add(&mut self, op: Op<'_>) -> &mut WriteBatch {
        if let Err(error) = op.check() {
            self.refused.get_or_insert(error);
            return self;
        }
        op.encode(&mut self.ops);
        self.count += 1;
        self
    }

    /// The encoded operations.
    ///
    /// # Errors
    /// What made the batch unacceptable when it was put together.
    pub(crate) fn checked(&self, store: u64) -> Result<Ops<'_>> {
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        if self.store.is_some_and(|s| s != store) {
            return Err(Error::invalid("batch", "it names keyspaces of another store"));
        }
        let ops = Ops::Encoded { bytes: &self.ops, count: self.count };
        // A batch of one is as cheap as an operation alone.
        match ops.iter().next() {
            Some(op) if self.count == 1 => Ok(Ops::Single(op)),
            _ => Ok(ops),
        }
    }
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Op<'a> {
    pub(crate) kind: Kind,
    pub(crate) keyspace: KeyspaceId,
    pub(crate) key: &'a [u8],
    /// Empty for a delete; the end of a range delete.
    pub(crate) value: &'a [u8],
}

impl<'a> Op<'a> {
    pub(crate) fn check(&self) -> Result<()> {
        let end_len = if self.kind == Kind::RangeDelete { self.value.len() } else { 0 };
        let key_len = self.key.len().max(end_len);
        if key_len > MAX_KEY_LEN {
            return Err(Error::KeyTooLong { len: key_len });
        }
        if self.value.len() > MAX_VALUE_LEN {
            return Err(Error::ValueTooLong { len: self.value.len() });
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut scratch = OpHeaders::default();
        for part in scratch.parts(self) {
            out.extend_from_slice(part);
        }
    }

    fn decode(reader: &mut Reader<'a>) -> Option<Op<'a>> {
        let kind = Kind::from_u8(reader.u8()?)?;
        let keyspace = KeyspaceId::try_from(reader.varint()?).ok()?;
        let key = reader.bytes()?;
        let value = match kind {
            Kind::Put | Kind::RangeDelete => reader.bytes()?,
            Kind::Delete => &[],
            _ => return None,
        };
        Some(Op { kind, keyspace, key, value }).filter(|op| op.check().is_ok())
    }
}

/// Room on the stack for the parts of an encoded operation that are neither key nor value.
#[derive(Debug, Default)]
pub(crate) struct OpHeaders {
    key: ShortBuffer<MAX_OP_HEADER_LEN>,
    value: ShortBuffer<5>,
}

impl OpHeaders {
    /// The encoding of `op`, in four parts.
    pub(crate) fn parts<'b>(&'b mut self, op: &Op<'b>) -> [&'b [u8]; 4] {
        self.key.push(op.kind as u8);
        self.key.push_varint(u64::from(op.keyspace));
        self.key.push_varint(op.key.len() as u64);
        if op.kind != Kind::Delete {
            self.value.push_varint(op.value.len() as u64);
        }
        [self.key.bytes(), op.key, self.value.bytes(), op.value]
    }
}

#[derive(Debug)]
struct ShortBuffer<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Default for ShortBuffer<N> {
    fn default() -> ShortBuffer<N> {
        ShortBuffer { bytes: [0; N], len: 0 }
    }
}

impl<const N: usize> ShortBuffer<N> {
    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn push_varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.push(number as u8);
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The operations of one commit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ops<'a> {
    /// One, without a batch around it.
    Single(Op<'a>),
    /// As many as a batch has, encoded.
    Encoded { bytes: &'a [u8], count: u32 },
}

impl<'a> Ops<'a> {
    pub(crate) fn count(&self) -> u32 {
        match self {
            Ops::Single(_) => 1,
            Ops::Encoded { count, .. } => *count,
        }
    }

    /// The size of the log record's payload, at most.
    pub(crate) fn byte_len(&self) -> usize {
        MAX_PAYLOAD_HEADER_LEN
            + match self {
                Ops::Single(op) => MAX_OP_HEADER_LEN + op.key.len() + varint::MAX_LEN + op.value.len(),
                Ops::Encoded { bytes, .. } => bytes.len(),
            }
    }

    pub(crate) fn iter(&self) -> OpIter<'a> {
        match *self {
            Ops::Single(op) => OpIter { single: Some(op), reader: Reader::new(&[]) },
            Ops::Encoded { bytes, .. } => OpIter { single: None, reader: Reader::new(bytes) },
        }
    }
}

/// Walks over operations. Ends early where bytes are no operation: [`decode_payload`] has checked those from a file.
pub(crate) struct OpIter<'a> {
    single: Option<Op<'a>>,
    reader: Reader<'a>,
}

impl<'a> Iterator for OpIter<'a> {
    type Item = Op<'a>;

    fn next(&mut self) -> Option<Op<'a>> {
        match self.single.take() {
            Some(op) => Some(op),
            None if self.reader.is_empty() => None,
            None => Op::decode(&mut self.reader),
        }
    }
}

/// The header of a payload.
#[derive(Debug)]
pub(crate) struct PayloadHeader(ShortBuffer<{ varint::MAX_LEN + 5 }>);

impl PayloadHeader {
    pub(crate) fn new(first_seqno: SeqNo, count: u32) -> PayloadHeader {
        let mut buffer = ShortBuffer::default();
        buffer.push_varint(first_seqno);
        buffer.push_varint(u64::from(count));
        PayloadHeader(buffer)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// Decodes a payload: its first sequence number and its operations. `None` if the bytes are no payload.
pub(crate) fn decode_payload(payload: &[u8]) -> Option<(SeqNo, Ops<'_>)> {
    let mut reader = Reader::new(payload);
    let (first_seqno, count) = (reader.varint()?, u32::try_from(reader.varint()?).ok()?);
    let ops = Ops::Encoded { bytes: reader.rest(), count };
    let last = first_seqno.checked_add(u64::from(count))?;
    if last > esker_table::key::MAX_SEQNO {
        return None;
    }
    let mut seen = 0u32;
    while !reader.is_empty() {
        Op::decode(&mut reader)?;
        seen = seen.checked_add(1)?;
    }
    (seen == count).then_some((first_seqno, ops))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(batch: &WriteBatch, seqno: SeqNo) -> Vec<u8> {
        let mut out = PayloadHeader::new(seqno, batch.count).bytes().to_vec();
        out.extend_from_slice(&batch.ops);
        out
    }

    #[test]
    fn payloads_round_trip_and_cuts_are_refused() {
        let mut batch = WriteBatch::new();
        batch.put("k", "v").delete("").delete_range("a", "b").put(vec![0xff; 300], vec![7; 70_000]);
        let bytes = payload(&batch, 42);
        let (seqno, ops) = decode_payload(&bytes).unwrap();
        let ops: Vec<_> = ops.iter().collect();
        assert_eq!((seqno, ops.len()), (42, 4));
        assert_eq!(ops[0], Op { kind: Kind::Put, keyspace: 0, key: b"k", value: b"v" });
        assert_eq!(ops[2], Op { kind: Kind::RangeDelete, keyspace: 0, key: b"a", value: b"b" });
        for cut in (0..bytes.len()).step_by(7) {
            assert!(decode_payload(&bytes[..cut]).is_none(), "cut at {cut}");
        }
        assert!(decode_payload(&payload(&batch, u64::MAX)).is_none());
    }

    #[test]
    fn an_operation_beyond_a_limit_refuses_the_batch() {
        let mut batch = WriteBatch::new();
        batch.put("fine", "").put(vec![0; MAX_KEY_LEN + 1], "");
        assert!(matches!(batch.checked(1), Err(Error::KeyTooLong { len }) if len == MAX_KEY_LEN + 1));
        batch.clear();
        assert!(batch.put(vec![0; MAX_KEY_LEN], "").checked(1).is_ok());
    }
}
