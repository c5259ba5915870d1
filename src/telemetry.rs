//! Logs on standard error: started once, by `main`. Standard output belongs to results. Figures are in `metrics`.

mod mask;
pub mod metrics;

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, Registry, filter::ParseError, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

pub use self::mask::Mask;
use self::mask::MaskedError;
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

/// Changes what is logged while the process runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LogControl(reload::Handle<EnvFilter, Registry>);

/// A filter that has been read.
pub struct LogFilter(EnvFilter);

impl LogFilter {
    /// Errors: `Filter` if the filter does not parse.
    pub fn parse(filter: &str) -> Result<Self, TelemetryError> {
        let parsed = EnvFilter::try_new(filter);
        parsed.map(Self).map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })
    }
}

impl LogControl {
    /// Logs what this filter lets through from now on.
    pub fn set_filter(&self, filter: LogFilter) {
        // Logging that another start has won is not ours to change.
        if let Err(error) = self.0.reload(filter.0) {
            tracing::debug!(cause = %error, "the log filter cannot be changed");
        }
    }
}

/// Starts logging for the whole process. `mask` takes secrets out of every line. A second start changes nothing, so that tests may
/// each ask for it.
///
/// Errors: `Filter` if the filter does not parse.
pub fn init(config: &LogConfig, mask: Mask) -> Result<LogControl, TelemetryError> {
    let (filter, handle) = reload::Layer::new(LogFilter::parse(&config.filter)?.0);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(MaskedError(mask)).with_ansi(std::io::stderr().is_terminal());
    let started = match resolve(config.format, std::io::stderr().is_terminal()) {
        LogFormat::Pretty => registry.with(lines.pretty()).try_init(),
        LogFormat::Compact => registry.with(lines.compact()).try_init(),
        LogFormat::Json | LogFormat::Auto => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging has been started before");
    }
    Ok(LogControl(handle))
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
        assert!(init(&config, |text| text.into()).is_err());
    }

    #[test]
    fn is_pretty_for_people_and_json_for_programs() {
        assert_eq!(resolve(LogFormat::Auto, true), LogFormat::Pretty);
        assert_eq!(resolve(LogFormat::Auto, false), LogFormat::Json);
        assert_eq!(resolve(LogFormat::Compact, true), LogFormat::Compact);
    }
}
