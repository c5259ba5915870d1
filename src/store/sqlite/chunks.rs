//! Statements over many rows. Each statement is a round trip to the connection's thread, so rows go in groups of powers of two:
//! seven prepared statements serve every number of rows, and 63 rows take six of them.

use sqlx::{Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments};

/// Rows of one statement, largest first.
const SIZES: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// A statement that takes many rows, prepared for each of [`SIZES`].
pub(super) struct Chunks(Vec<(usize, String)>);

/// A statement whose rows are being bound.
pub(super) type Binding = Query<'static, Sqlite, SqliteArguments>;

impl Chunks {
    /// Puts rows of `row` (such as `(?, ?)`) between `head` and `tail`. No text may come from outside.
    pub(super) fn new(head: &str, row: &str, tail: &str) -> Self {
        Self::joined(head, row, ", ", tail)
    }

    /// A statement on the rows of a table with one of several keys: `row` is a condition such as `(a, b) = (?, ?)`.
    /// Not `IN (VALUES ...)`, for which SQLite uses no more than the first column of an index.
    pub(super) fn any_of(head: &str, row: &str) -> Self {
        Self::joined(head, row, " OR ", "")
    }

    fn joined(head: &str, row: &str, separator: &str, tail: &str) -> Self {
        Self(SIZES.iter().map(|size| (*size, format!("{head}{}{tail}", vec![row; *size].join(separator)))).collect())
    }

    /// Runs the statement over all rows and answers how many rows of the table it touched.
    pub(super) async fn run<T>(
        &'static self,
        connection: &mut SqliteConnection,
        rows: &[T],
        bind: impl Fn(Binding, &T) -> Binding,
    ) -> sqlx::Result<usize> {
        let mut left = rows;
        let mut touched = 0;
        while !left.is_empty() {
            let (size, sql) = self.largest_within(left.len());
            let (chunk, rest) = left.split_at(size);
            let query = chunk.iter().fold(sqlx::query(sql), &bind);
            touched += query.execute(&mut *connection).await?.rows_affected();
            left = rest;
        }
        Ok(usize::try_from(touched).unwrap_or(usize::MAX))
    }

    fn largest_within(&'static self, rows: usize) -> (usize, &'static str) {
        let fits = self.0.iter().find(|(size, _)| *size <= rows);
        fits.map(|(size, sql)| (*size, sql.as_str())).expect("the smallest size is one row")
    }
}
