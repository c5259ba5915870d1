//! Rules of CONTRIBUTING.md that a compiler does not check: who imports whom, how long files are, what must not be in them.
//! Each test reads the tree and lists every place that breaks its rule. Needs nothing but the sources.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Lines of one source file.
const LINES_MAX: usize = 500;

/// Each room with the rooms that it may import besides itself. `lib`, `main` and `app` wire everything and may import all.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("clock", &[]),
    ("failpoint", &[]),
    ("config", &["model"]),
    ("telemetry", &["model", "config"]),
    ("store", &["model", "clock"]),
    ("runtimes", &["model", "clock"]),
    ("ai", &["model", "clock"]),
    ("auth", &["model", "clock"]),
    ("nodes", &["model", "clock", "runtimes", "ai", "auth"]),
    ("actors", &["model", "clock", "failpoint", "config", "store", "nodes", "runtimes", "ai", "auth"]),
    ("http", &["model", "clock", "config", "store", "nodes", "auth", "actors"]),
    // The clock: a login is renewed before it ends.
    ("cli", &["model", "clock", "config", "app"]),
];
const WIRING: [&str; 3] = ["lib", "main", "app"];

/// Directories that are not ours or not sources.
const SKIPPED: [&str; 9] =
    [".git", ".cargo", ".tools", ".citadel", "target", "data", "dist", "node_modules", "proptest-regressions"];

/// A file of the repository, with its path from the root.
struct Text {
    path: String,
    content: String,
}

impl Text {
    /// The lines that are not comments, with their numbers from 1.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.content.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The room that a file under `src/` belongs to.
    fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap();
        inside.split('/').next().unwrap().trim_end_matches(".rs")
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file under a directory of the repository, in order.
fn texts_under(directory: &str) -> Vec<Text> {
    let mut open = vec![root().join(directory)];
    let mut texts = Vec::new();
    while let Some(path) = open.pop() {
        let name = path.file_name().unwrap().to_str().unwrap();
        if SKIPPED.contains(&name) {
            continue;
        }
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if let Ok(content) = fs::read_to_string(&path) {
            texts.push(Text { path: path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(), content });
        }
    }
    texts.sort_by(|left, right| left.path.cmp(&right.path));
    texts
}

fn rust_sources() -> Vec<Text> {
    let mut sources = texts_under("src");
    sources.extend(texts_under("tests"));
    sources.extend(root().join("benches").is_dir().then(|| texts_under("benches")).into_iter().flatten());
    sources.retain(|text| text.path.ends_with(".rs"));
    sources
}

#[track_caller]
fn assert_none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}

/// The rooms that a piece of code names by `crate::`: the first name of each path, also inside `crate::{a::b, c}`.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (start, word) in code.match_indices("crate::") {
        if code[..start].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$')) {
            continue;
        }
        let rest = &code[start + word.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            rooms.extend(first_names(group));
        } else {
            rooms.insert(leading_name(rest).to_owned());
        }
    }
    rooms
}

/// The first name of each path of a `use` group, whose opening brace has been read.
fn first_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut at_start) = (0, true);
    for (position, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if at_start && !c.is_whitespace() => {
                names.push(leading_name(&group[position..]).to_owned());
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

fn leading_name(path: &str) -> &str {
    &path[..path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len())]
}

#[test]
fn reads_every_form_of_a_path() {
    let code = "use crate::{\n  model::{ids, item::{Item}},\n  clock,\n};\nfn f() { crate::store::open(); $crate::no!(); subcrate::no() }";
    assert_eq!(rooms_named(code), ["clock", "model", "store"].map(str::to_owned).into());
}

#[test]
fn rooms_import_downwards_only() {
    let mut findings = Vec::new();
    for text in texts_under("src").iter().filter(|text| text.path.ends_with(".rs") && !WIRING.contains(&text.room())) {
        let Some((_, allowed)) = ARROWS.iter().find(|(room, _)| *room == text.room()) else {
            findings.push(format!("{}: the room `{}` is not in ARROWS of tests/tidy.rs", text.path, text.room()));
            continue;
        };
        let code: String = text.code().map(|(_, line)| format!("{line}\n")).collect();
        let wrong = rooms_named(&code).into_iter().filter(|room| room != text.room() && !allowed.contains(&room.as_str()));
        findings.extend(wrong.map(|room| format!("{}: imports `{room}`", text.path)));
    }
    assert_none("arrows point down only", &findings);
}

#[test]
fn the_model_uses_few_crates() {
    let allowed = ["std", "serde", "serde_json", "uuid", "thiserror", "crate", "super", "self", "proptest"];
    let mut findings = Vec::new();
    for text in texts_under("src/model").iter().filter(|text| text.path.ends_with(".rs")) {
        for (number, line) in text.code() {
            let Some(path) = line.trim_start().trim_start_matches("pub ").strip_prefix("use ") else { continue };
            // A name of a module of the same file, such as `use codes::X`, is not a crate; none is needed so far.
            if !allowed.contains(&leading_name(path)) {
                findings.push(format!("{}:{number}: uses `{}`", text.path, leading_name(path)));
            }
        }
    }
    assert_none("model/ imports std, serde, serde_json, uuid and thiserror only", &findings);
}

#[test]
fn files_are_short() {
    let long = |text: &Text| {
        (text.content.lines().count() > LINES_MAX).then(|| format!("{}: {}", text.path, text.content.lines().count()))
    };
    assert_none("a source file has at most 500 lines", &rust_sources().iter().filter_map(long).collect::<Vec<_>>());
}

#[test]
fn every_file_says_what_it_is() {
    let silent = |text: &Text| (!text.content.starts_with("//!")).then(|| text.path.clone());
    assert_none("a source file begins with `//!`", &rust_sources().iter().filter_map(silent).collect::<Vec<_>>());
}

#[test]
fn modules_are_named_after_their_file() {
    let named_mod = |text: &Text| text.path.ends_with("/mod.rs").then(|| text.path.clone());
    assert_none("`x.rs` beside `x/`, never `mod.rs`", &rust_sources().iter().filter_map(named_mod).collect::<Vec<_>>());
}

/// Lines of code under `src/` that hold `words`, outside the files that `may` have them.
fn lines_with(words: &str, may: impl Fn(&str) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    for text in texts_under("src").iter().filter(|text| text.path.ends_with(".rs") && !may(&text.path)) {
        let lines = text.code().filter(|(_, line)| line.contains(words));
        findings.extend(lines.map(|(number, line)| format!("{}:{number}: {}", text.path, line.trim())));
    }
    findings
}

#[test]
fn sql_stays_in_its_rooms() {
    let may = |path: &str| path == "src/store.rs" || path.starts_with("src/store/") || path.starts_with("src/nodes/sql");
    assert_none("`sqlx::` is for store/ and the SQL nodes", &lines_with("sqlx::", may));
}

#[test]
fn redis_stays_in_its_room() {
    assert_none("`fred::` is for store/", &lines_with("fred::", |path| path.starts_with("src/store/")));
}

#[test]
fn http_is_sent_in_two_places() {
    // Workflows and the server go out through the egress policy. The client commands talk to the user's own server, whose address
    // the user names, mostly one of this machine: a policy that refuses private addresses would be of no use to them.
    let may = |path: &str| path.starts_with("src/auth/egress") || path.starts_with("src/cli/client");
    assert_none("`reqwest::` is for auth::egress and the client commands' cli::client", &lines_with("reqwest::", may));
}

#[test]
fn connections_are_made_where_their_addresses_are_checked() {
    // The SQL nodes connect to addresses that the policy has let through, the client commands to the user's own server. The tests of
    // the HTTP server call it.
    let may = |path: &str| {
        ["src/auth/egress", "src/cli/", "src/nodes/sql/", "src/store/"].iter().any(|room| path.starts_with(room))
            || path == "src/http/server.rs"
    };
    let mut findings = Vec::new();
    for words in ["TcpStream::connect", "UdpSocket", "TcpSocket", "lookup_host", "to_socket_addrs", "ToSocketAddrs"] {
        findings.extend(lines_with(words, may));
    }
    assert_none("connections go through auth::egress", &findings);
}

#[test]
fn the_environment_is_read_in_one_place() {
    let may = |path: &str| path == "src/config.rs" || path.starts_with("src/config/");
    assert_none("`env::var` is for config.rs", &lines_with("env::var", may));
}

#[test]
fn the_clock_is_read_in_one_place() {
    let may = |path: &str| path == "src/clock.rs";
    assert_none("`SystemTime::now` is for clock.rs", &lines_with("SystemTime::now", may));
}

#[test]
fn every_route_is_documented() {
    // `routes!` takes handlers with `#[utoipa::path]` only. Tests make routers of their own.
    let may = |path: &str| path.ends_with("_tests.rs") || ["src/http/server.rs", "src/http/compression.rs"].contains(&path);
    let mut findings = lines_with(".route(", may);
    findings.extend(lines_with("axum::routing", may));
    findings.extend(lines_with(".route_service(", may));
    findings.retain(|finding| finding.starts_with("src/http"));
    assert_none("a route is registered with `routes!`", &findings);
}

#[test]
fn every_method_of_the_store_has_a_conformance_case() {
    let declarations = ["src/store.rs", "src/store/people.rs"].map(|path| fs::read_to_string(root().join(path)).unwrap());
    let bodies = declarations
        .iter()
        .zip(["pub trait Store", "pub trait PeopleStore"])
        .map(|(declaration, name)| declaration.split_once(name).unwrap().1.split_once("\n}").unwrap().0);
    let methods: Vec<&str> = bodies.flat_map(|body| body.split("fn ").skip(1).map(leading_name)).collect();
    assert!(methods.len() > 80, "{methods:?}");
    let suite: String =
        rust_sources().into_iter().filter(|text| text.path.starts_with("tests/store/")).map(|text| text.content).collect();
    let untried = methods.iter().filter(|method| !suite.contains(&format!(".{method}(")));
    assert_none(
        "each method of `Store` is called by the conformance suite",
        &untried.map(|name| (*name).to_owned()).collect::<Vec<_>>(),
    );
}

#[test]
fn migrations_come_in_pairs() {
    let names = |dialect: &str| -> BTreeSet<String> {
        let directory = root().join("migrations").join(dialect);
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let (sqlite, postgres) = (names("sqlite"), names("postgres"));
    let lonely: Vec<String> = sqlite.symmetric_difference(&postgres).cloned().collect();
    assert_none("a migration has the same number and name for SQLite and PostgreSQL", &lonely);
    assert!(!sqlite.is_empty());
}

#[test]
fn nothing_names_a_machine_or_is_left_open() {
    // In two parts each, so that this file does not find itself.
    let words = [
        ("ST", "UB"),
        ("FIX", "ME"),
        ("XX", "X:"),
        ("/wo", "rk/"),
        ("/tmp", "/wt"),
        ("/tmp", "/t/"),
        ("/ro", "ot/"),
        ("/ho", "me/"),
        ("todo", "!("),
    ];
    let words = words.map(|(left, right)| format!("{left}{right}"));
    let open_todo = ["TO", "DO"].concat();
    let mut findings = Vec::new();
    for text in texts_under("").iter().filter(|text| !is_lock_file(&text.path)) {
        for (number, line) in (1..).zip(text.content.lines()) {
            let found = words.iter().find(|word| line.contains(word.as_str()));
            findings.extend(found.map(|word| format!("{}:{number}: `{word}`", text.path)));
            if line.contains(&open_todo) && !line.contains(&format!("{open_todo}(#")) {
                findings.push(format!("{}:{number}: an open point without an issue", text.path));
            }
        }
    }
    assert_none("committed text names no machine and leaves nothing open", &findings);
}

fn is_lock_file(path: &str) -> bool {
    Path::new(path).file_name().is_some_and(|name| name == "Cargo.lock" || name == "package-lock.json")
}
