//! `format`: writes items as text, JSON or CSV.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Description, NodeType, Outcome, Prepared, PureNode, Runner,
    budget::Budget,
    context::{NodeContext, kind_of},
    params::{
        self,
        schema::{self, LITERAL},
    },
    paths::Path,
    tables::{self, TableError, TableOptions},
};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    error::{NodeError, codes},
    item::{Item, PortItems},
    problem::Problem,
};

const INTO: &str = "data";
const FORMATS: [&str; 2] = ["json", "csv"];

/// The node type `format`.
pub struct Format;

#[derive(Deserialize)]
struct Params {
    format: FormatName,
    field: Option<Path>,
    into: Option<Path>,
    #[serde(default)]
    options: Options,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FormatName {
    Json,
    Csv,
}

#[derive(Default, Deserialize)]
struct Options {
    indent: Option<bool>,
    delimiter: Option<char>,
    header: Option<bool>,
    columns: Option<Vec<Path>>,
}

impl NodeType for Format {
    fn describe(&self) -> Description {
        let columns = schema::paths("`csv`: the columns; the fields of all rows where none are given.");
        Description {
            type_name: "format",
            summary: "Writes a text: of each item as JSON, or of all items as one CSV table.",
            params_schema: schema::object(
                &["format"],
                json!({
                    "format": { "description": "What to write.", "enum": FORMATS, (LITERAL): true },
                    "field": schema::path(
                        "Path of what is written, in place of the whole item. For `csv` an array of rows, and a text for each item.",
                    ),
                    "into": schema::path("Path of the text in the new item (`data` where none is set)."),
                    "options": {
                        "description": "How it is written.", "type": "object", "additionalProperties": false,
                        "properties": {
                            "indent": schema::flag("`json`: on several lines, indented."),
                            "delimiter": schema::delimiter(),
                            "header": schema::flag_with_default("`csv`: whether the first row names the columns.", true),
                            "columns": columns,
                        },
                    },
                }),
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let Params { format, field, into, options } = params::read(node)?;
        let problems = options.misplaced(format);
        if !problems.is_empty() {
            return Err(problems);
        }
        let writer = match format {
            FormatName::Json => Writer::Json { indent: options.indent.unwrap_or_default() },
            FormatName::Csv => Writer::Csv(options.table()),
        };
        let into = into.unwrap_or_else(|| INTO.parse().expect("a constant path"));
        let runner = FormatNode { writer, field, into };
        Ok(Prepared { shape: NodeShape::step(EffectClass::Pure), runner: Runner::Pure(Arc::new(runner)) })
    }
}

impl Options {
    fn misplaced(&self, format: FormatName) -> Vec<Problem> {
        let fields = [
            ("indent", self.indent.is_some(), FormatName::Json),
            ("delimiter", self.delimiter.is_some(), FormatName::Csv),
            ("header", self.header.is_some(), FormatName::Csv),
            ("columns", self.columns.is_some(), FormatName::Csv),
        ];
        let misplaced = fields.into_iter().filter(|(_, is_given, of)| *is_given && *of != format);
        misplaced.map(|(name, ..)| params::invalid(&format!("/params/options/{name}"), "not used by this format")).collect()
    }

    fn table(self) -> TableOptions {
        let default = TableOptions::default();
        TableOptions {
            delimiter: self.delimiter.unwrap_or(default.delimiter),
            header: self.header.unwrap_or(default.header),
            columns: self.columns.unwrap_or_default(),
            ..default
        }
    }
}

struct FormatNode {
    writer: Writer,
    field: Option<Path>,
    into: Path,
}

enum Writer {
    Json { indent: bool },
    Csv(TableOptions),
}

impl FormatNode {
    fn text_of(&self, index: usize, item: &Item) -> Result<String, NodeError> {
        let value = match &self.field {
            Some(field) => field.read(&item.json).unwrap_or(&Value::Null),
            None => &item.json,
        };
        match &self.writer {
            Writer::Json { indent: false } => Ok(value.to_string()),
            Writer::Json { indent: true } => Ok(format!("{value:#}")),
            Writer::Csv(options) => match value {
                Value::Array(rows) => tables::write(rows.iter(), options).map_err(|error| table_failure(index, error)),
                other => {
                    let message = format!("item {index}: a table is made of an array of rows, not of {}", kind_of(other));
                    Err(NodeError::permanent(codes::INVALID_INPUT, message))
                }
            },
        }
    }

    fn item_of(&self, ctx: &NodeContext<'_>, index: usize, text: String, budget: &mut Budget) -> Result<Item, NodeError> {
        budget.spend_bytes(text.len())?;
        let mut json = json!({});
        self.into.write(&mut json, Value::String(text))?;
        Ok(ctx.derive(index, json))
    }
}

fn table_failure(index: usize, error: TableError) -> NodeError {
    match error {
        TableError::Limit(error) => error,
        error @ (TableError::Csv(_) | TableError::TooManyColumns) => {
            NodeError::permanent(codes::INVALID_INPUT, format!("item {index}: the table {error}"))
        }
    }
}

impl PureNode for FormatNode {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        let items = ctx.items();
        let mut budget = Budget::default();
        if let (Writer::Csv(options), None) = (&self.writer, &self.field) {
            let text = tables::write(items.iter().map(|item| &item.json), options).map_err(|error| table_failure(0, error))?;
            return Ok(Outcome::Done(PortItems::main(vec![self.item_of(ctx, 0, text, &mut budget)?])));
        }
        let mut formatted = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let text = self.text_of(index, item)?;
            formatted.push(self.item_of(ctx, index, text, &mut budget)?);
        }
        Ok(Outcome::Done(PortItems::main(formatted)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::testing::{failure, problems, run};

    #[track_caller]
    fn check(params: Value, items: Value, expected: Value) {
        assert_eq!(run("format", params, items), Ok(json!({ "main": expected })));
    }

    #[test]
    fn writes_each_item_as_json() {
        let items = json!([{ "a": { "b": 1 } }, {}]);
        check(json!({ "format": "json" }), items.clone(), json!([{ "data": r#"{"a":{"b":1}}"# }, { "data": "{}" }]));
        check(
            json!({ "format": "json", "field": "a.b", "into": "t.x" }),
            items.clone(),
            json!([
                { "t": { "x": "1" } }, { "t": { "x": "null" } }
            ]),
        );
        check(
            json!({ "format": "json", "field": "a", "options": { "indent": true } }),
            json!([{ "a": [1] }]),
            json!([
                { "data": "[\n  1\n]" }
            ]),
        );
    }

    #[test]
    fn writes_all_items_as_one_table() {
        let items = json!([{ "a": 1, "b": "x" }, { "a": 2 }]);
        check(json!({ "format": "csv" }), items.clone(), json!([{ "data": "a,b\n1,x\n2,\n" }]));
        let options = json!({ "delimiter": ";", "header": false, "columns": ["b", "a"] });
        check(json!({ "format": "csv", "options": options }), items, json!([{ "data": "x;1\n;2\n" }]));
    }

    #[test]
    fn writes_a_table_of_each_item_where_it_has_rows() {
        check(
            json!({ "format": "csv", "field": "rows" }),
            json!([{ "rows": [{ "a": 1 }] }, { "rows": [] }]),
            json!([
                { "data": "a\n1\n" }, { "data": "" }
            ]),
        );
        assert_eq!(failure("format", json!({ "format": "csv", "field": "rows" }), json!([{}])), codes::INVALID_INPUT);
    }

    #[test]
    fn refuses_options_of_the_other_format() {
        assert_eq!(
            problems("format", json!({ "format": "json", "options": { "header": false } })),
            ["/params/options/header invalid_parameter"]
        );
        assert_eq!(
            problems("format", json!({ "format": "csv", "options": { "indent": true, "trim": true } })),
            ["/params/options/trim unknown_field"]
        );
    }
}
