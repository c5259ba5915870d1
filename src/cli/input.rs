//! Reads the inputs of executions and the payloads of signals.

use std::{io::Read, path::Path};

use serde_json::Value;

use super::Failure;
use crate::model::limits::INPUT_BYTES_MAX;

/// What an input may be.
const HINT: &str = "an input is a JSON file, `-` for standard input, or JSON itself";

/// Reads an input: a file (`input.json`, `@input.json`), `-` for standard input, or JSON itself.
///
/// Errors: it cannot be read, is too large, or is no JSON.
pub(super) fn read_input(argument: &str) -> Result<Value, Failure> {
    let (text, origin) = match argument.strip_prefix('@') {
        Some(path) => (read_file(path)?, path),
        None if argument == "-" => (read_limited(std::io::stdin(), "standard input")?, "standard input"),
        None if is_json_itself(argument) => (argument.as_bytes().to_vec(), "the input"),
        None => (read_file(argument)?, argument),
    };
    serde_json::from_slice(&text).map_err(|error| Failure::usage(format!("{origin} is not JSON: {error}")).with_hint(HINT))
}

/// What begins as a document, a list or a text is JSON, also with a mistake in it. Numbers and words may be names of files, too: a
/// file that is there wins.
fn is_json_itself(argument: &str) -> bool {
    argument.trim_start().starts_with(['{', '[', '"'])
        || (serde_json::from_str::<Value>(argument).is_ok() && !Path::new(argument).exists())
}

fn read_file(path: &str) -> Result<Vec<u8>, Failure> {
    let file = std::fs::File::open(Path::new(path)).map_err(|error| unreadable(path, error))?;
    read_limited(file, path)
}

fn read_limited(source: impl Read, origin: &str) -> Result<Vec<u8>, Failure> {
    let limit = u64::try_from(INPUT_BYTES_MAX).unwrap_or(u64::MAX);
    let mut text = Vec::new();
    source.take(limit.saturating_add(1)).read_to_end(&mut text).map_err(|error| unreadable(origin, error))?;
    if text.len() > INPUT_BYTES_MAX {
        return Err(Failure::usage(format!("an input has {INPUT_BYTES_MAX} bytes at most, {origin} has more")));
    }
    Ok(text)
}

fn unreadable(origin: &str, error: std::io::Error) -> Failure {
    Failure::usage(format!("cannot read {origin}: {error}")).with_hint(HINT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_json_itself_and_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input.json");
        std::fs::write(&path, "[1, 2]").unwrap();
        assert_eq!(read_input("{\"a\": 1}").unwrap(), json!({ "a": 1 }));
        for (given, meant) in
            [("5", json!(5)), ("-1.5", json!(-1.5)), ("null", json!(null)), ("true", json!(true)), (" [1]\n", json!([1]))]
        {
            assert_eq!(read_input(given).unwrap(), meant, "{given}");
        }
        for broken in ["{\"a\": ", " [1", "\"a"] {
            assert!(format!("{:?}", read_input(broken).unwrap_err()).contains("the input is not JSON"), "{broken}");
        }
        assert!(format!("{:?}", read_input("nul").unwrap_err()).contains("cannot read nul"));
        assert_eq!(read_input(path.to_str().unwrap()).unwrap(), json!([1, 2]));
        assert_eq!(read_input(&format!("@{}", path.display())).unwrap(), json!([1, 2]));
    }

    #[test]
    fn input_bytes_obeyed_and_violated() {
        assert_eq!(read_limited(vec![b'x'; INPUT_BYTES_MAX].as_slice(), "x").unwrap().len(), INPUT_BYTES_MAX);
        assert!(read_limited(vec![b'x'; INPUT_BYTES_MAX + 1].as_slice(), "x").is_err());
    }
}
