//! The bytes of a [`VersionEdit`]: tag-length-value, as specified and drawn in `FORMAT.md`.
//!
//! Decoding never panics and takes memory only in proportion to the input. Unknown tags with [`IGNORABLE`] are passed
//! over, other unknown tags are [`DecodeError::Unsupported`]; everything else that is not as specified is damage.

use super::ages::{AgeSample, Ages};
use super::edit::{AddedFile, KeyspaceEdit, KeyspaceId, KeyspaceRecord, VersionEdit};
use super::file_meta::{FileGuard, FileMeta, Reclaim};
use esker_table::codec::varint::{self, Reader};
use esker_table::{FormatId, RangeTombstone};
use std::sync::Arc;

/// A tag with this bit may be passed over by a reader that does not know it.
pub(crate) const IGNORABLE: u64 = 1 << 13;

mod tag {
    pub(super) const NEXT_FILE: u64 = 1;
    pub(super) const LAST_SEQNO: u64 = 2;
    pub(super) const OLDEST_WAL: u64 = 3;
    pub(super) const NEWEST_WAL: u64 = 4;
    pub(super) const NEXT_KEYSPACE: u64 = 5;
    pub(super) const OBSOLETE: u64 = 6;
    pub(super) const KEYSPACE: u64 = 7;
    pub(super) const CLOSED_WAL: u64 = super::IGNORABLE | 8;
}

mod keyspace_tag {
    pub(super) const ID: u64 = 1;
    pub(super) const RECORD: u64 = 2;
    pub(super) const DROPPED: u64 = 3;
    pub(super) const FLUSHED: u64 = 4;
    pub(super) const REMOVED: u64 = 5;
    pub(super) const ADDED: u64 = 6;
    pub(super) const AGES: u64 = 7;
}

mod record_tag {
    pub(super) const NAME: u64 = 1;
    pub(super) const NO_LOG: u64 = 2;
    pub(super) const FILTER: u64 = 3;
    pub(super) const FOLD: u64 = 4;
    pub(super) const COLLECTOR: u64 = 5;
    pub(super) const KIND: u64 = 6;
}

mod file_tag {
    pub(super) const NUMBER: u64 = 1;
    pub(super) const FORMAT: u64 = 2;
    pub(super) const SIZE: u64 = 3;
    pub(super) const SMALLEST: u64 = 4;
    pub(super) const LARGEST: u64 = 5;
    pub(super) const LARGEST_EXCLUSIVE: u64 = 6;
    pub(super) const CLIPPED: u64 = 7;
    pub(super) const MIN_SEQNO: u64 = 8;
    pub(super) const MAX_SEQNO: u64 = 9;
    pub(super) const SEQNO_OVERRIDE: u64 = 10;
    pub(super) const ENTRIES: u64 = 11;
    pub(super) const DELETES: u64 = 12;
    pub(super) const RANGE_TOMBSTONES: u64 = 13;
    pub(super) const CREATED: u64 = 14;
    pub(super) const FOREIGN: u64 = 15;
    pub(super) const KEPT_TOMBSTONE: u64 = 16;
    pub(super) const KEPT_COLLECTED: u64 = 17;
}

/// Why bytes are not an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// They are not as specified.
    Damaged(String),
    /// They use a field that this version does not know and must not pass over.
    Unsupported(String),
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DecodeError::Damaged(what) | DecodeError::Unsupported(what) => f.write_str(what),
        }
    }
}

fn damaged(what: impl Into<String>) -> DecodeError {
    DecodeError::Damaged(what.into())
}

fn put_bytes(out: &mut Vec<u8>, tag: u64, value: &[u8]) {
    varint::put(out, tag);
    varint::put_bytes(out, value);
}

fn put_number(out: &mut Vec<u8>, tag: u64, number: u64) {
    varint::put(out, tag);
    varint::put(out, varint::len(number) as u64);
    varint::put(out, number);
}

fn put_flag(out: &mut Vec<u8>, tag: u64, yes: bool) {
    if yes {
        put_bytes(out, tag, &[]);
    }
}

impl VersionEdit {
    /// Appends the edit's bytes to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let numbers = [
            (tag::NEXT_FILE, self.next_file),
            (tag::LAST_SEQNO, self.last_seqno),
            (tag::OLDEST_WAL, self.oldest_wal),
            (tag::NEWEST_WAL, self.newest_wal),
            (tag::NEXT_KEYSPACE, self.next_keyspace.map(u64::from)),
        ];
        for (tag, number) in numbers {
            if let Some(number) = number {
                put_number(out, tag, number);
            }
        }
        let mut value = Vec::new();
        if let Some((number, len)) = self.closed_wal {
            varint::put(&mut value, number);
            varint::put(&mut value, len);
            put_bytes(out, tag::CLOSED_WAL, &value);
            value.clear();
        }
        if !self.obsolete.is_empty() {
            for &number in &self.obsolete {
                varint::put(&mut value, number);
            }
            put_bytes(out, tag::OBSOLETE, &value);
        }
        for keyspace in &self.keyspaces {
            value.clear();
            encode_keyspace(keyspace, &mut value);
            put_bytes(out, tag::KEYSPACE, &value);
        }
    }

    /// Decodes an edit. The files it adds get guards of their own that hand their numbers to `reclaim`.
    pub(crate) fn decode(bytes: &[u8], reclaim: &Arc<Reclaim>) -> Result<VersionEdit, DecodeError> {
        let mut edit = VersionEdit::default();
        let mut fields = Fields::new("edit", bytes);
        while let Some((tag, value)) = fields.next()? {
            match tag {
                tag::NEXT_FILE => fields.once(&mut edit.next_file, number(value)?)?,
                tag::LAST_SEQNO => fields.once(&mut edit.last_seqno, number(value)?)?,
                tag::OLDEST_WAL => fields.once(&mut edit.oldest_wal, number(value)?)?,
                tag::NEWEST_WAL => fields.once(&mut edit.newest_wal, number(value)?)?,
                tag::NEXT_KEYSPACE => fields.once(&mut edit.next_keyspace, number_u32(value)?)?,
                tag::CLOSED_WAL => {
                    let mut reader = Reader::new(value);
                    let pair = reader.varint().zip(reader.varint()).filter(|_| reader.is_empty());
                    fields.once(&mut edit.closed_wal, pair.ok_or_else(|| fields.cut_off())?)?;
                }
                tag::OBSOLETE => {
                    if !edit.obsolete.is_empty() {
                        return Err(fields.twice());
                    }
                    let mut reader = Reader::new(value);
                    while !reader.is_empty() {
                        edit.obsolete.push(reader.varint().ok_or_else(|| fields.cut_off())?);
                    }
                }
                tag::KEYSPACE => edit.keyspaces.push(decode_keyspace(value, reclaim)?),
                _ => fields.unknown()?,
            }
        }
        Ok(edit)
    }
}

fn encode_keyspace(edit: &KeyspaceEdit, out: &mut Vec<u8>) {
    put_number(out, keyspace_tag::ID, u64::from(edit.id));
    let mut value = Vec::new();
    if let Some(record) = &edit.record {
        encode_record(record, &mut value);
        put_bytes(out, keyspace_tag::RECORD, &value);
    }
    put_flag(out, keyspace_tag::DROPPED, edit.dropped);
    if let Some(seqno) = edit.flushed_seqno {
        put_number(out, keyspace_tag::FLUSHED, seqno);
    }
    if !edit.ages.is_empty() {
        value.clear();
        for sample in edit.ages.samples() {
            varint::put(&mut value, sample.seqno);
            varint::put(&mut value, sample.millis);
        }
        put_bytes(out, keyspace_tag::AGES, &value);
    }
    for &(level, number) in &edit.removed {
        value.clear();
        varint::put(&mut value, level as u64);
        varint::put(&mut value, number);
        put_bytes(out, keyspace_tag::REMOVED, &value);
    }
    for added in &edit.added {
        value.clear();
        varint::put(&mut value, added.level as u64);
        varint::put(&mut value, added.run);
        encode_file(&added.meta, &mut value);
        put_bytes(out, keyspace_tag::ADDED, &value);
    }
}

fn decode_keyspace(bytes: &[u8], reclaim: &Arc<Reclaim>) -> Result<KeyspaceEdit, DecodeError> {
    let mut edit = KeyspaceEdit::default();
    let mut id: Option<KeyspaceId> = None;
    let mut fields = Fields::new("keyspace", bytes);
    while let Some((tag, value)) = fields.next()? {
        match tag {
            keyspace_tag::ID => fields.once(&mut id, number_u32(value)?)?,
            keyspace_tag::RECORD => fields.once(&mut edit.record, decode_record(value)?)?,
            keyspace_tag::DROPPED => fields.flag(&mut edit.dropped, value)?,
            keyspace_tag::FLUSHED => fields.once(&mut edit.flushed_seqno, number(value)?)?,
            keyspace_tag::REMOVED => {
                let mut reader = Reader::new(value);
                let level = level(&mut reader).ok_or_else(|| fields.cut_off())?;
                let file = reader.varint().filter(|_| reader.is_empty()).ok_or_else(|| fields.cut_off())?;
                edit.removed.push((level, file));
            }
            keyspace_tag::ADDED => {
                let mut reader = Reader::new(value);
                let level = level(&mut reader).ok_or_else(|| fields.cut_off())?;
                let run = reader.varint().ok_or_else(|| fields.cut_off())?;
                let meta = Arc::new(decode_file(reader.rest(), reclaim)?);
                edit.added.push(AddedFile { level, run, meta });
            }
            keyspace_tag::AGES if edit.ages.is_empty() => {
                let samples = age_samples(value).ok_or_else(|| fields.cut_off())?;
                edit.ages =
                    Ages::from_samples(samples).ok_or_else(|| damaged("keyspace: the ages do not ascend"))?;
            }
            keyspace_tag::AGES => return Err(fields.twice()),
            _ => fields.unknown()?,
        }
    }
    edit.id = fields.required(id, "id")?;
    Ok(edit)
}

/// One at least.
fn age_samples(value: &[u8]) -> Option<Vec<AgeSample>> {
    let mut reader = Reader::new(value);
    let mut samples = Vec::new();
    while samples.is_empty() || !reader.is_empty() {
        samples.push(AgeSample { seqno: reader.varint()?, millis: reader.varint()? });
    }
    Some(samples)
}

fn level(reader: &mut Reader<'_>) -> Option<usize> {
    usize::try_from(reader.varint()?).ok()
}

pub(super) fn encode_record(record: &KeyspaceRecord, out: &mut Vec<u8>) {
    put_bytes(out, record_tag::NAME, record.name.as_bytes());
    put_flag(out, record_tag::NO_LOG, !record.log);
    let hooks = [
        (record_tag::FILTER, &record.filter),
        (record_tag::FOLD, &record.fold),
        (record_tag::COLLECTOR, &record.collector),
    ];
    for (tag, name) in hooks {
        if let Some(name) = name {
            put_bytes(out, tag, name.as_bytes());
        }
    }
    if !record.kind.is_empty() {
        put_bytes(out, record_tag::KIND, record.kind.as_bytes());
    }
}

pub(super) fn decode_record(bytes: &[u8]) -> Result<KeyspaceRecord, DecodeError> {
    let mut record = KeyspaceRecord::default();
    let (mut name, mut kind, mut no_log) = (None, None, false);
    let mut fields = Fields::new("keyspace record", bytes);
    while let Some((tag, value)) = fields.next()? {
        match tag {
            record_tag::NAME => fields.once(&mut name, text(value)?)?,
            record_tag::NO_LOG => fields.flag(&mut no_log, value)?,
            record_tag::FILTER => fields.once(&mut record.filter, text(value)?)?,
            record_tag::FOLD => fields.once(&mut record.fold, text(value)?)?,
            record_tag::COLLECTOR => fields.once(&mut record.collector, text(value)?)?,
            record_tag::KIND => fields.once(&mut kind, text(value)?)?,
            _ => fields.unknown()?,
        }
    }
    record.name = fields.required(name, "name")?;
    record.kind = kind.unwrap_or_default();
    record.log = !no_log;
    Ok(record)
}

fn encode_file(meta: &FileMeta, out: &mut Vec<u8>) {
    put_number(out, file_tag::NUMBER, meta.number);
    put_number(out, file_tag::FORMAT, u64::from(meta.format.0));
    put_number(out, file_tag::SIZE, meta.size);
    put_bytes(out, file_tag::SMALLEST, &meta.smallest);
    put_bytes(out, file_tag::LARGEST, &meta.largest);
    put_flag(out, file_tag::LARGEST_EXCLUSIVE, meta.largest_exclusive);
    put_flag(out, file_tag::CLIPPED, meta.clipped);
    put_number(out, file_tag::MIN_SEQNO, meta.min_seqno);
    put_number(out, file_tag::MAX_SEQNO, meta.max_seqno);
    if let Some(seqno) = meta.seqno_override {
        put_number(out, file_tag::SEQNO_OVERRIDE, seqno);
    }
    put_number(out, file_tag::ENTRIES, meta.entries);
    for (tag, count) in
        [(file_tag::DELETES, meta.deletes), (file_tag::RANGE_TOMBSTONES, meta.range_tombstones)]
    {
        if count > 0 {
            put_number(out, tag, count);
        }
    }
    put_number(out, file_tag::CREATED, meta.created_millis);
    put_flag(out, file_tag::FOREIGN, !meta.own);
    let mut value = Vec::new();
    for tombstone in &meta.kept_tombstones {
        value.clear();
        varint::put_bytes(&mut value, &tombstone.start);
        varint::put_bytes(&mut value, &tombstone.end);
        varint::put(&mut value, tombstone.seqno);
        put_bytes(out, file_tag::KEPT_TOMBSTONE, &value);
    }
    for (name, bytes) in &meta.kept_collected {
        value.clear();
        varint::put_bytes(&mut value, name.as_bytes());
        value.extend_from_slice(bytes);
        put_bytes(out, file_tag::KEPT_COLLECTED, &value);
    }
}

/// The fields of a file as they are read: what must be there is still optional.
#[derive(Default)]
struct FileFields {
    number: Option<u64>,
    format: Option<u32>,
    size: Option<u64>,
    smallest: Option<Vec<u8>>,
    largest: Option<Vec<u8>>,
    largest_exclusive: bool,
    clipped: bool,
    min_seqno: Option<u64>,
    max_seqno: Option<u64>,
    seqno_override: Option<u64>,
    entries: Option<u64>,
    deletes: Option<u64>,
    range_tombstones: Option<u64>,
    created: Option<u64>,
    foreign: bool,
    kept_tombstones: Vec<RangeTombstone>,
    kept_collected: Vec<(String, Vec<u8>)>,
}

fn decode_file(bytes: &[u8], reclaim: &Arc<Reclaim>) -> Result<FileMeta, DecodeError> {
    let mut f = FileFields::default();
    let mut fields = Fields::new("file", bytes);
    while let Some((tag, value)) = fields.next()? {
        match tag {
            file_tag::NUMBER => fields.once(&mut f.number, number(value)?)?,
            file_tag::FORMAT => fields.once(&mut f.format, number_u32(value)?)?,
            file_tag::SIZE => fields.once(&mut f.size, number(value)?)?,
            file_tag::SMALLEST => fields.once(&mut f.smallest, value.to_vec())?,
            file_tag::LARGEST => fields.once(&mut f.largest, value.to_vec())?,
            file_tag::LARGEST_EXCLUSIVE => fields.flag(&mut f.largest_exclusive, value)?,
            file_tag::CLIPPED => fields.flag(&mut f.clipped, value)?,
            file_tag::MIN_SEQNO => fields.once(&mut f.min_seqno, number(value)?)?,
            file_tag::MAX_SEQNO => fields.once(&mut f.max_seqno, number(value)?)?,
            file_tag::SEQNO_OVERRIDE => fields.once(&mut f.seqno_override, number(value)?)?,
            file_tag::ENTRIES => fields.once(&mut f.entries, number(value)?)?,
            file_tag::DELETES => fields.once(&mut f.deletes, number(value)?)?,
            file_tag::RANGE_TOMBSTONES => fields.once(&mut f.range_tombstones, number(value)?)?,
            file_tag::CREATED => fields.once(&mut f.created, number(value)?)?,
            file_tag::FOREIGN => fields.flag(&mut f.foreign, value)?,
            file_tag::KEPT_TOMBSTONE => {
                f.kept_tombstones.push(tombstone(value).ok_or_else(|| fields.cut_off())?);
            }
            file_tag::KEPT_COLLECTED => {
                let mut reader = Reader::new(value);
                let name = text(reader.bytes().ok_or_else(|| fields.cut_off())?)?;
                f.kept_collected.push((name, reader.rest().to_vec()));
            }
            _ => fields.unknown()?,
        }
    }
    let number = fields.required(f.number, "number")?;
    Ok(FileMeta {
        number,
        format: FormatId(fields.required(f.format, "format")?),
        size: fields.required(f.size, "size")?,
        smallest: fields.required(f.smallest, "smallest")?,
        largest: fields.required(f.largest, "largest")?,
        largest_exclusive: f.largest_exclusive,
        clipped: f.clipped,
        min_seqno: fields.required(f.min_seqno, "min seqno")?,
        max_seqno: fields.required(f.max_seqno, "max seqno")?,
        seqno_override: f.seqno_override,
        entries: fields.required(f.entries, "entries")?,
        deletes: f.deletes.unwrap_or(0),
        range_tombstones: f.range_tombstones.unwrap_or(0),
        created_millis: fields.required(f.created, "created")?,
        own: !f.foreign,
        kept_tombstones: f.kept_tombstones,
        kept_collected: f.kept_collected,
        guard: FileGuard::new(number, Arc::clone(reclaim)),
    })
}

fn tombstone(value: &[u8]) -> Option<RangeTombstone> {
    let mut reader = Reader::new(value);
    let (start, end) = (reader.bytes()?.to_vec(), reader.bytes()?.to_vec());
    let seqno = reader.varint().filter(|_| reader.is_empty())?;
    Some(RangeTombstone { start, end, seqno })
}

fn number(value: &[u8]) -> Result<u64, DecodeError> {
    let mut reader = Reader::new(value);
    reader.varint().filter(|_| reader.is_empty()).ok_or_else(|| damaged("a number does not fill its field"))
}

fn number_u32(value: &[u8]) -> Result<u32, DecodeError> {
    u32::try_from(number(value)?).map_err(|_| damaged("a number is too large"))
}

fn text(value: &[u8]) -> Result<String, DecodeError> {
    String::from_utf8(value.to_vec()).map_err(|_| damaged("a name is not UTF-8"))
}

/// Walks over the fields of one thing.
struct Fields<'a> {
    of: &'static str,
    reader: Reader<'a>,
    tag: u64,
}

impl<'a> Fields<'a> {
    fn new(of: &'static str, bytes: &'a [u8]) -> Fields<'a> {
        Fields { of, reader: Reader::new(bytes), tag: 0 }
    }

    fn next(&mut self) -> Result<Option<(u64, &'a [u8])>, DecodeError> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        self.tag = self.reader.varint().ok_or_else(|| damaged(format!("{}: a tag is cut off", self.of)))?;
        let value = self.reader.bytes().ok_or_else(|| self.cut_off())?;
        Ok(Some((self.tag, value)))
    }

    fn once<T>(&self, slot: &mut Option<T>, value: T) -> Result<(), DecodeError> {
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err(self.twice()),
        }
    }

    fn flag(&self, slot: &mut bool, value: &[u8]) -> Result<(), DecodeError> {
        if !value.is_empty() {
            return Err(damaged(format!("{}: field {} must be empty", self.of, self.tag)));
        }
        match std::mem::replace(slot, true) {
            false => Ok(()),
            true => Err(self.twice()),
        }
    }

    fn twice(&self) -> DecodeError {
        damaged(format!("{}: field {} is there twice", self.of, self.tag))
    }

    fn cut_off(&self) -> DecodeError {
        damaged(format!("{}: field {} is cut off or too long", self.of, self.tag))
    }

    fn unknown(&self) -> Result<(), DecodeError> {
        if self.tag & IGNORABLE != 0 {
            return Ok(());
        }
        Err(DecodeError::Unsupported(format!(
            "{}: field {} is unknown to this version; open the store with a newer Esker",
            self.of, self.tag
        )))
    }

    fn required<T>(&self, value: Option<T>, name: &str) -> Result<T, DecodeError> {
        value.ok_or_else(|| damaged(format!("{}: the {name} is missing", self.of)))
    }
}

#[cfg(test)]
mod tests;
