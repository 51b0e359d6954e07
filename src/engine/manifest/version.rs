//! [`Version`]: an immutable picture of a keyspace's levels. It holds no open reader.
//!
//! ```text
//!   L0   run 9  [a────────z]              one table a run, newest run first, runs overlap
//!        run 8     [c──────────x]
//!   L1   run 0  [a──f][g──m][n────z]      leveled: one run a level, tables do not overlap
//!   L2   run 7  [a─────k][l──────z]       tiered: several runs a level, newest first
//!        run 3  [a──h][i─────────z]
//! ```
//!
//! Of two runs that hold the same key, the one at the upper level, or of the higher number at the same level, has the
//! newer entry. User keys are never split: all entries of a user key in a run lie in one table.

use super::edit::{AddedFile, KeyspaceEdit};
use super::file_meta::FileMeta;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most levels that a keyspace has.
pub(crate) const MAX_LEVELS: usize = 7;

/// Tables that do not overlap, ascending.
#[derive(Clone, Debug)]
pub(crate) struct SortedRun {
    /// Higher is newer, within a level.
    pub(crate) id: u64,
    /// Never empty.
    pub(crate) tables: Vec<Arc<FileMeta>>,
}

impl SortedRun {
    pub(crate) fn bytes(&self) -> u64 {
        self.tables.iter().map(|t| t.size).sum()
    }

    /// The index of the first table that does not end before `user_key`.
    pub(crate) fn first_not_before(&self, user_key: &[u8]) -> usize {
        self.tables.partition_point(|t| t.ends_before(user_key))
    }

    /// The tables that meet a range; see [`FileMeta::overlaps`].
    pub(crate) fn overlapping<'a>(
        &'a self,
        start: Option<&'a [u8]>,
        end: Option<&'a [u8]>,
    ) -> impl Iterator<Item = &'a Arc<FileMeta>> {
        let from = start.map_or(0, |s| self.first_not_before(s));
        self.tables[from..].iter().take_while(move |t| t.overlaps(start, end))
    }
}

/// The runs of a level, newest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    pub(crate) runs: Vec<SortedRun>,
}

impl Level {
    pub(crate) fn bytes(&self) -> u64 {
        self.runs.iter().map(SortedRun::bytes).sum()
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<FileMeta>> {
        self.runs.iter().flat_map(|r| &r.tables)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

/// An immutable picture of a keyspace's levels.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// Always [`MAX_LEVELS`] of them.
    pub(crate) levels: Vec<Level>,
}

impl Default for Version {
    fn default() -> Version {
        Version { levels: vec![Level::default(); MAX_LEVELS] }
    }
}

impl Version {
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<FileMeta>> {
        self.levels.iter().flat_map(Level::tables)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.levels.iter().map(Level::bytes).sum()
    }

    /// The last level that holds a table.
    pub(crate) fn bottom(&self) -> Option<usize> {
        self.levels.iter().rposition(|l| !l.is_empty())
    }

    /// The version after an edit: what it removes goes, then what it adds comes, runs that became empty vanish.
    ///
    /// # Errors
    /// The sentence that says which invariant the edit would break: a removed table is not where the edit says, a level
    /// does not exist, a table's bounds or sequence numbers are inverted, two tables of a run overlap.
    pub(crate) fn apply(&self, edit: &KeyspaceEdit) -> Result<Version, String> {
        let mut next = self.clone();
        next.remove(&edit.removed)?;
        let mut by_level: BTreeMap<usize, Vec<&AddedFile>> = BTreeMap::new();
        for added in &edit.added {
            check_table(&added.meta)?;
            by_level.entry(added.level).or_default().push(added);
        }
        for (level, added) in by_level {
            let slot =
                next.levels.get_mut(level).ok_or_else(|| format!("level {level} is beyond the last one"))?;
            slot.add(level, &added)?;
        }
        Ok(next)
    }

    fn remove(&mut self, removed: &[(usize, u64)]) -> Result<(), String> {
        let mut by_level: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
        for &(level, number) in removed {
            if !by_level.entry(level).or_default().insert(number) {
                return Err(format!("table {number} is removed from level {level} twice"));
            }
        }
        for (level, mut numbers) in by_level {
            if let Some(slot) = self.levels.get_mut(level) {
                for run in &mut slot.runs {
                    run.tables.retain(|table| !numbers.remove(&table.number));
                }
                slot.runs.retain(|run| !run.tables.is_empty());
            }
            if let Some(number) = numbers.first() {
                return Err(format!("table {number} is removed from level {level}, where it is not"));
            }
        }
        Ok(())
    }
}

impl Level {
    /// Adds tables to their runs and checks the runs they came to.
    fn add(&mut self, level: usize, added: &[&AddedFile]) -> Result<(), String> {
        let mut touched = BTreeSet::new();
        for file in added {
            touched.insert(file.run);
            // Runs descend by id, the newest first.
            let at = self.runs.partition_point(|run| run.id > file.run);
            if self.runs.get(at).is_none_or(|run| run.id != file.run) {
                self.runs.insert(at, SortedRun { id: file.run, tables: Vec::new() });
            }
            self.runs[at].tables.push(Arc::clone(&file.meta));
        }
        for run in self.runs.iter_mut().filter(|run| touched.contains(&run.id)) {
            run.tables.sort_by(|a, b| a.smallest.cmp(&b.smallest));
            for pair in run.tables.windows(2) {
                if !pair[0].ends_before(&pair[1].smallest) {
                    return Err(format!(
                        "tables {} and {} overlap in run {} of level {level}",
                        pair[0].number, pair[1].number, run.id
                    ));
                }
            }
        }
        Ok(())
    }
}

/// What must hold of a table by itself.
fn check_table(meta: &FileMeta) -> Result<(), String> {
    let number = meta.number;
    if meta.ends_before(&meta.smallest) {
        return Err(format!("the bounds of table {number} are inverted"));
    }
    if meta.min_seqno > meta.max_seqno {
        return Err(format!("the sequence numbers of table {number} are inverted"));
    }
    if meta.entries == 0 && meta.range_tombstones == 0 {
        return Err(format!("table {number} has no entry"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::file_meta::tests::table;
    use super::*;

    fn add(level: usize, run: u64, meta: FileMeta) -> AddedFile {
        AddedFile { level, run, meta: Arc::new(meta) }
    }

    fn edit(removed: &[(usize, u64)], added: Vec<AddedFile>) -> KeyspaceEdit {
        KeyspaceEdit { removed: removed.to_vec(), added, ..KeyspaceEdit::default() }
    }

    fn shape(version: &Version) -> String {
        let mut text = String::new();
        for (level, runs) in version.levels.iter().enumerate().filter(|(_, l)| !l.is_empty()) {
            for run in &runs.runs {
                let numbers: Vec<String> = run.tables.iter().map(|t| t.number.to_string()).collect();
                text.push_str(&format!("L{level}r{}:{} ", run.id, numbers.join(",")));
            }
        }
        text.trim_end().to_owned()
    }

    #[test]
    fn tables_come_move_and_go() {
        let v = Version::default();
        let v =
            v.apply(&edit(&[], vec![add(0, 1, table(1, "a", "z")), add(0, 2, table(2, "c", "d"))])).unwrap();
        assert_eq!(shape(&v), "L0r2:2 L0r1:1");
        let moved = Arc::clone(&v.levels[0].runs[0].tables[0]);
        let v2 = v
            .apply(&edit(
                &[(0, 1), (0, 2)],
                vec![
                    AddedFile { level: 1, run: 0, meta: moved },
                    add(1, 0, table(4, "x", "y")),
                    add(1, 0, table(3, "a", "b")),
                ],
            ))
            .unwrap();
        assert_eq!(shape(&v2), "L1r0:3,2,4");
        assert_eq!(shape(&v), "L0r2:2 L0r1:1", "a version never changes");
        assert_eq!(v2.bottom(), Some(1));
        assert_eq!(v2.apply(&edit(&[(1, 2), (1, 3), (1, 4)], vec![])).unwrap().bottom(), None);
    }

    #[test]
    fn neighbours_may_touch_only_at_an_exclusive_end() {
        let touching = |exclusive| {
            let left = FileMeta { largest_exclusive: exclusive, ..table(1, "a", "m") };
            Version::default().apply(&edit(&[], vec![add(2, 0, left), add(2, 0, table(2, "m", "z"))]))
        };
        assert!(touching(true).is_ok());
        assert!(touching(false).unwrap_err().contains("overlap"));
    }

    #[test]
    fn what_would_break_an_invariant_is_refused() {
        let v = Version::default().apply(&edit(&[], vec![add(1, 0, table(1, "f", "k"))])).unwrap();
        let bad = [
            (edit(&[(0, 1)], vec![]), "where it is not"),
            (edit(&[(9, 1)], vec![]), "where it is not"),
            (edit(&[(1, 1), (1, 1)], vec![]), "twice"),
            (edit(&[], vec![add(MAX_LEVELS, 0, table(2, "a", "b"))]), "beyond"),
            (edit(&[], vec![add(1, 0, table(2, "k", "n"))]), "overlap"),
            (edit(&[], vec![add(1, 0, table(2, "a", "z"))]), "overlap"),
            (edit(&[], vec![add(1, 0, table(2, "c", "b"))]), "inverted"),
            (
                edit(&[], vec![add(0, 2, FileMeta { min_seqno: 9, max_seqno: 8, ..table(2, "a", "b") })]),
                "inverted",
            ),
            (edit(&[], vec![add(0, 2, FileMeta { entries: 0, ..table(2, "a", "b") })]), "no entry"),
            (
                edit(&[], vec![add(0, 2, FileMeta { largest_exclusive: true, ..table(2, "a", "a") })]),
                "inverted",
            ),
        ];
        for (edit, expected) in bad {
            let said = v.apply(&edit).unwrap_err();
            assert!(said.contains(expected), "{said:?} should say {expected:?}");
        }
        // Another run of the level may overlap.
        assert_eq!(
            shape(&v.apply(&edit(&[], vec![add(1, 7, table(2, "a", "z"))])).unwrap()),
            "L1r7:2 L1r0:1"
        );
    }
}
