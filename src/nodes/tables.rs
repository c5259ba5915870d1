//! Tables as text: reads CSV into objects and writes objects as CSV, in bounded memory. Pure; used by `parse` and `format`.

use std::collections::HashSet;

use csv::{ReaderBuilder, StringRecord, Terminator, Trim, WriterBuilder};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{budget::Budget, paths::Path, values};
use crate::model::{error::NodeError, limits::OUTPUT_BYTES_MAX};

/// Columns of one table.
pub const COLUMNS_MAX: usize = 1_000;
const BYTE_ORDER_MARK: char = '\u{feff}';

/// How a table is written.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct TableOptions {
    /// One ASCII character.
    pub delimiter: char,
    /// Whether the first row names the columns.
    pub header: bool,
    /// Reading: take spaces around values away.
    pub trim: bool,
    /// Writing: the columns; those of all rows where there are none.
    pub columns: Vec<Path>,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self { delimiter: ',', header: true, trim: false, columns: Vec::new() }
    }
}

/// Why a table cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("is not CSV: {0}")]
    Csv(#[from] csv::Error),
    #[error("has more than {COLUMNS_MAX} columns")]
    TooManyColumns,
    /// The run would put out too much.
    #[error(transparent)]
    Limit(#[from] NodeError),
}

impl TableOptions {
    /// The delimiter as the byte that `csv` takes; the schema lets one ASCII character through.
    fn delimiter_byte(&self) -> u8 {
        u8::try_from(self.delimiter).unwrap_or(b',')
    }
}

/// Reads a table into objects, one per row. Every value is a text; one behind the last named column is called `column_4`.
///
/// Errors: the syntax, too many columns, or the limits of `budget`.
pub fn read(text: &str, options: &TableOptions, budget: &mut Budget) -> Result<Vec<Value>, TableError> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let trim = if options.trim { Trim::All } else { Trim::None };
    let mut reader = ReaderBuilder::new()
        .delimiter(options.delimiter_byte())
        .has_headers(false)
        .flexible(true)
        .trim(trim)
        .from_reader(text.as_bytes());
    let mut columns: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    let mut record = StringRecord::new();
    let mut is_header = options.header;
    while reader.read_record(&mut record)? {
        if record.len() > COLUMNS_MAX {
            return Err(TableError::TooManyColumns);
        }
        if is_header {
            columns = column_names(&record);
            is_header = false;
            continue;
        }
        columns.extend((columns.len()..record.len()).map(numbered));
        let cells = columns.iter().zip(&record).map(|(name, cell)| (name.clone(), Value::String(cell.to_owned())));
        let row = Value::Object(cells.collect());
        budget.spend_item(&row)?;
        rows.push(row);
    }
    Ok(rows)
}

/// The names of a header; an empty or repeated one is replaced by its number, since an object would lose its values.
fn column_names(header: &StringRecord) -> Vec<String> {
    let mut seen = HashSet::new();
    let named = header.iter().enumerate().map(|(index, name)| {
        let is_new = !name.is_empty() && seen.insert(name);
        if is_new { name.to_owned() } else { numbered(index) }
    });
    named.collect()
}

fn numbered(index: usize) -> String {
    format!("column_{}", index + 1)
}

/// Writes rows as a table. A list or an object in a cell is written as JSON, null as nothing.
///
/// Errors: too many columns, or the text is longer than [`OUTPUT_BYTES_MAX`].
pub fn write<'r>(rows: impl Iterator<Item = &'r Value> + Clone, options: &TableOptions) -> Result<String, TableError> {
    let columns =
        if options.columns.is_empty() { Columns::Found(find_columns(rows.clone())?) } else { Columns::Given(&options.columns) };
    let names = columns.names();
    if names.is_empty() {
        return Ok(String::new());
    }
    let mut writer = WriterBuilder::new()
        .delimiter(options.delimiter_byte())
        .terminator(Terminator::Any(b'\n'))
        .flexible(true)
        .from_writer(Vec::new());
    if options.header {
        writer.write_record(names)?;
    }
    for row in rows {
        writer.write_record(columns.cells(row))?;
        writer.flush().map_err(csv::Error::from)?;
        if writer.get_ref().len() > OUTPUT_BYTES_MAX {
            return Err(TableError::Limit(super::budget::too_many_bytes()));
        }
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8(bytes).expect("a table of texts is text"))
}

enum Columns<'c> {
    Given(&'c [Path]),
    /// Names of fields of the rows.
    Found(Vec<&'c str>),
}

impl Columns<'_> {
    fn names(&self) -> Vec<String> {
        match self {
            Self::Given(paths) => paths.iter().map(Path::to_string).collect(),
            Self::Found(names) => names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn cells(&self, row: &Value) -> Vec<String> {
        match self {
            Self::Given(paths) => paths.iter().map(|path| cell(path.read(row))).collect(),
            Self::Found(names) => names.iter().map(|name| cell(row.get(name))).collect(),
        }
    }
}

/// The fields of all rows, in the order in which they first appear.
fn find_columns<'r>(rows: impl Iterator<Item = &'r Value>) -> Result<Vec<&'r str>, TableError> {
    let mut seen = HashSet::new();
    let mut columns = Vec::new();
    for name in rows.filter_map(Value::as_object).flat_map(Map::keys) {
        if seen.insert(name.as_str()) {
            columns.push(name.as_str());
        }
        if columns.len() > COLUMNS_MAX {
            return Err(TableError::TooManyColumns);
        }
    }
    Ok(columns)
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(value) => values::scalar_text(value).unwrap_or_else(|| value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_read(text: &str, expected: Value) {
        let rows = read(text, &TableOptions::default(), &mut Budget::default()).unwrap();
        assert_eq!(Value::Array(rows), expected);
    }

    #[test]
    fn names_every_column_once() {
        check_read("a,,a\n1,2,3,4\n5", json!([{ "a": "1", "column_2": "2", "column_3": "3", "column_4": "4" }, { "a": "5" }]));
        check_read("a,b\n", json!([]));
        check_read("", json!([]));
    }

    #[test]
    fn writes_what_it_reads() {
        let rows = [json!({ "a": "x,\"y\"\n", "b": 1 }), json!({ "b": null, "c": [1] })];
        let text = write(rows.iter(), &TableOptions::default()).unwrap();
        assert_eq!(text, "a,b,c\n\"x,\"\"y\"\"\n\",1,\n,,[1]\n");
        check_read(&text, json!([{ "a": "x,\"y\"\n", "b": "1", "c": "" }, { "a": "", "b": "", "c": "[1]" }]));
    }

    #[test]
    fn writes_given_columns_only() {
        let options =
            TableOptions { columns: vec!["b.c".parse().unwrap(), "a".parse().unwrap()], delimiter: '\t', ..Default::default() };
        let rows = [json!({ "a": true, "b": { "c": 1 }, "d": 2 })];
        assert_eq!(write(rows.iter(), &options).unwrap(), "b.c\ta\n1\ttrue\n");
        assert_eq!(write([].iter(), &TableOptions { header: false, ..options }).unwrap(), "");
    }

    #[test]
    fn columns_obeyed_and_violated() {
        let row = |count: usize| Value::Object((0..count).map(|n| (format!("c{n}"), json!(n))).collect());
        let text = write([row(COLUMNS_MAX)].iter(), &TableOptions::default()).unwrap();
        assert_eq!(read(&text, &TableOptions::default(), &mut Budget::default()).unwrap().len(), 1);
        assert!(matches!(write([row(COLUMNS_MAX + 1)].iter(), &TableOptions::default()), Err(TableError::TooManyColumns)));
        let wide = ",".repeat(COLUMNS_MAX);
        assert!(matches!(read(&wide, &TableOptions::default(), &mut Budget::default()), Err(TableError::TooManyColumns)));
    }

    #[test]
    fn a_long_header_does_not_multiply_past_the_limit() {
        let text = format!("{}\n{}", "x".repeat(1_000_000), "1\n".repeat(100));
        assert!(matches!(read(&text, &TableOptions::default(), &mut Budget::default()), Err(TableError::Limit(_))));
        let options = TableOptions { columns: vec!["a".parse().unwrap(); COLUMNS_MAX], ..Default::default() };
        let rows = [json!({ "a": "x".repeat(100_000) })];
        assert!(matches!(write(rows.iter(), &options), Err(TableError::Limit(_))));
    }
}
