//! Reads workflow files for the command line, and checks them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use serde_json::Value;
use tokio::io::AsyncReadExt;

use crate::{
    actors::workflows::{Format, read_definition, read_document},
    config::Config,
    model::{
        definition::{WorkflowDefinition, parse::parse_value},
        ids::WorkflowId,
        limits::DEFINITION_BYTES_MAX,
        problem::Problem,
    },
    nodes::{
        plan::{self, CodeChecks},
        registry::Registry,
    },
    runtimes::{
        languages::Languages,
        sandbox::{Sandbox, SandboxConfig},
    },
};

/// How long the code of one definition may take to be checked.
const CHECK_WITHIN: Duration = Duration::from_secs(60);
/// Sandboxes that a check needs, with room for what holds two for a moment.
const CHECK_INSTANCES_MAX: u32 = 4;

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

/// Everything that is wrong with the definition in a file; empty if it could be stored. Its code is checked by the languages that are
/// built in, and by those that are installed where the settings say.
///
/// Errors: the file cannot be read; the sandbox cannot be set up.
pub async fn check_file(path: &Path, config: &Config) -> anyhow::Result<Vec<Problem>> {
    let definition = match read_file(path).await? {
        Ok(definition) => definition,
        Err(problems) => return Ok(problems),
    };
    let (anonymous, config) = (WorkflowId::from_uuid(uuid::Uuid::nil()), config.clone());
    let check = move || {
        let (compiled, checks) = plan::compile_with_checks(&Registry::builtin(), definition, anonymous, 1);
        let mut problems = compiled.err().unwrap_or_default();
        problems.extend(check_code(checks, config)?);
        Ok(problems)
    };
    tokio::task::spawn_blocking(check).await.context("the check was interrupted")?
}

/// Starts the languages of a definition for as long as they are asked. Leaves nothing in the data directory.
fn check_code(checks: CodeChecks, mut config: Config) -> anyhow::Result<Vec<Problem>> {
    let names = checks.language_names();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    config.use_throwaway_directory(directory.path());
    let sandbox = Sandbox::new(&SandboxConfig { cache_dir: config.cache_dir(), instances_max: CHECK_INSTANCES_MAX })?;
    let languages = Languages::named(&names, &sandbox, &config.runtimes_dir())?;
    Ok(checks.with_languages(Arc::new(languages)).run(CHECK_WITHIN))
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
