//! What is shipped beside the code: files that are made from it have to be what it makes now, and what containers are built and run
//! from has to name what there is. No container engine is needed.

mod compose;
mod dockerfile;

use std::path::{Path, PathBuf};

use citadel::config::{Sources, load_from, reference::Reference};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository.
#[track_caller]
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Checks that a server would take these variables; secrets come from a file that is made for them.
#[track_caller]
fn check_settings(variables: impl IntoIterator<Item = (String, String)>) {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "sqlite://a\n").unwrap();
    let environment = variables.into_iter().map(|(name, value)| {
        let value = if name.ends_with("_FILE") { secret.as_os_str().to_owned() } else { value.into() };
        (name.into(), value)
    });
    load_from(Sources { environment: environment.collect(), ..Sources::default() }).unwrap();
}

/// Checks that an image is named with a version, and not one that means another image tomorrow.
#[track_caller]
fn check_pinned(image: &str) {
    let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{image} has no version"));
    let version = tag.split('-').next().unwrap();
    let parts: Vec<&str> = version.split('.').collect();
    let is_exact = parts.len() >= 2 && parts.iter().all(|part| part.parse::<u32>().is_ok());
    assert!(is_exact, "{image} is not pinned to a version such as 1.2.3");
}

#[test]
fn the_files_of_settings_are_what_init_writes() {
    for (path, kind, name) in [
        ("citadel.toml", Reference::Toml, "toml"),
        (".env.example", Reference::Env, "env"),
        ("docs/configuration.md", Reference::Markdown, "markdown"),
    ] {
        assert!(read(path) == kind.document(), "run: citadel init --force --as {name} {path}");
    }
}

#[test]
fn documents_link_to_what_there_is() {
    for page in [
        "README.md",
        "docs/audit.md",
        "docs/cli.md",
        "docs/configuration.md",
        "docs/hardening.md",
        "docs/languages.md",
        "docs/monitoring.md",
        "docker/README.md",
    ] {
        let text = read(page);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let path = root().join(page).parent().unwrap().join(link.split('#').next().unwrap());
            assert!(path.exists(), "{page} links to {link}");
        }
    }
}

/// Whether a path of the repository is one of `copied`, or below it.
fn is_covered(path: &Path, copied: &[String]) -> bool {
    copied.iter().any(|copy| path.starts_with(copy))
}
