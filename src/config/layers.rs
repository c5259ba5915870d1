//! Loads the layers of settings, refuses unknown names in each of them, merges them, and remembers which layer set what.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use ::config::{File, FileFormat, Map, Source, Value, ValueKind};

use super::{
    Config, MASK,
    check::check,
    environment::{read_environment, user_cache_dir, user_config_dir, visible_variables},
    keys::{Kind, KnownKeys, in_open_table},
};

/// Where a packaged server keeps its settings.
pub const SYSTEM_FILE: &str = "/etc/citadel/citadel.toml";

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

/// The layer that a value comes from, weakest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The command that runs has a default of its own.
    Command,
    File(PathBuf),
    Variable(String),
    Flag,
}

/// Settings from the command line, by dotted name: the last layer.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    overrides: Vec<(&'static str, ValueKind)>,
    defaults: Vec<(&'static str, ValueKind)>,
}

/// What [`load_from`] reads.
#[derive(Debug, Default)]
pub struct Sources {
    /// Files, later wins; all have to exist.
    pub files: Vec<PathBuf>,
    pub environment: Vec<(OsString, OsString)>,
    pub flags: Flags,
}

/// Loads the settings of this process, as often as it is asked: a server reads some of them again on SIGHUP.
#[derive(Debug, Clone, Default)]
pub struct Loader {
    files: Vec<PathBuf>,
    flags: Flags,
}

/// Settings, and which layer set them.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub config: Config,
    /// What every layer set, the weakest layer first: the last one of a key is in force.
    pub assignments: Vec<Assignment>,
}

/// One value in one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// With dots.
    pub key: String,
    /// As it was written; a mask for a secret.
    pub value: serde_json::Value,
    pub origin: Origin,
}

/// One value of one layer on its way into the settings.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) path: Vec<String>,
    pub(super) value: Value,
    pub(super) origin: Origin,
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

impl Loader {
    /// Will read the system's file if there is one, `files`, the environment and `flags`.
    pub fn new(files: Vec<PathBuf>, flags: Flags) -> Self {
        Self { files, flags }
    }

    /// Reads every layer. This is the only place that reads the process's environment.
    ///
    /// Errors: see [`ConfigError`].
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let system = Path::new(SYSTEM_FILE);
        let mut files = if system.exists() { vec![system.to_owned()] } else { Vec::new() };
        files.extend_from_slice(&self.files);
        let sources = Sources { files, environment: std::env::vars_os().collect(), flags: self.flags.clone() };
        let mut loaded = load_layers(sources)?;
        loaded.config.program = this_program();
        Ok(loaded)
    }
}

/// What starts this program again, also when its file has been replaced meanwhile.
fn this_program() -> Option<PathBuf> {
    cfg!(target_os = "linux").then(|| PathBuf::from("/proc/self/exe"))
}

/// Loads settings from what is given, and from nothing else.
///
/// Errors: see [`ConfigError`].
pub fn load_from(sources: Sources) -> Result<Config, ConfigError> {
    load_layers(sources).map(|loaded| loaded.config)
}

/// As [`load_from`], with the layer of every value.
///
/// Errors: see [`ConfigError`].
pub fn load_layers(sources: Sources) -> Result<Loaded, ConfigError> {
    let Sources { files, environment, flags } = sources;
    let (known, mut unknown) = (KnownKeys::new(), Vec::new());
    let mut leaves: Vec<Leaf> = flags.defaults.into_iter().map(|flag| flag_leaf(flag, Origin::Command)).collect();
    for path in &files {
        let table = File::from(path.as_path()).format(FileFormat::Toml).required(true).collect()?;
        leaves.extend(read_file(&known, path, table, &mut unknown));
    }
    leaves.extend(read_environment(&known, &environment, &mut unknown)?);
    leaves.extend(flags.overrides.into_iter().map(|flag| flag_leaf(flag, Origin::Flag)));
    if !unknown.is_empty() {
        return Err(ConfigError::Unknown(unknown));
    }
    let assignments = leaves.iter().map(Assignment::of).collect();
    let mut table = Map::new();
    for leaf in leaves {
        insert(&mut table, &leaf.path, leaf.value);
    }
    let mut config: Config = ::config::Config::builder().add_source(Merged(table)).build()?.try_deserialize()?;
    check(&config)?;
    config.env.visible = visible_variables(&config.env.allow, &environment);
    config.user_cache_dir = user_cache_dir(&environment);
    config.user_config_dir = user_config_dir(&environment);
    Ok(Loaded { config, assignments })
}

impl Loaded {
    /// What the layers say about one setting, the weakest first.
    pub fn assignments_of(&self, key: &str) -> impl Iterator<Item = &Assignment> {
        self.assignments.iter().filter(move |assignment| assignment.key == key)
    }

    /// The layer whose value of a setting is in force.
    pub fn origin_of(&self, key: &str) -> Origin {
        self.assignments_of(key).last().map_or(Origin::Default, |assignment| assignment.origin.clone())
    }
}

impl Assignment {
    fn of(leaf: &Leaf) -> Self {
        let key = leaf.path.join(".");
        let shown = if KnownKeys::is_secret(&key) { None } else { leaf.value.clone().try_deserialize().ok() };
        Self { key, value: shown.unwrap_or_else(|| MASK.into()), origin: leaf.origin.clone() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Command => f.write_str("default of this command"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// Every layer in one.
#[derive(Debug, Clone)]
struct Merged(Map<String, Value>);

impl Source for Merged {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(self.0.clone())
    }
}

fn flag_leaf((key, value): (&'static str, ValueKind), origin: Origin) -> Leaf {
    Leaf { path: key.split('.').map(str::to_owned).collect(), value: Value::new(Some(&origin.to_string()), value), origin }
}

/// The values of a file. Names that no setting has are added to `unknown`, by name.
fn read_file(known: &KnownKeys, path: &Path, table: Map<String, Value>, unknown: &mut Vec<UnknownSetting>) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    let mut open: Vec<(Vec<String>, Value)> = table.into_iter().map(|(key, value)| (vec![key], value)).collect();
    open.sort_by(|left, right| right.0.cmp(&left.0));
    while let Some((names, value)) = open.pop() {
        let found = in_open_table(&names).map_or_else(|| known.find(&names.join(".")), Ok);
        match (found, value.kind) {
            (Ok(Kind::Table), ValueKind::Table(inner)) => {
                let mut inner: Vec<_> = inner.into_iter().map(|(name, value)| ([&names[..], &[name]].concat(), value)).collect();
                inner.sort_by(|left, right| right.0.cmp(&left.0));
                open.extend(inner);
            }
            (Ok(_), kind) => {
                let origin = Origin::File(path.to_owned());
                leaves.push(Leaf { value: Value::new(Some(&origin.to_string()), kind), path: names, origin });
            }
            (Err(meant), _) => {
                unknown.push(UnknownSetting { name: names.join("."), origin: path.display().to_string(), meant });
            }
        }
    }
    leaves
}

/// Puts a value at its place in nested tables, instead of what an earlier layer put there.
fn insert(table: &mut Map<String, Value>, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return;
    }
    let inner = table.entry(first.clone()).or_insert_with(|| Value::new(None, Map::<String, Value>::new()));
    // A section that a file made a scalar stays one, so that it is refused with the name of the file.
    if let ValueKind::Table(inner) = &mut inner.kind {
        insert(inner, rest, value);
    }
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
