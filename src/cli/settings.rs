//! Loads the settings for a command; and `citadel config`, which looks at them.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    Failure,
    output::{OutputArguments, print},
    table::Table,
};
use crate::{
    app::{
        doctor,
        process::{self, LogControl},
    },
    config::{
        Config, CredentialConfig, Loaded, Loader, Origin,
        settings::{SETTINGS, Setting},
        suggest, value_of,
    },
};

/// Loaded settings, and what a server needs to load them again.
pub(super) struct Prepared {
    pub(super) loader: Loader,
    pub(super) loaded: Loaded,
    pub(super) logs: LogControl,
}

impl Prepared {
    /// Loads the settings and starts logging.
    pub(super) fn load(loader: Loader) -> Result<Self, Failure> {
        let loaded = loader.load().map_err(|error| {
            // With its causes: why a file of a secret cannot be read.
            Failure::usage(format!("{:#}", anyhow::Error::from(error)))
                .with_hint("settings are files, `CITADEL__SECTION__KEY` in the environment, and flags")
        })?;
        let logs = process::prepare(&loaded.config).map_err(|error| {
            Failure::usage(format!("{error:#}")).with_hint("a filter is a level such as `info`, or `citadel=debug,info`")
        })?;
        Ok(Self { loader, loaded, logs })
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Tries the settings without starting anything; exit code 2 if they cannot be used.
    Check,
    /// Lists every setting with its value and the layer that set it; secrets are masked.
    Show {
        /// Leaves out what nobody has set.
        #[arg(long)]
        changed: bool,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Tells everything about one setting.
    Explain {
        /// With dots: `http.listen`.
        key: String,
        #[command(flatten)]
        output: OutputArguments,
    },
}

pub(super) fn config(command: ConfigCommand, loaded: &Loaded) -> Result<ExitCode, Failure> {
    match command {
        ConfigCommand::Check => check(&loaded.config)?,
        ConfigCommand::Show { changed, output } => show(loaded, changed, output)?,
        ConfigCommand::Explain { key, output } => explain(loaded, &key, output)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn check(config: &Config) -> Result<(), Failure> {
    let problems = doctor::invalid_settings(config);
    if problems.is_empty() {
        print("the settings are valid");
        return Ok(());
    }
    Err(Failure::usage(problems.join("\n")).with_hint("`citadel config explain KEY` tells what a setting means"))
}

/// One line of `show`.
fn row(loaded: &Loaded, key: &str) -> Value {
    let (value, origin) = (value_of(&loaded.config, key), loaded.origin_of(key));
    json!({ "key": key, "value": value, "origin": origin.to_string() })
}

fn show(loaded: &Loaded, only_changed: bool, output: OutputArguments) -> Result<(), Failure> {
    let keys = SETTINGS.iter().map(|setting| setting.key.to_owned()).chain(credential_keys(&loaded.config));
    let is_wanted = |key: &String| !only_changed || loaded.origin_of(key) != Origin::Default;
    let rows: Vec<Value> = keys.filter(is_wanted).map(|key| row(loaded, &key)).collect();
    output.show(&json!({ "items": rows }), || {
        let mut table = Table::new(&["SETTING", "VALUE", "SET BY"]);
        for row in &rows {
            table.push([plain(&row["key"]), plain(&row["value"]), plain(&row["origin"])]);
        }
        table.to_string()
    })
}

fn credential_keys(config: &Config) -> impl Iterator<Item = String> {
    let fields = |(name, found): (&String, &CredentialConfig)| {
        let fields = std::iter::once("type").chain(found.fields.keys().map(String::as_str));
        fields.map(|field| format!("credentials.{name}.{field}")).collect::<Vec<_>>()
    };
    config.credentials.iter().flat_map(fields)
}

fn explain(loaded: &Loaded, key: &str, output: OutputArguments) -> Result<(), Failure> {
    let Some(setting) = Setting::find(key) else {
        let meant = suggest(key).map(|meant| format!("did you mean {meant}?"));
        return Err(Failure::usage(format!("there is no setting {key}"))
            .with_hint(meant.unwrap_or_else(|| "`citadel config show` lists all of them".to_owned())));
    };
    let mut shown = row(loaded, key);
    let layers: Vec<Value> = loaded
        .assignments_of(key)
        .map(|assignment| json!({ "origin": assignment.origin.to_string(), "value": assignment.value }))
        .collect();
    let more = json!({
        "meaning": setting.text,
        "form": setting.form,
        "default": setting.default_value(),
        "variable": setting.variable(),
        "secret": setting.secret,
        "reloads": setting.reloads,
        "layers": layers,
    });
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
    }
    output.show(&shown, || explained(&shown, setting))
}

fn explained(shown: &Value, setting: &Setting) -> String {
    let mut lines = vec![format!("{} = {}", setting.key, plain(&shown["value"])), format!("  {}", setting.text)];
    lines.push(format!("  form         {}", setting.form));
    lines.push(format!("  set by       {}", plain(&shown["origin"])));
    lines.push(format!("  default      {}", plain(&shown["default"])));
    lines.push(format!("  environment  {}{}", setting.variable(), if setting.secret { ", or with _FILE behind it" } else { "" }));
    lines.push(format!("  changing it  {}", if setting.reloads { "SIGHUP is enough" } else { "needs a restart" }));
    for layer in shown["layers"].as_array().into_iter().flatten() {
        lines.push(format!("  layer        {}: {}", plain(&layer["origin"]), plain(&layer["value"])));
    }
    lines.join("\n")
}

/// A value for people: texts without quotes, and a word for nothing.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(", ")),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}
