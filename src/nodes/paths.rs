//! Paths into an item's JSON, as parameters write them: `name`, `customer.city`, `lines[0].sku`, `['a.b']`.
//! Pure; used by every node type that reads, writes or removes fields.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::context::kind_of;
use crate::model::{
    error::{NodeError, codes},
    limits::JSON_DEPTH_MAX,
};

/// A path of at least one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    text: String,
    steps: Vec<Step>,
}

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// Why a text is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a path such as `name`, `customer.city`, `lines[0].sku` or `['a.b']`, not deeper than {JSON_DEPTH_MAX} steps")]
pub struct InvalidPath;

impl FromStr for Path {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('[') {
                Some(bracket) => parse_bracket(bracket)?,
                None => parse_name(rest, steps.is_empty())?,
            };
            steps.push(step);
            if steps.len() > JSON_DEPTH_MAX {
                return Err(InvalidPath);
            }
            rest = after;
        }
        if steps.is_empty() { Err(InvalidPath) } else { Ok(Self { text: text.to_owned(), steps }) }
    }
}

/// Parses `name` or, behind other steps, `.name`.
fn parse_name(text: &str, is_first: bool) -> Result<(Step, &str), InvalidPath> {
    let name = if is_first { text } else { text.strip_prefix('.').ok_or(InvalidPath)? };
    let end = name.find(['.', '[', ']']).unwrap_or(name.len());
    if end == 0 {
        return Err(InvalidPath);
    }
    Ok((Step::Key(name[..end].to_owned()), &name[end..]))
}

/// Parses `0]`, `'key']` or `"key"]`.
fn parse_bracket(text: &str) -> Result<(Step, &str), InvalidPath> {
    for quote in ["'", "\""] {
        if let Some(quoted) = text.strip_prefix(quote) {
            let (key, after) = quoted.split_once(quote).ok_or(InvalidPath)?;
            return Ok((Step::Key(key.to_owned()), after.strip_prefix(']').ok_or(InvalidPath)?));
        }
    }
    let (digits, after) = text.split_once(']').ok_or(InvalidPath)?;
    // `parse` takes a sign, a path does not.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidPath);
    }
    Ok((Step::Index(digits.parse().map_err(|_| InvalidPath)?), after))
}

impl Path {
    /// The value at this path; `None` where a step leads nowhere.
    pub fn read<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.steps.iter().try_fold(value, |at, step| match step {
            Step::Key(key) => at.get(key),
            Step::Index(index) => at.get(index),
        })
    }

    /// The value at this path, where a null counts as missing.
    pub fn read_present<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.read(value).filter(|found| !found.is_null())
    }

    /// Puts a value at this path. Makes objects and arrays where nothing or null is on the way.
    ///
    /// Errors: `invalid_input` if something else is on the way, or if an index would leave a gap.
    pub fn write(&self, target: &mut Value, value: Value) -> Result<(), NodeError> {
        let mut at = target;
        for step in &self.steps {
            if at.is_null() {
                *at = match step {
                    Step::Key(_) => Value::Object(Map::new()),
                    Step::Index(_) => Value::Array(Vec::new()),
                };
            }
            at = self.descend(step, at)?;
        }
        *at = value;
        Ok(())
    }

    /// Goes one step down, to a null that is made where there is nothing.
    fn descend<'v>(&self, step: &Step, at: &'v mut Value) -> Result<&'v mut Value, NodeError> {
        match (step, at) {
            (Step::Key(key), Value::Object(fields)) => Ok(fields.entry(key.as_str()).or_insert(Value::Null)),
            (Step::Index(index), Value::Array(values)) => {
                let count = values.len();
                if *index > count {
                    return Err(self.blocked(&format!("an array of {count} values, and a gap is not allowed")));
                }
                if *index == count {
                    values.push(Value::Null);
                }
                Ok(&mut values[*index])
            }
            (Step::Key(_) | Step::Index(_), other) => Err(self.blocked(kind_of(other))),
        }
    }

    /// Takes the value at this path out; behind a removed array element the others move up.
    pub fn remove(&self, target: &mut Value) -> Option<Value> {
        let (last, steps) = self.steps.split_last()?;
        let parent = steps.iter().try_fold(target, |at, step| match step {
            Step::Key(key) => at.get_mut(key),
            Step::Index(index) => at.get_mut(index),
        })?;
        match (last, parent) {
            // Order is kept: `swap_remove` would show in the output.
            (Step::Key(key), Value::Object(fields)) => fields.shift_remove(key),
            (Step::Index(index), Value::Array(values)) if *index < values.len() => Some(values.remove(*index)),
            (Step::Key(_) | Step::Index(_), _) => None,
        }
    }

    /// The name of what is at the end: the last key, or the path's text if it ends with an index.
    pub fn last_name(&self) -> &str {
        match self.steps.last() {
            Some(Step::Key(key)) => key,
            Some(Step::Index(_)) | None => &self.text,
        }
    }

    fn blocked(&self, found: &str) -> NodeError {
        NodeError::permanent(codes::INVALID_INPUT, format!("cannot write `{self}`: on the way is {found}"))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A new object with only the given paths of `value`; missing ones are left out.
///
/// Errors: `invalid_input` where one path goes through what another one took, or an index leaves a gap.
pub fn pick(value: &Value, paths: &[Path]) -> Result<Value, NodeError> {
    let mut picked = Value::Object(Map::new());
    for path in paths {
        if let Some(found) = path.read(value) {
            path.write(&mut picked, found.clone())?;
        }
    }
    Ok(picked)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> Path {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check_read(text: &str, expected: Option<Value>) {
        let value = json!({ "a": { "b": [1, { "c": 2 }] }, "x.y": 3, "n": null });
        assert_eq!(path(text).read(&value), expected.as_ref(), "{text}");
    }

    #[test]
    fn reads_keys_indexes_and_quoted_keys() {
        check_read("a.b[0]", Some(json!(1)));
        check_read("a.b[1].c", Some(json!(2)));
        check_read("a['b'][1][\"c\"]", Some(json!(2)));
        check_read("['x.y']", Some(json!(3)));
        check_read("n", Some(Value::Null));
        check_read("a.b[2]", None);
        check_read("a.b.c", None);
        check_read("n.deeper", None);
    }

    #[test]
    fn refuses_what_is_no_path() {
        let deep = "a".to_owned() + &".a".repeat(JSON_DEPTH_MAX);
        for text in ["", ".", "a.", ".a", "a..b", "a[", "a[]x", "a[-1]", "a[+1]", "a[x]", "a['b]", "a]", "a[0]b", &deep] {
            assert_eq!(text.parse::<Path>(), Err(InvalidPath), "{text}");
        }
    }

    #[track_caller]
    fn check_write(before: Value, text: &str, expected: Result<Value, &str>) {
        let mut value = before;
        let result = path(text).write(&mut value, json!("new"));
        match expected {
            Ok(after) => assert_eq!((result, value), (Ok(()), after), "{text}"),
            Err(part) => assert!(result.unwrap_err().message.contains(part), "{text}"),
        }
    }

    #[test]
    fn writes_and_makes_what_is_on_the_way() {
        check_write(json!({}), "a.b[0].c", Ok(json!({ "a": { "b": [{ "c": "new" }] } })));
        check_write(json!({ "a": null }), "a.b", Ok(json!({ "a": { "b": "new" } })));
        check_write(json!({ "a": [1, 2] }), "a[1]", Ok(json!({ "a": [1, "new"] })));
        check_write(json!({ "a": [1] }), "a[1]", Ok(json!({ "a": [1, "new"] })));
    }

    #[test]
    fn refuses_to_overwrite_what_is_on_the_way() {
        check_write(json!({ "a": "text" }), "a.b", Err("on the way is a string"));
        check_write(json!({ "a": {} }), "a[0]", Err("on the way is an object"));
        check_write(json!({ "a": [] }), "a[1000000]", Err("a gap is not allowed"));
    }

    #[test]
    fn removes_and_keeps_the_order_of_the_rest() {
        let mut value = json!({ "a": 1, "b": { "c": 2 }, "d": [1, 2, 3], "e": 4 });
        assert_eq!(path("a").remove(&mut value), Some(json!(1)));
        assert_eq!(path("b.c").remove(&mut value), Some(json!(2)));
        assert_eq!(path("d[0]").remove(&mut value), Some(json!(1)));
        assert_eq!(path("b.c").remove(&mut value), None);
        assert_eq!(path("d[9]").remove(&mut value), None);
        assert_eq!(value.to_string(), r#"{"b":{},"d":[2,3],"e":4}"#);
    }

    #[test]
    fn picks_what_is_there() {
        let value = json!({ "a": { "b": 1, "c": 2 }, "d": 3 });
        assert_eq!(pick(&value, &[path("a.c"), path("missing"), path("d")]), Ok(json!({ "a": { "c": 2 }, "d": 3 })));
    }
}
