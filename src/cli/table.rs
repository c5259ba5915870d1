//! Tables for people: columns of equal width, two spaces apart, a heading.

use std::fmt;

use super::output::printable;

/// Spaces between columns.
const GAP: usize = 2;

/// A table that grows row by row.
#[derive(Debug)]
pub(super) struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(heading: &[&str]) -> Self {
        Self { heading: heading.iter().map(|&title| title.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row. Control characters in its cells are replaced.
    pub(super) fn push<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.iter().map(|cell| printable(cell)).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = || std::iter::once(&self.heading).chain(&self.rows);
        let width = |column: usize| lines().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..self.heading.len()).map_while(width).collect();
        for line in lines() {
            let mut text = String::new();
            for (cell, width) in line.iter().zip(&widths) {
                text += cell;
                text.extend(std::iter::repeat_n(' ', width + GAP - cell.chars().count()));
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_columns_and_leaves_no_blanks_at_the_end() {
        let mut table = Table::new(&["ID", "NAME"]);
        table.push(["a".to_owned(), "é".to_owned()]);
        table.push(["long".to_owned(), String::new()]);
        assert_eq!(table.to_string(), "ID    NAME\na     é\nlong\n");
    }
}
