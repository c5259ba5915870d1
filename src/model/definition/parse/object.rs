//! Takes the fields of one JSON object out by name, and reports what is missing, of a wrong type, too long or unknown. A field
//! that was asked for once is a known field: what is left over at the end is not.

use serde_json::{Map, Value};

use crate::model::{
    duration::DurationMs,
    limits::{NAME_CHARS_MAX, PROSE_CHARS_MAX},
    problem::{Problems, excerpt, pointer_segment, suggestion},
};

/// One object that is being read.
pub(super) struct ObjectReader<'p> {
    pointer: String,
    fields: Map<String, Value>,
    known: Vec<&'static str>,
    problems: &'p mut Problems,
}

impl<'p> ObjectReader<'p> {
    /// Starts to read the object at `pointer`; `None`, and a problem, if it is not an object.
    pub(super) fn open(value: Value, pointer: String, problems: &'p mut Problems) -> Option<Self> {
        match value {
            Value::Object(fields) => Some(Self { pointer, fields, known: Vec::new(), problems }),
            other => {
                wrong_type(&pointer, "an object", &other, problems);
                None
            }
        }
    }

    /// Reports each of `keys` that is not there.
    pub(super) fn require(&mut self, keys: &[&'static str]) {
        for key in keys {
            if !self.fields.contains_key(*key) {
                self.problems.report(&self.pointer, "missing_field", format!("the field `{key}` is missing"));
            }
        }
    }

    /// A text of 1 to [`NAME_CHARS_MAX`] characters.
    pub(super) fn name(&mut self, key: &'static str) -> Option<String> {
        let (value, pointer) = self.take(key)?;
        name(value, &pointer, self.problems)
    }

    /// A text of up to [`PROSE_CHARS_MAX`] characters.
    pub(super) fn prose(&mut self, key: &'static str) -> Option<String> {
        let (value, pointer) = self.take(key)?;
        text(value, &pointer, PROSE_CHARS_MAX, self.problems)
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let (value, pointer) = self.take(key)?;
        if !value.is_boolean() {
            wrong_type(&pointer, "a boolean", &value, self.problems);
        }
        value.as_bool()
    }

    /// A whole number that fits 32 bits.
    pub(super) fn integer(&mut self, key: &'static str) -> Option<u32> {
        let (value, pointer) = self.take(key)?;
        let Value::Number(number) = value else {
            wrong_type(&pointer, "a whole number", &value, self.problems);
            return None;
        };
        // `3.0` is an integer to JSON Schema, and so to us; as text it has no fraction.
        let whole = number.as_u64().map_or_else(|| number.as_f64().unwrap_or(-1.0).to_string().parse().ok(), Some);
        let integer = whole.and_then(|whole| u32::try_from(whole).ok());
        if integer.is_none() {
            self.problems.report(pointer, "out_of_range", format!("must be a whole number from 0 to {}, not {number}", u32::MAX));
        }
        integer
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<DurationMs> {
        let (value, pointer) = self.take(key)?;
        let parsed = match &value {
            Value::String(text) => text.parse().map_err(|invalid| format!("{invalid}, not `{}`", excerpt(text))),
            other => Err(format!("{}, not {}", crate::model::duration::InvalidDuration, kind_of(other))),
        };
        parsed.map_err(|detail| self.problems.report(pointer, "invalid_duration", detail)).ok()
    }

    /// One of the given words.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let (value, pointer) = self.take(key)?;
        let Value::String(word) = value else {
            wrong_type(&pointer, "a string", &value, self.problems);
            return None;
        };
        let chosen = words.iter().find(|(candidate, _)| *candidate == word).map(|(_, choice)| *choice);
        if chosen.is_none() {
            let hint = suggestion(&word, words.iter().map(|(candidate, _)| *candidate));
            self.problems.report(pointer, "unknown_value", format!("`{}` is not known here; {hint}", excerpt(&word)));
        }
        chosen
    }

    /// An object whose fields are read elsewhere.
    pub(super) fn object(&mut self, key: &'static str) -> Option<Map<String, Value>> {
        match self.take(key)? {
            (Value::Object(fields), _) => Some(fields),
            (other, pointer) => {
                wrong_type(&pointer, "an object", &other, self.problems);
                None
            }
        }
    }

    /// An object with fields of its own, read by `read`.
    pub(super) fn nested<T>(&mut self, key: &'static str, read: impl FnOnce(&mut ObjectReader<'_>) -> T) -> Option<T> {
        let (value, pointer) = self.take(key)?;
        let mut reader = ObjectReader::open(value, pointer, self.problems)?;
        let result = read(&mut reader);
        reader.finish();
        Some(result)
    }

    /// An array of up to `max` elements, each read by `read` with its pointer; empty where there is none. Of an array that is
    /// too long no element is read. An element for which `read` gives `None` has a problem.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        max: usize,
        mut read: impl FnMut(Value, String, &mut Problems) -> Option<T>,
    ) -> Vec<T> {
        match self.take(key) {
            Some((Value::Array(values), pointer)) if values.len() > max => {
                let detail = format!("there may be {max} of them, not {}", values.len());
                self.problems.report(pointer, "too_many", detail);
                Vec::new()
            }
            Some((Value::Array(values), pointer)) => {
                let elements = values.into_iter().enumerate();
                elements.filter_map(|(index, value)| read(value, format!("{pointer}/{index}"), self.problems)).collect()
            }
            Some((other, pointer)) => {
                wrong_type(&pointer, "an array", &other, self.problems);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// The raw value of a field with its pointer, and where to report what is wrong with it.
    pub(super) fn raw(&mut self, key: &'static str) -> Option<(Value, String, &mut Problems)> {
        let (value, pointer) = self.take(key)?;
        Some((value, pointer, self.problems))
    }

    /// Reports every field that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.fields.keys() {
            let detail =
                format!("the field `{}` is not known here; {}", excerpt(key), suggestion(key, self.known.iter().copied()));
            self.problems.report(format!("{}/{}", self.pointer, pointer_segment(key)), "unknown_field", detail);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<(Value, String)> {
        self.known.push(key);
        // Keeps the order of the others: unknown fields are reported as they stand in the document.
        let value = self.fields.shift_remove(key)?;
        Some((value, format!("{}/{key}", self.pointer)))
    }
}

/// A text of 1 to [`NAME_CHARS_MAX`] characters.
pub(super) fn name(value: Value, pointer: &str, problems: &mut Problems) -> Option<String> {
    let name = text(value, pointer, NAME_CHARS_MAX, problems)?;
    if name.is_empty() {
        problems.report(pointer, "empty", "must not be empty");
        return None;
    }
    Some(name)
}

fn text(value: Value, pointer: &str, chars_max: usize, problems: &mut Problems) -> Option<String> {
    let Value::String(text) = value else {
        wrong_type(pointer, "a string", &value, problems);
        return None;
    };
    if text.chars().count() > chars_max {
        problems.report(pointer, "too_long", format!("may have {chars_max} characters"));
        return None;
    }
    // PostgreSQL has no text with it.
    if text.contains('\0') {
        problems.report(pointer, "invalid_format", "must not have the character U+0000");
        return None;
    }
    Some(text)
}

/// Reports a value of another type than `expected` (with its article).
pub(super) fn wrong_type(pointer: &str, expected: &str, found: &Value, problems: &mut Problems) {
    // The usual cause of a boolean or a number here is a YAML word without quotes: `port: true`.
    let hint = match found {
        Value::Bool(_) | Value::Number(_) if expected == "a string" => " (in YAML, put it in quotes)",
        _ => "",
    };
    problems.report(pointer, "wrong_type", format!("must be {expected}, not {}{hint}", kind_of(found)));
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
