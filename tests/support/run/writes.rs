//! Writes of every kind, and what makes them durable.

use super::{Check, NAMES, Open, World, ok};
use crate::model::Tree;
use crate::op::{How, Key, Span, Then, Value, Waits, Write};
use crate::settings::{Hook, KeyspaceChoice};
use esker::{Commit, Db, Durability, Error, Keyspace, MAX_KEY_LEN, WriteBatch};
use std::ops::Bound::{Excluded, Included};
use std::rc::Rc;

impl World {
    pub(super) fn write(&mut self, writes: &[Write], how: How) -> Check {
        let writes: Vec<&Write> = writes.iter().filter(|w| self.open[w.keyspace()].is_some()).collect();
        if writes.is_empty() && how == How::Plain {
            return Ok(());
        }
        let before = self.watch.counts();
        let mut result = self.write_once(&writes, how);
        let no_stall = how.waits().is_some_and(|waits| waits.no_stall);
        if no_stall && self.watch.counts() != before {
            return Err(format!("a write that was not to stall did: {before:?}, {:?}", self.watch.counts()));
        }
        if no_stall && matches!(result, Err(Error::Busy { .. })) {
            self.tally.busy += 1;
            if self.tally.busy.is_multiple_of(2) {
                return Ok(());
            }
            // What it is busy with comes to an end.
            self.settle()?;
            result = self.write_once(&writes, how);
        }
        let commit = match result {
            Ok(commit) => commit,
            Err(error) if self.is_refused(&writes, how, &error) => return Ok(()),
            Err(error) => return Err(format!("write: {error} ({error:?})")),
        };
        self.written(&writes, how);
        match (commit, how) {
            (Some(commit), How::Submit(waits, then)) => {
                self.submitted(commit, then, waits.synced, writes.iter().any(|w| surely(w)))
            }
            _ => Ok(()),
        }
    }

    /// The operations are done, and as durable as `how` says.
    fn written(&mut self, writes: &[&Write], how: How) {
        let Some(first) = writes.first() else { return };
        for write in writes {
            self.state.apply(write);
            if surely(write) {
                self.last_write[write.keyspace()] = self.history.len();
            }
        }
        self.history.push(self.state.clone());
        let synced_by_default = self.store.synced && self.is_logged(first.keyspace());
        if !writes.iter().any(|w| surely(w)) {
            return;
        }
        match how {
            How::Batch(waits) | How::Submit(waits, Then::Wait) if waits.synced => self.durable_up_to_now(),
            // The handle says when.
            How::Submit(_, Then::Keep | Then::Call) => {}
            How::Plain if synced_by_default => self.durable_up_to_now(),
            _ => self.written = self.history.len() - 1,
        }
    }

    /// Whether the store had to refuse the operations like this.
    fn is_refused(&self, writes: &[&Write], how: How, error: &Error) -> bool {
        let logged = writes.iter().filter(|w| surely(w)).any(|w| self.is_logged(w.keyspace()));
        let unlogged = writes.iter().any(|w| !self.is_logged(w.keyspace()));
        match error {
            Error::BatchTooLarge { len, max } => len > max && max * 2 <= self.store.memory,
            Error::Invalid { option: "durability", .. } => {
                unlogged && !logged && how.waits().is_some_and(|waits| waits.synced)
            }
            Error::Invalid { option: "delete_range", .. } => {
                writes.iter().any(|w| !surely(w) && self.folds(w.keyspace()))
            }
            _ => false,
        }
    }

    fn folds(&self, keyspace: usize) -> bool {
        self.state.trees[keyspace].as_ref().is_some_and(|tree| tree.fold)
    }

    fn is_logged(&self, keyspace: usize) -> bool {
        self.open[keyspace].as_ref().is_some_and(|open| open.choice.log)
    }

    /// No crash can take away what is there now.
    pub(super) fn durable_up_to_now(&mut self) {
        self.durable_up_to(self.history.len() - 1);
    }

    pub(super) fn durable_up_to(&mut self, state: usize) {
        self.history.drain(..state);
        self.durable_states += state;
        self.written = self.written.saturating_sub(state);
        self.last_write = self.last_write.map(|last| last.saturating_sub(state));
    }

    /// Returns the handle of what was submitted.
    fn write_once(&self, writes: &[&Write], how: How) -> esker::Result<Option<Commit>> {
        let Some(db) = &self.db else { return Err(Error::Closed) };
        let waits = match how {
            How::Plain => return self.write_plain(writes).map(|()| None),
            How::Batch(waits) | How::Submit(waits, _) => waits,
        };
        let mut batch = WriteBatch::new();
        for (number, write) in writes.iter().enumerate() {
            let Some(handle) = self.handle(write.keyspace()) else { continue };
            add(&mut batch, handle, write, number % 2 == 0 && write.keyspace() == 0);
        }
        match how {
            How::Submit(..) => db.submit(&batch, waits.options()).map(Some),
            _ => db.write_with(&batch, waits.options()).map(|()| None),
        }
    }

    fn write_plain(&self, writes: &[&Write]) -> esker::Result<()> {
        for write in writes {
            let Some(handle) = self.handle(write.keyspace()) else { continue };
            match write {
                Write::Put(_, key, value) => handle.put(key, value.bytes()),
                Write::Delete(_, key) => handle.delete(key),
                Write::DeleteRange(_, span) => handle.delete_range(span.bounds()),
            }?;
        }
        Ok(())
    }

    pub(super) fn oversized(&self, keyspace: usize) -> Check {
        let Some(handle) = self.handle(keyspace) else { return Ok(()) };
        let key = vec![b'x'; MAX_KEY_LEN + 1];
        let mut batch = WriteBatch::new();
        handle.put_to(&mut batch, "oversized", "must not be there");
        handle.put_to(&mut batch, &key, "");
        for result in
            [handle.put(&key, ""), handle.delete(&key), self.db()?.write(batch, Durability::Buffered)]
        {
            if !matches!(result, Err(Error::KeyTooLong { len }) if len == key.len()) {
                return Err(format!("an oversized key gives {result:?}"));
            }
        }
        match ok("get", handle.get(&key))? {
            None => Ok(()),
            Some(_) => Err("an oversized key has a value".to_owned()),
        }
    }

    pub(super) fn burst(&mut self, keyspace: usize, entries: &[(Key, Value)], flushed: bool) -> Check {
        for (key, value) in entries {
            let put = Write::Put(keyspace, key.clone(), *value);
            self.write(&[put], How::Batch(Waits { synced: false, no_stall: true }))?;
            if flushed {
                self.flush(Some(keyspace))?;
            }
        }
        Ok(())
    }

    pub(super) fn flush(&mut self, which: Option<usize>) -> Check {
        match which {
            None => {
                ok("flush", self.db()?.flush())?;
                self.durable_up_to_now();
            }
            Some(keyspace) => {
                let Some(handle) = self.handle(keyspace) else { return Ok(()) };
                ok("flush", handle.flush())?;
                self.durable_up_to(self.last_write[keyspace]);
            }
        }
        Ok(())
    }

    pub(super) fn compact(&mut self, keyspace: usize, span: &Span) -> Check {
        let Some(handle) = self.handle(keyspace) else { return Ok(()) };
        ok("compact", handle.compact(span.bounds()))?;
        self.durable_up_to(self.last_write[keyspace]);
        self.look()?;
        self.check_compacted(keyspace, span)
    }

    pub(super) fn sync(&mut self) -> Check {
        ok("sync", self.db()?.sync())?;
        self.all_done("the store was synced")?;
        // What has no log is not durable; a case that has such keyspaces flushes before a crash.
        self.durable_up_to_now();
        Ok(())
    }

    pub(super) fn steps(&mut self, count: usize) -> Check {
        for _ in 0..count {
            if !ok("step_background", self.db()?.step_background())? {
                break;
            }
        }
        self.poll_commits()
    }

    pub(super) fn create(&mut self, keyspace: usize, choice: KeyspaceChoice) -> Check {
        let created = self.db()?.create_keyspace(NAMES[keyspace], choice.options());
        if self.open[keyspace].is_some() {
            return match created {
                Err(Error::KeyspaceExists { .. }) => Ok(()),
                other => Err(format!("creating a keyspace that exists gives {other:?}")),
            };
        }
        let handle = ok("create_keyspace", created)?;
        self.open[keyspace] = Some(Open::new(Some(handle), choice));
        self.state.trees[keyspace] =
            Some(Tree { id: self.next_id, fold: choice.hook == Hook::Fold, map: Rc::default() });
        self.next_id += 1;
        self.history.push(self.state.clone());
        Ok(())
    }

    pub(super) fn drop_keyspace(&mut self, keyspace: usize) -> Check {
        let dropped = self.db()?.drop_keyspace(NAMES[keyspace]);
        let Some(Open { handle: Some(handle), .. }) = self.open[keyspace].take_if(|_| keyspace != 0) else {
            return match (dropped, keyspace) {
                (Err(Error::Invalid { .. }), 0) | (Err(Error::NoSuchKeyspace { .. }), 1..) => Ok(()),
                (other, _) => Err(format!("dropping keyspace {keyspace} gives {other:?}")),
            };
        };
        ok("drop_keyspace", dropped)?;
        self.state.trees[keyspace] = None;
        self.history.push(self.state.clone());
        let mut batch = WriteBatch::new();
        handle.put_to(&mut batch, "k", "v");
        let refused = [
            handle.get("k").map(drop),
            handle.put("k", "v"),
            handle.cursor().map(drop),
            handle.range(..).next().transpose().map(drop),
            handle.flush(),
            self.db()?.write(batch, Durability::Buffered),
            self.db()?.keyspace(NAMES[keyspace]).map(drop),
        ];
        for (number, result) in refused.into_iter().enumerate() {
            if !matches!(result, Err(Error::NoSuchKeyspace { .. })) {
                return Err(format!("call {number} on a dropped keyspace gives {result:?}"));
            }
        }
        Ok(())
    }

    pub(super) fn ingest(&mut self, keyspace: usize, entries: &[(Key, Value)]) -> Check {
        let Some(handle) = self.handle(keyspace) else { return Ok(()) };
        if self.folds(keyspace) {
            return match handle.ingest(|writer| writer.put("must not be there", "")) {
                Err(Error::Invalid { option: "ingest", .. }) => Ok(()),
                other => Err(format!("ingesting past a fold gives {other:?}")),
            };
        }
        let refused = handle.ingest(|writer| {
            writer.put("must not be there", "")?;
            Err(Error::Closed)
        });
        if !matches!(refused, Err(Error::Closed)) {
            return Err(format!("an ingest that gives up answers {refused:?}"));
        }
        let mut twice = false;
        let added = handle.ingest(|writer| {
            for (key, value) in entries {
                writer.put(key, value.bytes())?;
                twice |= writer.put(key, "").is_ok();
            }
            Ok(())
        });
        let added = ok("ingest", added)?;
        if twice || added != entries.len() as u64 {
            return Err(format!("ingest took {added} of {} entries, or one of them twice", entries.len()));
        }
        for (key, value) in entries {
            self.state.apply(&Write::Put(keyspace, key.clone(), *value));
        }
        self.history.push(self.state.clone());
        if !entries.is_empty() {
            self.durable_up_to_now();
        }
        Ok(())
    }
}

/// Whether the write changes something: a range may turn out to be empty, and then adds nothing to a batch.
fn surely(write: &Write) -> bool {
    !matches!(write, Write::DeleteRange(..))
}

/// Adds a write to a batch, by the keyspace's handle or by the batch's own methods for the default keyspace.
fn add(batch: &mut WriteBatch, handle: &Keyspace, write: &Write, by_batch: bool) {
    match write {
        Write::Put(_, key, value) if by_batch => batch.put(key, value.bytes()),
        Write::Delete(_, key) if by_batch => batch.delete(key),
        Write::DeleteRange(_, Span { start: Included(start), end: Excluded(end) }) if by_batch => {
            batch.delete_range(start, end)
        }
        Write::Put(_, key, value) => handle.put_to(batch, key, value.bytes()),
        Write::Delete(_, key) => handle.delete_to(batch, key),
        Write::DeleteRange(_, span) => handle.delete_range_to(batch, span.bounds()),
    };
}

/// The keyspace handle of a number.
pub(super) fn handle_of(db: &Db, keyspace: usize) -> esker::Result<Keyspace> {
    db.keyspace(NAMES[keyspace])
}
