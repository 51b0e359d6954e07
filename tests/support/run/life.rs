//! How a store is opened, closed, killed, copied.

use super::liberties::{Entries, entries};
use super::writes::handle_of;
use super::{Check, DIR, NAMES, Open, World, ok, short};
use crate::model::{Map, State, became};
use crate::op::{KEYSPACES, Reopen};
use crate::settings::{KeyspaceChoice, StoreChoice};
use esker::testing::CrashMode;
use esker::{Builder, Db, Error, Recovery};
use std::path::Path;
use std::rc::Rc;

/// Pieces of background work after which a store should have come to rest.
const MANY_STEPS: usize = 5000;

impl World {
    pub(super) fn start(&mut self) -> Check {
        let db = ok("create", self.builder(Recovery::TolerateTornTail).open(DIR))?;
        let handle = ok("keyspace", handle_of(&db, 0))?;
        self.open[0] = Some(Open::new(Some(handle), self.keyspace));
        self.db = Some(db);
        Ok(())
    }

    fn builder(&self, recovery: Recovery) -> Builder {
        let mut builder = self.store.builder(&self.env, &self.keyspace).recovery(recovery);
        builder = builder.listener(self.watch.clone());
        for (number, open) in self.open.iter().enumerate() {
            if let Some(open) = open {
                builder = builder.keyspace_options(NAMES[number], open.choice.options());
            }
        }
        builder
    }

    pub(super) fn reopen(
        &mut self,
        how: Reopen,
        store: StoreChoice,
        keyspace: Option<KeyspaceChoice>,
    ) -> Check {
        self.shut(how)?;
        self.store = store;
        if let Some(choice) = keyspace {
            for open in self.open.iter_mut().flatten() {
                open.choice = choice.for_existing(&open.choice);
                open.liberties = open.liberties.or(open.choice.liberties());
                open.dropped |= open.liberties.drops;
            }
        }
        self.open_again(how)
    }

    /// Ends the life of the open store.
    fn shut(&mut self, how: Reopen) -> Check {
        self.note_stats()?;
        let unlogged = self.open.iter().flatten().any(|open| !open.choice.log);
        if unlogged && matches!(how, Reopen::Kill | Reopen::PowerLoss(_)) {
            ok("flush", self.db()?.flush())?;
            self.durable_up_to_now();
        }
        if how == Reopen::Close || how == Reopen::Drop {
            self.durable_up_to_now();
        }
        match how {
            Reopen::Kill => self.env = self.env.kill(),
            Reopen::PowerLoss(seed) => {
                let mode = match seed % 8 {
                    0 | 1 => CrashMode::LoseAll,
                    2 => CrashMode::KeepAll,
                    3 | 4 => CrashMode::TornLast(seed),
                    _ => CrashMode::Subset(seed),
                };
                self.env = self.env.power_loss(mode);
            }
            Reopen::Close | Reopen::Drop => {}
        }
        let db = self.db.take();
        let commits = std::mem::take(&mut self.commits);
        self.let_go();
        match (how, db) {
            (Reopen::Close, Some(db)) => {
                let other = db.clone();
                ok("close", db.close())?;
                let closed = [other.get("k").map(drop), other.put("k", "v"), other.flush()];
                if let Some(result) = closed.iter().find(|r| !matches!(r, Err(Error::Closed))) {
                    return Err(format!("a closed store answers {result:?}"));
                }
                self.commits = commits;
                self.all_done("the store was closed")?;
            }
            // After a kill or a power loss this store writes to an environment that is no longer looked at.
            (_, db) => drop(db),
        }
        Ok(())
    }

    /// Drops everything that reads from the open store.
    fn let_go(&mut self) {
        self.snapshots.clear();
        self.cursors.clear();
        self.ranges.clear();
        self.commits.clear();
        self.open.iter_mut().flatten().for_each(|open| open.handle = None);
    }

    fn open_again(&mut self, how: Reopen) -> Check {
        let recovery = match how {
            Reopen::Close | Reopen::Drop => self.store.recovery(),
            Reopen::Kill | Reopen::PowerLoss(_) => Recovery::TolerateTornTail,
        };
        let db = ok("open", self.builder(recovery).open(DIR))?;
        self.tally.opened += 1;
        if !matches!(how, Reopen::PowerLoss(_)) && !db.recovery().torn.is_empty() {
            return Err(format!("{how:?} left a torn log: {:?}", db.recovery().torn));
        }
        self.recognize(&db, how)?;
        for (number, open) in self.open.iter_mut().enumerate() {
            if let Some(open) = open {
                open.handle = Some(ok("keyspace", handle_of(&db, number))?);
            }
        }
        self.db = Some(db);
        self.check_names()?;
        self.check_files()
    }

    /// Finds the state that the store came back in, which must be one that the end of its last life allows.
    fn recognize(&mut self, db: &Db, how: Reopen) -> Check {
        let allowed = match how {
            Reopen::Close | Reopen::Drop => self.history.len() - 1,
            Reopen::Kill => self.written,
            Reopen::PowerLoss(_) => 0,
        };
        let contents: Vec<Option<Entries>> = (0..KEYSPACES)
            .map(|number| match (&self.state.trees[number], handle_of(db, number)) {
                (Some(_), Ok(handle)) => entries(handle.range(..)).map(Some),
                (None, Err(Error::NoSuchKeyspace { .. })) => Ok(None),
                (_, got) => Err(format!("after {how:?}, keyspace {number} is {:?}", got.map(drop))),
            })
            .collect::<Check<_>>()?;
        let matches = |state: &State| {
            contents.iter().enumerate().all(|(number, content)| match (content, &self.state.trees[number]) {
                (Some(content), Some(tree)) => {
                    self.came_back(number, content, &state.map_of(number, tree.id)).is_ok()
                }
                _ => true,
            })
        };
        let Some(found) = (allowed..self.history.len()).rev().find(|&at| matches(&self.history[at])) else {
            let newest = self.history.len() - 1;
            let differences = contents.iter().enumerate().filter_map(|(number, content)| {
                let id = self.state.trees[number].as_ref()?.id;
                let from = |at: usize| {
                    self.came_back(number, content.as_ref()?, &self.history[at].map_of(number, id)).err()
                };
                let (now, then) = (from(newest), from(allowed));
                Some(format!("\n  keyspace {number}: from the newest {now:?}\n    from the oldest {then:?}"))
            });
            return Err(format!(
                "after {how:?} the store is in none of the {} states allowed:{}",
                newest + 1 - allowed,
                differences.collect::<String>()
            ));
        };
        if found + 1 < self.history.len() {
            self.tally.set_back += 1;
        }
        let found = self.history[found].clone();
        for (number, content) in contents.iter().enumerate() {
            let (Some(tree), Some(content)) = (&self.state.trees[number], content) else { continue };
            let map = self.came_back(number, content, &found.map_of(number, tree.id))?;
            if let (Some(tree), Some(open)) = (&mut self.state.trees[number], &mut self.open[number]) {
                tree.map = map;
                open.liberties = open.choice.liberties();
            }
        }
        self.history = vec![self.state.clone()];
        self.durable_states = 0;
        self.written = 0;
        self.last_write = [0; KEYSPACES];
        Ok(())
    }

    /// The entries that `map` held, as a store that was opened again has them.
    fn came_back(&self, keyspace: usize, content: &Entries, map: &Rc<Map>) -> Check<Rc<Map>> {
        let liberties = self.liberties(keyspace);
        if !liberties.none() {
            return became(map, content, liberties, &self.gone, self.state.now).map(Rc::new);
        }
        match differs(content, map) {
            None => Ok(map.clone()),
            Some(what) => Err(what),
        }
    }

    pub(super) fn open_read_only(&mut self, how: Reopen) -> Check {
        self.shut(how)?;
        let before = self.disk()?;
        {
            let db =
                ok("open read-only", self.builder(Recovery::TolerateTornTail).read_only(true).open(DIR))?;
            let second = ok(
                "open read-only again",
                self.builder(Recovery::TolerateTornTail).read_only(true).open(DIR),
            )?;
            drop(second);
            self.recognize(&db, how)?;
            for result in
                [db.put("k", "v"), db.flush(), db.create_keyspace("new", Default::default()).map(drop)]
            {
                if !matches!(result, Err(Error::ReadOnly { .. })) {
                    return Err(format!("a store opened read-only answers {result:?}"));
                }
            }
            let report = ok("verify", db.verify())?;
            if !report.is_intact() {
                return Err(format!("read-only: {report}"));
            }
        }
        if self.disk()? != before {
            return Err("opening read-only changed a file".to_owned());
        }
        self.open_again(how)
    }

    fn disk(&self) -> Check<Vec<(String, Vec<u8>)>> {
        let read = |path: String| self.env.read_file(&path).map(|bytes| (path, bytes));
        let files = self.env.files().into_iter().map(|(path, _)| read(path));
        files.collect::<std::io::Result<_>>().map_err(|error| error.to_string())
    }

    pub(super) fn checkpoint(&mut self) -> Check {
        self.copies += 1;
        let dir = format!("copy{}", self.copies);
        ok("checkpoint", self.db()?.checkpoint(&dir))?;
        self.look()?;
        if !matches!(self.db()?.checkpoint(&dir), Err(Error::NotEmpty { .. })) {
            return Err("a checkpoint into a directory that exists is not refused".to_owned());
        }
        let copy = ok("open the checkpoint", self.builder(Recovery::TolerateTornTail).open(&dir))?;
        for (number, tree) in self.state.trees.iter().enumerate() {
            let Some(tree) = tree else { continue };
            let handle = ok("the checkpoint's keyspace", handle_of(&copy, number))?;
            // Opening the copy may flush what a long log had, and then it takes liberties of its own.
            let map = self.came_back(number, &entries(handle.range(..))?, &tree.map);
            map.and_then(|map| super::check::content(&handle, &map))
                .map_err(|what| format!("checkpoint: {what}"))?;
        }
        let report = ok("verify the checkpoint", copy.verify())?;
        if !report.is_intact() {
            return Err(format!("checkpoint: {report}"));
        }
        ok("write to the checkpoint", copy.put("only in the copy", "1"))?;
        ok("compact the checkpoint", copy.compact(..))?;
        ok("close the checkpoint", copy.close())?;
        esker::Env::remove_dir_all(&self.env, Path::new(&dir)).map_err(|error| error.to_string())
    }

    /// Runs background work until there is none.
    pub(super) fn settle(&mut self) -> Check {
        for _ in 0..MANY_STEPS {
            if !ok("step_background", self.db()?.step_background())? {
                self.look()?;
                self.all_done("there is no background work left")?;
                return self.check_sizes();
            }
        }
        Err("background work does not come to an end".to_owned())
    }
}

/// Where a keyspace's content differs from the model.
fn differs(content: &[(Vec<u8>, Vec<u8>)], map: &Map) -> Option<String> {
    let mut wanted = map.iter();
    for (key, value) in content {
        match wanted.next() {
            Some((k, v)) if k[..] == key[..] && v.bytes() == *value => {}
            other => {
                let other = other.map(|(k, v)| (short(k), v));
                return Some(format!("{} = {} where {other:?} belongs", short(key), short(value)));
            }
        }
    }
    wanted.next().map(|(key, value)| format!("nothing where ({}, {value:?}) belongs", short(key)))
}
