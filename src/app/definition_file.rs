//! Reads workflow files for the command line, and checks them.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde_json::Value;
use tokio::io::AsyncReadExt;

use crate::{
    actors::workflows::{Format, read_definition, read_document},
    model::{
        definition::{WorkflowDefinition, parse::parse_value},
        ids::WorkflowId,
        limits::DEFINITION_BYTES_MAX,
        problem::Problem,
    },
    nodes::{plan, registry::Registry},
};

/// A file that stands for a workflow of a server.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowFile {
    /// The workflow that it stands for, if it says so; else the one with its name.
    pub id: Option<WorkflowId>,
    pub name: String,
    /// As a server stores it: equal definitions are equal values.
    pub definition: Value,
}

/// A file that is not there, or that this process may not read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", .path.display())]
pub struct UnreadableFile {
    path: PathBuf,
    source: io::Error,
}

impl UnreadableFile {
    pub fn new(path: &Path, source: io::Error) -> Self {
        Self { path: path.to_owned(), source }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::NotFound => "check the path: it begins at the current directory",
            io::ErrorKind::PermissionDenied => "check who may read it",
            io::ErrorKind::IsADirectory => "name a file in it",
            _ => "name a file that can be read",
        }
    }
}

/// Reads the definition in a file: YAML by its name, else JSON, or what its first character says.
///
/// Errors: the file cannot be read, outside; inside: everything that is wrong with the form of the definition.
pub async fn read_file(path: &Path) -> anyhow::Result<Result<WorkflowDefinition, Vec<Problem>>> {
    let text = read_text(path).await?;
    Ok(read_definition(&text, format_of(path, &text)))
}

/// Reads a file that may have an `id` besides the definition.
///
/// Errors: as [`read_file`].
pub async fn read_workflow_file(path: &Path) -> anyhow::Result<Result<WorkflowFile, Vec<Problem>>> {
    let text = read_text(path).await?;
    Ok(read_document(&text, format_of(path, &text)).and_then(workflow_file))
}

fn workflow_file(mut document: Value) -> Result<WorkflowFile, Vec<Problem>> {
    let id = match document.as_object_mut().and_then(|fields| fields.remove("id")) {
        Some(id) => Some(read_id(&id)?),
        None => None,
    };
    let definition = parse_value(document)?;
    let name = definition.name.clone();
    let definition = serde_json::to_value(&definition).expect("a definition has string keys only");
    Ok(WorkflowFile { id, name, definition })
}

fn read_id(id: &Value) -> Result<WorkflowId, Vec<Problem>> {
    let parsed = id.as_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| vec![Problem::new("/id", "invalid_value", "the id of a workflow looks like wf_...")])
}

/// Whether a file is meant to be a workflow: an object with `nodes`. What cannot be read may be one, so that somebody is told.
///
/// Errors: the file cannot be read.
pub async fn is_workflow(path: &Path) -> anyhow::Result<bool> {
    let text = read_text(path).await?;
    Ok(match read_document(&text, format_of(path, &text)) {
        Ok(document) => document.get("nodes").is_some(),
        Err(_) => true,
    })
}

async fn read_text(path: &Path) -> anyhow::Result<Vec<u8>> {
    let failed = |source| UnreadableFile::new(path, source);
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    // One byte more than allowed, so that the parser sees that it is too much.
    let limit = u64::try_from(DEFINITION_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = Vec::new();
    file.take(limit).read_to_end(&mut text).await.map_err(failed)?;
    Ok(text)
}

/// Everything that is wrong with the definition in a file; empty if it could be stored.
///
/// Errors: the file cannot be read.
pub async fn check_file(path: &Path) -> anyhow::Result<Vec<Problem>> {
    let definition = match read_file(path).await? {
        Ok(definition) => definition,
        Err(problems) => return Ok(problems),
    };
    let anonymous = WorkflowId::from_uuid(uuid::Uuid::nil());
    let check = move || plan::compile(&Registry::builtin(), definition, anonymous, 1).err().unwrap_or_default();
    tokio::task::spawn_blocking(check).await.context("the check was interrupted")
}

fn format_of(path: &Path, text: &[u8]) -> Format {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension {
        "yaml" | "yml" => Format::Yaml,
        "json" => Format::Json,
        _ if text.trim_ascii_start().starts_with(b"{") => Format::Json,
        _ => Format::Yaml,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_id_out_of_a_file() {
        let read = |text: &str| read_document(text.as_bytes(), Format::Yaml).and_then(workflow_file);
        let nodes = "name: a\nnodes: [{ id: s, type: manual }]\n";
        let file = read(&format!("id: wf_01234567-89ab-7def-8000-000000000001\n{nodes}")).unwrap();
        assert_eq!((file.id.unwrap().to_string(), &*file.name), ("wf_0123456789ab7def8000000000000001".to_owned(), "a"));
        assert_eq!(read(nodes).unwrap().definition, file.definition);
        assert_eq!(read(&format!("id: 7\n{nodes}")).unwrap_err()[0].pointer, "/id");
        assert_eq!(read("[]").unwrap_err().len(), 1);
    }

    #[test]
    fn knows_the_notation_by_name_and_else_by_the_first_character() {
        assert_eq!(format_of(Path::new("a.yml"), b"{}"), Format::Yaml);
        assert_eq!(format_of(Path::new("a.json"), b""), Format::Json);
        assert_eq!(format_of(Path::new("a"), b"\n {}"), Format::Json);
        assert_eq!(format_of(Path::new("a.txt"), b"name: a"), Format::Yaml);
    }
}
