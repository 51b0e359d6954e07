//! Looks at the whole store.

use super::{Check, DIR, NAMES, Open, World, ok, short};
use crate::collected::{self, Noted};
use crate::hooks::Carried;
use crate::model::Map;
use crate::op::{Reopen, Span};
use esker::Keyspace;
use esker_table::codec::checksum::crc32c;
use std::collections::BTreeMap;
use std::ops::Bound;

impl World {
    /// The end of a case: everything is looked at, the store is closed, opened, and looked at again.
    pub(super) fn finish(&mut self) -> Check {
        self.check_all()?;
        if self.tally.ops.is_multiple_of(2) {
            self.settle()?;
        }
        self.note_stats()?;
        self.reopen(Reopen::Close, self.store, None)?;
        self.check_all()?;
        self.settle()?;
        self.check_all()?;
        // There are no snapshots that could hinder it.
        let all = Span { start: Bound::Unbounded, end: Bound::Unbounded };
        for number in 0..self.open.len() {
            self.compact(number, &all)?;
        }
        self.settle()?;
        self.check_all()?;
        self.check_files()?;
        self.verify()?;
        self.note_stats()?;
        self.grow_old()?;
        ok("close", self.db()?.clone().close())
    }

    /// What has a time to live goes without being touched.
    fn grow_old(&mut self) -> Check {
        let ttls = self.open.iter().flatten().filter_map(|open| open.choice.liberties().ttl);
        let Some(longest) = ttls.max() else { return Ok(()) };
        // Ages are known to a part of the time to live, so that it takes some looks.
        for _ in 0..8 {
            self.advance(longest / 2);
            self.settle()?;
        }
        for (number, open) in self.open.iter().enumerate() {
            let (Some(Open { handle: Some(handle), choice, .. }), Some(tree)) =
                (open, &self.state.trees[number])
            else {
                continue;
            };
            content(handle, &tree.map).map_err(|what| format!("keyspace {number} grown old: {what}"))?;
            if choice.liberties().ttl.is_some() && !tree.map.is_empty() {
                return Err(format!("keyspace {number} keeps {} entries that are too old", tree.map.len()));
            }
        }
        Ok(())
    }

    /// Holds every keyspace and every snapshot against the model.
    fn check_all(&mut self) -> Check {
        for number in 0..self.open.len() {
            let (Some(handle), Some(tree)) = (self.handle(number), &self.state.trees[number]) else {
                continue;
            };
            content(handle, &tree.map).map_err(|what| format!("keyspace {number}: {what}"))?;
            for (snapshot, state) in &self.snapshots {
                let map = state.map_of(number, tree.id);
                let range = snapshot.range_in(handle, ..);
                scan(range, &map).map_err(|what| format!("keyspace {number} at a snapshot: {what}"))?;
            }
            self.view(number)?;
        }
        for which in 0..self.ranges.len() {
            self.draw_held(which, 0, usize::MAX)?;
        }
        Ok(())
    }

    pub(super) fn check_names(&self) -> Check {
        let names = self.db()?.keyspaces();
        let mut expected: Vec<&str> =
            (0..NAMES.len()).filter(|&i| self.open[i].is_some()).map(|i| NAMES[i]).collect();
        expected.sort_unstable();
        if names != expected {
            return Err(format!("the keyspaces are {names:?}, not {expected:?}"));
        }
        Ok(())
    }

    /// The directory holds the live tables and nothing that is left over. Only true while nothing reads an older version.
    pub(super) fn check_files(&self) -> Check {
        if !self.cursors.is_empty() || !self.ranges.is_empty() {
            return Ok(());
        }
        let stats = self.db()?.stats();
        let live: u64 = stats.keyspaces.iter().flat_map(|k| &k.levels).map(|level| level.tables).sum();
        let prefix = format!("/{DIR}/");
        let files: Vec<String> =
            self.env.files().into_iter().map(|(path, _)| path).filter(|p| p.starts_with(&prefix)).collect();
        let tables = files.iter().filter(|name| name.ends_with(".sst")).count() as u64;
        let left: Vec<&String> = files.iter().filter(|name| name.ends_with(".tmp")).collect();
        let manifests = files.iter().filter(|name| name.contains("MANIFEST")).count();
        if tables != live || !left.is_empty() || manifests != 1 {
            return Err(format!("{live} tables are live, but the directory holds {files:?}"));
        }
        Ok(())
    }

    /// After a full compaction that no snapshot hindered, there is one entry for each key and nothing else.
    pub(super) fn check_compacted(&self, keyspace: usize, span: &Span) -> Check {
        let (Some(open), Some(tree)) = (&self.open[keyspace], &self.state.trees[keyspace]) else {
            return Ok(());
        };
        let full = span.start == Bound::Unbounded && span.end == Bound::Unbounded;
        if !full || !open.choice.merges() || self.db()?.stats().snapshots > 0 {
            return Ok(());
        }
        let stats = self.db()?.stats();
        let Some(stats) = stats.keyspaces.iter().find(|k| k.name == NAMES[keyspace]) else {
            return Err("a keyspace has no statistics".to_owned());
        };
        let deletes: u64 = stats.levels.iter().map(|l| l.deletes + l.range_deletes).sum();
        if stats.entries != tree.map.len() as u64 || deletes != 0 {
            let live = tree.map.len();
            return Err(format!(
                "a full compaction of {live} keys leaves {} entries, {deletes} deletes",
                stats.entries
            ));
        }
        let liberties = open.choice.liberties();
        let left = tree.map.iter().find(|(key, held)| !held.is_settled(key, liberties));
        match left.filter(|_| !open.dropped) {
            None => Ok(()),
            Some((key, held)) => Err(format!(
                "a full compaction leaves ({}, {held:?}) as it is under {liberties:?}",
                short(key)
            )),
        }
    }

    /// Keyspaces that are to keep below a size do, once background work has come to rest.
    pub(super) fn check_sizes(&self) -> Check {
        let stats = self.db()?.stats();
        for (number, open) in self.open.iter().enumerate() {
            let Some(most) = open.as_ref().and_then(|open| open.choice.most_bytes()) else { continue };
            let Some(stats) = stats.keyspaces.iter().find(|k| k.name == NAMES[number]) else { continue };
            let bytes: u64 = stats.levels.iter().map(|level| level.bytes).sum();
            if bytes > most {
                return Err(format!("keyspace {number} has {bytes} bytes of tables, and may have {most}"));
            }
        }
        Ok(())
    }

    pub(super) fn size(&self, keyspace: usize, span: &Span) -> Check {
        let Some(handle) = self.handle(keyspace) else { return Ok(()) };
        let part = ok("approximate_size", handle.approximate_size(span.bounds()))?;
        let whole = ok("approximate_size", handle.approximate_size(..))?;
        if part > whole {
            return Err(format!("{span:?} takes {part} bytes, and everything {whole}"));
        }
        Ok(())
    }

    /// Every entry is in exactly one table or unflushed, and the newest entry of each live key is the model's.
    pub(super) fn view(&self, keyspace: usize) -> Check {
        let (Some(open), Some(tree)) = (&self.open[keyspace], &self.state.trees[keyspace]) else {
            return Ok(());
        };
        let Some(handle) = &open.handle else { return Ok(()) };
        let view = ok("view", handle.view())?;
        let mut noted: Vec<Noted> = Vec::new();
        for table in view.tables() {
            match (&table.collected, open.choice.collector) {
                (Some(bytes), true) => {
                    let entries = collected::decode(bytes).ok_or("a collector's bytes are damaged")?;
                    let seqno = |entry: &Noted| table.seqno.unwrap_or(entry.seqno);
                    noted.extend(entries.into_iter().map(|entry| Noted { seqno: seqno(&entry), ..entry }));
                }
                (None, false) => {}
                (got, wanted) => {
                    let got = got.is_some();
                    return Err(format!("table {}: collected {got}, collector {wanted}", table.number));
                }
            }
        }
        if !open.choice.collector {
            return Ok(());
        }
        noted.extend(view.unflushed().map(|entry| {
            let carried = entry.value.as_deref().map(Carried::decode);
            Noted {
                key: entry.key.to_vec(),
                seqno: entry.seqno,
                value: carried.as_ref().map(|carried| carried.digests().collect()),
                deleted: carried.is_some_and(|carried| carried.deleted),
            }
        }));
        noted.sort();
        for pair in noted.windows(2) {
            if pair[0].key == pair[1].key && pair[0].seqno == pair[1].seqno {
                return Err(format!(
                    "an entry is in a view twice: {} @ {}",
                    short(&pair[0].key),
                    pair[0].seqno
                ));
            }
        }
        if tree.fold { sums(&noted, &tree.map, open.dropped) } else { newest(&noted, &tree.map) }
    }

    pub(super) fn verify(&self) -> Check {
        let report = ok("verify", self.db()?.verify())?;
        if report.is_intact() { Ok(()) } else { Err(format!("verify: {report}")) }
    }

    pub(super) fn stats(&mut self) -> Check {
        let stats = self.db()?.stats();
        // Cursors and ranges keep the snapshots that they were made at.
        let (live, held) = (self.snapshots.len() as u64, (self.cursors.len() + self.ranges.len()) as u64);
        if !(live..=live + held).contains(&stats.snapshots) {
            return Err(format!("{live} snapshots are alive, but the statistics say {}", stats.snapshots));
        }
        if let Some(reason) = stats.read_only {
            return Err(format!("the store has become read-only: {reason}"));
        }
        Ok(())
    }

    pub(super) fn note_stats(&mut self) -> Check {
        self.stats()?;
        let stats = self.db()?.stats();
        self.tally.flushes += stats.flushes;
        self.tally.compactions += stats.compactions;
        let levels = stats.keyspaces.iter().flat_map(|k| &k.levels).filter(|level| level.tables > 0);
        self.tally.deepest = levels.map(|level| level.level).max().unwrap_or(0).max(self.tally.deepest);
        Ok(())
    }
}

/// The newest entry of each key is the model's. `noted` is sorted.
fn newest(noted: &[Noted], map: &Map) -> Check {
    let newest: BTreeMap<&[u8], &Noted> = noted.iter().map(|entry| (&entry.key[..], entry)).collect();
    for (key, held) in map {
        let found = newest.get(&key[..]).and_then(|entry| entry.value.as_ref());
        if found != Some(&Carried::decode(&held.bytes()).digests().collect()) {
            return Err(format!("a view's newest entry of {} is not {held:?}", short(key)));
        }
    }
    Ok(())
}

/// Every value that was put since its key's last delete is counted, once: as an entry, or carried by a newer one. Where
/// tables are dropped, the oldest may be missing. `noted` is sorted.
fn sums(noted: &[Noted], map: &Map, drops: bool) -> Check {
    let mut wanted = map.iter().peekable();
    for entries in noted.chunk_by(|a, b| a.key == b.key) {
        let mut counted: Vec<u32> = Vec::new();
        for entry in entries.iter().rev() {
            let Some(digests) = &entry.value else { break };
            counted.extend(digests);
            if entry.deleted {
                break;
            }
        }
        let key = &entries[0].key;
        if counted.is_empty() {
            continue;
        }
        let Some((_, held)) = wanted.next_if(|(k, _)| ***k == **key) else {
            return Err(format!(
                "a view counts {counted:?} of {}, where the model stands at {:?}",
                short(key),
                wanted.peek()
            ));
        };
        let put: Vec<u32> = std::iter::once(crc32c(&held.value.bytes())).chain(held.older()).collect();
        if counted != put && !(drops && put.starts_with(&counted)) {
            return Err(format!("a view counts {counted:?} of {}, not {put:?}", short(key)));
        }
    }
    match wanted.next() {
        None => Ok(()),
        Some((key, held)) => Err(format!("a view does not count ({}, {held:?})", short(key))),
    }
}

/// Holds everything that a keyspace answers against a map: from the front, from the back, key by key.
pub(super) fn content(handle: &Keyspace, map: &Map) -> Check {
    scan(handle.range(..), map)?;
    let mut back = handle.range(..).rev();
    for (key, value) in map.iter().rev() {
        match ok("scan backwards", back.next().transpose())? {
            Some((k, v)) if k[..] == key[..] && v[..] == value.bytes()[..] => {}
            other => {
                let got = other.map(|(k, v)| (short(&k), short(&v)));
                return Err(format!("backwards there is {got:?} where ({}, {value:?}) belongs", short(key)));
            }
        }
    }
    if let Some(more) = ok("scan backwards", back.next().transpose())? {
        return Err(format!("backwards there also is {}", short(&more.0)));
    }
    for (key, value) in map {
        match ok("get", handle.get(key))? {
            Some(got) if got[..] == value.bytes()[..] => {}
            other => return Err(format!("{} is {:?}, not {value:?}", short(key), other.map(|v| short(&v)))),
        }
    }
    Ok(())
}

fn scan(range: esker::Range, map: &Map) -> Check {
    let mut wanted = map.iter();
    for entry in range {
        let (key, value) = ok("scan", entry)?;
        match wanted.next() {
            Some((k, v)) if k[..] == key[..] && v.bytes()[..] == value[..] => {}
            other => {
                let other = other.map(|(k, v)| (short(k), v));
                return Err(format!("there is ({}, {}) where {other:?} belongs", short(&key), short(&value)));
            }
        }
    }
    match wanted.next() {
        Some((key, value)) => Err(format!("there is nothing where ({}, {value:?}) belongs", short(key))),
        None => Ok(()),
    }
}
