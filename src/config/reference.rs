//! Writes down all settings with their meanings and defaults: as a file of settings, as an environment file, as a page of the
//! documentation. What is in the repository is made by this code (`citadel init --print --as ...`); a test compares them.

use std::fmt::Write as _;

use serde_json::Value;

use super::settings::{FORMS, SECTIONS, SETTINGS, Setting};

/// Columns of a comment line.
const COLUMNS: usize = 120;

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Reference {
    /// A `citadel.toml` in which everything is a comment.
    Toml,
    /// A `.env` file in which everything is a comment.
    Env,
    /// A page of the documentation.
    Markdown,
}

impl Reference {
    /// The whole document.
    pub fn document(self) -> String {
        match self {
            Self::Toml => toml(),
            Self::Env => env(),
            Self::Markdown => markdown(),
        }
    }
}

fn settings_of(section: &str) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(move |setting| setting.place().0 == section)
}

fn toml() -> String {
    let mut text = comment(
        "Settings of Citadel, each with what it means and its default. To change one, remove the `#` before it. \
         An unknown name is refused; `citadel config check --config FILE` tries a file.",
    );
    for (section, meaning) in SECTIONS {
        text.push('\n');
        if !section.is_empty() {
            text += &comment(meaning);
            writeln!(text, "[{section}]").expect("a string takes everything");
        }
        for setting in settings_of(section) {
            text += &comment(&described(setting));
            let (_, name) = setting.place();
            writeln!(text, "#{name} = {}", toml_value(setting)).expect("a string takes everything");
        }
    }
    text += "\n";
    text += &comment("Credentials that nodes name (`credential: alerting`): any name, a type, and the fields of that type.");
    text += "#[credentials.alerting]\n#type = \"http_bearer\"\n#token = \"...\"\n\n";
    text += &comment(
        "Native languages beside the built-in ones (bash, python-native, node, php, go, java, r), and changes of those: any name, \
         the command with `{source}` for the file of the code, and the name of that file.",
    );
    text + "#[runtimes.native.perl]\n#command = [\"perl\", \"{source}\"]\n#file = \"main.pl\"\n"
}

fn env() -> String {
    let mut text = comment(
        "Settings of Citadel as environment variables, each with what it means and its default. To change one, remove the `#` \
         before it. They win over files, and flags win over them. An unknown name is refused.",
    );
    for (section, meaning) in SECTIONS {
        if !section.is_empty() {
            write!(text, "\n{}", comment(&format!("-- {section}: {meaning}"))).expect("a string takes everything");
        }
        for setting in settings_of(section) {
            write!(text, "\n{}", comment(&described(setting))).expect("a string takes everything");
            writeln!(text, "#{}={}", setting.variable(), plain_value(setting)).expect("a string takes everything");
            if setting.secret {
                writeln!(text, "#{}_FILE=/run/secrets/{}", setting.variable(), setting.key.replace('.', "_"))
                    .expect("a string takes everything");
            }
        }
    }
    text += "\n";
    text += &comment("-- credentials: that nodes name (`credential: alerting`). Fields may be read from files, too.");
    text + "#CITADEL__CREDENTIALS__ALERTING__TYPE=http_bearer\n#CITADEL__CREDENTIALS__ALERTING__TOKEN_FILE=/run/secrets/alerting\n"
}

fn markdown() -> String {
    let mut text = MARKDOWN_HEAD.to_owned();
    for (section, meaning) in SECTIONS {
        let title = if section.is_empty() { "General" } else { section };
        write!(text, "\n### {title}\n\n").expect("a string takes everything");
        if !meaning.is_empty() {
            write!(text, "{meaning}\n\n").expect("a string takes everything");
        }
        text += "| setting | default | form | meaning |\n|---|---|---|---|\n";
        for setting in settings_of(section) {
            let default = match plain_default(setting) {
                Some(default) if default.is_empty() => "empty".to_owned(),
                Some(default) => format!("`{default}`"),
                None => "none".to_owned(),
            };
            let marks = [(setting.secret, " Secret."), (setting.reloads, " Reloaded on SIGHUP.")];
            let marks: String = marks.iter().filter(|(holds, _)| *holds).map(|(_, mark)| *mark).collect();
            writeln!(text, "| `{}` | {default} | {} | {}{marks} |", setting.key, setting.form, setting.text)
                .expect("a string takes everything");
        }
    }
    text += "\n## Forms\n\n";
    for (form, meaning) in FORMS {
        writeln!(text, "* {form}: {meaning}").expect("a string takes everything");
    }
    text + MARKDOWN_TAIL
}

/// What stands before a setting: its meaning, its form, and what is special.
fn described(setting: &Setting) -> String {
    let mut notes = vec![setting.form.to_owned()];
    if setting.secret {
        notes.push("secret".to_owned());
    }
    if setting.reloads {
        notes.push("reloaded on SIGHUP".to_owned());
    }
    if setting.default_value().is_null() {
        notes.push("no default".to_owned());
    }
    format!("{} ({})", setting.text, notes.join("; "))
}

fn toml_value(setting: &Setting) -> String {
    match (setting.default_value(), setting.example) {
        (Value::Null, Some(example)) if setting.form == "count" => example.to_owned(),
        (Value::Null, example) => Value::from(example.unwrap_or_default()).to_string(),
        (Value::Array(items), _) => {
            let items: Vec<String> = items.iter().map(Value::to_string).collect();
            format!("[{}]", items.join(", "))
        }
        // Strings without escapes, numbers and booleans are written alike in JSON and TOML.
        (value, _) => value.to_string(),
    }
}

/// A value as the environment has it.
fn plain_value(setting: &Setting) -> String {
    plain_default(setting).unwrap_or_else(|| setting.example.unwrap_or_default().to_owned())
}

fn plain_default(setting: &Setting) -> Option<String> {
    match setting.default_value() {
        Value::Null => None,
        Value::String(text) => Some(text),
        Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            Some(items.join(","))
        }
        value => Some(value.to_string()),
    }
}

/// Breaks a text into comment lines of [`COLUMNS`] at most.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = "#".to_owned();
    for word in text.split_whitespace() {
        if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines += &line;
            lines.push('\n');
            line = "#".to_owned();
        }
        line.push(' ');
        line += word;
    }
    lines + &line + "\n"
}

const MARKDOWN_HEAD: &str = "# Configuration

This page is made by `citadel init --print --as markdown`; a test compares the two.

## Layers

Later ones win:

1. built-in defaults,
2. `/etc/citadel/citadel.toml`, if it exists,
3. files given with `--config FILE`, in their order,
4. the environment: `CITADEL__SECTION__KEY`, so `http.listen` is `CITADEL__HTTP__LISTEN`,
5. flags.

A secret may also come from a file whose path is in the variable with `_FILE` behind its name: `CITADEL__STORE__URL_FILE=/run/secrets/url`.
One line break at the end of such a file does not belong to the value.

`citadel init` writes a commented `citadel.toml`. `citadel config check` tries the settings without starting anything, `citadel config show` lists
all of them with the layer that set each, and `citadel config explain KEY` tells everything about one. An unknown name is an error, with
what was probably meant.

## Changing a running server

On SIGHUP a server reads its files again and takes over the log filter (`log.filter`), the switch of rate limits (`limits.enabled`) and the
egress policy (`egress.allow`, `egress.deny`). Settings that cannot be read are reported in the log and change nothing. Everything else needs a
restart; the log says which changed settings wait for one.

## Settings
";

const MARKDOWN_TAIL: &str = "
## Credentials

The section `credentials` has free names. Each credential has a `type` and the fields of that type, and nodes name it (`credential: alerting`).
All fields are secret, and `_FILE` works for each: `CITADEL__CREDENTIALS__ALERTING__TOKEN_FILE`. They are the same for every workspace, which can
have credentials of its own: [credentials.md](credentials.md).

```toml
[credentials.alerting]
type = \"http_bearer\"
token = \"...\"
```

## Logins at OpenID providers

The section `auth.oidc` has free names: [accounts.md](accounts.md) says what they are for. `client_secret` is secret, and may be read from a file.

```toml
[auth.oidc.corp]
issuer = \"https://id.example.org\"
client_id = \"citadel\"
client_secret = \"...\"
roles = { citadel-admins = \"admin\", everybody = \"viewer\" }
```

## Native languages

The section `runtimes.native` has free names: languages that run as processes of this machine's interpreters, and changes of the built-in
ones. [native-code.md](native-code.md) has all fields.

```toml
[runtimes.native.perl]
command = [\"perl\", \"{source}\"]
file = \"main.pl\"
```
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Loaded, Sources, load_from, load_layers};

    /// The document with every setting switched on: comments that are settings have no space after the `#`.
    fn switched_on(document: &str) -> String {
        let lines = document.lines().map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => rest,
            Some(_) | None => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn changes_nothing_as_it_is_and_has_the_defaults_when_switched_on() {
        let directory = tempfile::tempdir().unwrap();
        let load = |text: &str| {
            let path = directory.path().join("citadel.toml");
            std::fs::write(&path, text).unwrap();
            load_layers(Sources { files: vec![path], ..Sources::default() }).unwrap()
        };
        let document = Reference::Toml.document();
        assert_eq!(load(&document), Loaded { config: Config::default(), assignments: Vec::new() });
        let on = load(&switched_on(&document));
        for setting in SETTINGS.iter().filter(|setting| !setting.default_value().is_null()) {
            assert_eq!(crate::config::value_of(&on.config, setting.key), setting.default_value(), "{}", setting.key);
        }
        assert!(SETTINGS.iter().all(|setting| on.assignments_of(setting.key).count() == 1));
        assert_eq!(on.config.credentials["alerting"].kind, "http_bearer");
    }

    #[test]
    fn writes_the_environment_that_it_reads() {
        let document = switched_on(&Reference::Env.document());
        let variables = document.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        let environment = variables.filter(|(name, _)| !name.ends_with("_FILE")).map(|(name, value)| (name.into(), value.into()));
        let config = load_from(Sources { environment: environment.collect(), ..Sources::default() }).unwrap();
        assert_eq!(config.limits.wasm_slots, Some(4));
        assert_eq!(config.limits.lane_bytes_max, Config::default().limits.lane_bytes_max);
        assert_eq!(config.egress, Config::default().egress);
    }

    #[test]
    fn has_a_row_for_every_setting() {
        let page = Reference::Markdown.document();
        assert!(SETTINGS.iter().all(|setting| page.contains(&format!("\n| `{}` |", setting.key))));
        assert!(page.contains("| `http.listen` | `127.0.0.1:8080` | ADDRESS:PORT |"));
        assert!(page.lines().all(|line| line.matches('|').count() == 0 || line.matches('|').count() == 5), "no bar in a cell");
    }

    #[test]
    fn breaks_comments_into_lines() {
        let text = comment(&"word ".repeat(60));
        assert!(text.lines().count() > 2 && text.lines().all(|line| line.len() <= COLUMNS && line.starts_with("# ")));
    }
}
