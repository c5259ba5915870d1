//! The fields of a credential, from arguments, files, standard input and a person.

use std::io::Read;

use clap::Args;
use serde_json::{Map, Value};

use crate::cli::{Failure, prompt};

/// Bytes of a file of fields or of one value.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where fields come from.
#[derive(Debug, Clone, Args)]
pub(super) struct FieldArguments {
    /// A field that is no secret, or `NAME=@FILE` for one that is in a file; repeatable.
    #[arg(long = "field", value_name = "NAME=VALUE")]
    fields: Vec<String>,
    /// A field that is asked for, or read as a line of standard input; repeatable.
    #[arg(long = "secret", value_name = "NAME")]
    secrets: Vec<String>,
    /// All fields as a JSON object: a file, or `-` for standard input.
    #[arg(long = "fields", value_name = "FILE", conflicts_with_all = ["fields", "secrets"])]
    file: Option<String>,
}

impl FieldArguments {
    /// Reads the fields; `None` if there are none. `schema` is that of the type.
    ///
    /// Errors: something cannot be read, or a secret is in an argument.
    pub(super) async fn read(&self, schema: &Value) -> Result<Option<Map<String, Value>>, Failure> {
        if let Some(file) = &self.file {
            return read_object(file).map(Some);
        }
        let mut fields = Map::new();
        for argument in &self.fields {
            let (name, value) = read_field(argument, schema)?;
            fields.insert(name, value);
        }
        for name in &self.secrets {
            let value = prompt::ask_secret(&format!("{name}: ")).await?;
            fields.insert(name.clone(), Value::from(value));
        }
        Ok(Some(fields).filter(|fields| !fields.is_empty()))
    }
}

fn read_field(argument: &str, schema: &Value) -> Result<(String, Value), Failure> {
    let (name, value) = argument.split_once('=').ok_or_else(|| {
        Failure::usage(format!("`--field {argument}` has no value")).with_hint("--field NAME=VALUE, --secret NAME")
    })?;
    if let Some(path) = value.strip_prefix('@') {
        let text = read_text(path)?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        return Ok((name.to_owned(), Value::from(line.strip_suffix('\r').unwrap_or(line))));
    }
    if is_secret(name, schema) {
        let message = format!("`{name}` is a secret, and arguments can be seen by every user of this machine");
        return Err(Failure::usage(message).with_hint(format!("--secret {name} asks for it, --field {name}=@FILE reads it")));
    }
    Ok((name.to_owned(), Value::from(value)))
}

/// Whether a field is secret: as the type says, and else as the type says of fields that it does not know.
fn is_secret(name: &str, schema: &Value) -> bool {
    let known = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
    known["writeOnly"] == true
}

fn read_object(file: &str) -> Result<Map<String, Value>, Failure> {
    let text = read_text(file)?;
    // The library's errors do not show what they have read.
    serde_json::from_str(&text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Failure::usage(format!("{file} is no JSON object ({place})")).with_hint("{\"token\": \"...\"}")
    })
}

fn read_text(file: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("cannot read {file}: {error}"));
    let mut text = String::new();
    if file == "-" {
        std::io::stdin().take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    } else {
        std::fs::File::open(file).map_err(failed)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    }
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(Failure::usage(format!("{file} has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({ "properties": { "user": {}, "password": { "writeOnly": true } }, "additionalProperties": false })
    }

    #[test]
    fn takes_no_secret_from_an_argument() {
        assert_eq!(read_field("user=a=b", &schema()).unwrap(), ("user".to_owned(), json!("a=b")));
        let refused = format!("{:?}", read_field("password=hunter2", &schema()).unwrap_err());
        assert!(refused.contains("--secret password") && !refused.contains("hunter2"), "{refused}");
        assert!(read_field("other=x", &json!({ "additionalProperties": { "writeOnly": true } })).is_err());
        assert!(read_field("user", &schema()).is_err());
    }

    #[test]
    fn reads_values_and_objects_from_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        let file = path.to_str().unwrap();
        std::fs::write(&path, "hunter2\r\n").unwrap();
        assert_eq!(read_field(&format!("password=@{file}"), &schema()).unwrap().1, json!("hunter2"));
        let refused = format!("{:?}", read_object(file).unwrap_err());
        assert!(refused.contains("line 1") && !refused.contains("hunter2"), "{refused}");
        std::fs::write(&path, "{\"a\": \"b\"}").unwrap();
        assert_eq!(Value::Object(read_object(file).unwrap()), json!({ "a": "b" }));
    }

    #[test]
    fn file_bytes_obeyed_and_violated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("value");
        let write = |bytes: u64| std::fs::write(&path, "x".repeat(usize::try_from(bytes).unwrap())).unwrap();
        write(FILE_BYTES_MAX);
        assert!(read_text(path.to_str().unwrap()).is_ok());
        write(FILE_BYTES_MAX + 1);
        assert!(read_text(path.to_str().unwrap()).is_err());
    }
}
