//! What values have without holding it: the functions of the built-in prototypes.

use serde_json::Value;

use super::value::Js;

/// Whether every object inherits a property of that name. Source: ECMA-262, 20.1.3 and B.2.2.
pub(super) fn is_of_every_object(name: &str) -> bool {
    OF_OBJECTS.contains(&name)
}

/// Whether arrays, strings or numbers inherit a function of that name.
pub(super) fn is_of_some_values(name: &str) -> bool {
    [OF_ARRAYS, OF_STRINGS, OF_NUMBERS].iter().any(|names| names.contains(&name))
}

/// The function of that name that a value inherits, besides those of every object.
pub(super) fn inherited<'a>(value: &Js<'_>, name: &'a str) -> Option<BuiltIn<'a>> {
    let (owner, names) = match value {
        Js::Json(Value::Array(_)) => (Owner::Array, OF_ARRAYS),
        Js::Text(_) => (Owner::String, OF_STRINGS),
        Js::Number { .. } => (Owner::Number, OF_NUMBERS),
        Js::Undefined | Js::Null | Js::Bool(_) | Js::Json(_) | Js::BuiltIn(_) => return None,
    };
    // The older names are other properties with the same functions.
    let name = match (owner, name) {
        (Owner::String, "trimLeft") => "trimStart",
        (Owner::String, "trimRight") => "trimEnd",
        _ => name,
    };
    if names.contains(&name) { Some(BuiltIn { owner, name }) } else { None }
}

/// A built-in function as a value: what `"text".trim` is without a call. Two are the same if owner and name are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BuiltIn<'a> {
    owner: Owner,
    name: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Array,
    String,
    Number,
}

impl BuiltIn<'_> {
    /// What the guest's `Function.prototype.toString` gives.
    pub(super) fn source(&self) -> String {
        format!("function {}() {{\n    [native code]\n}}", self.name)
    }
}

const OF_OBJECTS: &[&str] = &[
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toLocaleString",
    "toString",
    "valueOf",
];

/// Source: ECMA-262, 23.1.3.
const OF_ARRAYS: &[&str] = &[
    "at",
    "concat",
    "copyWithin",
    "entries",
    "every",
    "fill",
    "filter",
    "find",
    "findIndex",
    "findLast",
    "findLastIndex",
    "flat",
    "flatMap",
    "forEach",
    "includes",
    "indexOf",
    "join",
    "keys",
    "lastIndexOf",
    "map",
    "pop",
    "push",
    "reduce",
    "reduceRight",
    "reverse",
    "shift",
    "slice",
    "some",
    "sort",
    "splice",
    "toReversed",
    "toSorted",
    "toSpliced",
    "unshift",
    "values",
    "with",
];

/// Source: ECMA-262, 22.1.3 and B.2.2.
const OF_STRINGS: &[&str] = &[
    "anchor",
    "at",
    "big",
    "blink",
    "bold",
    "charAt",
    "charCodeAt",
    "codePointAt",
    "concat",
    "endsWith",
    "fixed",
    "fontcolor",
    "fontsize",
    "includes",
    "indexOf",
    "isWellFormed",
    "italics",
    "lastIndexOf",
    "link",
    "localeCompare",
    "match",
    "matchAll",
    "normalize",
    "padEnd",
    "padStart",
    "repeat",
    "replace",
    "replaceAll",
    "search",
    "slice",
    "small",
    "split",
    "startsWith",
    "strike",
    "sub",
    "substr",
    "substring",
    "sup",
    "toLocaleLowerCase",
    "toLocaleUpperCase",
    "toLowerCase",
    "toUpperCase",
    "toWellFormed",
    "trim",
    "trimEnd",
    "trimLeft",
    "trimRight",
    "trimStart",
];

/// Source: ECMA-262, 21.1.3.
const OF_NUMBERS: &[&str] = &["toExponential", "toFixed", "toPrecision"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::runtimes::{
        code::{Code, CodeInput, CodeLimits, CodeRequest, JAVASCRIPT},
        grants::Grants,
        languages::Languages,
    };

    #[test]
    fn are_those_of_the_guest() {
        let source =
            "const own = (value) => Object.getOwnPropertyNames(value.prototype).filter((name) => name !== 'length').sort();
            const [ofObjects, ...others] = [Object, Array, String, Number, Boolean].map(own);
            return [ofObjects, ...others.map((names) => names.filter((name) => !ofObjects.includes(name)))];";
        let code = Code::parse(JAVASCRIPT, source).unwrap();
        let (input, grants) = (CodeInput::Value(&Value::Null), Grants::default());
        let request = CodeRequest { code: &code, input, limits: CodeLimits::default(), grants: &grants };
        assert_eq!(
            Languages::for_tests().run(&request).unwrap().output,
            json!([OF_OBJECTS, OF_ARRAYS, OF_STRINGS, OF_NUMBERS, []])
        );
    }
}
