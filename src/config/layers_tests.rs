//! What the layers do to each other, and what is refused.

use super::*;
use crate::{
    config::{LogFormat, Role},
    model::duration::DurationMs,
};

fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

fn load_environment(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load_from(Sources { environment: environment(variables), ..Sources::default() })
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[track_caller]
fn check_refused(result: Result<Config, ConfigError>, expected: &str) {
    let message = result.expect_err("should be refused").to_string();
    assert!(message.contains(expected), "{message}");
}

#[test]
fn has_the_documented_defaults() {
    let config = load_from(Sources::default()).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.http.listen, "127.0.0.1:8080");
    assert_eq!(config.store_url(), "sqlite://./data/citadel.db");
    assert_eq!(config.drain.timeout, DurationMs(60_000));
}

#[test]
fn later_layers_win_over_earlier_ones() {
    let directory = tempfile::tempdir().unwrap();
    let first = write(directory.path(), "a.toml", "[http]\nlisten = 'a:1'\n[log]\nfilter = 'a'\n[node]\nname = 'a'\n");
    let second = write(directory.path(), "b.toml", "[log]\nfilter = 'b'\n[node]\nname = 'b'\n");
    let mut flags = Flags::default();
    flags.set("data_dir", Some("flagged"));
    flags.set("http.listen", None::<String>);
    flags.set_default("log.filter", "weak");
    flags.set_default("log.format", "json");
    let config = load_from(Sources {
        files: vec![first, second],
        environment: environment(&[("CITADEL__NODE__NAME", "env"), ("CITADEL__DATA_DIR", "env"), ("HOME", "/h")]),
        flags,
    })
    .unwrap();
    assert_eq!((config.http.listen.as_str(), config.log.filter.as_str()), ("a:1", "b"));
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!((config.node.name.as_str(), config.data_dir.as_path()), ("env", Path::new("flagged")));
}

#[test]
fn reads_every_type_from_the_environment() {
    let config = load_environment(&[
        ("CITADEL__LIMITS__ENABLED", "false"),
        ("CITADEL__LIMITS__IO_SLOTS", "7"),
        ("CITADEL__EGRESS__ALLOW", r#"["10.0.0.0/8", "*.corp.example"]"#),
        ("CITADEL__NODE__ROLES", "api, worker"),
        ("CITADEL__DRAIN__TIMEOUT", "1m30s"),
        ("CITADEL__LOG__FORMAT", "json"),
        ("CITADEL__STORE__URL", "postgres://u:p@h/d"),
        ("CITADEL__CREDENTIALS__ALERTING__TYPE", "http_bearer"),
        ("CITADEL__CREDENTIALS__ALERTING__TOKEN", "t0ken"),
    ])
    .unwrap();
    assert!(!config.limits.enabled);
    assert_eq!(config.limits.io_slots, 7);
    assert_eq!(config.egress.allow, ["10.0.0.0/8", "*.corp.example"]);
    assert_eq!(config.node.roles, [Role::Api, Role::Worker]);
    assert_eq!(config.drain.timeout, DurationMs(90_000));
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.store_url(), "postgres://u:p@h/d");
    assert_eq!(config.credentials["alerting"].fields["token"].expose(), "t0ken");
}

#[test]
fn never_shows_a_secret() {
    let config = load_environment(&[
        ("CITADEL__ADMIN__EMAIL", "a@example.org"),
        ("CITADEL__ADMIN__PASSWORD", "hunter2"),
        ("CITADEL__STORE__URL", "postgres://u:hunter2@h/d"),
        ("CITADEL__CREDENTIALS__X__TYPE", "http_basic"),
        ("CITADEL__CREDENTIALS__X__PASSWORD", "hunter2"),
    ])
    .unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!serde_json::to_string(&config).unwrap().contains("hunter2"));
}

#[test]
fn reads_secrets_from_files_without_the_last_line_break() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(directory.path(), "password", "hunter2\n");
    let variables = [("CITADEL__ADMIN__EMAIL", "a@example.org"), ("CITADEL__ADMIN__PASSWORD_FILE", path.to_str().unwrap())];
    assert_eq!(load_environment(&variables).unwrap().admin.password.unwrap().expose(), "hunter2");
    check_refused(load_environment(&[("CITADEL__ADMIN__PASSWORD_FILE", "/nowhere")]), "cannot read /nowhere");
    check_refused(load_environment(&[("CITADEL__HTTP__LISTEN_FILE", "/nowhere")]), "unknown setting");
}

#[test]
fn lists_every_unknown_name_with_what_was_meant() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), "a.toml", "[http]\nlisten = 'a:1'\nlissen = 'a:2'\n[frobnicate]\nx = 1\n");
    let result =
        load_from(Sources { files: vec![file], environment: environment(&[("CITADEL__DATADIR", "x")]), ..Sources::default() });
    let Err(ConfigError::Unknown(unknown)) = result else { panic!("should be refused") };
    let mut names: Vec<_> = unknown.iter().map(|setting| (setting.name.as_str(), setting.meant.as_deref())).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [("CITADEL__DATADIR", Some("CITADEL__DATA_DIR")), ("frobnicate", None), ("http.lissen", Some("http.listen"))]
    );
}

#[test]
fn names_the_key_and_the_layer_of_a_bad_value() {
    check_refused(load_environment(&[("CITADEL__LIMITS__IO_SLOTS", "many")]), "limits.io_slots");
    check_refused(load_environment(&[("CITADEL__LIMITS__IO_SLOTS", "many")]), "CITADEL__LIMITS__IO_SLOTS");
    check_refused(load_environment(&[("CITADEL__DRAIN__TIMEOUT", "60")]), "drain.timeout");
    check_refused(load_environment(&[("CITADEL__EGRESS__ALLOW", "[1")]), "is not a JSON array");
    check_refused(load_environment(&[("CITADEL__HTTP", "x")]), "names a section");
}

#[test]
fn refuses_settings_that_contradict_each_other() {
    check_refused(load_environment(&[("CITADEL__ADMIN__EMAIL", "a@example.org")]), "need each other");
    check_refused(load_environment(&[("CITADEL__ENV__ALLOW", "CITADEL__ADMIN__PASSWORD")]), "env.allow");
    check_refused(load_environment(&[("CITADEL__HTTP__TLS__CERT", "cert.pem")]), "http.tls.key need each other");
    check_refused(load_environment(&[("CITADEL__HTTP__CORS_ORIGINS", "https://a.example, *")]), "http.cors_origins");
    check_refused(load_environment(&[("CITADEL__LIMITS__WORKSPACE_EXECUTIONS_MAX", "0")]), "may be zero");
    check_refused(load_environment(&[("CITADEL__LIMITS__IO_SLOTS", "0")]), "zero");
}

#[test]
fn shows_workflows_the_allowed_variables_only() {
    let config = load_environment(&[("CITADEL__ENV__ALLOW", "REGION,ABSENT"), ("REGION", "eu"), ("SECRET", "no")]).unwrap();
    assert_eq!(config.env.visible.into_iter().collect::<Vec<_>>(), [("REGION".to_owned(), "eu".to_owned())]);
}

#[test]
fn keeps_the_cache_of_a_throwaway_system_in_the_users_directory() {
    let cache_dir = |variables: &[(&str, &str)]| {
        let mut config = load_environment(variables).unwrap();
        config.use_throwaway_directory(Path::new("/throwaway"));
        config.cache_dir()
    };
    assert_eq!(cache_dir(&[]), Path::new("/throwaway/cache"));
    assert_eq!(cache_dir(&[("HOME", "/h")]), Path::new("/h/.cache/citadel"));
    assert_eq!(cache_dir(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")]), Path::new("/c/citadel"));
    assert_eq!(cache_dir(&[("HOME", "/h"), ("CITADEL__CACHE_DIR", "/set")]), Path::new("/set"));
    let mut config = load_environment(&[("HOME", "/h")]).unwrap();
    assert_eq!(config.cache_dir(), Path::new("./data/cache"));
    config.use_throwaway_directory(Path::new("/throwaway"));
    assert_eq!(config.runtimes_dir(), Path::new("./data/runtimes"));
}
