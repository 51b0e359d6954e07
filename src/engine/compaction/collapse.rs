//! [`Collapse`]: which entries of a merged stream survive.
//!
//! Snapshots cut the sequence numbers into *stripes*; within a stripe every reader sees the same version of a key, so
//! only the newest one there is kept:
//!
//! ```text
//!   snapshots            12           20
//!   stripes     ..─────12 │ 13─────20 │ 21───..
//!   versions    3   9  11 │ 14  17    │ 25
//!   kept               11 │     17    │ 25
//! ```
//!
//! Invariant: for every key and every live snapshot, and for readers of the newest state, a read gives the same answer
//! before and after (a compaction filter and a fold's `drop_at_bottom` change the newest state on purpose, never what a
//! snapshot sees that was there when the work was planned; a time to live ends what any of them sees). In particular:
//! - an entry that a range tombstone of its own stripe deletes is dropped;
//! - a delete is dropped when nothing older of its key survives in the stream and nothing older can exist below;
//! - a range tombstone is dropped when nothing older can exist below its range and it is in the oldest stripe;
//! - an entry whose time to live is over, and whatever is older of its key, is gone for every reader, also for snapshots; a
//!   delete stays in its place where something older may exist below;
//! - an entry whose kind this version does not know is passed on untouched, with everything older of its key.
//!
//! Sequence numbers are never rewritten: two tables of which one was made from the other can always be told apart by
//! age, which is what a repair without MANIFEST relies on.

use crate::Result;
use crate::hooks::{CompactionFilter, FilterDecision, Fold, Folded, Shadow};
use crate::manifest::FileMeta;
use esker_table::{Fragments, Kind, SeqNo, Trailer};
use std::sync::Arc;

/// Takes the entries that survive, in internal order.
pub(crate) trait Sink {
    /// An entry.
    fn entry(&mut self, user_key: &[u8], trailer: Trailer, value: &[u8]) -> Result<()>;
}

/// The sequence numbers that readers distinguish.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stripes {
    /// Ascending, without repetition: snapshots, and the newest published sequence number.
    ends: Vec<SeqNo>,
    /// The newest snapshot that somebody holds.
    newest_snapshot: Option<SeqNo>,
}

impl Stripes {
    /// `visible` is the newest sequence number that was published when the work was planned: a snapshot taken from then
    /// on is there or above. If inputs hold entries beyond it, each of those is a stripe of its own.
    pub(crate) fn new(snapshots: &[SeqNo], visible: SeqNo) -> Stripes {
        let mut ends: Vec<SeqNo> = snapshots.iter().copied().filter(|&s| s < visible).collect();
        ends.push(visible);
        ends.sort_unstable();
        ends.dedup();
        Stripes { ends, newest_snapshot: snapshots.iter().copied().max() }
    }

    /// Where readers are: each sees everything up to one of these numbers, or to one above the last.
    pub(crate) fn readers(&self) -> &[SeqNo] {
        &self.ends
    }

    /// The number of the stripe that `seqno` lies in, 0 for the oldest.
    fn of(&self, seqno: SeqNo) -> u64 {
        let below = self.ends.partition_point(|&end| end < seqno);
        let unpublished =
            if below == self.ends.len() { seqno - self.ends.last().copied().unwrap_or(0) } else { 0 };
        below as u64 + unpublished
    }

    /// The largest sequence number of a stripe.
    fn end(&self, stripe: u64) -> SeqNo {
        let count = self.ends.len() as u64;
        if stripe >= count {
            return self.ends.last().copied().unwrap_or(0).saturating_add(stripe - count);
        }
        self.ends[stripe as usize]
    }

    /// Whether some snapshot sees entries of this sequence number.
    fn is_seen(&self, seqno: SeqNo) -> bool {
        self.newest_snapshot.is_some_and(|s| seqno <= s)
    }
}

/// Whether something older than the stream may exist at a key.
#[derive(Clone, Debug)]
pub(crate) enum Below {
    /// Anything, anywhere.
    Unknown,
    /// Only what lies in these tables: by run, each ascending and not overlapping.
    Tables(Vec<BelowRun>),
}

/// The tables of one older run, and how far the stream has come in them.
#[derive(Clone, Debug)]
pub(crate) struct BelowRun {
    tables: Vec<Arc<FileMeta>>,
    at: usize,
}

impl Below {
    /// The tables of older runs; none says that the stream reaches the bottom.
    pub(crate) fn tables(runs: &[Vec<Arc<FileMeta>>]) -> Below {
        Below::Tables(runs.iter().map(|tables| BelowRun { tables: tables.clone(), at: 0 }).collect())
    }

    /// Whether `user_key` may exist below. Keys must come ascending.
    fn may_hold(&mut self, user_key: &[u8]) -> bool {
        let Below::Tables(runs) = self else { return true };
        runs.iter_mut().any(|run| {
            while run.tables.get(run.at).is_some_and(|t| t.ends_before(user_key)) {
                run.at += 1;
            }
            run.tables.get(run.at).is_some_and(|t| t.smallest.as_slice() <= user_key)
        })
    }

    /// Whether any key of a range may exist below.
    fn may_meet(&self, start: &[u8], end: &[u8]) -> bool {
        let Below::Tables(runs) = self else { return true };
        runs.iter().any(|run| {
            let first = run.tables.partition_point(|t| t.ends_before(start));
            run.tables.get(first).is_some_and(|t| t.smallest.as_slice() < end)
        })
    }
}

/// What happened to the entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Entries that came in.
    pub(crate) read: u64,
    /// Entries hidden by a newer version.
    pub(crate) shadowed: u64,
    /// Entries deleted by a range tombstone.
    pub(crate) covered: u64,
    /// Deletes that reached the bottom.
    pub(crate) deletes_dropped: u64,
    /// Entries that the filter, the fold or the time to live removed.
    pub(crate) removed: u64,
}

/// An entry that waits for what comes after it.
#[derive(Debug)]
struct Pending {
    trailer: Trailer,
    /// Of a put, and only with a fold; empty for a delete.
    value: Vec<u8>,
    /// Whether it is the newest surviving version of its key.
    newest: bool,
}

/// See the head of this file. Feed it with [`push`](Collapse::push) in internal order and end with
/// [`finish`](Collapse::finish).
pub(crate) struct Collapse<'a> {
    stripes: Stripes,
    tombstones: Arc<Fragments>,
    below: Below,
    filter: Option<&'a dyn CompactionFilter>,
    fold: Option<&'a dyn Fold>,
    /// Entries up to here have expired; 0 if none have.
    horizon: SeqNo,
    key: Vec<u8>,
    /// Whether there is a current key at all.
    begun: bool,
    /// The stripe of the last surviving version of the current key.
    stripe: Option<u64>,
    /// Whether an unknown kind was met at the current key.
    opaque: bool,
    pending: Option<Pending>,
    fate: Fate,
}

impl<'a> Collapse<'a> {
    /// `tombstones` are those of all inputs.
    pub(crate) fn new(stripes: Stripes, tombstones: Arc<Fragments>, below: Below) -> Collapse<'a> {
        Collapse {
            stripes,
            tombstones,
            below,
            filter: None,
            fold: None,
            horizon: 0,
            key: Vec::new(),
            begun: false,
            stripe: None,
            opaque: false,
            pending: None,
            fate: Fate::default(),
        }
    }

    /// With the keyspace's hooks.
    pub(crate) fn with_hooks(
        mut self,
        filter: Option<&'a dyn CompactionFilter>,
        fold: Option<&'a dyn Fold>,
    ) -> Collapse<'a> {
        (self.filter, self.fold) = (filter, fold);
        self
    }

    /// With entries up to `horizon` expired. Not together with a fold.
    pub(crate) fn with_horizon(mut self, horizon: SeqNo) -> Collapse<'a> {
        self.horizon = horizon;
        self
    }

    /// What has happened so far.
    pub(crate) fn fate(&self) -> Fate {
        self.fate
    }

    /// The next entry of the stream.
    pub(crate) fn push(
        &mut self,
        user_key: &[u8],
        trailer: Trailer,
        value: &[u8],
        sink: &mut impl Sink,
    ) -> Result<()> {
        self.fate.read += 1;
        if !self.begun || self.key != user_key {
            self.finish_key(sink)?;
            self.begin_key(user_key);
        }
        let kind = match trailer.kind() {
            Some(kind @ (Kind::Put | Kind::Delete)) if !self.opaque => kind,
            _ => {
                self.release(sink, true)?;
                self.opaque = true;
                return sink.entry(user_key, trailer, value);
            }
        };
        let seqno = trailer.seqno();
        let stripe = self.stripes.of(seqno);
        let covering = self.tombstones.covering(user_key, self.stripes.end(stripe));
        if covering.is_some_and(|t| t > seqno) {
            self.fate.covered += 1;
            return Ok(());
        }
        if self.stripe == Some(stripe) {
            self.shadow(kind, value);
            return Ok(());
        }
        let expired = seqno <= self.horizon && kind == Kind::Put;
        if expired && self.hides_expired() {
            self.fate.removed += 1;
            return Ok(());
        }
        self.release(sink, true)?;
        let newest = self.stripe.is_none();
        self.stripe = Some(stripe);
        if expired {
            self.pending = Some(self.removed(seqno, newest));
            return Ok(());
        }
        if self.fold.is_some() || kind == Kind::Delete {
            let value = if kind == Kind::Put { value.to_vec() } else { Vec::new() };
            self.pending = Some(Pending { trailer, value, newest });
            return Ok(());
        }
        match self.decide(trailer, value, newest) {
            FilterDecision::Keep => sink.entry(user_key, trailer, value),
            FilterDecision::Replace(value) => sink.entry(user_key, trailer, &value),
            FilterDecision::Remove => {
                self.pending = Some(self.removed(seqno, newest));
                Ok(())
            }
        }
    }

    /// The stream has ended.
    pub(crate) fn finish(&mut self, sink: &mut impl Sink) -> Result<()> {
        self.finish_key(sink)?;
        self.begun = false;
        Ok(())
    }

    /// The tombstones to write into the output tables.
    pub(crate) fn surviving_tombstones(&self) -> Fragments {
        self.tombstones.thinned(|fragment| {
            let mut last_stripe = None;
            let mut seqnos = fragment.seqnos.clone();
            seqnos.retain(|&seqno| {
                let stripe = Some(self.stripes.of(seqno));
                let newest = last_stripe != stripe;
                last_stripe = stripe;
                newest && (stripe > Some(0) || self.below.may_meet(&fragment.start, &fragment.end))
            });
            seqnos
        })
    }

    /// Whether entries from `first` to `last`, one version of each key and no deletes, would all pass untouched.
    pub(crate) fn passes(&self, first: &[u8], last: &[u8]) -> bool {
        let apart = !self.begun || self.key.as_slice() < first;
        let clear = || {
            let span = self.tombstones.span_at(first);
            span.fragment.is_none() && span.end.is_none_or(|end| last < end)
        };
        self.filter.is_none() && self.fold.is_none() && apart && clear()
    }

    /// Says that entries were passed on without being pushed; the last one was `(user_key, trailer)`. The current key
    /// must have been finished.
    pub(crate) fn passed(&mut self, user_key: &[u8], trailer: Trailer, entries: u64) {
        self.fate.read += entries;
        self.begin_key(user_key);
        self.stripe = Some(self.stripes.of(trailer.seqno()));
        self.opaque = !matches!(trailer.kind(), Some(Kind::Put | Kind::Delete));
    }

    fn begin_key(&mut self, user_key: &[u8]) {
        self.key.clear();
        self.key.extend_from_slice(user_key);
        self.begun = true;
        self.stripe = None;
        self.opaque = false;
    }

    /// No more versions of the current key come.
    pub(crate) fn finish_key(&mut self, sink: &mut impl Sink) -> Result<()> {
        if self.pending.is_some() { self.release(sink, false) } else { Ok(()) }
    }

    /// Whether a delete waits that may be dropped with all that is older of its key, an expired entry needs no delete of
    /// its own.
    fn hides_expired(&mut self) -> bool {
        let waits = self.pending.as_ref().is_some_and(|p| p.trailer.kind() == Some(Kind::Delete));
        waits && !self.below.may_hold(&self.key)
    }

    /// The entry that survives in the current stripe hides this one.
    fn shadow(&mut self, kind: Kind, value: &[u8]) {
        self.fate.shadowed += 1;
        let (Some(fold), Some(pending)) = (self.fold, &mut self.pending) else { return };
        let newer = (pending.trailer.kind() == Some(Kind::Put)).then_some(pending.value.as_slice());
        let older = (kind == Kind::Put).then_some(value);
        if let Folded::Value(folded) = fold.fold(&Shadow { user_key: &self.key, newer, older }) {
            pending.trailer = Trailer::new(pending.trailer.seqno(), Kind::Put);
            pending.value = folded;
        }
    }

    /// What the filter says about a put, if it is to be asked.
    fn decide(&self, trailer: Trailer, value: &[u8], newest: bool) -> FilterDecision {
        match self.filter {
            Some(filter) if newest && !self.stripes.is_seen(trailer.seqno()) => {
                filter.filter(&self.key, value)
            }
            _ => FilterDecision::Keep,
        }
    }

    fn removed(&mut self, seqno: SeqNo, newest: bool) -> Pending {
        self.fate.removed += 1;
        Pending { trailer: Trailer::new(seqno, Kind::Delete), value: Vec::new(), newest }
    }

    /// Writes or drops the waiting entry. `older_survives` says whether an older version of the key will be written.
    fn release(&mut self, sink: &mut impl Sink, older_survives: bool) -> Result<()> {
        let Some(mut pending) = self.pending.take() else { return Ok(()) };
        if pending.trailer.kind() == Some(Kind::Put) {
            match self.decide(pending.trailer, &pending.value, pending.newest) {
                FilterDecision::Keep => {}
                FilterDecision::Replace(value) => pending.value = value,
                FilterDecision::Remove => pending = self.removed(pending.trailer.seqno(), pending.newest),
            }
        }
        let is_delete = pending.trailer.kind() == Some(Kind::Delete);
        // A put may be dropped only from the newest state, a delete wherever nothing lies under it.
        let droppable = is_delete || (pending.newest && !self.stripes.is_seen(pending.trailer.seqno()));
        if !older_survives && droppable && !self.below.may_hold(&self.key) {
            let value = (!is_delete).then_some(pending.value.as_slice());
            let drop = match self.fold {
                Some(fold) => fold.drop_at_bottom(&self.key, value),
                None => is_delete,
            };
            if drop {
                *(if is_delete { &mut self.fate.deletes_dropped } else { &mut self.fate.removed }) += 1;
                return Ok(());
            }
        }
        sink.entry(&self.key, pending.trailer, &pending.value)
    }
}

#[cfg(test)]
#[path = "collapse_tests.rs"]
mod tests;
