//! Time to live: noting how old entries are, and getting those that expired out of memtables.
//!
//! ```text
//!   note_ages     a look at the clock, kept in memory    entries in memtables age too
//!   ages_up_to    with a flush or an ingestion           what the MANIFEST is told, about durable entries only
//!   seal_expired  a memtable with expired entries        becomes a table, which compaction drops or merges
//! ```
//!
//! The MANIFEST never learns an age of a sequence number that a power loss could take back: it would be given to another
//! entry, which would be younger than the MANIFEST says.

use super::core::Core;
use crate::error::Result;
use crate::manifest::{Ages, KeyspaceEdit, VersionEdit};
use crate::sync::std_lock;
use crate::write::tree::Tree;
use esker_table::SeqNo;

impl Core {
    /// Entries of this keyspace up to here are older than its time to live; 0 if none are.
    pub(crate) fn horizon(&self, tree: &Tree) -> SeqNo {
        let Some(ttl) = tree.options.ttl_millis() else { return 0 };
        std_lock(&tree.ages).horizon(self.env.now_millis(), ttl)
    }

    /// Notes that everything visible was written by now.
    pub(crate) fn note_ages(&self) {
        for tree in self.all_trees() {
            if let Some(ttl) = tree.options.ttl_millis() {
                let visible = self.committer.visible();
                std_lock(&tree.ages).note(visible, self.env.now_millis(), ttl);
            }
        }
    }

    /// What the MANIFEST shall know of ages when everything of this keyspace up to `seqno` is in tables.
    pub(crate) fn ages_up_to(&self, tree: &Tree, seqno: SeqNo) -> Ages {
        let Some(ttl) = tree.options.ttl_millis() else { return Ages::default() };
        let now = self.env.now_millis();
        let mut ages = std_lock(&tree.ages);
        let mut durable = ages.up_to(seqno);
        durable.note(seqno, now, ttl);
        ages.note(seqno, now, ttl);
        durable
    }

    /// Seals memtables with entries that have expired, so that those go although nothing more is written. Returns whether
    /// there were any. Once for each time to live at most: what is flushed then is above the horizon or goes.
    pub(crate) fn seal_expired(&self) -> bool {
        for tree in self.all_trees() {
            let horizon = self.horizon(&tree);
            let flushed = |id| self.set.with_state(|state| state.keyspaces.get(id).map(|k| k.flushed_seqno));
            if horizon > 0 && flushed(&tree.id).is_some_and(|flushed| flushed < horizon) {
                self.committer.seal(tree.id);
            }
        }
        self.all_trees().iter().any(|tree| tree.has_sealed())
    }

    /// Entries in tables whose age is not known, because there was no time to live when they were written or because a
    /// repair brought them back, are as old as this opening.
    pub(crate) fn record_ages(&self) -> Result<()> {
        let mut keyspaces = Vec::new();
        for tree in self.all_trees() {
            let newest = tree.version().tables().map(|t| t.max_seqno).max().unwrap_or(0);
            if tree.options.ttl.is_some() && std_lock(&tree.ages).newest() < newest {
                let ages = self.ages_up_to(&tree, newest);
                keyspaces.push(KeyspaceEdit { id: tree.id, ages, ..KeyspaceEdit::default() });
            }
        }
        if keyspaces.is_empty() {
            return Ok(());
        }
        self.set.log_and_apply(VersionEdit { keyspaces, ..VersionEdit::default() }, |_| ())
    }
}
