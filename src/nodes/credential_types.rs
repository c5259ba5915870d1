//! Types of credentials: the fields of each, which of them are secret, and how a credential of it is tried. What is stored is checked
//! against this table; nodes read the fields by the same names.

mod table;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use self::table::TYPES;
use super::services::Credential;
use crate::{
    auth::egress::Url,
    model::problem::{Problem, Problems, pointer_segment, suggestion},
};

/// Fields of one credential.
pub const FIELDS_MAX: usize = 64;
/// Characters of a field's name.
pub const FIELD_NAME_CHARS_MAX: usize = 64;
/// Bytes of all fields of one credential, with their names.
pub const FIELDS_BYTES_MAX: usize = 32 * 1024;

/// A type of credentials.
#[derive(Debug)]
pub struct CredentialType {
    /// What nodes and the API call it.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    pub description: &'static str,
    pub fields: &'static [Field],
    /// Sets of fields of which one has to be complete.
    pub alternatives: &'static [&'static [&'static str]],
    /// Whether it has any other fields, too.
    pub is_open: bool,
    pub probe: Probe,
}

/// A field of a type.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub description: &'static str,
    pub form: Form,
    pub required: bool,
    /// Whether it is hidden wherever it turns up.
    pub secret: bool,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    /// An `http` or `https` URL.
    HttpUrl,
    Port,
    Choice(&'static [&'static str]),
}

/// How a credential is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// By a GET request to a URL that the caller names.
    Request,
    /// By a query.
    Query,
    /// By a new access token.
    Token,
    /// Not at all: only its user knows what it opens.
    None,
}

/// Every type, in the order in which people want to see them.
pub fn all() -> &'static [CredentialType] {
    TYPES
}

/// The type of a name.
pub fn find(name: &str) -> Option<&'static CredentialType> {
    TYPES.iter().find(|known| known.name == name)
}

/// The end of a sentence about a name that no type has.
pub fn suggest(name: &str) -> String {
    suggestion(name, TYPES.iter().map(|known| known.name))
}

impl CredentialType {
    /// The JSON Schema of the fields. Secret ones are `writeOnly`.
    pub fn schema(&self) -> Value {
        let properties: Map<String, Value> = self.fields.iter().map(|field| (field.name.to_owned(), field.schema())).collect();
        let required: Vec<&str> = self.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
        let mut schema = json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": if self.is_open { json!({ "type": "string", "writeOnly": true }) } else { json!(false) },
        });
        if !self.alternatives.is_empty() {
            let sets: Vec<Value> = self.alternatives.iter().map(|set| json!({ "required": set })).collect();
            schema["anyOf"] = Value::Array(sets);
        }
        schema
    }

    /// The texts of given fields. Numbers and booleans are taken as they are written.
    ///
    /// Errors: every problem, with pointers below `/fields`. They never show a value.
    pub fn check(&self, given: &Map<String, Value>) -> Result<BTreeMap<String, Zeroizing<String>>, Vec<Problem>> {
        let mut problems = Problems::default();
        let mut texts = BTreeMap::new();
        if given.len() > FIELDS_MAX {
            problems.report("/fields", "too_many", format!("a credential has {FIELDS_MAX} fields at most"));
        }
        for (name, value) in given.iter().take(FIELDS_MAX) {
            let pointer = format!("/fields/{}", pointer_segment(name));
            match self.text_of(name, value) {
                Ok(text) => drop(texts.insert(name.clone(), text)),
                Err((code, detail)) => problems.report(pointer, code, detail),
            }
        }
        for field in self.fields.iter().filter(|field| field.required && !given.contains_key(field.name)) {
            problems.report("/fields", "required", format!("`{}` is missing: {}", field.name, field.description));
        }
        let is_complete = |set: &&[&str]| set.iter().all(|name| given.contains_key(*name));
        if !self.alternatives.is_empty() && !self.alternatives.iter().any(is_complete) {
            let sets: Vec<String> = self.alternatives.iter().map(|set| format!("`{}`", set.join("`, `"))).collect();
            problems.report("/fields", "required", format!("it needs {}", sets.join(", or ")));
        }
        problems.or(texts)
    }

    fn text_of(&self, name: &str, value: &Value) -> Result<Zeroizing<String>, (&'static str, String)> {
        let field = self.fields.iter().find(|field| field.name == name);
        if field.is_none() && !self.is_open {
            let known = suggestion(name, self.fields.iter().map(|field| field.name));
            return Err(("unknown_field", format!("a credential of type {} has no such field: {known}", self.name)));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.len() > FIELD_NAME_CHARS_MAX || !name.chars().all(fits) {
            let detail = format!("the name of a field has up to {FIELD_NAME_CHARS_MAX} letters, digits, `_`, `-` and `.`");
            return Err(("invalid_name", detail));
        }
        let text = Zeroizing::new(match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return Err(("type", "has to be a text".to_owned())),
        });
        if text.is_empty() || text.contains('\0') {
            return Err(("value", "must not be empty, and has no character U+0000".to_owned()));
        }
        match field.map_or(Ok(()), |field| field.form.check(&text)) {
            Ok(()) => Ok(text),
            Err(detail) => Err(("value", detail)),
        }
    }

    fn is_secret(&self, name: &str) -> bool {
        self.fields.iter().find(|field| field.name == name).is_none_or(|field| field.secret)
    }
}

impl Field {
    fn schema(&self) -> Value {
        let mut schema = match self.form {
            Form::Text => json!({ "type": "string", "minLength": 1 }),
            Form::HttpUrl => json!({ "type": "string", "format": "uri", "pattern": "^https?://" }),
            Form::Port => json!({ "type": ["integer", "string"], "minimum": 1, "maximum": 65_535, "pattern": "^[0-9]+$" }),
            Form::Choice(choices) => json!({ "enum": choices }),
        };
        schema["description"] = Value::from(self.description);
        if self.secret {
            schema["writeOnly"] = Value::Bool(true);
        }
        schema
    }
}

impl Form {
    fn check(self, text: &str) -> Result<(), String> {
        let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        match self {
            Self::Text => Ok(()),
            Self::HttpUrl if Url::parse(text).is_ok_and(|url| is_http(&url)) => Ok(()),
            Self::HttpUrl => Err("has to be a URL with http:// or https://".to_owned()),
            Self::Port if text.parse::<u16>().is_ok_and(|port| port > 0) => Ok(()),
            Self::Port => Err("has to be a number from 1 to 65535".to_owned()),
            Self::Choice(choices) if choices.contains(&text) => Ok(()),
            Self::Choice(choices) => Err(format!("has to be one of {}", choices.join(", "))),
        }
    }
}

/// The values of a credential that must not turn up anywhere: secret fields, the password inside of a URL, and what is sent of a
/// user with a password. Of a type that nobody knows every field is secret.
pub fn secret_values(credential: &Credential) -> Vec<Zeroizing<String>> {
    let known = find(&credential.kind);
    let is_secret = |name: &str| known.is_none_or(|known| known.is_secret(name));
    let mut values: Vec<Zeroizing<String>> = Vec::new();
    for (name, value) in &credential.fields {
        if let Some(password) = Url::parse(value).ok().as_ref().and_then(Url::password) {
            values.push(Zeroizing::new(password.to_owned()));
        }
        if is_secret(name) {
            values.push(value.clone());
        }
    }
    if let (Some(user), Some(password)) = (credential.fields.get("username"), credential.fields.get("password")) {
        values.push(Zeroizing::new(format!("{}:{}", **user, **password)));
    }
    values
}

#[cfg(test)]
mod tests;
