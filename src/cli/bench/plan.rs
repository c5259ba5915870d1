//! What is to be measured, and where: the arguments and the settings, put in order.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{BenchArguments, child::ServerSettings, measure::Timing, scenario::Scenario};
use crate::config::Config;

/// What is to be measured, and where.
pub(super) struct Plan {
    pub(super) scenarios: Vec<Scenario>,
    pub(super) clients: Vec<usize>,
    pub(super) timing: Timing,
    pub(super) executions: u64,
    pub(super) directory: PathBuf,
    pub(super) cache_dir: PathBuf,
    pub(super) log_filter: String,
    pub(super) config_files: Vec<PathBuf>,
}

impl Plan {
    /// Reads the arguments; `directory` is the temporary one. What is named twice is measured once.
    pub(super) fn new(arguments: &BenchArguments, config_files: &[PathBuf], config: &Config, directory: &Path) -> Self {
        let (mut scenarios, mut clients) = (arguments.scenarios.clone(), arguments.clients.clone());
        scenarios.sort_unstable();
        scenarios.dedup();
        clients.sort_unstable();
        clients.dedup();
        let timing = Timing { warmup: Duration::from_secs(arguments.warmup), duration: Duration::from_secs(arguments.seconds) };
        Self {
            scenarios,
            clients: clients.into_iter().map(usize::from).collect(),
            timing,
            executions: arguments.executions,
            directory: directory.to_owned(),
            cache_dir: config.cache_dir.clone().unwrap_or_else(|| directory.join("cache")),
            log_filter: config.log.filter.clone(),
            config_files: config_files.to_vec(),
        }
    }

    /// A server with a data directory of its own, which is named `name`.
    pub(super) fn server_settings(&self, name: &str, store_url: String) -> ServerSettings {
        ServerSettings {
            data_dir: self.directory.join(name),
            cache_dir: self.cache_dir.clone(),
            store_url,
            log_filter: self.log_filter.clone(),
            config_files: self.config_files.clone(),
        }
    }
}
