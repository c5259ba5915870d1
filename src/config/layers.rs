//! Loads the layers of settings, refuses unknown names in each of them, and merges them.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use ::config::{File, FileFormat, Map, Source, Value, ValueKind};

use super::{
    Config,
    keys::{Kind, KnownKeys},
};

/// Where a packaged server keeps its settings.
const SYSTEM_FILE: &str = "/etc/citadel/citadel.toml";
/// What the names of environment variables start with.
const PREFIX: &str = "CITADEL__";
/// The variable that arms fail points.
#[cfg(feature = "failpoints")]
const FAILPOINTS: &str = "CITADEL__FAILPOINTS";
/// What the name of a variable ends with that holds the path of a secret.
const FILE_SUFFIX: &str = "_FILE";
/// Bytes of a file that holds one secret.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// At least one name is unknown; all of them are listed.
    #[error("{}", list_unknown(.0))]
    Unknown(Vec<UnknownSetting>),
    /// A file cannot be read, or a value has the wrong form.
    #[error(transparent)]
    Invalid(#[from] ::config::ConfigError),
    /// A variable of the environment cannot be used.
    #[error("the environment variable {name} {reason}")]
    Variable { name: String, reason: &'static str },
    /// The file that a variable names for a secret cannot be read.
    #[error("cannot read {path}, which {name} names")]
    SecretFile {
        name: String,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Settings contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
}

/// A name that no setting has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSetting {
    /// As it was written: `http.listn` or `CITADEL__HTTP__LISTN`.
    pub name: String,
    /// The file or `the environment`.
    pub origin: String,
    /// The name that was probably meant, in the same spelling.
    pub meant: Option<String>,
}

/// Settings from the command line, by dotted name: the last layer.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    overrides: Vec<(&'static str, ValueKind)>,
    defaults: Vec<(&'static str, ValueKind)>,
}

impl Flags {
    /// Sets one value, if the flag was given.
    pub fn set(&mut self, key: &'static str, value: Option<impl Into<ValueKind>>) {
        self.overrides.extend(value.map(|value| (key, value.into())));
    }

    /// Changes a default for one command: every layer wins over it.
    pub fn set_default(&mut self, key: &'static str, value: impl Into<ValueKind>) {
        self.defaults.push((key, value.into()));
    }
}

/// What [`load_from`] reads.
#[derive(Debug, Default)]
pub struct Sources {
    /// Files, later wins; all have to exist.
    pub files: Vec<PathBuf>,
    pub environment: Vec<(OsString, OsString)>,
    pub flags: Flags,
}

/// Loads the settings of this process: the system's file if there is one, `files`, the environment, `flags`.
///
/// Errors: see [`ConfigError`].
pub fn load(files: &[PathBuf], flags: Flags) -> Result<Config, ConfigError> {
    let system = Path::new(SYSTEM_FILE);
    let mut all = if system.exists() { vec![system.to_owned()] } else { Vec::new() };
    all.extend_from_slice(files);
    load_from(Sources { files: all, environment: std::env::vars_os().collect(), flags })
}

/// What the environment says about fail points. Not a setting: builds without the feature refuse the variable.
#[cfg(feature = "failpoints")]
pub fn failpoints() -> Option<String> {
    std::env::vars().find_map(|(name, value)| (name == FAILPOINTS).then_some(value))
}

/// Loads settings from what is given, and from nothing else.
///
/// Errors: see [`ConfigError`].
pub fn load_from(sources: Sources) -> Result<Config, ConfigError> {
    let known = KnownKeys::new();
    let mut unknown = Vec::new();
    let mut merged = ::config::Config::builder();
    for (key, value) in sources.flags.defaults {
        merged = merged.set_default(key, value)?;
    }
    for path in &sources.files {
        let table = File::from(path.as_path()).format(FileFormat::Toml).required(true).collect()?;
        find_unknown(&known, &table, &path.display().to_string(), &mut unknown);
        merged = merged.add_source(Layer(table));
    }
    merged = merged.add_source(environment_layer(&known, &sources.environment, &mut unknown)?);
    for (key, value) in sources.flags.overrides {
        merged = merged.set_override(key, value)?;
    }
    if !unknown.is_empty() {
        return Err(ConfigError::Unknown(unknown));
    }
    let mut config: Config = merged.build()?.try_deserialize()?;
    check(&config)?;
    config.env.visible = visible_variables(&config.env.allow, &sources.environment);
    config.user_cache_dir = user_cache_dir(&sources.environment);
    Ok(config)
}

/// One layer that has been read.
#[derive(Debug, Clone)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(self.0.clone())
    }
}

/// Lists the names of a file that no setting has.
fn find_unknown(known: &KnownKeys, table: &Map<String, Value>, origin: &str, unknown: &mut Vec<UnknownSetting>) {
    let mut open: Vec<(String, &Value)> = table.iter().map(|(key, value)| (key.clone(), value)).collect();
    open.sort_by(|left, right| left.0.cmp(&right.0));
    while let Some((key, value)) = open.pop() {
        match (known.find(&key), &value.kind) {
            (Ok(Kind::Table), ValueKind::Table(inner)) => {
                open.extend(inner.iter().map(|(name, value)| (format!("{key}.{name}"), value)));
            }
            (Ok(_), _) => {}
            (Err(meant), _) => unknown.push(UnknownSetting { name: key, origin: origin.to_owned(), meant }),
        }
    }
}

/// Reads the variables that start with [`PREFIX`].
fn environment_layer(
    known: &KnownKeys,
    environment: &[(OsString, OsString)],
    unknown: &mut Vec<UnknownSetting>,
) -> Result<Layer, ConfigError> {
    let mut table = Map::new();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        #[cfg(feature = "failpoints")]
        if name == FAILPOINTS {
            continue;
        }
        let Some(value) = value.to_str() else {
            return Err(ConfigError::Variable { name: name.to_owned(), reason: "is not UTF-8" });
        };
        let key = name[PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
        let origin = format!("the environment variable {name}");
        if let Some(secret) = key.strip_suffix(&FILE_SUFFIX.to_ascii_lowercase()).filter(|key| KnownKeys::is_secret(key)) {
            let text = read_secret(name, Path::new(value))?;
            insert(&mut table, secret, Value::new(Some(&origin), text));
            continue;
        }
        match known.find(&key) {
            Ok(Kind::Scalar) => insert(&mut table, &key, Value::new(Some(&origin), value)),
            Ok(Kind::List) => insert(&mut table, &key, Value::new(Some(&origin), parse_list(name, value)?)),
            Ok(Kind::Table) => {
                return Err(ConfigError::Variable { name: name.to_owned(), reason: "names a section: add `__` and a key" });
            }
            Err(meant) => unknown.push(UnknownSetting {
                name: name.to_owned(),
                origin: "the environment".to_owned(),
                meant: meant.map(|key| format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))),
            }),
        }
    }
    Ok(Layer(table))
}

/// Puts a value at its place in nested tables.
fn insert(table: &mut Map<String, Value>, key: &str, value: Value) {
    let Some((section, rest)) = key.split_once('.') else {
        table.insert(key.to_owned(), value);
        return;
    };
    let inner = table.entry(section.to_owned()).or_insert_with(|| Value::new(None, Map::<String, Value>::new()));
    if let ValueKind::Table(inner) = &mut inner.kind {
        insert(inner, rest, value);
    }
}

/// Reads a list: a JSON array of strings, or texts with commas between.
fn parse_list(name: &str, text: &str) -> Result<Vec<String>, ConfigError> {
    if text.trim_start().starts_with('[') {
        let reason = "is not a JSON array of strings";
        return serde_json::from_str(text).map_err(|_| ConfigError::Variable { name: name.to_owned(), reason });
    }
    Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
}

/// Reads a secret from the file that a variable names; one line break at the end does not belong to it.
fn read_secret(name: &str, path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::SecretFile { name: name.to_owned(), path: path.to_owned(), source };
    let size_bytes = std::fs::metadata(path).map_err(failed)?.len();
    if size_bytes > SECRET_FILE_BYTES_MAX {
        return Err(failed(std::io::Error::other("the file is too large for a secret")));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Checks what the types cannot.
fn check(config: &Config) -> Result<(), ConfigError> {
    if config.admin.email.is_some() != config.admin.password.is_some() {
        return Err(ConfigError::Contradiction("admin.email and admin.password need each other: set both or none"));
    }
    if config.env.allow.iter().any(|name| name.starts_with(PREFIX)) {
        return Err(ConfigError::Contradiction("env.allow may not name settings of Citadel: workflows would see its secrets"));
    }
    if config.node.roles.is_empty() {
        return Err(ConfigError::Contradiction("node.roles is empty: name at least one of api, worker, scheduler"));
    }
    let limits = &config.limits;
    let counts = [limits.executions_live_max, limits.io_slots, limits.lane_depth_max, limits.lane_bytes_max];
    if counts.contains(&0) || limits.http_connections_max == 0 || limits.wasm_slots == Some(0) {
        return Err(ConfigError::Contradiction("no number of the section limits may be zero"));
    }
    Ok(())
}

/// The allowed variables that are set and readable.
fn visible_variables(allow: &[String], environment: &[(OsString, OsString)]) -> std::collections::BTreeMap<String, String> {
    let readable = environment.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
    readable
        .filter(|(name, _)| allow.iter().any(|allowed| allowed == name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Where programs of this user keep what they can make again. Source: XDG Base Directory Specification.
fn user_cache_dir(environment: &[(OsString, OsString)]) -> Option<PathBuf> {
    let variable = |name: &str| {
        let found = environment.iter().find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| PathBuf::from(value)).filter(|path| path.is_absolute())
    };
    let caches = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
    Some(caches.join("citadel"))
}

/// The text of [`ConfigError::Unknown`].
fn list_unknown(unknown: &[UnknownSetting]) -> String {
    let lines = unknown.iter().map(|setting| {
        let meant = setting.meant.as_ref().map_or(String::new(), |name| format!(", did you mean {name}?"));
        format!("unknown setting {} in {}{meant}", setting.name, setting.origin)
    });
    lines.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
