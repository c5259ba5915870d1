//! Logs on standard error: started once, by `main`. Standard output belongs to results.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, filter::ParseError, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{LogConfig, LogFormat};

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log.filter `{filter}` is not a filter such as `info,citadel=debug`")]
    Filter {
        filter: String,
        #[source]
        source: ParseError,
    },
}

/// Starts logging for the whole process. A second start changes nothing, so that tests may each ask for it.
///
/// Errors: `Filter` if the filter does not parse.
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter =
        EnvFilter::try_new(&config.filter).map_err(|source| TelemetryError::Filter { filter: config.filter.clone(), source })?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let started = match resolve(config.format, std::io::stderr().is_terminal()) {
        LogFormat::Pretty => registry.with(lines.pretty()).try_init(),
        LogFormat::Compact => registry.with(lines.compact()).try_init(),
        LogFormat::Json | LogFormat::Auto => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging has been started before");
    }
    Ok(())
}

/// Replaces `Auto` by the format that fits where the log goes.
fn resolve(format: LogFormat, terminal: bool) -> LogFormat {
    match (format, terminal) {
        (LogFormat::Auto, true) => LogFormat::Pretty,
        (LogFormat::Auto, false) => LogFormat::Json,
        (format, _) => format,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_filter_that_does_not_parse() {
        let config = LogConfig { format: LogFormat::Json, filter: "citadel=loud=er".to_owned() };
        assert!(init(&config).is_err());
    }

    #[test]
    fn is_pretty_for_people_and_json_for_programs() {
        assert_eq!(resolve(LogFormat::Auto, true), LogFormat::Pretty);
        assert_eq!(resolve(LogFormat::Auto, false), LogFormat::Json);
        assert_eq!(resolve(LogFormat::Compact, true), LogFormat::Compact);
    }
}
