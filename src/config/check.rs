//! Checks settings for what their types cannot say.

use super::{
    Config, ConfigError,
    environment::PREFIX,
    http::{is_origin, network_of},
};

/// Refuses settings that contradict each other.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    if config.admin.email.is_some() != config.admin.password.is_some() {
        return Err(ConfigError::Contradiction("admin.email and admin.password need each other: set both or none"));
    }
    if config.env.allow.iter().any(|name| name.starts_with(PREFIX)) {
        return Err(ConfigError::Contradiction("env.allow may not name settings of Citadel: workflows would see its secrets"));
    }
    if config.http.tls.cert.is_some() != config.http.tls.key.is_some() {
        return Err(ConfigError::Contradiction("http.tls.cert and http.tls.key need each other: set both or none"));
    }
    if !config.http.cors_origins.iter().all(|origin| is_origin(origin)) {
        return Err(ConfigError::Contradiction(
            "http.cors_origins lists origins such as https://app.example.org: in small letters, without a path, and no `*`",
        ));
    }
    if !config.http.trusted_proxies.iter().all(|proxy| network_of(proxy).is_some()) {
        return Err(ConfigError::Contradiction("http.trusted_proxies lists addresses and networks, such as 10.0.0.0/8"));
    }
    let is_fit = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let is_url = |issuer: &str| issuer.starts_with("https://") || issuer.starts_with("http://");
    if !config.auth.oidc.iter().all(|(name, provider)| is_fit(name) && is_url(&provider.issuer)) {
        return Err(ConfigError::Contradiction(
            "a provider of auth.oidc has a name of a-z, 0-9 and `-`, and an issuer that is a URL",
        ));
    }
    if config.node.roles.is_empty() {
        return Err(ConfigError::Contradiction("node.roles is empty: name at least one of api, worker, scheduler"));
    }
    if config.runtimes.native_slots == Some(0) || config.runtimes.native_memory_bytes == 0 || config.runtimes.disk_bytes == 0 {
        return Err(ConfigError::Contradiction("no number of the section runtimes may be zero"));
    }
    let limits = &config.limits;
    let executions = [limits.executions_live_max, limits.executions_queued_max];
    let counts = [
        limits.io_slots,
        limits.wasm_memory_bytes,
        limits.lane_depth_max,
        limits.lane_bytes_max,
        limits.http_connections_max,
        limits.streams_max,
    ];
    let optional = [limits.wasm_slots, limits.workspace_executions_max];
    if executions.contains(&0) || counts.contains(&0) || optional.contains(&Some(0)) || limits.workspace_bytes_max == Some(0) {
        return Err(ConfigError::Contradiction("no number of the section limits may be zero"));
    }
    Ok(())
}
