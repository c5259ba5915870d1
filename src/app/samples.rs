//! The sample workflows of `citadel dev`: installed once per data directory, so that one that was changed or deleted stays so.

use std::path::Path;

use anyhow::Context;

use crate::{
    actors::workflows::{Format, WorkflowError, WorkflowsHandle, read_definition},
    config::Config,
    model::ids::{WorkflowId, WorkspaceId},
};

/// The name of a sample, which is also a part of its idempotency key, and its definition.
const SAMPLES: [(&str, &str); 3] = [
    ("hello", include_str!("../../examples/hello/workflow.yaml")),
    ("approval", include_str!("../../examples/approval/workflow.yaml")),
    ("population-report", include_str!("../../examples/population-report/workflow.yaml")),
];
/// What the last sample reads.
const COUNTRIES: &str = include_str!("../../examples/population-report/countries.csv");
/// Where a data directory remembers that it has had them.
const MARK: &str = "samples-installed";

/// Installs the samples, unless this data directory has had them. Answers how many are new.
///
/// Errors: files cannot be written, or the store fails.
pub(super) async fn install_once(workflows: &WorkflowsHandle, config: &Config) -> anyhow::Result<usize> {
    let mark = config.data_dir.join(MARK);
    if tokio::fs::try_exists(&mark).await.context("cannot look into the data directory")? {
        return Ok(0);
    }
    if let Some(root) = &config.files.root {
        write_countries(root).await.context("cannot write the file of a sample")?;
    }
    let mut installed = 0;
    for (name, text) in SAMPLES {
        let definition = read_definition(text.as_bytes(), Format::Yaml).expect("a sample can be read");
        match workflows.create(WorkspaceId::DEFAULT, definition, Some(&format!("sample-{name}"))).await {
            Ok(created) => installed += usize::from(!created.replayed),
            // Another release has installed its own before a crash kept it from leaving the mark.
            Err(WorkflowError::KeyMismatch) => {}
            Err(error) => return Err(error).with_context(|| format!("cannot install the sample {name}")),
        }
    }
    tokio::fs::write(&mark, "").await.context("cannot write into the data directory")?;
    Ok(installed)
}

/// Installs the samples into a workspace. Answers their ids.
///
/// Errors: the store fails.
pub(super) async fn install_into(workflows: &WorkflowsHandle, workspace: WorkspaceId) -> anyhow::Result<Vec<WorkflowId>> {
    let mut ids = Vec::new();
    for (name, text) in SAMPLES {
        let definition = read_definition(text.as_bytes(), Format::Yaml).expect("a sample can be read");
        let created = workflows.create(workspace, definition, Some(&format!("sample-{name}"))).await;
        ids.push(created.with_context(|| format!("cannot install the sample {name}"))?.workflow.row.id);
    }
    Ok(ids)
}

async fn write_countries(root: &Path) -> std::io::Result<()> {
    tokio::fs::create_dir_all(root).await?;
    let path = root.join("countries.csv");
    if tokio::fs::try_exists(&path).await? { Ok(()) } else { tokio::fs::write(path, COUNTRIES).await }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::{plan, registry::Registry};

    #[test]
    fn every_sample_is_valid() {
        for (name, text) in SAMPLES {
            let definition = read_definition(text.as_bytes(), Format::Yaml).unwrap();
            let compiled = plan::compile(&Registry::builtin(), definition, WorkflowId::from_uuid(uuid::Uuid::nil()), 1);
            assert!(compiled.is_ok(), "{name}: {:?}", compiled.err());
        }
    }
}
