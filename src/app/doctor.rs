//! Looks for what would keep a server from working well: `citadel doctor`. Changes nothing; a check that cannot be made is a
//! problem or says so. Also knows which settings are well formed and yet of no use, for `citadel config check`.

mod database;
mod egress;
mod machine;
mod native;
mod redis;
mod sandbox;
mod secrets;

use std::time::Duration;

use serde::Serialize;

use crate::{
    auth::egress::EgressPolicy,
    config::Config,
    store::{open::check_url, shared_buckets::SharedBuckets},
};

/// Longest time of one check.
const CHECK_MAX: Duration = Duration::from_secs(20);

/// What one check has found. **Shape**: `{ name, state, detail, hint }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub name: &'static str,
    pub state: State,
    /// A sentence for a person.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<&'static str>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Good,
    /// It works, but somebody should look at it.
    Warning,
    /// It will not work.
    Problem,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

impl Finding {
    fn good(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, state: State::Good, detail: detail.into(), hint: None }
    }

    fn warning(name: &'static str, detail: impl Into<String>, hint: &'static str) -> Self {
        Self { name, state: State::Warning, detail: detail.into(), hint: Some(hint) }
    }

    fn problem(name: &'static str, detail: impl Into<String>, hint: &'static str) -> Self {
        Self { name, state: State::Problem, detail: detail.into(), hint: Some(hint) }
    }
}

/// Makes every check.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![limited("database", database::schema(config)).await];
    if let Some(url) = &config.redis.url {
        findings.push(limited("redis", redis::answers(url.expose())).await);
    }
    findings.push(machine::data_directory(&config.data_dir));
    findings.push(machine::disk(&config.data_dir));
    findings.push(secrets::master_key(config));
    findings.push(limited("clock", database::clock(config)).await);
    findings.push(machine::listener(&config.http));
    findings.extend(machine::certificate(&config.http));
    findings.extend(egress::policy(config));
    findings.push(sandbox::cache(&config.cache_dir()));
    findings.push(limited("guest", sandbox::guest(config.cache_dir())).await);
    findings.push(limited("native", native::languages(config)).await);
    findings
}

/// What is well formed in the settings, and yet of no use: sentences for people.
pub fn invalid_settings(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    if let Err(error) = check_url(&config.store_url()) {
        problems.push(format!("store.url: {error}"));
    }
    if let Some(Err(error)) = config.redis.url.as_ref().map(|url| SharedBuckets::check_url(url.expose())) {
        problems.push(format!("redis.url: {error}"));
    }
    for (key, rules) in [("egress.allow", &config.egress.allow), ("egress.deny", &config.egress.deny)] {
        if let Err(error) = EgressPolicy::new::<String>(rules, &[]) {
            problems.push(format!("{key}: {error}"));
        }
    }
    if let Err(reason) = machine::listen_port(&config.http.listen) {
        problems.push(format!("http.listen: {reason}"));
    }
    problems
}

/// Cuts a check off that takes too long: a database that does not answer must not hang the others.
async fn limited(name: &'static str, check: impl Future<Output = Finding>) -> Finding {
    let late = || Finding::problem(name, format!("no answer within {} seconds", CHECK_MAX.as_secs()), "check what it depends on");
    tokio::time::timeout(CHECK_MAX, check).await.unwrap_or_else(|_| late())
}

/// Bytes for people.
fn shown_bytes(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = UNITS.iter().find(|(_, size)| bytes >= *size);
    unit.map_or_else(|| format!("{bytes} bytes"), |(name, size)| format!("{} {name}", bytes / size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn lists_all_settings_that_are_of_no_use() {
        assert_eq!(invalid_settings(&Config::default()), Vec::<String>::new());
        let mut config = Config::default();
        config.store.url = Some(Secret::new("mysql://u:hunter2@h/d".to_owned()));
        config.egress.deny = vec!["not a rule".to_owned()];
        config.http.listen = "8080".to_owned();
        config.redis.url = Some(Secret::new("http://u:hunter2@h".to_owned()));
        let problems = invalid_settings(&config);
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems.iter().all(|problem| !problem.contains("hunter2")));
    }

    #[test]
    fn shows_bytes_in_the_largest_unit() {
        assert_eq!([0, 1_023, 1 << 10, 5 << 30].map(shown_bytes), ["0 bytes", "1023 bytes", "1 KiB", "5 GiB"]);
    }
}
