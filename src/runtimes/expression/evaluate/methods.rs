//! The methods of strings and arrays that are evaluated here, and `JSON.stringify`.

use std::fmt::Write as _;

use serde_json::Value;

use super::{
    super::{
        json_text, number,
        program::Method,
        text::Text,
        value::{Failure, Js, write_joined},
    },
    Evaluator,
    access::no_member,
};

impl<'a> Evaluator<'a> {
    /// `object.method(argument)`. Objects have none of the methods: JSON holds no functions.
    pub(super) fn method(&mut self, object: Js<'a>, method: Method, argument: Option<Js<'a>>) -> Result<Js<'a>, Failure> {
        match object {
            Js::Text(text) => self.text_method(text, method, argument),
            Js::Json(Value::Array(elements)) => self.array_method(elements, method, argument),
            Js::Undefined | Js::Null => Err(no_member(name(method), &object)),
            Js::Bool(_) | Js::Number { .. } | Js::Json(_) | Js::BuiltIn(_) => Err(not_a_function(method)),
        }
    }

    fn text_method(&mut self, text: Text<'a>, method: Method, argument: Option<Js<'a>>) -> Result<Js<'a>, Failure> {
        self.work(text.size_bytes())?;
        let part = || argument.map_or_else(|| Ok("undefined".into()), Js::into_text);
        Ok(match method {
            Method::ToUpperCase => Js::Text(text.map(str::to_uppercase)),
            Method::ToLowerCase => Js::Text(text.map(str::to_lowercase)),
            Method::Trim => Js::Text(text.trim(true, true)),
            Method::TrimStart => Js::Text(text.trim(true, false)),
            Method::TrimEnd => Js::Text(text.trim(false, true)),
            Method::Includes => Js::Bool(text.contains(&part()?)),
            Method::StartsWith => Js::Bool(text.starts_with(&part()?)),
            Method::EndsWith => Js::Bool(text.ends_with(&part()?)),
            Method::Join => return Err(not_a_function(method)),
        })
    }

    fn array_method(&mut self, elements: &'a [Value], method: Method, argument: Option<Js<'a>>) -> Result<Js<'a>, Failure> {
        match method {
            Method::Includes => {
                let wanted = argument.unwrap_or(Js::Undefined);
                Ok(Js::Bool(elements.iter().any(|element| Js::from(element).is_same_value_zero(&wanted))))
            }
            Method::Join => {
                let separator = match argument {
                    None | Some(Js::Undefined) => ",".into(),
                    Some(separator) => separator.into_text()?,
                };
                self.work(elements.len().saturating_mul(separator.size_bytes()))?;
                let mut text = String::new();
                write_joined(&mut text, elements, &separator.into_cow())?;
                self.work(text.len())?;
                Ok(Js::Text(text.into()))
            }
            _ => Err(not_a_function(method)),
        }
    }

    /// `JSON.stringify(value)`.
    pub(super) fn stringify(&mut self, value: Js<'a>) -> Result<Js<'a>, Failure> {
        let mut text = String::new();
        match value {
            Js::Undefined | Js::BuiltIn(_) => return Ok(Js::Undefined),
            Js::Null => text.push_str("null"),
            Js::Bool(value) => text.push_str(if value { "true" } else { "false" }),
            Js::Number { value, .. } if !value.is_finite() => text.push_str("null"),
            Js::Number { origin: Some(number), .. } => json_text::write_number(&mut text, number),
            Js::Number { value, .. } => number::write(&mut text, value),
            Js::Text(string) => write_quoted(&mut text, string),
            Js::Json(value) => json_text::write(&mut text, value),
        }
        self.work(text.len())?;
        Ok(Js::Text(text.into()))
    }
}

/// Writes a string as JSON, halves of surrogate pairs as escapes.
fn write_quoted(text: &mut String, string: Text<'_>) {
    let Text::Utf16(units) = string else {
        return json_text::write(text, &Value::String(string.into_string()));
    };
    text.push('"');
    for unit in char::decode_utf16(units.iter().copied()) {
        match unit {
            Ok(character) => {
                let quoted = serde_json::to_string(&character).expect("a character is JSON");
                text.push_str(&quoted[1..quoted.len() - 1]);
            }
            Err(half) => write!(text, "\\u{:04x}", half.unpaired_surrogate()).expect("writing to a String cannot fail"),
        }
    }
    text.push('"');
}

fn not_a_function(method: Method) -> Failure {
    Failure::Type(format!("{} is not a function of this value", name(method)))
}

fn name(method: Method) -> &'static str {
    match method {
        Method::ToUpperCase => "toUpperCase",
        Method::ToLowerCase => "toLowerCase",
        Method::Trim => "trim",
        Method::TrimStart => "trimStart",
        Method::TrimEnd => "trimEnd",
        Method::Includes => "includes",
        Method::StartsWith => "startsWith",
        Method::EndsWith => "endsWith",
        Method::Join => "join",
    }
}
