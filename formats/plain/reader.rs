//! [`PlainTable`]: an open table.
//!
//! Held in memory for the life of the reader: the section table, the properties, the keys' common prefix, and a bit for each page.
//! A lookup by hash reads one line of the hash index and the entry; by order, a line of each level of the ordered index and the
//! entries of a group.

use crate::cursor::PlainCursor;
use crate::data::{Data, LINE_SUMS, Reads, no_entry, pages_of};
use crate::entry::{Entry, MAX_HEADER, UNIT};
use crate::hash::{self, Places};
use crate::index::{self, LEAF_GROUPS, Levels};
use crate::window::Window;
use crate::{expected, sections};
use esker_table::footer::Footer;
use esker_table::key;
use esker_table::layout::cuts::Cuts;
use esker_table::layout::lines::Lines;
use esker_table::layout::sections::{Section, Sections};
use esker_table::layout::tail::Tail;
use esker_table::layout::tombstones::Loaded;
use esker_table::layout::verified::Verified;
use esker_table::{
    Advice, BlockSource, Found, Fragments, LookupKey, Properties, ReadOptions, Result, Slice, TableCursor,
    TableError, TableReader, Trailer,
};
use std::cmp::Ordering;
use std::sync::Arc;

/// Versions of a key that are walked over before the ordered index is asked.
const PATIENCE: usize = 8;

/// An open table.
pub struct PlainTable {
    pub(crate) source: BlockSource,
    pub(crate) footer: Footer,
    pub(crate) sections: Sections,
    pub(crate) properties: Properties,
    pub(crate) verified: Verified,
    /// What there is if there are entries.
    pub(crate) body: Option<Body>,
    tombstones: Loaded,
}

/// The entries of a table, and what finds them.
pub(crate) struct Body {
    pub(crate) data: Data,
    pub(crate) hash: Option<Lines>,
    pub(crate) index: Lines,
    pub(crate) levels: Levels,
    pub(crate) groups: u32,
    /// What all keys begin with.
    pub(crate) prefix: Slice,
}

impl PlainTable {
    /// Opens a table.
    ///
    /// # Errors
    /// See [`esker_table::TableFormat::open`].
    pub(crate) fn open(source: BlockSource) -> Result<PlainTable> {
        let tail = Tail::read(&source, &expected())?;
        let properties = tail.properties(&source, sections::PROPERTIES)?;
        let body = Body::open(&tail, &source)?;
        if body.is_some() != (properties.entries > 0) {
            return Err(TableError::corruption(tail.sections.at, "the sections contradict the properties"));
        }
        let pages = if source.is_mapped() { body.as_ref().map_or(0, Body::pages) } else { 0 };
        // Single places of the data are read in no order; the indexes are read again and again.
        source.advise(Advice::Random, 0, body.as_ref().map_or(0, |body| body.data.len()));
        Ok(PlainTable {
            source,
            footer: tail.footer,
            sections: tail.sections,
            properties,
            verified: Verified::new(pages),
            body,
            tombstones: Loaded::default(),
        })
    }

    /// How the data is read.
    #[inline]
    pub(crate) fn reads(&self, options: &ReadOptions) -> Reads<'_> {
        Reads::new(&self.source, &self.verified, options)
    }

    /// The head and the location of a group, the latter in bytes.
    #[inline]
    pub(crate) fn group(&self, body: &Body, number: u32) -> Result<(u64, u64)> {
        let (leaf, place) = (number / LEAF_GROUPS as u32, number as usize % LEAF_GROUPS);
        let line = body.levels.leaves() + leaf;
        let (head, location) =
            body.index.with(line, &self.source, &self.verified, |line| index::group_in(line, place))?;
        let at = u64::from(location) * UNIT as u64;
        if at >= body.data.len() {
            return Err(no_entry(at));
        }
        Ok((head, at))
    }

    /// The last group that begins at or before `(user_key, trailer)`; the first if none does.
    fn floor(
        &self,
        body: &Body,
        window: &mut Window,
        user_key: &[u8],
        trailer: Trailer,
        reads: &Reads<'_>,
    ) -> Result<u32> {
        let shared = user_key.len().min(body.prefix.len());
        let (front, rest) = user_key.split_at(shared);
        match front.cmp(&body.prefix[..shared]) {
            Ordering::Less => return Ok(0),
            Ordering::Greater => return Ok(body.groups - 1),
            // A key that is a part of the prefix lies before all that begin with it.
            Ordering::Equal if shared < body.prefix.len() => return Ok(0),
            Ordering::Equal => {}
        }
        let head = key::head(rest);
        let mut node = 0;
        for (start, below) in body.levels.inner() {
            node = body.index.with(start + node, &self.source, &self.verified, |line| {
                index::child_of(line, node, head, below)
            })?;
        }
        let leaf = body.levels.leaves() + node;
        let before =
            body.index.with(leaf, &self.source, &self.verified, |line| index::below_in(line, head))?;
        let first = (node * LEAF_GROUPS as u32 + before).min(body.groups);
        // Groups with the same head are told apart by their first entries.
        let mut begins_behind = |group: u32| -> Result<bool> {
            let (other, at) = self.group(body, group)?;
            if other != head {
                return Ok(true);
            }
            let entry = window.entry(&body.data, at, reads)?;
            Ok(key::compare(window.key(&entry), entry.trailer, user_key, trailer).is_gt())
        };
        let (mut low, mut step) = (first, 1);
        while low < body.groups && !begins_behind(low)? {
            low += 1;
            while low + step < body.groups && !begins_behind(low + step)? {
                low += step + 1;
                step *= 2;
            }
            step = (step / 2).max(1);
        }
        Ok(low.saturating_sub(1))
    }

    /// Where the first entry at or after `(user_key, trailer)` begins, and the last group that begins at or before that target. If
    /// all entries are below, where the data ends.
    pub(crate) fn lower_bound(
        &self,
        body: &Body,
        window: &mut Window,
        user_key: &[u8],
        trailer: Trailer,
        reads: &Reads<'_>,
    ) -> Result<(u64, u32)> {
        let group = self.floor(body, window, user_key, trailer, reads)?;
        let (_, mut at) = self.group(body, group)?;
        while at < body.data.len() {
            let entry = window.entry(&body.data, at, reads)?;
            if key::compare(window.key(&entry), entry.trailer, user_key, trailer).is_ge() {
                break;
            }
            at = window.end_of(&entry);
        }
        Ok((at, group))
    }

    /// The last group that begins before `at`, which is above 0. `hint`: it is that one or an earlier one.
    pub(crate) fn group_before(&self, body: &Body, at: u64, hint: Option<u32>) -> Result<u32> {
        if let Some(hint) = hint {
            let mut group = hint.min(body.groups - 1);
            while group > 0 && self.group(body, group)?.1 >= at {
                group -= 1;
            }
            return Ok(group);
        }
        let (mut low, mut high) = (0, body.groups);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.group(body, middle)?.1 < at {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.saturating_sub(1))
    }

    /// What the lookup sees of the versions that begin at `at`, if those are of its key.
    #[inline]
    fn newest_at(&self, body: &Body, at: u64, key: &LookupKey<'_>, reads: &Reads<'_>) -> Result<At> {
        let mut at = at;
        if at >= body.data.len() {
            return Err(no_entry(at));
        }
        for _ in 0..PATIENCE {
            if at >= body.data.len() {
                return Ok(At::Nothing);
            }
            let seen = match self.source.view(0, body.data.len() as usize) {
                Some(bytes) => self.look_in_view(body, bytes, at, key, reads)?,
                None => look_loaded(body, at, key, reads)?,
            };
            match seen {
                At::Newer(next) => at = next,
                seen => return Ok(seen),
            }
        }
        Ok(At::Newer(at))
    }

    #[inline]
    fn look_in_view(
        &self,
        body: &Body,
        bytes: &[u8],
        at: u64,
        key: &LookupKey<'_>,
        reads: &Reads<'_>,
    ) -> Result<At> {
        body.data.ensure(at..at + MAX_HEADER as u64, reads)?;
        let entry = body.data.decode(bytes, at, 0)?;
        body.data.ensure(at..entry.value_end() as u64, reads)?;
        if entry.key(bytes) != key.user_key {
            return Ok(At::Other);
        }
        if entry.trailer > key.trailer() {
            return Ok(At::Newer(entry.end as u64));
        }
        let value = self.source.read(entry.value_start() as u64, entry.value_len)?;
        Ok(At::Found(Found { trailer: entry.trailer, value }))
    }

    fn get_by_hash(
        &self,
        body: &Body,
        lines: &Lines,
        key: &LookupKey<'_>,
        reads: &Reads<'_>,
    ) -> Result<Option<Found>> {
        let mut line = hash::first_line(key.hash, lines.count());
        for _ in 0..lines.count() {
            let mut places =
                lines.with(line, &self.source, &self.verified, |line| Places::of(line, key.hash))?;
            for location in places.by_ref() {
                match self.newest_at(body, u64::from(location) * UNIT as u64, key, reads)? {
                    At::Other => {}
                    At::Nothing => return Ok(None),
                    At::Found(found) => return Ok(Some(found)),
                    At::Newer(_) => return self.get_by_order(body, key, reads),
                }
            }
            if !places.goes_on {
                break;
            }
            line = if line + 1 == lines.count() { 0 } else { line + 1 };
        }
        Ok(None)
    }

    fn get_by_order(&self, body: &Body, key: &LookupKey<'_>, reads: &Reads<'_>) -> Result<Option<Found>> {
        let mut window = Window::new(Some(&body.data), false);
        let (at, _) = self.lower_bound(body, &mut window, key.user_key, key.trailer(), reads)?;
        if at >= body.data.len() {
            return Ok(None);
        }
        let entry = window.entry(&body.data, at, reads)?;
        let is_it = window.key(&entry) == key.user_key;
        Ok(is_it.then(|| Found { trailer: entry.trailer, value: window.value(&entry) }))
    }
}

/// What a lookup finds where an entry begins.
enum At {
    /// The entry of another key.
    Other,
    /// Every version of the key is newer than the lookup's snapshot.
    Nothing,
    Found(Found),
    /// A version that the snapshot does not see; the next entry begins there.
    Newer(u64),
}

/// As [`PlainTable::look_in_view`], of a file that does not lend itself.
fn look_loaded(body: &Body, at: u64, key: &LookupKey<'_>, reads: &Reads<'_>) -> Result<At> {
    let (entry, start, bytes): (Entry, u64, Slice) = body.data.entry(at, reads)?;
    if entry.key(&bytes) != key.user_key {
        return Ok(At::Other);
    }
    if entry.trailer > key.trailer() {
        return Ok(At::Newer(start + entry.end as u64));
    }
    Ok(At::Found(Found { trailer: entry.trailer, value: entry.value(&bytes) }))
}

impl Body {
    fn open(tail: &Tail, source: &BlockSource) -> Result<Option<Body>> {
        let bad = |what: &str| TableError::corruption(tail.sections.at, what.to_owned());
        let section = |kind| tail.sections.get(kind);
        let (data, sums, index) =
            match (section(sections::DATA), section(sections::CHECKSUMS), section(sections::INDEX)) {
                (Some(data), Some(sums), Some(index)) => (data, sums, index),
                (None, None, None) if section(sections::HASH).is_none() => return Ok(None),
                _ => return Err(bad("the sections contradict each other")),
            };
        let pages = pages_of(data.len);
        let limit = u64::from(u32::MAX / 4);
        if data.offset != 0 || data.len == 0 || data.len % UNIT as u64 != 0 || pages > limit {
            return Err(bad("the data lie where they cannot"));
        }
        let mut ordinal = pages as u32;
        let mut lines = |section: Section, count: u64| -> Result<Lines> {
            let count = u32::try_from(count).ok().filter(|&count| u64::from(count) <= limit);
            let count = count.ok_or_else(|| bad("a section claims too many lines"))?;
            let lines = Lines::open(section.offset, section.len, count, ordinal)?;
            ordinal += lines.pages();
            Ok(lines)
        };
        let sums = lines(sums, pages.div_ceil(LINE_SUMS as u64))?;
        let hash = section(sections::HASH).map(|section| lines(section, section.extra)).transpose()?;
        let (groups, prefix_len) = (index.extra as u32, index.extra >> 32);
        if groups == 0 || u64::from(groups) > data.len / UNIT as u64 {
            return Err(bad("the index claims groups that there cannot be"));
        }
        let levels = Levels::of(groups);
        let index = lines(index, u64::from(levels.lines()))?;
        let prefix = match section(sections::PREFIX) {
            Some(section) => tail.block(source, section.offset, section.len)?,
            None => Slice::new(),
        };
        if prefix.len() as u64 != prefix_len {
            return Err(bad("the keys' common prefix has another length"));
        }
        Ok(Some(Body { data: Data::new(data.len, sums), hash, index, levels, groups, prefix }))
    }

    /// How many pages are verified one by one.
    fn pages(&self) -> usize {
        let lines = self.data.sums().pages() + self.hash.map_or(0, |hash| hash.pages()) + self.index.pages();
        pages_of(self.data.len()) as usize + lines as usize
    }
}

impl TableReader for PlainTable {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    #[inline]
    fn get(&self, key: &LookupKey<'_>, options: &ReadOptions) -> Result<Option<Found>> {
        let Some(body) = &self.body else { return Ok(None) };
        let reads = self.reads(options);
        match &body.hash {
            Some(lines) => self.get_by_hash(body, lines, key, &reads),
            None => self.get_by_order(body, key, &reads),
        }
    }

    #[inline]
    fn may_contain(&self, hash: u64) -> Result<bool> {
        let Some(body) = &self.body else { return Ok(false) };
        let Some(lines) = &body.hash else { return Ok(true) };
        let mut line = hash::first_line(hash, lines.count());
        for _ in 0..lines.count() {
            let places = lines.with(line, &self.source, &self.verified, |line| Places::of(line, hash))?;
            if places.any() {
                return Ok(true);
            }
            if !places.goes_on {
                return Ok(false);
            }
            line = if line + 1 == lines.count() { 0 } else { line + 1 };
        }
        Ok(false)
    }

    fn cursor(self: Arc<Self>, options: &ReadOptions) -> Box<dyn TableCursor> {
        Box::new(PlainCursor::new(self, options))
    }

    fn range_tombstones(&self) -> Result<Arc<Fragments>> {
        self.tombstones.get(&self.source, self.sections.get(sections::TOMBSTONES))
    }

    fn estimated_offset(&self, user_key: &[u8]) -> u64 {
        let Some(body) = &self.body else { return 0 };
        if !self.properties.largest_exclusive && user_key > &self.properties.largest[..] {
            return body.data.len();
        }
        let options = ReadOptions::default();
        let reads = self.reads(&options);
        let mut window = Window::new(Some(&body.data), false);
        let at = self
            .floor(body, &mut window, user_key, Trailer::FIRST, &reads)
            .and_then(|group| self.group(body, group));
        // What cannot be read is reported by the read that needs it; an estimate may be wrong.
        at.map_or(body.data.len(), |(_, at)| at.min(body.data.len()))
    }

    fn split_points(&self, parts: usize) -> Result<Vec<Vec<u8>>> {
        let Some(body) = &self.body else { return Ok(Vec::new()) };
        let options = ReadOptions::default();
        let reads = self.reads(&options);
        let mut window = Window::new(Some(&body.data), false);
        let mut key_at = |at: u64| -> Result<Vec<u8>> {
            let entry = window.entry(&body.data, at, &reads)?;
            Ok(window.key(&entry).to_vec())
        };
        let first = key_at(0)?;
        let mut cuts = Cuts::new(parts, body.data.len());
        for group in 1..body.groups {
            if cuts.is_full() {
                break;
            }
            let (_, at) = self.group(body, group)?;
            cuts.offer(at, || key_at(at))?;
        }
        Ok(cuts.above(&first))
    }

    fn verify(&self) -> Result<()> {
        crate::verify::verify(self)
    }

    fn heap_bytes(&self) -> usize {
        size_of::<PlainTable>()
            + self.verified.heap_bytes()
            + self.body.as_ref().map_or(0, |body| body.prefix.len() + body.levels.heap_bytes())
            + self.properties.heap_bytes()
            + self.tombstones.heap_bytes()
    }

    fn describe(&self, line: &mut dyn FnMut(String)) -> Result<()> {
        crate::verify::describe(self, line);
        Ok(())
    }
}
