//! [`Op`]: everything that can be done to a store, decoded from bytes. The model test and the fuzz target share it.
//!
//! Keys come from a small space, so that operations meet; a few are empty, runs of 0xff, or as long as keys may be. Every
//! value is different, so that an answer from the wrong moment is told from the right one.

use crate::bytes::Bytes;
use crate::settings::{KeyspaceChoice, StoreChoice};
use std::fmt;
use std::ops::Bound;

/// Keyspaces that a case may have at a time; number 0 is the default one.
pub const KEYSPACES: usize = 4;

/// A key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub Vec<u8>);

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() > 24 {
            return write!(f, "\"{}…\"*{}", self.0[..2].escape_ascii(), self.0.len());
        }
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl Key {
    /// The longest key.
    const LONGEST: usize = esker::MAX_KEY_LEN;

    fn decode(bytes: &mut Bytes<'_>) -> Key {
        Key(match bytes.u8() {
            0..=3 => Vec::new(),
            4..=11 => vec![0xff; 1 + bytes.below(4)],
            12..=19 => {
                let mut long = vec![b'k'; 700 + bytes.below(3) * 400];
                long.push(bytes.u8());
                long
            }
            20 => vec![b'm'; Key::LONGEST - bytes.below(2)],
            21 => vec![0xff; Key::LONGEST],
            22..=60 => vec![b'a' + bytes.below(16) as u8],
            61..=120 => vec![b'a' + bytes.below(4) as u8, b'0' + bytes.below(10) as u8],
            class => format!("key/{:03}", (usize::from(class) * 7 + bytes.below(64)) % 200).into_bytes(),
        })
    }
}

/// A value, known by its number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// No other write of the case has it.
    pub number: u32,
    /// The length in bytes; shorter than the number's digits only if 0.
    pub len: u32,
}

impl Value {
    fn decode(bytes: &mut Bytes<'_>, number: &mut u32) -> Value {
        *number += 1;
        let len = match bytes.u8() {
            0..=7 => 0,
            8..=15 => 3000 + 16 * u32::from(bytes.u8()),
            16 => 30_000 + 256 * u32::from(bytes.u8()),
            class => 8 + u32::from(class) / 4,
        };
        Value { number: *number, len }
    }

    /// Its bytes: half of the values compress well, half do not.
    pub fn bytes(self) -> Vec<u8> {
        let mut bytes = format!("v{}.", self.number).into_bytes();
        let mut state = self.number.wrapping_mul(0x9e37_79b9) | 1;
        while bytes.len() < self.len as usize {
            if self.number.is_multiple_of(2) {
                bytes.push(b'.');
            } else {
                state = state.wrapping_mul(0x915f_77f5).wrapping_add(0x3c6e_f372);
                bytes.push((state >> 24) as u8);
            }
        }
        bytes.truncate(self.len as usize);
        bytes
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}*{}", self.number, self.len)
    }
}

/// A range of keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    /// Its start.
    pub start: Bound<Key>,
    /// Its end.
    pub end: Bound<Key>,
}

impl Span {
    fn decode(bytes: &mut Bytes<'_>) -> Span {
        let shape = bytes.u8();
        let (mut start, mut end) = (Bound::Unbounded, Bound::Unbounded);
        if shape & 3 != 0 {
            let key = Key::decode(bytes);
            start = if shape & 4 == 0 { Bound::Included(key) } else { Bound::Excluded(key) };
        }
        if shape & 24 != 0 {
            let key = Key::decode(bytes);
            end = if shape & 32 == 0 { Bound::Excluded(key) } else { Bound::Included(key) };
        }
        // Inverted ranges are legal and empty, but should not be every second one.
        if let (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) =
            (&mut start, &mut end)
            && a > b
            && shape & 192 != 0
        {
            std::mem::swap(a, b);
        }
        Span { start, end }
    }

    /// As the engine takes it.
    pub fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        fn slice(bound: &Bound<Key>) -> Bound<&[u8]> {
            bound.as_ref().map(|key| key.0.as_slice())
        }
        (slice(&self.start), slice(&self.end))
    }

    /// Whether it holds the key.
    pub fn contains(&self, key: &[u8]) -> bool {
        std::ops::RangeBounds::<[u8]>::contains(&self.bounds(), key)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.start {
            Bound::Included(key) => write!(f, "[{key:?}")?,
            Bound::Excluded(key) => write!(f, "({key:?}")?,
            Bound::Unbounded => write!(f, "(")?,
        }
        f.write_str(" .. ")?;
        match &self.end {
            Bound::Included(key) => write!(f, "{key:?}]"),
            Bound::Excluded(key) => write!(f, "{key:?})"),
            Bound::Unbounded => write!(f, ")"),
        }
    }
}

/// Where a read looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The keyspace's number.
    pub keyspace: usize,
    /// Which of the snapshots alive, counted round; `None` for the newest state.
    pub snapshot: Option<usize>,
    /// Whether every block is verified at this read.
    pub verify: bool,
    /// Whether blocks may stay in the cache.
    pub fill_cache: bool,
}

impl At {
    fn decode(bytes: &mut Bytes<'_>) -> At {
        let byte = bytes.u8();
        At {
            keyspace: usize::from(byte & 3),
            snapshot: (byte & 0x1c >= 0x14).then(|| usize::from(byte >> 5)),
            verify: byte & 0xe0 == 0xe0,
            fill_cache: byte & 0xe0 != 0xc0,
        }
    }
}

/// A part of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets a key.
    Put(usize, Key, Value),
    /// Deletes a key.
    Delete(usize, Key),
    /// Deletes a range.
    DeleteRange(usize, Span),
}

impl Write {
    fn decode(bytes: &mut Bytes<'_>, number: &mut u32) -> Write {
        let byte = bytes.u8();
        let keyspace = usize::from(byte & 3);
        match byte >> 2 {
            0..=9 => Write::DeleteRange(keyspace, Span::decode(bytes)),
            10..=22 => Write::Delete(keyspace, Key::decode(bytes)),
            _ => Write::Put(keyspace, Key::decode(bytes), Value::decode(bytes, number)),
        }
    }

    /// The keyspace's number.
    pub fn keyspace(&self) -> usize {
        match self {
            Write::Put(keyspace, ..) | Write::Delete(keyspace, _) | Write::DeleteRange(keyspace, _) => {
                *keyspace
            }
        }
    }
}

/// What a write waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Whether it is synced.
    pub synced: bool,
    /// Whether it is refused rather than stalled.
    pub no_stall: bool,
}

impl Waits {
    /// As the engine takes it.
    pub fn options(self) -> esker::WriteOptions {
        let durability = if self.synced { esker::Durability::Synced } else { esker::Durability::Buffered };
        esker::WriteOptions::new(durability).no_stall(self.no_stall)
    }
}

/// What becomes of the handle of a write that was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is waited for.
    Wait,
    /// It is kept, and polled now and then.
    Keep,
    /// It calls back.
    Call,
}

/// How a write is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// With the store's default durability, by the call for a single operation.
    Plain,
    /// In a batch.
    Batch(Waits),
    /// In a batch that is submitted.
    Submit(Waits, Then),
}

impl How {
    fn decode(bytes: &mut Bytes<'_>) -> How {
        let byte = bytes.u8();
        let waits = Waits { synced: byte & 1 != 0, no_stall: byte & 2 != 0 };
        match byte >> 2 & 3 {
            0 => How::Batch(waits),
            1 => How::Submit(waits, Then::Wait),
            2 => How::Submit(waits, Then::Keep),
            _ => How::Submit(waits, Then::Call),
        }
    }

    /// What it waits for, if it says so itself.
    pub fn waits(self) -> Option<Waits> {
        match self {
            How::Plain => None,
            How::Batch(waits) | How::Submit(waits, _) => Some(waits),
        }
    }
}

/// A move of a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// `seek_first`
    First,
    /// `seek_last`
    Last,
    /// `seek`
    Seek(Key),
    /// `seek_for_prev`
    SeekForPrev(Key),
    /// `next`
    Next,
    /// `prev`
    Prev,
}

impl Move {
    fn decode(bytes: &mut Bytes<'_>) -> Move {
        match bytes.u8() {
            0..=7 => Move::First,
            8..=15 => Move::Last,
            16..=40 => Move::Seek(Key::decode(bytes)),
            41..=65 => Move::SeekForPrev(Key::decode(bytes)),
            byte if byte % 2 == 0 => Move::Next,
            _ => Move::Prev,
        }
    }

    fn several(bytes: &mut Bytes<'_>) -> Vec<Move> {
        let count = 1 + bytes.below(16);
        (0..count).map(|_| Move::decode(bytes)).collect()
    }
}

/// How a store comes to be opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopen {
    /// It was closed.
    Close,
    /// The last handle was dropped.
    Drop,
    /// The process was killed.
    Kill,
    /// The power went; unsynced data is lost, kept or torn by the number.
    PowerLoss(u64),
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// One write, or several in one batch.
    Write(Vec<Write>, How),
    /// A key beyond the limit is refused, and nothing else happens.
    Oversized(usize),
    /// `get`
    Get(At, Key),
    /// `multi_get`
    MultiGet(At, Vec<Key>),
    /// `contains_key`, `first`, `last`
    Ends(At, Key),
    /// `range`: from the front for each bit that is 0, from the back for each 1, round and round; at most so many.
    Range(At, Span, u64, usize),
    /// `prefix`, like a range.
    Prefix(At, Key, u64),
    /// A new cursor's walk.
    Walk(At, Vec<Move>),
    /// Begins a walk that later operations go on with.
    HoldCursor(At),
    /// Goes on with a walk.
    MoveHeld(usize, Vec<Move>),
    /// Begins a range that later operations go on with.
    HoldRange(At, Span),
    /// Goes on with a range.
    DrawHeld(usize, u64, usize),
    /// Lets go of the oldest cursor and range.
    DropHeld,
    /// `snapshot`
    Snapshot,
    /// Lets go of a snapshot.
    DropSnapshot(usize),
    /// `flush` of a keyspace, or of all.
    Flush(Option<usize>),
    /// `compact`
    Compact(usize, Span),
    /// `sync`
    Sync,
    /// `step_background`, so many times.
    Step(usize),
    /// The clock goes on by so many seconds.
    Advance(u16),
    /// Opens the store again, by other choices; those for a keyspace leave log, collector and hook as they were.
    Reopen(Reopen, StoreChoice, Option<KeyspaceChoice>),
    /// Opens the store read-only in between.
    ReadOnly(Reopen),
    /// `create_keyspace`
    Create(usize, KeyspaceChoice),
    /// `drop_keyspace`
    Drop(usize),
    /// `ingest`: keys ascending.
    Ingest(usize, Vec<(Key, Value)>),
    /// `checkpoint`, and a look into it.
    Checkpoint,
    /// `approximate_size`
    Size(usize, Span),
    /// `view`
    View(usize),
    /// `verify`
    Verify,
    /// `stats`
    Stats,
    /// Writes that are not to stall, each flushed, or large: background work falls behind.
    Burst(usize, Vec<(Key, Value)>, bool),
}

impl Op {
    /// Decodes one operation; `number` is the number of the value written last.
    pub fn decode(bytes: &mut Bytes<'_>, number: &mut u32) -> Op {
        let at = |bytes: &mut Bytes<'_>| At::decode(bytes);
        match bytes.u8() {
            0..=69 => Op::Write(vec![Write::decode(bytes, number)], How::Plain),
            70..=89 => {
                let how = How::decode(bytes);
                let count = bytes.below(9);
                Op::Write((0..count).map(|_| Write::decode(bytes, number)).collect(), how)
            }
            90 => Op::Oversized(bytes.below(KEYSPACES)),
            91..=108 => Op::Get(at(bytes), Key::decode(bytes)),
            109..=115 => {
                let (at, count) = (at(bytes), bytes.below(8));
                Op::MultiGet(at, (0..count).map(|_| Key::decode(bytes)).collect())
            }
            116..=120 => Op::Ends(at(bytes), Key::decode(bytes)),
            121..=136 => Op::Range(at(bytes), Span::decode(bytes), bytes.u64(), limit(bytes)),
            137..=140 => {
                let (at, mut key) = (at(bytes), Key::decode(bytes));
                key.0.truncate(5);
                Op::Prefix(at, key, bytes.u64())
            }
            141..=156 => Op::Walk(at(bytes), Move::several(bytes)),
            157..=159 => Op::HoldCursor(at(bytes)),
            160..=167 => Op::MoveHeld(bytes.below(4), Move::several(bytes)),
            168..=170 => Op::HoldRange(at(bytes), Span::decode(bytes)),
            171..=176 => Op::DrawHeld(bytes.below(4), bytes.u64(), bytes.below(20)),
            177..=178 => Op::DropHeld,
            179..=185 => Op::Snapshot,
            186..=190 => Op::DropSnapshot(bytes.below(8)),
            191..=200 => {
                let which = bytes.below(KEYSPACES + 1);
                Op::Flush((which < KEYSPACES).then_some(which))
            }
            201..=206 => Op::Compact(bytes.below(KEYSPACES), Span::decode(bytes)),
            207..=209 => Op::Sync,
            210..=221 => Op::Step(1 + bytes.below(4)),
            222 => Op::Advance(bytes.u16()),
            223..=229 => {
                let how = Op::decode_reopen(bytes);
                let store = StoreChoice::decode(bytes);
                Op::Reopen(how, store, bytes.one_in(3).then(|| KeyspaceChoice::decode(bytes)))
            }
            230..=231 => Op::ReadOnly(Op::decode_reopen(bytes)),
            232..=235 => Op::Create(bytes.below(KEYSPACES), KeyspaceChoice::decode(bytes)),
            236..=237 => Op::Drop(bytes.below(KEYSPACES)),
            238..=241 => Op::Ingest(bytes.below(KEYSPACES), ascending(bytes, number)),
            242..=243 => Op::Checkpoint,
            244..=246 => Op::Size(bytes.below(KEYSPACES), Span::decode(bytes)),
            247..=249 => Op::View(bytes.below(KEYSPACES)),
            250..=252 => Op::Verify,
            253 => {
                let (keyspace, flushed) = (bytes.below(KEYSPACES), !bytes.one_in(4));
                Op::Burst(keyspace, burst(bytes, number, flushed), flushed)
            }
            _ => Op::Stats,
        }
    }

    fn decode_reopen(bytes: &mut Bytes<'_>) -> Reopen {
        match bytes.below(6) {
            0 => Reopen::Close,
            1 => Reopen::Drop,
            2 | 3 => Reopen::Kill,
            _ => Reopen::PowerLoss(u64::from(bytes.u16())),
        }
    }
}

fn burst(bytes: &mut Bytes<'_>, number: &mut u32, flushed: bool) -> Vec<(Key, Value)> {
    let count = bytes.below(if flushed { 24 } else { 16 });
    let entry = |_| {
        let (key, mut value) = (Key::decode(bytes), Value::decode(bytes, number));
        if !flushed || value.number.is_multiple_of(8) {
            value.len = 60_000;
        }
        (key, value)
    };
    (0..count).map(entry).collect()
}

fn limit(bytes: &mut Bytes<'_>) -> usize {
    if bytes.one_in(4) { bytes.below(12) } else { usize::MAX }
}

fn ascending(bytes: &mut Bytes<'_>, number: &mut u32) -> Vec<(Key, Value)> {
    let count = bytes.below(24);
    let mut keys: Vec<Key> = (0..count).map(|_| Key::decode(bytes)).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter().map(|key| (key, Value::decode(bytes, number))).collect()
}

/// Operations on a store that is created by these choices.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// How the store is created.
    pub store: StoreChoice,
    /// The options of the default keyspace, and of those that are opened without their own.
    pub keyspace: KeyspaceChoice,
    /// What is done to it.
    pub ops: Vec<Op>,
}

/// More operations than this are not taken from one input.
const MAX_OPS: usize = 4000;

impl Case {
    /// Decodes a case from arbitrary bytes.
    pub fn decode(data: &[u8]) -> Case {
        let mut bytes = Bytes::new(data);
        let (store, keyspace) = (StoreChoice::decode(&mut bytes), KeyspaceChoice::decode(&mut bytes));
        let (mut ops, mut number) = (Vec::new(), 0);
        while !bytes.is_empty() && ops.len() < MAX_OPS {
            ops.push(Op::decode(&mut bytes, &mut number));
        }
        Case { store, keyspace, ops }
    }

    /// The case that belongs to a seed.
    pub fn of_seed(seed: u64) -> Case {
        let mut random = crate::bytes::Random::new(seed);
        let len = [300, 1500, 1500, 5000, 12_000][random.below(5)];
        Case::decode(&random.bytes(len))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}\n{:?}", self.store, self.keyspace)?;
        self.ops.iter().enumerate().try_for_each(|(number, op)| writeln!(f, "{number:4} {op:?}"))
    }
}
