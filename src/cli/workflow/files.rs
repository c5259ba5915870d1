//! Workflow files: which ones a path means, and what of a server each of them stands for.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    app::definition_file::{UnreadableFile, WorkflowFile, is_workflow, read_workflow_file},
    cli::{Failure, client::line, output::note, remote::Remote},
    model::problem::{Problem, counted},
};

/// Files of one directory.
const FILES_MAX: usize = 10_000;
/// Levels of directories.
const DEPTH_MAX: usize = 32;

/// A file whose definition the server would take.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    pub(super) name: String,
    /// As the server stores it.
    pub(super) definition: Value,
    /// The server's workflow that it stands for; `None`: a new one.
    pub(super) existing: Option<Value>,
}

/// Every candidate, and every workflow of the server.
#[derive(Debug)]
pub(super) struct Candidates {
    pub(super) found: Vec<Candidate>,
    /// Workflows of the server that no file stands for.
    pub(super) others: Vec<Value>,
}

/// What is wrong with a file.
#[derive(Debug)]
pub(super) struct FileProblem {
    path: PathBuf,
    lines: Vec<String>,
}

impl FileProblem {
    pub(super) fn new(path: &Path, message: impl AsRef<str>) -> Self {
        Self { path: path.to_owned(), lines: message.as_ref().lines().map(str::to_owned).collect() }
    }

    fn of(path: &Path, problems: &[Problem]) -> Self {
        Self { path: path.to_owned(), lines: problems.iter().map(line).collect() }
    }
}

/// Every file with a problem in one failure.
pub(super) fn failure_of(problems: &[FileProblem], what: &str) -> Failure {
    let files: String = problems
        .iter()
        .map(|problem| {
            let lines: String = problem.lines.iter().map(|line| format!("\n    {line}")).collect();
            format!("\n  {}{lines}", problem.path.display())
        })
        .collect();
    let count = counted(problems.len(), "file");
    Failure::error(format!("{what} because of {count}:{files}"))
}

/// Reads all workflow files below `path`, has the server check them, and finds what they stand for.
///
/// Errors: every problem of every file at once; or the server cannot be reached.
pub(super) async fn candidates(remote: &Remote, path: &Path) -> Result<Candidates, Failure> {
    let mut problems = Vec::new();
    let mut read = Vec::new();
    for path in list(path).await? {
        match read_workflow_file(&path).await? {
            Ok(file) => read.push((path, file)),
            Err(found) => problems.push(FileProblem::of(&path, &found)),
        }
    }
    if read.is_empty() && problems.is_empty() {
        return Err(Failure::error(format!("{} has no workflow files", path.display()))
            .with_hint("a workflow file is YAML or JSON with `name` and `nodes`"));
    }
    for (path, file) in &read {
        let checked = remote.client.post(&["workflows", "validate"], &file.definition).await?;
        let errors: Vec<Problem> = serde_json::from_value(checked["errors"].clone()).unwrap_or_default();
        if checked["valid"] != true {
            problems.push(FileProblem::of(path, &errors));
        }
    }
    let mut server = remote.list_all(&["workflows"]).await?;
    let matched = match_files(read, &mut server, &mut problems);
    if !problems.is_empty() {
        problems.sort_by(|left, right| left.path.cmp(&right.path));
        return Err(failure_of(&problems, "nothing was done")
            .with_hint("the first column points into the document: /nodes/0 is its first node"));
    }
    Ok(Candidates { found: matched, others: server })
}

/// Finds what each file stands for: the workflow with its id, else the one with its name. What is found is taken out of `server`.
fn match_files(files: Vec<(PathBuf, WorkflowFile)>, server: &mut Vec<Value>, problems: &mut Vec<FileProblem>) -> Vec<Candidate> {
    let mut owners: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut found = Vec::new();
    for (path, WorkflowFile { id, name, definition }) in files {
        let wanted = id.as_ref().map_or_else(|| json!(name), |id| json!(id.to_string()));
        let key = if id.is_some() { "id" } else { "name" };
        let described = format!("the {key} {}", wanted.as_str().unwrap_or_default());
        if let Some(other) = owners.insert(described.clone(), path.clone()) {
            problems.push(FileProblem::new(&path, format!("{} has {described}, too", other.display())));
            continue;
        }
        let mut places = server.iter().enumerate().filter(|(_, row)| row[key] == wanted).map(|(place, _)| place);
        match (places.next(), places.next(), id.is_some()) {
            (Some(place), None, _) => {
                let existing = Some(server.remove(place));
                found.push(Candidate { path, name, definition, existing });
            }
            (None, _, false) => found.push(Candidate { path, name, definition, existing: None }),
            (None, _, true) => {
                let line = format!("the server has no workflow with {described}: without an `id` a new one is made");
                problems.push(FileProblem::new(&path, line));
            }
            (Some(_), Some(_), _) => {
                problems.push(FileProblem::new(
                    &path,
                    format!("several workflows have {described}: put the `id` of one into the file"),
                ));
            }
        }
    }
    found
}

/// The files that a path means: itself, or every workflow file below it. Hidden ones are left out, and so is what has a fitting
/// name but another content, such as an input.
async fn list(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |path: &Path, error: std::io::Error| Failure::from(anyhow::Error::from(UnreadableFile::new(path, error)));
    if !std::fs::metadata(path).map_err(|error| failed(path, error))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    let mut open = vec![(path.to_owned(), 0)];
    while let Some((directory, depth)) = open.pop() {
        for entry in std::fs::read_dir(&directory).map_err(|error| failed(&directory, error))? {
            let entry = entry.map_err(|error| failed(&directory, error))?;
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            // Links to directories are not followed: they may lead in a circle.
            if entry.file_type().map_err(|error| failed(&path, error))?.is_dir() {
                if depth == DEPTH_MAX {
                    return Err(Failure::error(format!("{} is nested too deeply", path.display())));
                }
                open.push((path, depth + 1));
            } else if has_fitting_name(&path) {
                files.push(path);
            }
        }
        if files.len() > FILES_MAX {
            return Err(Failure::error(format!("{} has more than {FILES_MAX} files", path.display())));
        }
    }
    files.sort();
    let mut workflows = Vec::new();
    for file in files {
        if is_workflow(&file).await? {
            workflows.push(file);
        } else {
            note(format_args!("skipped {}: no workflow", file.display()));
        }
    }
    Ok(workflows)
}

fn has_fitting_name(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(id: Option<&str>, name: &str) -> (PathBuf, WorkflowFile) {
        let id = id.map(|id| id.parse().unwrap());
        (PathBuf::from(format!("{name}.yaml")), WorkflowFile { id, name: name.to_owned(), definition: json!({}) })
    }

    const ID: &str = "wf_0123456789ab7def8000000000000001";

    fn matched(files: Vec<(PathBuf, WorkflowFile)>) -> (Vec<Option<String>>, Vec<String>, usize) {
        let mut server = vec![
            json!({ "id": ID, "name": "a" }),
            json!({ "id": "wf_2", "name": "twice" }),
            json!({ "id": "wf_3", "name": "twice" }),
        ];
        let mut problems = Vec::new();
        let found = match_files(files, &mut server, &mut problems);
        let ids = found.iter().map(|file| file.existing.as_ref().map(|row| row["id"].as_str().unwrap().to_owned())).collect();
        (ids, problems.into_iter().flat_map(|problem| problem.lines).collect(), server.len())
    }

    #[test]
    fn matches_by_id_else_by_name() {
        let (ids, problems, others) = matched(vec![file(Some(ID), "renamed"), file(None, "new")]);
        assert_eq!((ids, problems, others), (vec![Some(ID.to_owned()), None], vec![], 2));
        let (ids, _, others) = matched(vec![file(None, "a")]);
        assert_eq!((ids, others), (vec![Some(ID.to_owned())], 2));
    }

    #[test]
    fn refuses_what_is_not_clear() {
        let (_, problems, _) = matched(vec![file(None, "twice")]);
        assert!(problems[0].contains("several workflows have the name twice"), "{problems:?}");
        let (_, problems, _) = matched(vec![file(None, "new"), file(None, "new")]);
        assert!(problems[0].contains("new.yaml has the name new, too"), "{problems:?}");
        let unknown = "wf_0123456789ab7def800000000000000f";
        let (_, problems, _) = matched(vec![file(Some(unknown), "x")]);
        assert!(problems[0].contains("no workflow with the id"), "{problems:?}");
    }

    #[tokio::test]
    async fn lists_workflow_files_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("sub")).unwrap();
        for (name, text) in [
            ("b.yaml", "name: b\nnodes: []\n"),
            ("sub/a.json", "{\"nodes\": []}"),
            ("broken.yml", "name: [\n"),
            ("input.json", "{\"amount\": 1}"),
            (".hidden.yaml", "nodes: []\n"),
            ("README.md", "nodes"),
        ] {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let listed = list(directory.path()).await.unwrap();
        let names: Vec<&str> = listed.iter().map(|path| path.strip_prefix(directory.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["b.yaml", "broken.yml", "sub/a.json"]);
        assert_eq!(list(&directory.path().join("input.json")).await.unwrap().len(), 1, "what is named is meant");
    }
}
