//! Reads workflow files for the command line, and checks them.

use std::path::Path;

use anyhow::Context;
use tokio::io::AsyncReadExt;

use crate::{
    actors::workflows::{Format, read_definition},
    model::{definition::WorkflowDefinition, ids::WorkflowId, limits::DEFINITION_BYTES_MAX, problem::Problem},
    nodes::{plan, registry::Registry},
};

/// Reads the definition in a file: YAML by its name, else JSON, or what its first character says.
///
/// Errors: the file cannot be read, outside; inside: everything that is wrong with the form of the definition.
pub async fn read_file(path: &Path) -> anyhow::Result<Result<WorkflowDefinition, Vec<Problem>>> {
    let file = tokio::fs::File::open(path).await.with_context(|| format!("cannot open {}", path.display()))?;
    // One byte more than allowed, so that the parser sees that it is too much.
    let limit = u64::try_from(DEFINITION_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = Vec::new();
    file.take(limit).read_to_end(&mut text).await.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(read_definition(&text, format_of(path, &text)))
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
    fn knows_the_notation_by_name_and_else_by_the_first_character() {
        assert_eq!(format_of(Path::new("a.yml"), b"{}"), Format::Yaml);
        assert_eq!(format_of(Path::new("a.json"), b""), Format::Json);
        assert_eq!(format_of(Path::new("a"), b"\n {}"), Format::Json);
        assert_eq!(format_of(Path::new("a.txt"), b"name: a"), Format::Yaml);
    }
}
