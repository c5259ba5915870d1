//! `file.read` and `file.write`: files inside the files directory, as JSON, JSON lines, CSV, text or binary data.
//! Both are idempotent: a repeated write puts the same content in the same place, as a whole.

mod formats;
mod read;
mod write;

#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::{Value, json};

pub use self::{read::FileRead, write::FileWrite};
use super::params::{
    Param,
    schema::{choice, object, text},
};
use crate::model::error::{NodeError, codes};

/// The parameters of both node types.
#[derive(Debug, Deserialize)]
struct Params {
    path: Param,
    format: Option<Format>,
}

/// What is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    Json,
    Jsonl,
    Csv,
    Text,
    Binary,
}

impl Format {
    /// The format that a file's extension stands for; binary where it says nothing.
    fn of_path(path: &str) -> Self {
        let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
        match extension.as_str() {
            "json" => Self::Json,
            "jsonl" | "ndjson" => Self::Jsonl,
            "csv" => Self::Csv,
            "txt" | "md" | "log" | "html" | "xml" | "yaml" | "yml" => Self::Text,
            _ => Self::Binary,
        }
    }
}

/// JSON Schema of `params`.
fn schema(format: &str) -> Value {
    let mut format = choice(format, &["json", "jsonl", "csv", "text", "binary"]);
    // There is no fixed default: the extension decides.
    format.as_object_mut().map(|fields| fields.remove("default"));
    object(&["path"], json!({ "path": text("Path relative to the files directory, without `..`."), "format": format }))
}

/// Does file work where it may block.
///
/// Errors: those of `work`; `panicked` if it panicked.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, NodeError> + Send + 'static) -> Result<T, NodeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(NodeError::permanent(codes::PANICKED, format!("the file work did not end: {error}"))),
    }
}
