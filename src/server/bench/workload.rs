//! The workloads: their names, and what one thread of each does. Every operation checks what it reads.

use super::choice::{Permutation, Random, Zipfian, mix};
use super::presence::Presence;
use super::record::{KEY_LEN, fill_value, is_value_of, key, missing_key, number_of};
use clap::ValueEnum;
use esker::{Cursor, Keyspace, WriteOptions};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum Workload {
    /// Writes every record, in order.
    FillSeq,
    /// Writes every record once, in random order.
    FillRandom,
    /// Writes random records again.
    Overwrite,
    /// Gets random records.
    ReadRandom,
    /// Gets keys that are not there.
    ReadMissing,
    /// Walks forwards.
    ReadSeq,
    /// Walks backwards.
    ReadReverse,
    /// Seeks to random records.
    SeekRandom,
    /// Gets random records while one more thread overwrites.
    ReadWhileWriting,
    /// Deletes random records.
    DeleteRandom,
    /// Half gets, half updates; zipfian.
    #[value(name = "ycsb-a")]
    YcsbA,
    /// 95 % gets, 5 % updates; zipfian.
    #[value(name = "ycsb-b")]
    YcsbB,
    /// Gets; zipfian.
    #[value(name = "ycsb-c")]
    YcsbC,
    /// 95 % gets of the latest records, 5 % inserts.
    #[value(name = "ycsb-d")]
    YcsbD,
    /// 95 % scans of up to 100 records, 5 % inserts; zipfian.
    #[value(name = "ycsb-e")]
    YcsbE,
    /// Half gets, half gets followed by an update of the same record; zipfian.
    #[value(name = "ycsb-f")]
    YcsbF,
}

impl Workload {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether the records must be there before it begins.
    pub(crate) fn needs_records(self) -> bool {
        !matches!(self, Workload::FillSeq | Workload::FillRandom)
    }

    /// Whether it adds records behind those that are there.
    pub(crate) fn inserts(self) -> bool {
        matches!(self, Workload::YcsbD | Workload::YcsbE)
    }
}

/// Why an operation ended a workload.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// The store returned an error.
    Error(esker::Error),
    /// What was read is not what was written.
    Wrong(String),
}

impl From<esker::Error> for Trouble {
    fn from(error: esker::Error) -> Trouble {
        Trouble::Error(error)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Error(error) => error.fmt(f),
            Trouble::Wrong(what) => f.write_str(what),
        }
    }
}

fn wrong<T>(what: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Wrong(what.into()))
}

/// A key that says how many records have certainly been written: all below that number. Behind every record's key.
pub(crate) const MARKER: &[u8] = b"records";

/// What all threads of all workloads share.
pub(crate) struct Records {
    pub(crate) keyspace: Keyspace,
    pub(crate) write: WriteOptions,
    pub(crate) value_size: usize,
    pub(crate) seed: u64,
    /// The workloads choose among records below this.
    pub(crate) num: u64,
    /// Written, and not deleted since: must be found.
    pub(crate) present: Presence,
    /// Deleted, and not written since: must not be found.
    pub(crate) absent: Presence,
    /// The number of the next record that is inserted.
    pub(crate) next_insert: AtomicU64,
    /// Bytes of keys and values written.
    pub(crate) user_bytes: AtomicU64,
}

impl Records {
    /// How many records are certainly in the store, by its marker.
    pub(crate) fn marked(keyspace: &Keyspace) -> Result<u64, esker::Error> {
        let marker = keyspace.get(MARKER)?;
        Ok(marker.and_then(|m| std::str::from_utf8(&m).ok()?.parse().ok()).unwrap_or(0))
    }

    /// Sets the marker.
    pub(crate) fn mark(&self, records: u64) -> Result<(), esker::Error> {
        self.keyspace.put_with(MARKER, records.to_string(), self.write)
    }

    fn put(&self, number: u64, stamp: u64, value: &mut Vec<u8>) -> Result<(), Trouble> {
        fill_value(number, stamp, self.value_size, value);
        self.absent.clear(number);
        self.keyspace.put_with(key(number), &value, self.write)?;
        self.present.set(number);
        self.user_bytes.fetch_add((KEY_LEN + value.len()) as u64, Ordering::Relaxed);
        Ok(())
    }

    fn delete(&self, number: u64) -> Result<(), Trouble> {
        self.present.clear(number);
        self.keyspace.delete_with(key(number), self.write)?;
        self.absent.set(number);
        self.user_bytes.fetch_add(KEY_LEN as u64, Ordering::Relaxed);
        Ok(())
    }

    fn get(&self, number: u64) -> Result<(), Trouble> {
        let must_be_there = self.present.has(number);
        let value = self.keyspace.get(key(number))?;
        match value {
            Some(value) => {
                self.check(number, &value)?;
                // Still marked absent after the read: nobody began to write it again in between.
                if self.absent.has(number) {
                    return wrong(format!("record {number} was deleted, and came back"));
                }
            }
            None if must_be_there => return wrong(format!("record {number} was written, and is not there")),
            None => {}
        }
        Ok(())
    }

    fn get_missing(&self, number: u64) -> Result<(), Trouble> {
        match self.keyspace.get(missing_key(number))? {
            Some(_) => wrong(format!("a key behind record {number} was never written, and is there")),
            None => Ok(()),
        }
    }

    fn check(&self, number: u64, value: &[u8]) -> Result<(), Trouble> {
        if is_value_of(number, value) {
            return Ok(());
        }
        wrong(format!("record {number} has a value of {} bytes that was never written to it", value.len()))
    }

    /// The record that a cursor stands on, checked; `None` behind the last.
    fn entry(&self, key: &[u8], value: &[u8]) -> Result<Option<u64>, Trouble> {
        match number_of(key) {
            Some(number) => self.check(number, value).map(|()| Some(number)),
            None if key == MARKER => Ok(None),
            None => wrong("the store holds keys that are no benchmark's; use a directory of its own"),
        }
    }
}

/// One thread's part of a workload.
pub(crate) struct Worker<'a> {
    records: &'a Records,
    /// The operations of this thread: this part of those of all threads.
    first: u64,
    count: u64,
    random: Random,
    stamp: u64,
    value: Vec<u8>,
    op: Op,
}

/// What an operation does, and what it needs for that.
enum Op {
    FillInOrder,
    Fill(Permutation),
    Overwrite,
    Get,
    GetMissing,
    Walk { cursor: Cursor, forwards: bool, last: Option<u64> },
    Seek(Cursor),
    Delete,
    Ycsb { workload: Workload, zipfian: Zipfian },
}

impl<'a> Worker<'a> {
    /// Thread `thread` of `threads` that together do `count` operations.
    pub(crate) fn new(
        records: &'a Records,
        workload: Workload,
        thread: u64,
        threads: u64,
        count: u64,
    ) -> Result<Worker<'a>, Trouble> {
        let (first, end) = (part(count, thread, threads), part(count, thread + 1, threads));
        let seed = mix(records.seed ^ mix(workload as u64 * 1000 + thread));
        let zipfian = || Zipfian::new(records.num);
        let op = match workload {
            Workload::FillSeq => Op::FillInOrder,
            Workload::FillRandom => Op::Fill(Permutation::new(count, records.seed)),
            Workload::Overwrite => Op::Overwrite,
            Workload::ReadRandom | Workload::ReadWhileWriting => Op::Get,
            Workload::ReadMissing => Op::GetMissing,
            Workload::ReadSeq | Workload::ReadReverse => Op::Walk {
                cursor: records.keyspace.cursor()?,
                forwards: workload == Workload::ReadSeq,
                last: None,
            },
            Workload::SeekRandom => Op::Seek(records.keyspace.cursor()?),
            Workload::DeleteRandom => Op::Delete,
            _ => Op::Ycsb { workload, zipfian: zipfian() },
        };
        let random = Random::new(seed);
        Ok(Worker { records, first, count: end - first, random, stamp: seed, value: Vec::new(), op })
    }

    /// How many operations this thread does.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Operation `i` of this thread. `false` if there is nothing more to do.
    pub(crate) fn step(&mut self, i: u64) -> Result<bool, Trouble> {
        let records = self.records;
        self.stamp = self.stamp.wrapping_add(1);
        match &mut self.op {
            Op::FillInOrder => records.put(self.first + i, self.stamp, &mut self.value)?,
            Op::Fill(permutation) => {
                records.put(permutation.at(self.first + i), self.stamp, &mut self.value)?;
            }
            Op::Overwrite => {
                records.put(self.random.below(records.num), self.stamp, &mut self.value)?;
            }
            Op::Get => records.get(self.random.below(records.num))?,
            Op::GetMissing => records.get_missing(self.random.below(records.num))?,
            Op::Delete => records.delete(self.random.below(records.num))?,
            Op::Seek(cursor) => seek(records, cursor, self.random.below(records.num))?,
            Op::Walk { cursor, forwards, last } => {
                let bounds = (self.first, self.first + self.count);
                return walk(records, cursor, *forwards, bounds, last);
            }
            Op::Ycsb { workload, zipfian } => {
                let (workload, number) = (*workload, zipfian.scrambled(&mut self.random));
                match (workload, self.random.below(100)) {
                    (Workload::YcsbD, 5..) => {
                        let inserted = records.next_insert.load(Ordering::Acquire);
                        records.get(zipfian.latest(&mut self.random, inserted))?;
                    }
                    (Workload::YcsbE, 5..) => {
                        scan(records, number, 1 + self.random.below(100))?;
                    }
                    (Workload::YcsbD | Workload::YcsbE, _) => {
                        let number = records.next_insert.fetch_add(1, Ordering::AcqRel);
                        records.put(number, self.stamp, &mut self.value)?;
                    }
                    (Workload::YcsbA, 50..) | (Workload::YcsbB, 95..) => {
                        records.put(number, self.stamp, &mut self.value)?;
                    }
                    (Workload::YcsbF, 50..) => {
                        records.get(number)?;
                        records.put(number, self.stamp, &mut self.value)?;
                    }
                    _ => records.get(number)?,
                }
            }
        }
        Ok(true)
    }
}

/// Where part `i` of `parts` of `count` begins.
fn part(count: u64, i: u64, parts: u64) -> u64 {
    (u128::from(count) * u128::from(i) / u128::from(parts)) as u64
}

/// Seeks to record `number`: the entry must be the first at or after it.
fn seek(records: &Records, cursor: &mut Cursor, number: u64) -> Result<(), Trouble> {
    let expected = records.present.first_from(number);
    let found = if cursor.seek(key(number))? { records.entry(cursor.key(), cursor.value())? } else { None };
    if found.is_some_and(|f| f < number) {
        return wrong(format!("a seek to record {number} came to one before it"));
    }
    match expected {
        Some(expected) if found.is_none_or(|f| f > expected) => {
            wrong(format!("a seek to record {number} passed over record {expected}"))
        }
        _ => Ok(()),
    }
}

/// The next step of a walk over the records from `bounds.0` to before `bounds.1`. No record in between may be missing.
fn walk(
    records: &Records,
    cursor: &mut Cursor,
    forwards: bool,
    bounds: (u64, u64),
    last: &mut Option<u64>,
) -> Result<bool, Trouble> {
    let valid = match (*last, forwards) {
        (None, true) => cursor.seek(key(bounds.0))?,
        (None, false) => cursor.seek_for_prev(key(bounds.1.saturating_sub(1)))?,
        (Some(_), true) => cursor.next()?,
        (Some(_), false) => cursor.prev()?,
    };
    let found = if valid { records.entry(cursor.key(), cursor.value())? } else { None };
    let found = found.filter(|n| (bounds.0..bounds.1).contains(n));
    // Everything between the last record and this one, or the end, must be absent.
    let gap = match (forwards, *last, found) {
        (true, last, found) => (last.map_or(bounds.0, |l| l + 1), found.unwrap_or(bounds.1)),
        (false, last, found) => (found.map_or(bounds.0, |f| f + 1), last.unwrap_or(bounds.1)),
    };
    if gap.0 > gap.1 {
        return wrong(format!("a walk came to record {found:?} after record {last:?}"));
    }
    if gap.0 < gap.1
        && let Some(passed) = records.present.first_from(gap.0).filter(|p| *p < gap.1)
    {
        return wrong(format!("a walk passed over record {passed}"));
    }
    *last = found;
    Ok(found.is_some())
}

/// Scans up to `len` records from `number` on, while others insert behind the last.
fn scan(records: &Records, number: u64, len: u64) -> Result<(), Trouble> {
    let mut next = number;
    for pair in records.keyspace.range(key(number)..).take(usize::try_from(len).unwrap_or(usize::MAX)) {
        let (key, value) = pair?;
        let Some(found) = records.entry(&key, &value)? else { break };
        if found < next {
            return wrong(format!("a scan came to record {found} after record {}", next - 1));
        }
        // Records below `num` neither come nor go while this workload runs.
        if let Some(passed) = records.present.first_from(next).filter(|p| *p < found && *p < records.num) {
            return wrong(format!("a scan passed over record {passed}"));
        }
        next = found + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        let names: Vec<String> = Workload::value_variants().iter().map(|w| w.name()).collect();
        assert_eq!(
            names.join(" "),
            "fillseq fillrandom overwrite readrandom readmissing readseq readreverse seekrandom readwhilewriting \
             deleterandom ycsb-a ycsb-b ycsb-c ycsb-d ycsb-e ycsb-f"
        );
    }

    #[test]
    fn parts_make_up_the_whole() {
        for (count, parts) in [(0, 1), (10, 3), (3, 10), (1_000_000, 7)] {
            assert_eq!(part(count, 0, parts), 0);
            assert_eq!(part(count, parts, parts), count);
            assert!((0..parts).all(|i| part(count, i, parts) <= part(count, i + 1, parts)));
        }
    }
}
