//! What is shipped beside the code: files that are made from it have to be what it makes now.

use std::path::Path;

use citadel::config::reference::Reference;

/// A file of the repository.
fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
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
