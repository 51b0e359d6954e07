//! [`Knowledge`]: what the MANIFEST of a store that is under repair still says.

use super::HIGHEST_ID;
use crate::fs::Env;
use crate::fs::filename::FileName;
use crate::manifest::{self, FileMeta, KeyspaceId, KeyspaceRecord, StoreState, VersionEdit};
use crate::record::{LogKind, Salvage};
use crate::{Error, Recovery, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// What the MANIFEST still says.
#[derive(Debug, Default)]
pub(super) struct Knowledge {
    /// What is wrong with CURRENT and the MANIFEST.
    pub(super) problems: Vec<String>,
    /// The whole state, if the MANIFEST could be read without a gap.
    pub(super) state: Option<StoreState>,
    pub(super) keyspaces: BTreeMap<KeyspaceId, KeyspaceRecord>,
    pub(super) dropped: BTreeSet<KeyspaceId>,
    /// Tables that were added and not removed since, as far as the edits can be read.
    pub(super) tables: BTreeMap<u64, (KeyspaceId, Arc<FileMeta>)>,
    /// Tables that were removed.
    pub(super) removed: BTreeSet<u64>,
    pub(super) next_keyspace: KeyspaceId,
    pub(super) last_seqno: u64,
}

impl Knowledge {
    /// Reads the MANIFEST that CURRENT names, or else the newest there is.
    ///
    /// # Errors
    /// `Unsupported` if it is from a newer version: an older one cannot repair it. `Io`.
    pub(super) fn read(env: &dyn Env, dir: &Path, names: &BTreeSet<FileName>) -> Result<Knowledge> {
        let mut known = Knowledge::default();
        let found = names.iter().rev().filter_map(|name| match name {
            FileName::Manifest(number) => Some(*number),
            _ => None,
        });
        let current = match manifest::read_current(env, dir) {
            Ok(Some(number)) => Some(number),
            Ok(None) => {
                known.problems.push("CURRENT is missing".to_owned());
                None
            }
            Err(error) if error.is_corruption() => {
                known.problems.push("CURRENT is damaged".to_owned());
                None
            }
            Err(error) => return Err(error),
        };
        if let Some(number) = current.filter(|&number| !names.contains(&FileName::Manifest(number))) {
            known.problems.push(format!("{}, which CURRENT names, is missing", FileName::Manifest(number)));
        }
        let present = current.filter(|&number| names.contains(&FileName::Manifest(number)));
        if let Some(number) = present {
            known.read_manifest(env, dir, number)?;
            return Ok(known);
        }
        let mut any = false;
        for number in found {
            any = true;
            // The newest may be one that was begun to take the place of the one before, and says nothing yet.
            if known.read_manifest(env, dir, number)? > 0 {
                return Ok(known);
            }
        }
        if !any {
            known.problems.push("there is no MANIFEST".to_owned());
        }
        Ok(known)
    }

    /// Returns how many edits could be read.
    fn read_manifest(&mut self, env: &dyn Env, dir: &Path, number: u64) -> Result<u64> {
        let path = FileName::Manifest(number).path(dir);
        let source = env.open(&path).map_err(|e| Error::io(&path, "open", e))?;
        let reclaim = Arc::default();
        let mut state = StoreState::default();
        let mut edits = 0u64;
        let strict = manifest::replay(
            Arc::clone(&source),
            &path,
            number,
            Recovery::TolerateTornTail,
            &reclaim,
            &mut |offset, edit| {
                let checked = state.check(&edit).map_err(|what| Error::corruption(&path, offset, what))?;
                state.take(&edit, checked);
                edits += 1;
                Ok(())
            },
        );
        match strict {
            Ok(_) if edits > 0 => self.state = Some(state),
            Ok(_) => self.problems.push(format!("{} is empty", FileName::Manifest(number))),
            Err(error) if error.is_corruption() => self.problems.push(error.to_string()),
            Err(error) => return Err(error),
        }
        let mut salvage = match Salvage::open(source, &path, LogKind::Manifest, number) {
            Ok(salvage) => salvage,
            // It says that it is something else: nothing can be learnt from it.
            Err(error) if error.is_corruption() => return Ok(edits),
            Err(error) => return Err(error),
        };
        let mut learnt = 0;
        while let Some(record) = salvage.next()? {
            // An edit that cannot be decoded is among the problems already.
            if let Ok(edit) = VersionEdit::decode(&record.payload, &reclaim) {
                self.learn(edit);
                learnt += 1;
            }
        }
        Ok(learnt)
    }

    fn learn(&mut self, edit: VersionEdit) {
        self.next_keyspace = self.next_keyspace.max(edit.next_keyspace.unwrap_or(0)).min(HIGHEST_ID + 1);
        self.last_seqno = self.last_seqno.max(edit.last_seqno.unwrap_or(0));
        self.removed.extend(edit.obsolete);
        for keyspace in edit.keyspaces {
            let id = keyspace.id;
            if id > HIGHEST_ID {
                self.problems.push(format!("the MANIFEST names a keyspace {id}, which no store has"));
                continue;
            }
            self.next_keyspace = self.next_keyspace.max(id + 1);
            if let Some(record) = keyspace.record {
                self.keyspaces.insert(id, record);
            }
            if keyspace.dropped {
                self.keyspaces.remove(&id);
                self.dropped.insert(id);
                let gone = self.tables.iter().filter(|(_, (of, _))| *of == id).map(|(&number, _)| number);
                self.removed.extend(gone.collect::<Vec<_>>());
                self.tables.retain(|_, (of, _)| *of != id);
            }
            for (_, number) in keyspace.removed {
                self.tables.remove(&number);
                self.removed.insert(number);
            }
            for added in keyspace.added {
                self.removed.remove(&added.meta.number);
                self.tables.insert(added.meta.number, (id, added.meta));
            }
        }
    }
}
