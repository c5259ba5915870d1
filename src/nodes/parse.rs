//! `parse`: reads a text of an item as JSON or CSV.

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

const FIELD: &str = "data";
const FORMATS: [&str; 2] = ["json", "csv"];

/// The node type `parse`.
pub struct Parse;

#[derive(Deserialize)]
struct Params {
    format: Format,
    field: Option<Path>,
    into: Option<Path>,
    options: Option<TableOptions>,
}

/// A format that `parse` reads and `format` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    Json,
    Csv,
}

impl NodeType for Parse {
    fn describe(&self) -> Description {
        Description {
            type_name: "parse",
            summary: "Reads a text of each item: an object is one item, an array or a table an item per element or row.",
            params_schema: schema::object(
                &["format"],
                json!({
                    "format": { "description": "What the text is.", "enum": FORMATS, (LITERAL): true },
                    "field": schema::path("Path of the text (`data` where none is set)."),
                    "into": schema::path("Put the parsed value at this path of the item, instead of making items of it."),
                    "options": {
                        "description": "For `csv`.", "type": "object", "additionalProperties": false,
                        "properties": {
                            "delimiter": schema::delimiter(),
                            "header": schema::flag_with_default("Whether the first row names the columns.", true),
                            "trim": schema::flag("Take spaces around values away."),
                        },
                    },
                }),
            ),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let Params { format, field, into, options } = params::read(node)?;
        if format == Format::Json && options.is_some() {
            return Err(vec![params::invalid("/params/options", "`json` has no options")]);
        }
        let reader = match format {
            Format::Json => Reader::Json,
            Format::Csv => Reader::Csv(options.unwrap_or_default()),
        };
        let field = field.unwrap_or_else(|| FIELD.parse().expect("a constant path"));
        let runner = ParseNode { reader, field, into };
        Ok(Prepared { shape: NodeShape::step(EffectClass::Pure), runner: Runner::Pure(Arc::new(runner)) })
    }
}

struct ParseNode {
    reader: Reader,
    field: Path,
    into: Option<Path>,
}

enum Reader {
    Json,
    Csv(TableOptions),
}

impl ParseNode {
    fn parse(&self, index: usize, item: &Item, budget: &mut Budget) -> Result<Value, NodeError> {
        let text = match self.field.read_present(&item.json) {
            Some(Value::String(text)) => text,
            Some(other) => return Err(self.failure(index, &format!("is {}, not a string", kind_of(other)))),
            None => return Err(self.failure(index, "is missing")),
        };
        match &self.reader {
            Reader::Json => serde_json::from_str(text).map_err(|error| self.failure(index, &format!("is not JSON: {error}"))),
            Reader::Csv(options) => match tables::read(text, options, budget) {
                Ok(rows) => Ok(Value::Array(rows)),
                Err(TableError::Limit(error)) => Err(error),
                Err(error @ (TableError::Csv(_) | TableError::TooManyColumns)) => Err(self.failure(index, &error.to_string())),
            },
        }
    }

    fn failure(&self, index: usize, what: &str) -> NodeError {
        NodeError::permanent(codes::INVALID_INPUT, format!("item {index}: `{}` {what}", self.field))
    }
}

impl PureNode for ParseNode {
    fn run(&self, ctx: &mut NodeContext<'_>) -> Result<Outcome, NodeError> {
        let mut budget = Budget::default();
        let mut parsed = Vec::new();
        for (index, item) in ctx.items().iter().enumerate() {
            match (&self.into, self.parse(index, item, &mut budget)?) {
                (Some(into), value) => {
                    let mut json = item.json.clone();
                    into.write(&mut json, value)?;
                    parsed.push(ctx.edit(index, json));
                }
                (None, Value::Array(elements)) => parsed.extend(elements.into_iter().map(|element| ctx.derive(index, element))),
                (None, value) => parsed.push(ctx.derive(index, value)),
            }
        }
        Ok(Outcome::Done(PortItems::main(parsed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::testing::{failure, problems, run};

    #[track_caller]
    fn check(params: Value, item: Value, expected: Value) {
        assert_eq!(run("parse", params, json!([item])), Ok(json!({ "main": expected })));
    }

    #[test]
    fn reads_json() {
        check(json!({ "format": "json" }), json!({ "data": r#"{"a":1}"# }), json!([{ "a": 1 }]));
        check(json!({ "format": "json", "field": "b.c" }), json!({ "b": { "c": "[1, {}]" } }), json!([{ "value": 1 }, {}]));
        check(json!({ "format": "json", "into": "parsed" }), json!({ "data": "[1]" }), json!([{ "data": "[1]", "parsed": [1] }]));
    }

    #[test]
    fn reads_csv() {
        let text = "\u{feff}name,town\nAda,London\n\"Bo, jr.\",\"Pa\"\"ris\"\n";
        let rows = json!([{ "name": "Ada", "town": "London" }, { "name": "Bo, jr.", "town": "Pa\"ris" }]);
        check(json!({ "format": "csv" }), json!({ "data": text }), rows.clone());
        check(json!({ "format": "csv", "into": "data" }), json!({ "data": text, "k": 1 }), json!([{ "data": rows, "k": 1 }]));
        let options = json!({ "delimiter": ";", "header": false, "trim": true });
        check(
            json!({ "format": "csv", "options": options }),
            json!({ "data": "a; 1\nb;2" }),
            json!([
                { "column_1": "a", "column_2": "1" }, { "column_1": "b", "column_2": "2" }
            ]),
        );
    }

    #[test]
    fn says_which_text_is_wrong_and_why() {
        let message =
            |item: Value| run("parse", json!({ "format": "json" }), json!([{ "data": "1" }, item])).unwrap_err().message;
        assert_eq!(message(json!({})), "item 1: `data` is missing");
        assert_eq!(message(json!({ "data": 1 })), "item 1: `data` is a number, not a string");
        assert_eq!(message(json!({ "data": "{" })), "item 1: `data` is not JSON: EOF while parsing an object at line 1 column 1");
        assert_eq!(failure("parse", json!({ "format": "json" }), json!([{ "data": "[".repeat(1_000) }])), codes::INVALID_INPUT);
    }

    #[test]
    fn refuses_formats_that_it_does_not_know() {
        assert_eq!(problems("parse", json!({ "format": "cvs" })), ["/params/format unknown_value"]);
        assert_eq!(problems("parse", json!({ "format": "json", "options": {} })), ["/params/options invalid_parameter"]);
        assert_eq!(
            problems("parse", json!({ "format": "csv", "options": { "delimiter": ";;" } })),
            ["/params/options/delimiter invalid_format"]
        );
    }
}
