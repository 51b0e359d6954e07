//! [`StoreState`]: everything the MANIFEST says, as it stands after an edit.
//!
//! An edit is first [checked](StoreState::check), which computes what it changes and touches nothing, then written to the
//! MANIFEST, then [taken](StoreState::take). So no edit that breaks an invariant ever reaches the disk, and no state is
//! visible that a crash could take back.

use super::ages::Ages;
use super::edit::{AddedFile, KeyspaceEdit, KeyspaceId, KeyspaceRecord, VersionEdit};
use super::file_meta::FileMeta;
use super::version::Version;
use esker_table::SeqNo;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One keyspace in the state.
#[derive(Clone, Debug)]
pub(crate) struct KeyspaceState {
    pub(crate) record: KeyspaceRecord,
    pub(crate) version: Arc<Version>,
    /// Every entry up to this sequence number is in tables.
    pub(crate) flushed_seqno: SeqNo,
    /// How old its entries are.
    pub(crate) ages: Ages,
}

/// Everything the MANIFEST says. Cloning pins the versions, and so keeps their files.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreState {
    /// File numbers below this have been given out.
    pub(crate) next_file: u64,
    /// No entry of a table has a larger sequence number.
    pub(crate) last_seqno: SeqNo,
    /// Segments before this one are not needed; 0 if there never was one.
    pub(crate) oldest_wal: u64,
    /// The newest segment that is known to exist; 0 if there never was one.
    pub(crate) newest_wal: u64,
    /// The segment that the last clean close left as the newest, and its length. It was never written again.
    pub(crate) closed_wal: Option<(u64, u64)>,
    /// Keyspace ids below this have been given out.
    pub(crate) next_keyspace: KeyspaceId,
    /// Tables that no version names but that may still be on disk.
    pub(crate) obsolete: BTreeSet<u64>,
    pub(crate) keyspaces: BTreeMap<KeyspaceId, KeyspaceState>,
    /// The numbers of the tables that the versions name.
    live: BTreeSet<u64>,
}

/// What an edit would make of the keyspaces it touches; `None` for one that is dropped.
pub(crate) type Checked = Vec<(KeyspaceId, Option<KeyspaceState>)>;

impl StoreState {
    /// Every table of every keyspace.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<FileMeta>> {
        self.keyspaces.values().flat_map(|k| k.version.tables())
    }

    /// Whether a version names the table.
    pub(crate) fn is_live(&self, number: u64) -> bool {
        self.live.contains(&number)
    }

    /// Computes what an edit changes. Nothing is changed yet.
    ///
    /// # Errors
    /// The sentence that says which invariant the edit would break.
    pub(crate) fn check(&self, edit: &VersionEdit) -> Result<Checked, String> {
        let next_keyspace = edit.next_keyspace.unwrap_or(0).max(self.next_keyspace);
        let next_file = edit.next_file.unwrap_or(0).max(self.next_file);
        let mut seen = BTreeSet::new();
        let mut checked = Vec::with_capacity(edit.keyspaces.len());
        for keyspace in &edit.keyspaces {
            let id = keyspace.id;
            if !seen.insert(id) {
                return Err(format!("keyspace {id} is edited twice"));
            }
            if id >= next_keyspace {
                return Err(format!("keyspace {id} was never given out"));
            }
            checked.push((id, self.check_keyspace(keyspace)?));
        }
        self.check_names(&checked)?;
        self.check_numbers(edit, next_file)?;
        Ok(checked)
    }

    fn check_keyspace(&self, edit: &KeyspaceEdit) -> Result<Option<KeyspaceState>, String> {
        let id = edit.id;
        let existing = self.keyspaces.get(&id);
        if edit.dropped {
            let alone = edit.record.is_none()
                && edit.flushed_seqno.is_none()
                && edit.removed.is_empty()
                && edit.added.is_empty()
                && edit.ages.is_empty();
            return match existing {
                None => Err(format!("keyspace {id} is dropped, but it does not exist")),
                Some(_) if !alone => Err(format!("keyspace {id} is dropped and changed at once")),
                Some(_) => Ok(None),
            };
        }
        let record = match (&edit.record, existing) {
            (Some(record), _) if record.name.is_empty() => return Err(format!("keyspace {id} has no name")),
            (Some(record), _) => record.clone(),
            (None, Some(existing)) => existing.record.clone(),
            (None, None) => return Err(format!("keyspace {id} does not exist")),
        };
        let empty = Version::default();
        let before = existing.map_or(&empty, |k| &*k.version);
        let version = match existing {
            Some(k) if edit.removed.is_empty() && edit.added.is_empty() => Arc::clone(&k.version),
            _ => Arc::new(before.apply(edit).map_err(|what| format!("keyspace {id}: {what}"))?),
        };
        let flushed = existing.map_or(0, |k| k.flushed_seqno);
        let flushed_seqno = edit.flushed_seqno.unwrap_or(0).max(flushed);
        let ages = match existing {
            Some(existing) if edit.ages.is_empty() => existing.ages.clone(),
            _ => edit.ages.clone(),
        };
        Ok(Some(KeyspaceState { record, version, flushed_seqno, ages }))
    }

    /// No two keyspaces have the same name.
    fn check_names(&self, checked: &Checked) -> Result<(), String> {
        let touched: BTreeSet<KeyspaceId> = checked.iter().map(|(id, _)| *id).collect();
        let others = self.keyspaces.iter().filter(|(id, _)| !touched.contains(id)).map(|(_, k)| k);
        let mut names = BTreeSet::new();
        for keyspace in others.chain(checked.iter().filter_map(|(_, k)| k.as_ref())) {
            if !names.insert(keyspace.record.name.as_str()) {
                return Err(format!("there would be two keyspaces `{}`", keyspace.record.name));
            }
        }
        Ok(())
    }

    /// An added table has a number that was given out, and that no other table has or may still have on disk.
    fn check_numbers(&self, edit: &VersionEdit, next_file: u64) -> Result<(), String> {
        let removed: BTreeSet<u64> =
            edit.keyspaces.iter().flat_map(|k| &k.removed).map(|&(_, number)| number).collect();
        let mut added_here = BTreeSet::new();
        for added in edit.keyspaces.iter().flat_map(|k| &k.added) {
            let number = added.meta.number;
            if number >= next_file {
                return Err(format!("table {number} is added, but the number was never given out"));
            }
            let live = self.live.contains(&number) && !removed.contains(&number);
            let gone = self.obsolete.contains(&number) || edit.obsolete.contains(&number);
            if live || gone || !added_here.insert(number) {
                return Err(format!("table {number} is added, but the number is in use"));
            }
        }
        Ok(())
    }

    /// Makes the change that [`check`](StoreState::check) computed from this very state. Tables that no version names any
    /// more are marked, so that their files go when their last reader does.
    pub(crate) fn take(&mut self, edit: &VersionEdit, checked: Checked) {
        let highest = edit.keyspaces.iter().flat_map(|k| &k.added).map(|a| a.meta.max_seqno).max();
        self.next_file = self.next_file.max(edit.next_file.unwrap_or(0));
        self.last_seqno = self.last_seqno.max(edit.last_seqno.unwrap_or(0)).max(highest.unwrap_or(0));
        self.oldest_wal = self.oldest_wal.max(edit.oldest_wal.unwrap_or(0));
        self.newest_wal = self.newest_wal.max(edit.newest_wal.unwrap_or(0));
        self.closed_wal =
            edit.closed_wal.or(self.closed_wal).filter(|&(number, _)| number >= self.oldest_wal);
        self.next_keyspace = self.next_keyspace.max(edit.next_keyspace.unwrap_or(0));
        self.obsolete.extend(&edit.obsolete);
        let kept: BTreeSet<u64> =
            edit.keyspaces.iter().flat_map(|k| &k.added).map(|a| a.meta.number).collect();
        for keyspace in &edit.keyspaces {
            let Some(before) = self.keyspaces.get(&keyspace.id) else { continue };
            let removed: BTreeSet<u64> = keyspace.removed.iter().map(|&(_, number)| number).collect();
            let goes = |t: &&Arc<FileMeta>| keyspace.dropped || removed.contains(&t.number);
            // Marked while this state still holds the version, so that its record cannot be the last to go unmarked.
            for table in before.version.tables().filter(goes).filter(|t| !kept.contains(&t.number)) {
                table.guard.mark_obsolete();
                self.obsolete.insert(table.number);
                self.live.remove(&table.number);
            }
        }
        self.live.extend(kept);
        for (id, keyspace) in checked {
            match keyspace {
                Some(keyspace) => self.keyspaces.insert(id, keyspace),
                None => self.keyspaces.remove(&id),
            };
        }
    }

    /// The edit that leads from the empty state to this one.
    pub(crate) fn snapshot(&self) -> VersionEdit {
        let keyspaces = self.keyspaces.iter().map(|(&id, keyspace)| {
            let mut added = Vec::new();
            for (level, runs) in keyspace.version.levels.iter().enumerate() {
                for run in &runs.runs {
                    added.extend(run.tables.iter().map(|table| AddedFile {
                        level,
                        run: run.id,
                        meta: Arc::clone(table),
                    }));
                }
            }
            KeyspaceEdit {
                id,
                record: Some(keyspace.record.clone()),
                flushed_seqno: Some(keyspace.flushed_seqno),
                added,
                ages: keyspace.ages.clone(),
                ..KeyspaceEdit::default()
            }
        });
        VersionEdit {
            next_file: Some(self.next_file),
            last_seqno: Some(self.last_seqno),
            oldest_wal: Some(self.oldest_wal),
            newest_wal: Some(self.newest_wal),
            closed_wal: self.closed_wal,
            next_keyspace: Some(self.next_keyspace),
            obsolete: self.obsolete.iter().copied().collect(),
            keyspaces: keyspaces.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file_meta::Reclaim;
    use super::super::file_meta::tests::guarded;
    use super::*;

    fn record(name: &str) -> Option<KeyspaceRecord> {
        Some(KeyspaceRecord { name: name.into(), log: true, ..KeyspaceRecord::default() })
    }

    fn keyspace(edit: KeyspaceEdit) -> VersionEdit {
        VersionEdit {
            next_file: Some(100),
            next_keyspace: Some(2),
            keyspaces: vec![edit],
            ..VersionEdit::default()
        }
    }

    fn added(number: u64, reclaim: &Arc<Reclaim>) -> AddedFile {
        AddedFile { level: 0, run: number, meta: Arc::new(guarded(number, "a", "z", reclaim)) }
    }

    fn step(state: &mut StoreState, edit: &VersionEdit) -> Result<(), String> {
        let checked = state.check(edit)?;
        state.take(edit, checked);
        Ok(())
    }

    fn with_tables(numbers: &[u64], reclaim: &Arc<Reclaim>) -> StoreState {
        let mut state = StoreState::default();
        let added = numbers.iter().map(|&n| added(n, reclaim)).collect();
        let edit = KeyspaceEdit { record: record("default"), added, ..KeyspaceEdit::default() };
        step(&mut state, &keyspace(edit)).unwrap();
        state
    }

    #[test]
    fn a_snapshot_leads_to_the_same_state() {
        let reclaim = Arc::default();
        let mut state = with_tables(&[5, 7], &reclaim);
        step(&mut state, &keyspace(KeyspaceEdit { removed: vec![(0, 5)], ..KeyspaceEdit::default() }))
            .unwrap();
        assert_eq!(state.last_seqno, 709);
        let mut copy = StoreState::default();
        step(&mut copy, &state.snapshot()).unwrap();
        let (mut a, mut b) = (Vec::new(), Vec::new());
        state.snapshot().encode(&mut a);
        copy.snapshot().encode(&mut b);
        assert_eq!(a, b);
        assert_eq!(copy.obsolete, BTreeSet::from([5]));
    }

    #[test]
    fn removed_tables_go_with_their_last_reader_and_moved_ones_stay() {
        let reclaim: Arc<Reclaim> = Arc::default();
        let mut state = with_tables(&[5, 7], &reclaim);
        let pinned = Arc::clone(&state.keyspaces[&0].version);
        let moved = pinned.tables().find(|t| t.number == 7).map(Arc::clone).unwrap();
        let edit = KeyspaceEdit {
            removed: vec![(0, 5), (0, 7)],
            added: vec![AddedFile { level: 1, run: 0, meta: moved }],
            ..KeyspaceEdit::default()
        };
        step(&mut state, &keyspace(edit)).unwrap();
        assert_eq!(reclaim.take(), []);
        drop(pinned);
        assert_eq!(reclaim.take(), [5]);
        step(&mut state, &keyspace(KeyspaceEdit { dropped: true, ..KeyspaceEdit::default() })).unwrap();
        assert_eq!(reclaim.take(), [7], "dropping the keyspace lets go of its last table");
        assert_eq!(state.obsolete, BTreeSet::from([5, 7]));
        assert!(state.keyspaces.is_empty());
    }

    #[test]
    fn what_would_break_an_invariant_is_refused() {
        let reclaim = Arc::default();
        let mut state = with_tables(&[5], &reclaim);
        let none = KeyspaceEdit::default;
        step(&mut state, &keyspace(KeyspaceEdit { id: 1, record: record("other"), ..none() })).unwrap();
        step(&mut state, &keyspace(KeyspaceEdit { id: 1, dropped: true, ..none() })).unwrap();
        let bad = [
            (KeyspaceEdit { id: 2, record: record("new"), ..none() }, "never given out"),
            (KeyspaceEdit { id: 1, dropped: true, ..none() }, "does not exist"),
            (KeyspaceEdit { dropped: true, record: record("x"), ..none() }, "at once"),
            (KeyspaceEdit { record: record(""), ..none() }, "no name"),
            (KeyspaceEdit { added: vec![AddedFile { run: 6, ..added(5, &reclaim) }], ..none() }, "in use"),
            (KeyspaceEdit { added: vec![added(100, &reclaim)], ..none() }, "never given out"),
            (KeyspaceEdit { removed: vec![(0, 9)], ..none() }, "where it is not"),
        ];
        for (edit, expected) in bad {
            let said = state.check(&keyspace(edit)).unwrap_err();
            assert!(said.contains(expected), "{said:?} should say {expected:?}");
        }
        let mut twice = keyspace(none());
        twice.keyspaces.push(none());
        assert!(state.check(&twice).unwrap_err().contains("twice"));
        let mut same_name = keyspace(KeyspaceEdit { id: 2, record: record("default"), ..none() });
        same_name.next_keyspace = Some(3);
        assert!(state.check(&same_name).unwrap_err().contains("two keyspaces"));
    }

    #[test]
    fn numbers_only_grow() {
        let mut state = StoreState::default();
        let edit = |n| VersionEdit {
            next_file: Some(n),
            last_seqno: Some(n),
            oldest_wal: Some(n),
            newest_wal: Some(n),
            ..VersionEdit::default()
        };
        step(&mut state, &edit(9)).unwrap();
        step(&mut state, &edit(4)).unwrap();
        assert_eq!((state.next_file, state.last_seqno, state.oldest_wal, state.newest_wal), (9, 9, 9, 9));
    }
}
