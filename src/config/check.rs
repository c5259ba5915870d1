//! Checks settings for what their types cannot say.

use super::{Config, ConfigError, environment::PREFIX};

/// Refuses settings that contradict each other.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    if config.admin.email.is_some() != config.admin.password.is_some() {
        return Err(ConfigError::Contradiction("admin.email and admin.password need each other: set both or none"));
    }
    if config.env.allow.iter().any(|name| name.starts_with(PREFIX)) {
        return Err(ConfigError::Contradiction("env.allow may not name settings of Citadel: workflows would see its secrets"));
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
    if executions.contains(&0) || counts.contains(&0) || limits.wasm_slots == Some(0) {
        return Err(ConfigError::Contradiction("no number of the section limits may be zero"));
    }
    Ok(())
}
