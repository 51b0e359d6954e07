//! The write-ahead log of a store under repair: what it names, what is damaged, and clean copies of damaged segments.

use super::entries::{Bounds, Entry};
use super::report::DamagedLog;
use super::writer::Output;
use crate::fs::Env;
use crate::fs::filename::FileName;
use crate::manifest::KeyspaceId;
use crate::options::TableIo;
use crate::record::{Damage, LogKind, Salvage, append_record};
use crate::write::batch::{Ops, decode_payload};
use crate::{Error, Recovery, Result, wal};
use esker_table::{Kind, RangeTombstone, SeqNo, Slice, Trailer};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Bytes that are collected before they are appended to a copy.
const COPY_BYTES: usize = 1 << 20;

/// Takes a commit: the number of its segment, its payload, its first sequence number and its operations.
type EachCommit<'a> = dyn FnMut(u64, &[u8], SeqNo, Ops<'_>) -> Result<()> + 'a;

/// The segments of a store under repair.
pub(super) struct OldLog {
    /// Ascending.
    pub(super) segments: Vec<u64>,
    /// Whether recovery would read them as they are.
    pub(super) is_sound: bool,
    pub(super) damage: Vec<DamagedLog>,
    /// A segment that others need and that is not there.
    pub(super) missing: Option<PathBuf>,
    /// Segments whose creation was interrupted.
    pub(super) unborn: Vec<u64>,
    /// The last segment that holds an intact commit; 0 if none does.
    pub(super) last_used: u64,
    /// Keyspaces that operations name.
    pub(super) keyspaces: BTreeSet<KeyspaceId>,
}

impl OldLog {
    /// Reads all of the segments. `known` is what a trusted MANIFEST says of them.
    ///
    /// # Errors
    /// `Unsupported` if one is from a newer version; `Io`.
    pub(super) fn read(env: &dyn Env, dir: &Path, segments: Vec<u64>, known: &wal::Known) -> Result<OldLog> {
        let mut decodable = true;
        let mode = Recovery::TolerateTornTail;
        let replayed = wal::replay(env, dir, &segments, mode, known, &mut |_, _, bytes| {
            decodable &= decode_payload(bytes).is_some();
            Ok(())
        });
        let (mut missing, mut unborn, mut refused) = (None, Vec::new(), None);
        let is_sound = match replayed {
            Ok(replay) => {
                unborn = replay.unborn;
                decodable
            }
            Err(Error::MissingFile { path, .. }) => {
                missing = Some(path);
                false
            }
            Err(Error::Corruption { path, offset, .. }) => {
                let end = known.end.filter(|&(number, _)| FileName::Wal(number).path(dir) == path);
                let bytes = end.map_or(0, |(_, end)| end.saturating_sub(offset));
                refused = Some(DamagedLog { path, offset, bytes });
                false
            }
            Err(error) => return Err(error),
        };
        let mut log = OldLog {
            segments,
            is_sound,
            damage: Vec::new(),
            missing,
            unborn,
            last_used: 0,
            keyspaces: BTreeSet::new(),
        };
        let mut keyspaces = BTreeSet::new();
        let mut last_used = 0;
        let damage = log.each_commit(env, dir, &mut |number, _, _, ops| {
            last_used = number;
            keyspaces.extend(ops.iter().map(|op| op.keyspace));
            Ok(())
        })?;
        (log.keyspaces, log.last_used) = (keyspaces, last_used);
        // What recovery itself would take for a torn tail is no loss of anything acknowledged as synced.
        if !is_sound {
            log.damage = damage;
            // Records that are cut off without a trace are known only by what recovery expects.
            log.damage.extend(refused.filter(|r| log.damage.iter().all(|part| part.path != r.path)));
        }
        Ok(log)
    }

    /// Hands every intact commit on, once, in the order of sequence numbers. Returns what is between them.
    fn each_commit(&self, env: &dyn Env, dir: &Path, each: &mut EachCommit<'_>) -> Result<Vec<DamagedLog>> {
        let mut damage = Vec::new();
        let mut next_seqno = 0;
        for &number in &self.segments {
            let path = FileName::Wal(number).path(dir);
            let note =
                |part: &Damage| DamagedLog { path: path.clone(), offset: part.offset, bytes: part.bytes };
            let source = env.open(&path).map_err(|e| Error::io(&path, "open", e))?;
            let mut salvage = match Salvage::open(source, &path, LogKind::Wal, number) {
                Ok(salvage) => salvage,
                Err(error) if error.is_corruption() => {
                    let bytes = env.file_len(&path).map_err(|e| Error::io(&path, "look at", e))?;
                    damage.push(note(&Damage { offset: 0, bytes }));
                    continue;
                }
                Err(error) => return Err(error),
            };
            while let Some(record) = salvage.next()? {
                if !record.is_commit() {
                    continue;
                }
                match decode_payload(&record.payload) {
                    // A repair that was interrupted may have left a copy of what was read already.
                    Some((first, _)) if first < next_seqno => {}
                    Some((first, ops)) => {
                        next_seqno = first + u64::from(ops.count());
                        each(number, &record.payload, first, ops)?;
                    }
                    None => damage
                        .push(note(&Damage { offset: record.offset, bytes: record.payload.len() as u64 })),
                }
            }
            damage.extend(salvage.damage().iter().map(note));
        }
        Ok(damage)
    }

    /// The operations on a keyspace with sequence numbers from `from` to `to` and keys within `bounds`: what damaged
    /// tables may have lost.
    pub(super) fn entries(
        &self,
        env: &dyn Env,
        dir: &Path,
        keyspace: KeyspaceId,
        seqnos: (SeqNo, SeqNo),
        bounds: Option<&Bounds>,
    ) -> Result<(Vec<Entry>, Vec<RangeTombstone>)> {
        let (mut entries, mut tombstones) = (Vec::new(), Vec::new());
        self.each_commit(env, dir, &mut |_, _, first, ops| {
            for (op, seqno) in ops.iter().zip(first..) {
                if op.keyspace != keyspace || seqno < seqnos.0 || seqno > seqnos.1 {
                    continue;
                }
                if op.kind == Kind::RangeDelete {
                    let (start, end) = (op.key.to_vec(), op.value.to_vec());
                    tombstones.push(RangeTombstone { start, end, seqno });
                } else if bounds.is_none_or(|bounds| bounds.contain(op.key)) {
                    let trailer = Trailer::new(seqno, op.kind);
                    entries.push(Entry { key: op.key.to_vec(), trailer, value: Slice::copy_from(op.value) });
                }
            }
            Ok(())
        })?;
        entries.sort_by(Entry::order);
        Ok((entries, tombstones))
    }

    /// Copies every intact commit into new segments, one for each old one, and makes them durable. Returns their
    /// numbers.
    pub(super) fn copy(&self, output: &Output<'_>) -> Result<Vec<u64>> {
        let mut copies: Vec<Copy> = Vec::new();
        self.each_commit(output.env, output.dir, &mut |number, payload, _, _| {
            let old = copies.last().map(|copy| copy.old);
            if old != Some(number) {
                let previous = copies.last_mut().map_or(Ok((0, 0)), Copy::finish)?;
                copies.push(Copy::begin(output, number, previous)?);
            }
            match copies.last_mut() {
                Some(copy) => copy.add(payload),
                None => Ok(()),
            }
        })?;
        if let Some(copy) = copies.last_mut() {
            copy.finish()?;
        }
        Ok(copies.iter().map(|copy| copy.segment.number()).collect())
    }
}

/// A new segment that gets what is intact of an old one.
struct Copy {
    old: u64,
    segment: wal::Segment,
    buffer: Vec<u8>,
}

impl Copy {
    /// Begins the copy of segment `old`, behind a segment and the place where it ends.
    fn begin(output: &Output<'_>, old: u64, (previous, end): (u64, u64)) -> Result<Copy> {
        let (number, io) = (output.number(), TableIo::Pread);
        let segment = wal::Segment::create_after(output.env, output.dir, number, previous, end, io)?;
        Ok(Copy { old, segment, buffer: Vec::new() })
    }

    fn add(&mut self, payload: &[u8]) -> Result<()> {
        let at = self.segment.len() + self.buffer.len() as u64;
        append_record(&mut self.buffer, self.segment.number(), at, self.segment.synced(), &[payload]);
        if self.buffer.len() >= COPY_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        self.segment.append(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Makes it durable, before its successor is begun. Returns its number, and where it ends.
    fn finish(&mut self) -> Result<(u64, u64)> {
        self.write()?;
        self.segment.sync()?;
        Ok((self.segment.number(), self.segment.len()))
    }
}
