//! The recipe of the image.

use std::path::{Component, Path, PathBuf};

use super::{check_pinned, check_settings, is_covered, read, root};

/// One instruction: `COPY`, and the rest of its line.
struct Instruction {
    name: String,
    rest: String,
}

/// Reads a Dockerfile: lines that go on are joined, comments are left out.
fn parse(text: &str) -> Vec<Instruction> {
    let mut instructions = Vec::new();
    let mut line = String::new();
    for part in text.lines().map(str::trim).filter(|part| !part.is_empty() && !part.starts_with('#')) {
        line += part.strip_suffix('\\').unwrap_or(part);
        if part.ends_with('\\') {
            line.push(' ');
            continue;
        }
        let (name, rest) = line.split_once(char::is_whitespace).unwrap();
        instructions.push(Instruction { name: name.to_owned(), rest: rest.trim().to_owned() });
        line.clear();
    }
    assert!(line.is_empty(), "the last line goes on: {line}");
    instructions
}

fn dockerfile() -> Vec<Instruction> {
    parse(&read("docker/Dockerfile"))
}

/// The sources of every `COPY` from the repository.
fn copied(instructions: &[Instruction]) -> Vec<String> {
    let copies = instructions.iter().filter(|instruction| instruction.name == "COPY" && !instruction.rest.starts_with("--from="));
    let sources = copies.flat_map(|copy| {
        let words: Vec<&str> = copy.rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        words[..words.len() - 1].iter().map(|&word| word.to_owned()).collect::<Vec<_>>()
    });
    sources.collect()
}

#[test]
fn reads_instructions_over_several_lines() {
    let read = parse("# no\nFROM a:1 AS b\nRUN one \\\n    # between\n    && two\n");
    let read: Vec<(&str, &str)> = read.iter().map(|instruction| (&*instruction.name, &*instruction.rest)).collect();
    assert_eq!(read, [("FROM", "a:1 AS b"), ("RUN", "one  && two")]);
}

#[test]
fn builds_in_pinned_stages_and_runs_without_rights() {
    let instructions = dockerfile();
    let stages: Vec<&Instruction> = instructions.iter().filter(|instruction| instruction.name == "FROM").collect();
    assert_eq!(stages.len(), 2);
    let names: Vec<&str> = stages.iter().map(|stage| stage.rest.split(" AS ").nth(1).expect("a stage has a name")).collect();
    stages.iter().for_each(|stage| check_pinned(stage.rest.split(' ').next().unwrap()));
    for copy in instructions.iter().filter_map(|instruction| instruction.rest.strip_prefix("--from=")) {
        assert!(names.contains(&copy.split(' ').next().unwrap()), "{copy}");
    }
    let last =
        |name: &str| instructions.iter().rev().find(|instruction| instruction.name == name).map(|found| found.rest.as_str());
    let user = last("USER").unwrap().split(':').next().unwrap();
    assert!(user.parse::<u32>().is_ok_and(|id| id >= 1_000), "the image runs as {user}");
    assert!(last("HEALTHCHECK").unwrap().ends_with(r#"CMD ["citadel", "healthcheck"]"#));
    assert_eq!((last("ENTRYPOINT"), last("CMD")), (Some(r#"["citadel"]"#), Some(r#"["serve"]"#)));
    assert!(read("Cargo.toml").contains("rust-version = \"1.95\"") && stages[0].rest.starts_with("rust:1.95."));
}

#[test]
fn copies_what_there_is_and_everything_that_a_build_reads() {
    let copied = copied(&dockerfile());
    let ignored = read(".dockerignore");
    for source in &copied {
        assert!(root().join(source).exists(), "the Dockerfile copies {source}");
        let top = source.split('/').next().unwrap();
        assert!(ignored.lines().any(|line| line == format!("!{top}")), ".dockerignore keeps {source} out");
    }
    let scripts = ["scripts/common.sh", "scripts/guests.sh"];
    for needed in ["Cargo.toml", "Cargo.lock", "build.rs", "src", "benches", "migrations", "guests"].into_iter().chain(scripts) {
        assert!(is_covered(Path::new(needed), &copied), "{needed} is needed to build");
    }
    for (file, included) in included_files() {
        assert!(is_covered(&included, &copied), "{file} includes {}, which is not copied", included.display());
    }
}

/// The files of the repository that the code embeds, with the file that does.
fn included_files() -> Vec<(String, PathBuf)> {
    let mut open = vec![root().join("src")];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let relative = path.strip_prefix(root()).unwrap();
        for macro_name in ["include_str!(\"", "include_bytes!(\""] {
            let included = text.split(macro_name).skip(1).filter_map(|rest| rest.split('"').next());
            found.extend(included.map(|name| (relative.display().to_string(), resolve(&relative.parent().unwrap().join(name)))));
        }
    }
    assert!(found.len() > 3, "{found:?}");
    found
}

/// A path without its `..`.
fn resolve(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => assert!(resolved.pop()),
            other => resolved.push(other),
        }
    }
    resolved
}

#[test]
fn sets_settings_that_there_are() {
    let instructions = dockerfile();
    let variables =
        instructions.iter().filter(|instruction| instruction.name == "ENV").flat_map(|env| env.rest.split_whitespace());
    let variables: Vec<(String, String)> =
        variables.map(|word| word.split_once('=').unwrap()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert!(variables.iter().any(|(name, _)| name == "CITADEL__DATA_DIR"));
    check_settings(variables);
}
