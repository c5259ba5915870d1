//! Turns the content of a file into JSON values and back. Pure.

use serde_json::{Map, Value};

use super::Format;
use crate::model::{
    error::{NodeError, codes},
    item::Item,
    limits::ITEMS_MAX,
};

/// The values in a file: one per item. Binary content has none: it does not become JSON.
///
/// Errors: `invalid_input` with the line where there is one; `item_limit`.
pub(super) fn decode(format: Format, bytes: &[u8]) -> Result<Vec<Value>, NodeError> {
    // A byte order mark is no content.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let values = match format {
        Format::Json => match serde_json::from_slice(bytes).map_err(|error| malformed("JSON", &error))? {
            Value::Array(values) => values,
            single => vec![single],
        },
        Format::Jsonl => decode_lines(bytes)?,
        Format::Csv => decode_csv(bytes)?,
        Format::Text => {
            let text = std::str::from_utf8(bytes).map_err(|error| malformed("UTF-8 text", &error))?;
            vec![Value::Object(Map::from_iter([("data".to_owned(), Value::String(text.to_owned()))]))]
        }
        Format::Binary => Vec::new(),
    };
    if values.len() > ITEMS_MAX {
        return Err(NodeError::permanent(codes::ITEM_LIMIT, format!("the file has more than {ITEMS_MAX} items")));
    }
    Ok(values)
}

/// The content of a file of these items. Binary content is not made here.
///
/// Errors: `invalid_input` if an item has no text in `data` where one is needed.
pub(super) fn encode(format: Format, items: &[&Item]) -> Result<Vec<u8>, NodeError> {
    match format {
        Format::Json => {
            let values: Vec<&Value> = items.iter().map(|item| &item.json).collect();
            let text = match values.as_slice() {
                [single] => serde_json::to_vec_pretty(single),
                several => serde_json::to_vec_pretty(several),
            };
            text.map_err(|error| malformed("JSON", &error))
        }
        Format::Jsonl => Ok(items.iter().map(|item| format!("{}\n", item.json)).collect::<String>().into_bytes()),
        Format::Csv => encode_csv(items),
        Format::Text | Format::Binary => {
            let texts: Vec<&str> = items
                .iter()
                .map(|item| item.json.get("data").and_then(Value::as_str).ok_or_else(|| invalid("an item has no text in `data`")))
                .collect::<Result<_, _>>()?;
            Ok(texts.join("\n").into_bytes())
        }
    }
}

fn decode_lines(bytes: &[u8]) -> Result<Vec<Value>, NodeError> {
    let mut values = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if !line.is_empty() {
            let value = serde_json::from_slice(line);
            values.push(value.map_err(|error| invalid(format!("line {} is not JSON: {error}", number + 1)))?);
        }
    }
    Ok(values)
}

/// One object per record, its values texts, under the names of the first line.
fn decode_csv(bytes: &[u8]) -> Result<Vec<Value>, NodeError> {
    let mut reader = csv::Reader::from_reader(bytes);
    let names = reader.headers().map_err(|error| malformed("CSV", &error))?.clone();
    let mut values = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| malformed("CSV", &error))?;
        let fields = names.iter().zip(&record).map(|(name, text)| (name.to_owned(), Value::String(text.to_owned())));
        values.push(Value::Object(fields.collect()));
    }
    Ok(values)
}

/// The columns are the names of all items, in the order in which they come up. Nested values are JSON, null is empty.
fn encode_csv(items: &[&Item]) -> Result<Vec<u8>, NodeError> {
    let mut names: Map<String, Value> = Map::new();
    for item in items {
        for name in item.json.as_object().into_iter().flat_map(Map::keys) {
            names.entry(name).or_insert(Value::Null);
        }
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |error: csv::Error| malformed("CSV", &error);
    if !names.is_empty() {
        writer.write_record(names.keys()).map_err(failed)?;
        for item in items {
            let record = names.keys().map(|name| match item.json.get(name) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            });
            writer.write_record(record).map_err(failed)?;
        }
    }
    writer.into_inner().map_err(|error| malformed("CSV", &error.into_error()))
}

fn malformed(what: &str, error: &dyn std::error::Error) -> NodeError {
    invalid(format!("the file is not {what}: {error}"))
}

fn invalid(message: impl Into<String>) -> NodeError {
    NodeError::permanent(codes::INVALID_INPUT, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_decode(format: Format, text: &str, expected: Value) {
        assert_eq!(decode(format, text.as_bytes()).map(Value::Array), Ok(expected));
    }

    #[test]
    fn decodes_each_format() {
        check_decode(Format::Json, "\u{feff}[{\"a\":1},2]", json!([{ "a": 1 }, 2]));
        check_decode(Format::Json, "{\"a\":1}", json!([{ "a": 1 }]));
        check_decode(Format::Jsonl, "{\"a\":1}\r\n\n[2]", json!([{ "a": 1 }, [2]]));
        check_decode(Format::Csv, "a,b\n1,\"x,\ny\"\n", json!([{ "a": "1", "b": "x,\ny" }]));
        check_decode(Format::Csv, "", json!([]));
        check_decode(Format::Text, "hello\n", json!([{ "data": "hello\n" }]));
    }

    #[track_caller]
    fn check_malformed(format: Format, bytes: &[u8], part: &str) {
        let error = decode(format, bytes).unwrap_err();
        assert_eq!((error.code.as_str(), error.retryable), (codes::INVALID_INPUT, false));
        assert!(error.message.contains(part), "{}", error.message);
    }

    #[test]
    fn says_what_is_malformed_and_where() {
        check_malformed(Format::Json, b"{", "not JSON");
        check_malformed(Format::Json, "[".repeat(200).as_bytes(), "not JSON");
        check_malformed(Format::Jsonl, b"{}\n{}\nx", "line 3");
        check_malformed(Format::Csv, b"a,b\n1\n", "not CSV");
        check_malformed(Format::Text, b"\xff", "not UTF-8");
    }

    #[track_caller]
    fn check_encode(format: Format, items: Value, expected: &str) {
        let items = Item::list_from_value(items);
        let bytes = encode(format, &items.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn encodes_each_format() {
        check_encode(Format::Json, json!({ "a": 1 }), "{\n  \"a\": 1\n}");
        check_encode(Format::Json, json!([{}, {}]), "[\n  {},\n  {}\n]");
        check_encode(Format::Jsonl, json!([{ "a": 1 }, { "b": [2] }]), "{\"a\":1}\n{\"b\":[2]}\n");
        let rows = json!([{ "a": 1, "b": null }, { "c": "x,y", "a": { "d": true } }]);
        check_encode(Format::Csv, rows, "a,b,c\n1,,\n\"{\"\"d\"\":true}\",,\"x,y\"\n");
        check_encode(Format::Text, json!([{ "data": "a" }, { "data": "b" }]), "a\nb");
    }

    #[test]
    fn needs_a_text_for_a_text_file() {
        let item = Item::from_value(json!({ "data": 1 }));
        assert_eq!(encode(Format::Text, &[&item]).unwrap_err().code, codes::INVALID_INPUT);
    }

    #[test]
    fn item_limit_obeyed_and_violated() {
        assert_eq!(decode(Format::Jsonl, "1\n".repeat(ITEMS_MAX).as_bytes()).unwrap().len(), ITEMS_MAX);
        assert_eq!(decode(Format::Jsonl, "1\n".repeat(ITEMS_MAX + 1).as_bytes()).unwrap_err().code, codes::ITEM_LIMIT);
    }
}
