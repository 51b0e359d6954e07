//! For tests: versions drawn by hand, and choices applied to them.

use super::{Choice, Context, InputRun, Pick};
use crate::manifest::{FileGuard, FileMeta, Reclaim, SortedRun, Version};
use crate::options::{ByLevel, CompactionStrategy, KeyspaceOptions};
use esker_table::codec::Compression;
use esker_table::{FormatId, Fragments, RangeTombstone, SeqNo};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Leveled, and the same bytes at every level.
pub(crate) fn leveled(l0_trigger: usize, ratio: u64, table_bytes: u64) -> KeyspaceOptions {
    KeyspaceOptions::new()
        .compaction(CompactionStrategy::Leveled { l0_trigger, ratio, table_bytes })
        .compression(ByLevel::all(Compression::None))
}

/// The tables' numbers, ascending.
pub(crate) fn numbers<'a>(tables: impl Iterator<Item = &'a Arc<FileMeta>>) -> Vec<u64> {
    let mut numbers: Vec<u64> = tables.map(|t| t.number).collect();
    numbers.sort_unstable();
    numbers
}

/// A table of 100 bytes and 10 entries with sequence numbers 1 to 1.
pub(crate) fn table(number: u64, smallest: &str, largest: &str) -> FileMeta {
    FileMeta {
        number,
        format: FormatId::BLOCK,
        size: 100,
        smallest: smallest.into(),
        largest: largest.into(),
        largest_exclusive: false,
        clipped: false,
        min_seqno: 1,
        max_seqno: 1,
        seqno_override: None,
        entries: 10,
        deletes: 0,
        range_tombstones: 0,
        created_millis: 0,
        own: true,
        kept_tombstones: Vec::new(),
        kept_collected: Vec::new(),
        guard: FileGuard::new(number, Arc::new(Reclaim::default())),
    }
}

impl FileMeta {
    pub(crate) fn seqnos(mut self, min: SeqNo, max: SeqNo) -> FileMeta {
        (self.min_seqno, self.max_seqno) = (min, max);
        self
    }

    pub(crate) fn with_tombstones(mut self, count: u64) -> FileMeta {
        self.range_tombstones = count;
        self.largest_exclusive = true;
        self
    }

    pub(crate) fn bytes(mut self, size: u64) -> FileMeta {
        self.size = size;
        self
    }

    pub(crate) fn with_deletes(mut self, deletes: u64) -> FileMeta {
        self.deletes = deletes;
        self
    }

    pub(crate) fn created(mut self, millis: u64) -> FileMeta {
        self.created_millis = millis;
        self
    }
}

type Lookup = dyn Fn(&Arc<FileMeta>) -> Option<Arc<Fragments>>;

/// A version, and what a picker may know besides.
pub(crate) struct Sketch {
    pub(crate) version: Version,
    pub(crate) options: KeyspaceOptions,
    pub(crate) is_filling: bool,
    pub(crate) horizon: SeqNo,
    pub(crate) snapshots: Vec<SeqNo>,
    pub(crate) tombstones: BTreeMap<u64, Vec<RangeTombstone>>,
    lookup: Box<Lookup>,
}

impl Sketch {
    pub(crate) fn new() -> Sketch {
        Sketch {
            version: Version::default(),
            options: KeyspaceOptions::default(),
            is_filling: false,
            horizon: 0,
            snapshots: Vec::new(),
            tombstones: BTreeMap::new(),
            lookup: Box::new(|_| None),
        }
    }

    pub(crate) fn with_options(options: KeyspaceOptions) -> Sketch {
        Sketch { options, ..Sketch::new() }
    }

    /// Adds a table where it belongs.
    pub(crate) fn put(&mut self, level: usize, run: u64, table: FileMeta) {
        self.put_shared(level, run, Arc::new(table));
    }

    pub(crate) fn put_shared(&mut self, level: usize, run: u64, table: Arc<FileMeta>) {
        let runs = &mut self.version.levels[level].runs;
        let at = runs.partition_point(|r| r.id > run);
        if runs.get(at).is_none_or(|r| r.id != run) {
            runs.insert(at, SortedRun { id: run, tables: Vec::new() });
        }
        let tables = &mut runs[at].tables;
        let place = tables.partition_point(|t| t.smallest < table.smallest);
        tables.insert(place, table);
        for pair in tables.windows(2) {
            assert!(pair[0].ends_before(&pair[1].smallest), "{pair:?} overlap at L{level}");
        }
    }

    pub(crate) fn remove(&mut self, inputs: &[InputRun]) {
        for input in inputs {
            let runs = &mut self.version.levels[input.level].runs;
            let run = runs.iter_mut().find(|r| r.id == input.run).expect("the input run exists");
            for table in &input.tables {
                let at = run.tables.iter().position(|t| t.number == table.number).expect("the input exists");
                run.tables.remove(at);
            }
            runs.retain(|r| !r.tables.is_empty());
        }
    }

    /// Makes the tombstones visible to [`context`](Sketch::context), and picks.
    pub(crate) fn pick(&mut self) -> Option<Pick> {
        self.look_up();
        super::pick(&self.version, &self.context())
    }

    fn look_up(&mut self) {
        let all: BTreeMap<u64, Arc<Fragments>> = self
            .tombstones
            .iter()
            .map(|(&number, list)| (number, Arc::new(Fragments::new(list.iter().cloned()))))
            .collect();
        self.lookup = Box::new(move |t| all.get(&t.number).cloned());
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            options: &self.options,
            is_filling: self.is_filling,
            horizon: self.horizon,
            snapshots: &self.snapshots,
            tombstones: &*self.lookup,
        }
    }

    /// Applies a choice that needs no bytes.
    pub(crate) fn apply_without_bytes(&mut self, choice: &Choice) {
        match choice {
            Choice::Move { inputs, to_level, to_run } => {
                self.remove(inputs);
                for table in inputs.iter().flat_map(|i| &i.tables) {
                    self.put_shared(*to_level, *to_run, table.clone());
                }
            }
            Choice::Drop { inputs } => self.remove(inputs),
            Choice::Merge(_) => panic!("a merge needs bytes"),
        }
    }
}
