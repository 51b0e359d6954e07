//! [`Table`]: rows of words under each other.

/// Rows of words, the first of them the heading.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn row<const N: usize>(&mut self, words: [String; N]) {
        self.rows.push(words.into());
    }

    /// The lines, with columns as wide as their widest word.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |at: usize| self.rows.iter().filter_map(|row| row.get(at)).map(|w| w.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
        self.rows.iter().map(move |row| {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(word, &width)| format!("{word:width$}")).collect();
            cells.join("  ").trim_end().to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let mut table = Table::default();
        table.row(["node".to_owned(), "ü".to_owned(), "x".to_owned()]);
        table.row(["a".to_owned(), "alive".to_owned(), String::new()]);
        assert_eq!(table.lines().collect::<Vec<_>>(), ["node  ü      x", "a     alive"]);
    }
}
