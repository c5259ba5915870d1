//! Every setting of a server: names, defaults, units. [`Loader`] is the only place that reads the process's environment.
//! Layers, later wins: built-in defaults < `/etc/citadel/citadel.toml` < `--config` files < environment < flags.
//!
//! A new setting is a field of a struct here and a line in `settings.rs`, which says what it means.

mod check;
mod environment;
mod http;
mod keys;
mod layers;
mod limits;
mod login;
mod redis;
pub mod reference;
mod secret;
pub mod settings;
mod switch;

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

#[cfg(feature = "failpoints")]
pub use self::environment::failpoints;
pub use self::{
    http::{HttpConfig, TlsConfig},
    keys::suggest,
    layers::{
        Assignment, ConfigError, Flags, Loaded, Loader, Origin, SYSTEM_FILE, Sources, UnknownSetting, load_from, load_layers,
    },
    limits::{Excess, LimitsConfig},
    login::{AuthConfig, OidcConfig},
    redis::RedisConfig,
    secret::{MASK, Secret},
    switch::Switch,
};
use crate::model::{duration::DurationMs, native_language::NativeLanguageSettings};

/// All settings. **Shape**: a TOML document with one table per field; `CITADEL__SECTION__KEY` in the environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where the server keeps its files: the embedded database, blobs, keys.
    pub data_dir: PathBuf,
    /// Where compiled sandboxes are kept over restarts; unset: `cache` in the data directory. Losing it costs time only.
    pub cache_dir: Option<PathBuf>,
    /// Where languages are installed; unset: `runtimes` in the data directory.
    pub runtimes_dir: Option<PathBuf>,
    /// The user's directory for such things, if there is one; filled in by [`Loader::load`].
    #[serde(skip)]
    pub user_cache_dir: Option<PathBuf>,
    /// The user's directory for settings of programs, if there is one; filled in by [`Loader::load`].
    #[serde(skip)]
    pub user_config_dir: Option<PathBuf>,
    /// This program, which native code is launched by; filled in by [`Loader::load`]. Unset: there is no native code.
    #[serde(skip)]
    pub program: Option<PathBuf>,
    pub http: HttpConfig,
    pub store: StoreConfig,
    pub redis: RedisConfig,
    pub node: NodeConfig,
    pub admin: AdminConfig,
    pub auth: AuthConfig,
    pub secrets: SecretsConfig,
    pub egress: EgressConfig,
    pub files: FilesConfig,
    pub runtimes: RuntimesConfig,
    pub limits: LimitsConfig,
    pub retention: RetentionConfig,
    pub log: LogConfig,
    pub metrics: MetricsConfig,
    pub env: EnvConfig,
    pub drain: DrainConfig,
    pub client: ClientConfig,
    /// Credentials that the operator defines, by name: any name, any fields.
    pub credentials: BTreeMap<String, CredentialConfig>,
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreConfig {
    /// `sqlite://PATH` or `postgres://...`; unset: a SQLite file in the data directory. Secret, since it may hold a password.
    pub url: Option<Secret>,
    pub migrate: Migrate,
}

/// What a start does about a schema that is older than the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Migrate {
    /// Migrates it.
    #[default]
    Auto,
    /// Refuses to start.
    Check,
    /// Does not look at it.
    Off,
}

/// This process among its peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeConfig {
    pub name: String,
    pub roles: Vec<Role>,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Serves HTTP.
    Api,
    /// Runs executions.
    Worker,
    /// Starts executions by the time.
    Scheduler,
}

/// The first owner, where the first start is unattended. Both or none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AdminConfig {
    pub email: Option<String>,
    pub password: Option<Secret>,
}

/// What secrets at rest are encrypted with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretsConfig {
    /// One or more master keys with white space between, the one in use first; unset: the file `master.key` of the data directory.
    pub master_key: Option<Secret>,
}

/// What workflows may reach, beside public addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EgressConfig {
    /// Networks (`10.0.5.0/24`), addresses and host names (`*.corp.example`) that are allowed although they are private.
    pub allow: Vec<String>,
    /// Networks, addresses and host names that are never allowed.
    pub deny: Vec<String>,
}

/// Files that workflows may use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FilesConfig {
    /// The directory of the file nodes; unset switches them off.
    pub root: Option<PathBuf>,
}

/// Code that runs as processes of the machine's interpreters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuntimesConfig {
    pub isolation: NativeIsolation,
    /// The user and group of processes, where the server is run by root. Nothing else may belong to it.
    pub uid: NonZeroU32,
    /// Processes that may run at once; unset: two per core.
    pub native_slots: Option<usize>,
    /// Interpreters that may wait for work, of all languages and workspaces together.
    pub native_warm_max: usize,
    /// What the memory limits of native processes that run at once may add up to, in bytes.
    pub native_memory_bytes: usize,
    /// Files that one run may have, in bytes.
    pub disk_bytes: u64,
    /// A directory of control groups (version 2) that was delegated to the server.
    pub cgroup: Option<PathBuf>,
    /// More languages, and changes of built-in ones, by name.
    #[serde(skip_serializing)]
    pub native: BTreeMap<String, NativeLanguageSettings>,
}

/// What has to keep native code apart from everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum NativeIsolation {
    /// Namespaces and all the rest, or there is no native code.
    #[default]
    Full,
    /// Without namespaces where the machine does not give them.
    Reduced,
    /// There is no native code.
    Off,
}

/// How long finished executions are kept where the workflow does not say, and rows of the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetentionConfig {
    pub success: DurationMs,
    pub failure: DurationMs,
    /// Of rows of the audit log.
    pub audit: DurationMs,
}

/// What is logged on standard error, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    pub format: LogFormat,
    /// In the manner of `RUST_LOG`: `info,citadel=debug`.
    pub filter: String,
}

/// Figures for Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricsConfig {
    /// Whether `/metrics` needs no token. Figures name no workflow, but they tell how busy the server is.
    pub public: bool,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Pretty on a terminal, else JSON.
    #[default]
    Auto,
    Pretty,
    Compact,
    Json,
}

/// What workflows see as `$env`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EnvConfig {
    /// Names of environment variables.
    pub allow: Vec<String>,
    /// The allowed variables that are set; filled in by [`Loader::load`].
    #[serde(skip)]
    pub visible: BTreeMap<String, String>,
}

/// How a server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DrainConfig {
    /// How long a server that reports itself as not ready keeps serving, so that balancers notice.
    pub readiness_grace: DurationMs,
    /// How long the rest may take; after it the process exits with what it has.
    pub timeout: DurationMs,
}

/// What client commands talk to, where no context says it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientConfig {
    /// `http://...` or `https://...`.
    pub url: Option<String>,
    pub token: Option<Secret>,
    /// What `citadel login` logs in with; it asks for what is not set.
    pub email: Option<String>,
    pub password: Option<Secret>,
}

/// One credential: its type and its fields, all of which are treated as secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialConfig {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(flatten)]
    pub fields: BTreeMap<String, Secret>,
}

impl Config {
    /// The store's URL: the set one, or a SQLite file in the data directory.
    pub fn store_url(&self) -> String {
        match &self.store.url {
            Some(url) => url.expose().to_owned(),
            None => sqlite_url(&self.data_dir),
        }
    }

    /// Where compiled sandboxes are kept.
    pub fn cache_dir(&self) -> PathBuf {
        self.cache_dir.clone().unwrap_or_else(|| self.data_dir.join("cache"))
    }

    /// The file of the master keys, where the settings name none.
    pub fn master_key_file(&self) -> PathBuf {
        self.data_dir.join("master.key")
    }

    /// Where languages are installed.
    pub fn runtimes_dir(&self) -> PathBuf {
        self.runtimes_dir.clone().unwrap_or_else(|| self.data_dir.join("runtimes"))
    }

    /// Sets the directory and puts the embedded database into it, whatever the settings said. The cache stays outside, if it can, and
    /// installed languages stay where they are.
    pub fn use_throwaway_directory(&mut self, directory: &Path) {
        self.runtimes_dir = Some(self.runtimes_dir());
        self.cache_dir = self.cache_dir.take().or_else(|| self.user_cache_dir.clone());
        self.store.url = Some(Secret::new(sqlite_url(directory)));
        self.data_dir = directory.to_owned();
    }
}

/// The value of a setting, as it may be shown: secrets are masked. Null for what is not set, and for a name that no setting has.
pub fn value_of(config: &Config, key: &str) -> serde_json::Value {
    let all = serde_json::to_value(config).expect("settings are plain data");
    let found = key.split('.').try_fold(&all, |value, name| value.get(name));
    found.cloned().unwrap_or_default()
}

/// The URL of the embedded database of a data directory.
pub fn sqlite_url(directory: &Path) -> String {
    format!("sqlite://{}", directory.join("citadel.db").display())
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./data"),
            cache_dir: None,
            runtimes_dir: None,
            user_cache_dir: None,
            user_config_dir: None,
            program: None,
            http: HttpConfig::default(),
            store: StoreConfig::default(),
            redis: RedisConfig::default(),
            node: NodeConfig::default(),
            admin: AdminConfig::default(),
            auth: AuthConfig::default(),
            secrets: SecretsConfig::default(),
            egress: EgressConfig::default(),
            files: FilesConfig::default(),
            runtimes: RuntimesConfig::default(),
            limits: LimitsConfig::default(),
            retention: RetentionConfig::default(),
            log: LogConfig::default(),
            metrics: MetricsConfig::default(),
            env: EnvConfig::default(),
            drain: DrainConfig::default(),
            client: ClientConfig::default(),
            credentials: BTreeMap::new(),
        }
    }
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self { name: "node-1".to_owned(), roles: vec![Role::Api, Role::Worker, Role::Scheduler] }
    }
}

/// A constant of the settings.
const fn positive(value: u32) -> NonZeroU32 {
    NonZeroU32::new(value).expect("a constant above zero")
}

impl Default for RuntimesConfig {
    fn default() -> Self {
        Self {
            isolation: NativeIsolation::Full,
            // Above what systems give to people and services, below what they give to containers.
            uid: positive(64_917),
            native_slots: None,
            native_warm_max: 16,
            native_memory_bytes: 2 * 1024 * 1024 * 1024,
            disk_bytes: 64 * 1024 * 1024,
            cgroup: None,
            native: BTreeMap::new(),
        }
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        let days = |count: u64| DurationMs(count * 86_400_000);
        Self { success: days(7), failure: days(30), audit: days(365) }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info".to_owned() }
    }
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self { readiness_grace: DurationMs(5_000), timeout: DurationMs(60_000) }
    }
}
