//! Where tables go in the repaired store: each in its old place, or all of a keyspace in an order found anew.

use super::candidate::{self, Candidate};
use super::entries::{Bounds, Merge, Stream, TableEntries};
use super::report::DamagedTable;
use super::writer::TABLE_BYTES;
use super::{Error, HIGHEST_ID, Repair, Result};
use crate::fs::filename::FileName;
use crate::manifest::{
    AddedFile, FileMeta, KeyspaceEdit, KeyspaceId, KeyspaceRecord, MAX_LEVELS, StoreState, VersionEdit,
};
use esker_table::key::MAX_SEQNO;
use esker_table::{Fragments, RangeTombstone, SeqNo};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// The keyspace that every store has.
const DEFAULT: (KeyspaceId, &str) = (0, "default");

/// Tables that are written anew.
#[derive(Default)]
struct Rewrite {
    streams: Vec<Stream>,
    tombstones: Vec<RangeTombstone>,
    damaged: Vec<DamagedTable>,
}

impl Rewrite {
    /// Adds a table, or what is intact of it.
    fn add(&mut self, candidate: &Candidate, path: PathBuf) -> Result<()> {
        let mut what: Vec<String> = candidate.damage.clone().into_iter().collect();
        let known = candidate.known.as_ref();
        let bounds = known.filter(|meta| meta.clipped).map(|meta| bounds_of(meta));
        self.tombstones.extend(known.iter().flat_map(|meta| meta.kept_tombstones.iter().cloned()));
        match candidate.reader.as_ref().map(|reader| reader.range_tombstones()) {
            Some(Ok(fragments)) => {
                let inside = match &bounds {
                    Some(bounds) => fragments.clip(Some(&bounds.smallest), Some(&end_of(bounds))),
                    None => (*fragments).clone(),
                };
                self.tombstones.extend(inside.iter().map(|t| match candidate.seqno_override {
                    Some(seqno) => RangeTombstone { seqno, ..t },
                    None => t,
                }));
            }
            Some(Err(error)) => what.push(format!("its range deletes are lost ({error})")),
            None if known.is_some_and(|meta| meta.range_tombstones > 0) => {
                what.push("its range deletes are lost".to_owned());
            }
            None => {}
        }
        if candidate.is_intact() && what.is_empty() {
            if let Some(reader) = &candidate.reader {
                let entries = TableEntries::new(reader, candidate.seqno_override, bounds);
                self.streams.push(Stream::Table(Box::new(entries)));
            }
            return Ok(());
        }
        let found = candidate.remains(bounds.as_ref(), &mut what)?;
        what.dedup();
        let (kept, entries) = (found.len() as u64, candidate.entries());
        self.damaged.push(DamagedTable { path, what, kept, entries });
        self.streams.push(Stream::Sorted(found.into_iter()));
        Ok(())
    }
}

fn bounds_of(meta: &FileMeta) -> Bounds {
    let (smallest, largest) = (meta.smallest.clone(), meta.largest.clone());
    Bounds { smallest, largest, exclusive: meta.largest_exclusive }
}

/// The first key after the bounds.
fn end_of(bounds: &Bounds) -> Vec<u8> {
    let mut end = bounds.largest.clone();
    if !bounds.exclusive {
        end.push(0);
    }
    end
}

fn overlap(a: &FileMeta, b: &FileMeta) -> bool {
    !a.ends_before(&b.smallest) && !b.ends_before(&a.smallest)
}

impl Repair<'_> {
    /// The state with every damaged or missing table replaced, in its place, by what is left of it.
    pub(super) fn in_place(&mut self, state: &StoreState) -> Result<VersionEdit> {
        let mut edit = state.snapshot();
        for keyspace in &mut edit.keyspaces {
            let record = keyspace.record.clone().unwrap_or_default();
            for file in std::mem::take(&mut keyspace.added) {
                if self.candidates.get(&file.meta.number).is_some_and(Candidate::is_intact) {
                    self.report.tables_kept += 1;
                    keyspace.added.push(file);
                } else {
                    keyspace.added.extend(self.replace(keyspace.id, &record, &file)?);
                }
            }
        }
        Ok(edit)
    }

    /// What takes a damaged table's place.
    fn replace(
        &mut self,
        id: KeyspaceId,
        record: &KeyspaceRecord,
        file: &AddedFile,
    ) -> Result<Vec<AddedFile>> {
        let meta = &file.meta;
        let path = FileName::Table(meta.number).path(self.output.dir);
        let mut rewrite = Rewrite::default();
        match self.candidates.get(&meta.number) {
            Some(candidate) => {
                rewrite.add(candidate, path)?;
                self.replaced.insert(candidate.name);
            }
            None => {
                rewrite.tombstones.extend(meta.kept_tombstones.iter().cloned());
                let (what, entries) = (vec!["it is missing".to_owned()], Some(meta.entries));
                rewrite.damaged.push(DamagedTable { path, what, kept: 0, entries });
            }
        }
        let bounds = bounds_of(meta);
        // What a table has lost may still be in the log.
        let seqnos = (meta.min_seqno, meta.max_seqno);
        let (entries, tombstones) =
            self.log.entries(self.output.env, self.output.dir, id, seqnos, Some(&bounds))?;
        let clipped = newest(&tombstones).clip(Some(&bounds.smallest), Some(&end_of(&bounds)));
        rewrite.tombstones.extend(clipped.iter());
        rewrite.streams.push(Stream::Sorted(entries.into_iter()));
        let (written, kept) = self.write(id, record, rewrite, u64::MAX)?;
        if let Some(damaged) = self.report.damaged_tables.last_mut() {
            damaged.kept = kept;
        }
        self.report.tables_rewritten += 1;
        let place = |meta| AddedFile { level: file.level, run: file.run, meta: Arc::new(meta) };
        Ok(written.into_iter().map(place).collect())
    }

    /// Writes streams, merged, and reports the damage that they met. Returns the tables and how many entries they hold.
    fn write(
        &mut self,
        id: KeyspaceId,
        record: &KeyspaceRecord,
        rewrite: Rewrite,
        table_bytes: u64,
    ) -> Result<(Vec<FileMeta>, u64)> {
        let tombstones = newest(&rewrite.tombstones);
        let mut merge = Merge::new(rewrite.streams);
        let mut kept = 0;
        let mut next = || {
            let entry = merge.next();
            kept += u64::from(entry.is_some());
            entry
        };
        let tables = self.output.write_tables((id, record), &mut next, &tombstones, table_bytes)?;
        for stream in &merge.streams {
            if let Stream::Table(entries) = stream
                && let Some(what) = entries.problems.first()
            {
                // It was intact when it was looked at.
                let what = format!("a table changed or its device failed while it was read: {what}");
                return Err(Error::corruption(self.output.dir, 0, what));
            }
        }
        self.report.damaged_tables.extend(rewrite.damaged);
        Ok((tables, kept))
    }

    /// A state made of the tables alone.
    pub(super) fn rebuild(&mut self) -> Result<VersionEdit> {
        self.guess_ingested();
        let records = self.records();
        let losses = self.report_unusable();
        let mut edit = VersionEdit {
            last_seqno: Some(self.known.last_seqno),
            next_keyspace: Some(records.keys().max().map_or(1, |id| id + 1).max(self.known.next_keyspace)),
            ..VersionEdit::default()
        };
        let mut by_keyspace: BTreeMap<KeyspaceId, Vec<u64>> = BTreeMap::new();
        for candidate in self.candidates.values().filter(|c| c.is_usable()) {
            if let Some(id) = self.keyspace_of(candidate, &records) {
                by_keyspace.entry(id).or_default().push(candidate.number);
            }
        }
        for (&id, record) in &records {
            let numbers = by_keyspace.remove(&id).unwrap_or_default();
            edit.keyspaces.push(self.place(id, record, &numbers, losses)?);
        }
        let kept: BTreeSet<u64> =
            edit.keyspaces.iter().flat_map(|k| &k.added).map(|added| added.meta.number).collect();
        self.replaced.extend(self.names.iter().filter(|name| match **name {
            FileName::Table(number) => !kept.contains(&number),
            FileName::TableTmp(number) => {
                !kept.contains(&number) || self.names.contains(&FileName::Table(number))
            }
            _ => false,
        }));
        Ok(edit)
    }

    /// Ingested tables are written without sequence numbers, which only the MANIFEST knows. They got their file numbers when they
    /// were added, after everything older of their keyspace had been written to tables, and say which sequence number they are
    /// newer than. So they count as the first number that can be theirs: what came later has higher ones. The tables of one ingest
    /// do not overlap, and count as the same.
    fn guess_ingested(&mut self) {
        let (mut newest, mut counts_as) = (0, 0);
        let mut together: Vec<u64> = Vec::new();
        let numbers: Vec<u64> = self.candidates.keys().copied().collect();
        for number in numbers {
            let candidate = &self.candidates[&number];
            if let Some(after) = candidate.ingested_after() {
                let overlaps = |other: &u64| self.candidates[other].overlaps(candidate);
                if together.is_empty()
                    || counts_as != newest
                    || after >= newest
                    || together.iter().any(overlaps)
                {
                    together.clear();
                    counts_as = newest.max(after).min(MAX_SEQNO - 1) + 1;
                }
                together.push(number);
                self.report.notes.push(format!(
                    "{} was ingested; it counts as written after all tables with lower numbers",
                    candidate.name
                ));
                if let Some(candidate) = self.candidates.get_mut(&number) {
                    candidate.seqno_override = Some(counts_as);
                }
            }
            newest = newest.max(self.candidates[&number].seqnos().1);
        }
    }

    /// The keyspaces: what the MANIFEST still says, what tables say of themselves, what the log names.
    fn records(&mut self) -> BTreeMap<KeyspaceId, KeyspaceRecord> {
        let mut records = self.known.keyspaces.clone();
        let mut stamps: Vec<_> =
            self.candidates.values().filter_map(|c| Some((c.seqnos().1, c.stamp()?))).collect();
        stamps.sort_by_key(|(seqno, _)| *seqno);
        for (_, stamp) in stamps {
            if !self.known.keyspaces.contains_key(&stamp.id) && !self.known.dropped.contains(&stamp.id) {
                records.insert(stamp.id, stamp.record);
            }
        }
        let log = KeyspaceRecord { log: true, ..KeyspaceRecord::default() };
        records
            .entry(DEFAULT.0)
            .or_insert_with(|| KeyspaceRecord { name: DEFAULT.1.to_owned(), ..log.clone() });
        let in_log = self.log.keyspaces.iter().filter(|&&id| id <= HIGHEST_ID);
        for &id in in_log.filter(|id| !self.known.dropped.contains(id)) {
            records.entry(id).or_insert_with(|| {
                let name = format!("recovered-{id}");
                self.report.notes.push(format!("the name of keyspace {id} is lost; it is `{name}` now"));
                KeyspaceRecord { name, ..log.clone() }
            });
        }
        let homeless = self
            .candidates
            .values()
            .any(|c| c.reader.is_some() && c.stamp().is_none() && !self.known.tables.contains_key(&c.number));
        if homeless {
            let id = records.keys().max().map_or(1, |id| id + 1).max(self.known.next_keyspace);
            self.report.notes.push("tables that do not say their keyspace are in `recovered` now".to_owned());
            records.insert(id, KeyspaceRecord { name: "recovered".to_owned(), ..log });
        }
        // Of two keyspaces with one name the older was dropped, and its name given out again.
        let mut names = BTreeSet::new();
        for (id, record) in records.iter_mut().rev() {
            if !names.insert(record.name.clone()) {
                let name = format!("{}-{id}", record.name);
                self.report
                    .notes
                    .push(format!("there are two keyspaces `{}`; the older is `{name}` now", record.name));
                record.name.clone_from(&name);
                names.insert(name);
            }
        }
        records
    }

    fn keyspace_of(
        &self,
        candidate: &Candidate,
        records: &BTreeMap<KeyspaceId, KeyspaceRecord>,
    ) -> Option<KeyspaceId> {
        let known = self.known.tables.get(&candidate.number).map(|(id, _)| *id);
        let stamped = || candidate.stamp().map(|stamp| stamp.id);
        // The last keyspace is the one for tables that do not say.
        let homeless = || records.keys().next_back().copied();
        let id = known.or_else(stamped).or_else(homeless)?;
        records.contains_key(&id).then_some(id)
    }

    /// Reports tables that are missing or cannot be opened. Returns whether there are any.
    fn report_unusable(&mut self) -> bool {
        let mut lost = Vec::new();
        for (number, (_, meta)) in &self.known.tables {
            if !self.candidates.contains_key(number) {
                lost.push((*number, "it is missing".to_owned(), Some(meta.entries)));
            }
        }
        for candidate in self.candidates.values().filter(|c| !c.is_usable()) {
            // A table that was never finished was never part of the store.
            let unfinished = matches!(candidate.name, FileName::TableTmp(_)) && candidate.known.is_none();
            if !unfinished {
                let what = candidate.damage.clone().unwrap_or_default();
                lost.push((candidate.number, what, candidate.entries()));
            }
        }
        let any = !lost.is_empty();
        for (number, what, entries) in lost {
            let path = FileName::Table(number).path(self.output.dir);
            self.report.damaged_tables.push(DamagedTable { path, what: vec![what], kept: 0, entries });
        }
        any
    }

    fn any_holds(&self, numbers: &[u64], holds: impl Fn(&Candidate) -> Result<bool>) -> Result<bool> {
        for candidate in numbers.iter().filter_map(|number| self.candidates.get(number)) {
            if holds(candidate)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Puts the tables of a keyspace in an order.
    fn place(
        &mut self,
        id: KeyspaceId,
        record: &KeyspaceRecord,
        numbers: &[u64],
        losses: bool,
    ) -> Result<KeyspaceEdit> {
        let now = self.output.env.now_millis();
        let mut metas = Vec::new();
        let mut flushed: SeqNo = 0;
        let mut damaged = false;
        for number in numbers {
            let Some(candidate) = self.candidates.get(number) else { continue };
            damaged |= !candidate.is_intact();
            if candidate.seqno_override.is_none() {
                flushed = flushed.max(candidate.seqnos().1);
            }
            let known = candidate.known.clone();
            let described = || candidate::describe(candidate, now, self.output.guard(*number)).map(Arc::new);
            metas.extend(known.or_else(described));
        }
        let mut edit = KeyspaceEdit {
            id,
            record: Some(record.clone()),
            flushed_seqno: Some(flushed),
            ..KeyspaceEdit::default()
        };
        let mut rescued = (Vec::new(), Vec::new());
        let log = |seqnos| self.log.entries(self.output.env, self.output.dir, id, seqnos, None);
        if losses || damaged {
            rescued = log((0, flushed))?;
        } else {
            // Tables that nobody knows of may be missing: what the log has and no table holds is theirs.
            let (entries, tombstones) = log((0, flushed))?;
            for entry in entries {
                if !self.any_holds(numbers, |table| table.holds(&entry.key, entry.trailer.seqno()))? {
                    rescued.0.push(entry);
                }
            }
            for tombstone in tombstones {
                if !self.any_holds(numbers, |table| table.holds_range(&tombstone))? {
                    rescued.1.push(tombstone);
                }
            }
        }
        let nothing_rescued = rescued.0.is_empty() && rescued.1.is_empty();
        metas.retain(|meta| meta.entries > 0 || meta.range_tombstones > 0);
        if !damaged
            && nothing_rescued
            && let Some(layers) = layers(&mut metas)
        {
            self.report.tables_kept += metas.len();
            let place = |(meta, layer)| AddedFile { level: 0, run: layer, meta };
            edit.added = metas.into_iter().zip(layers).map(place).collect();
            return Ok(edit);
        }
        let mut rewrite = Rewrite::default();
        for candidate in numbers.iter().filter_map(|number| self.candidates.get(number)) {
            rewrite.add(candidate, FileName::Table(candidate.number).path(self.output.dir))?;
        }
        rewrite.streams.push(Stream::Sorted(rescued.0.into_iter()));
        rewrite.tombstones.extend(rescued.1);
        self.report.tables_rewritten += numbers.len();
        let (written, _) = self.write(id, record, rewrite, TABLE_BYTES)?;
        let place = |meta| AddedFile { level: MAX_LEVELS - 1, run: 0, meta: Arc::new(meta) };
        edit.added = written.into_iter().map(place).collect();
        Ok(edit)
    }
}

/// Sorts tables by age and gives each the run that it belongs to: of two that overlap, the newer one has the higher.
/// `None` if the entries of two that overlap interleave in age.
fn layers(metas: &mut [Arc<FileMeta>]) -> Option<Vec<u64>> {
    metas.sort_by_key(|meta| (meta.max_seqno, meta.number));
    let mut layers: Vec<u64> = Vec::with_capacity(metas.len());
    for (i, newer) in metas.iter().enumerate() {
        let mut layer = 0;
        for (older, below) in metas[..i].iter().zip(&layers).filter(|(older, _)| overlap(older, newer)) {
            if newer.min_seqno <= older.max_seqno {
                return None;
            }
            layer = layer.max(*below);
        }
        layers.push(layer + 1);
    }
    Some(layers)
}

/// The tombstones, where they overlap the newest: no snapshot of a time before has lived to need others.
fn newest(tombstones: &[RangeTombstone]) -> Fragments {
    Fragments::seen_by(
        tombstones.iter().map(|t| (t.start.as_slice(), t.end.as_slice(), t.seqno)),
        &[MAX_SEQNO],
    )
}
