//! What code sees as its input.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use super::Code;
use crate::{
    model::item::Item,
    runtimes::{grants::Grants, scope::Scope},
};

/// What the code sees.
#[derive(Debug, Clone, Copy)]
pub enum CodeInput<'a> {
    /// `input` is this value, and there is nothing else.
    Value(&'a Value),
    /// Mode `all` of a code node: `input` is the list of every item's `json`, `items` the items themselves.
    Items(&'a Scope<'a>),
    /// Mode `each` of a code node: `input` is the `json` of the scope's item, `items` every item.
    Item(&'a Scope<'a>),
}

impl<'a> CodeInput<'a> {
    /// The variable `input` as JSON: what a process reads.
    pub fn to_json(self) -> Vec<u8> {
        json_of(&Input(self))
    }

    /// `{ input, items? }` as JSON, with `items` where the code may use it: what interpreters get that know no other variables.
    pub fn variables_to_json(self, code: &Code) -> Vec<u8> {
        json_of(&Variables { input: self, has_items: code.mentions_items(), env: None })
    }

    /// As [`Self::variables_to_json`], with the granted variables as `env`, if there are any.
    pub fn variables_with_env_to_json(self, code: &Code, grants: &Grants) -> Vec<u8> {
        let env = Some(&grants.env).filter(|env| !env.is_empty());
        json_of(&Variables { input: self, has_items: code.mentions_items(), env })
    }

    fn items(self) -> Option<&'a [Item]> {
        match self {
            Self::Value(_) => None,
            Self::Items(scope) | Self::Item(scope) => Some(scope.items),
        }
    }
}

fn json_of(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("inputs are made of JSON values")
}

struct Input<'a>(CodeInput<'a>);

impl Serialize for Input<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            CodeInput::Value(value) => value.serialize(serializer),
            CodeInput::Items(scope) => serializer.collect_seq(scope.items.iter().map(|item| &item.json)),
            CodeInput::Item(scope) => scope.item.map(|item| &item.json).serialize(serializer),
        }
    }
}

struct Variables<'a> {
    input: CodeInput<'a>,
    has_items: bool,
    env: Option<&'a BTreeMap<String, String>>,
}

impl Serialize for Variables<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("input", &Input(self.input))?;
        if let Some(items) = self.input.items().filter(|_| self.has_items) {
            map.serialize_entry("items", items)?;
        }
        if let Some(env) = self.env {
            map.serialize_entry("env", env)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::runtimes::testing::World;

    #[track_caller]
    fn check(input: CodeInput<'_>, source: &str, expected: &Value) {
        let code = Code::parse("any", source).unwrap();
        let variables: Value = serde_json::from_slice(&input.variables_to_json(&code)).unwrap();
        assert_eq!(&variables, expected);
        assert_eq!(serde_json::from_slice::<Value>(&input.to_json()).unwrap(), expected["input"]);
    }

    #[test]
    fn input_is_what_the_mode_says_and_items_are_sent_when_they_are_used() {
        let world = World::new(json!({ "n": 1 }), json!({ "n": 2 }));
        let scope = world.scope();
        check(CodeInput::Value(&json!([1])), "items", &json!({ "input": [1] }));
        check(CodeInput::Items(&scope), "input", &json!({ "input": [{ "n": 1 }, { "n": 2 }] }));
        let items = serde_json::to_value(scope.items).unwrap();
        let grants = Grants { env: BTreeMap::from([("KEY".to_owned(), "value".to_owned())]), ..Grants::default() };
        let code = Code::parse("any", "").unwrap();
        let with_env: Value =
            serde_json::from_slice(&CodeInput::Value(&json!(1)).variables_with_env_to_json(&code, &grants)).unwrap();
        assert_eq!(with_env, json!({ "input": 1, "env": { "KEY": "value" } }));
        check(CodeInput::Item(&scope), "items[0]", &json!({ "input": { "n": 2 }, "items": items }));
    }
}
