//! What code writes on its console, line by line: data of the execution, not the server's log.

use serde::{Deserialize, Serialize};

use super::limits::LOG_BYTES_MAX;

/// What a line costs besides its text, in bytes, so that empty lines are bounded too.
const LINE_BYTES: usize = 32;

/// One call of a console function. **Shape**: `{ at, level, text }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Unix milliseconds.
    pub at: u64,
    pub level: LogLevel,
    pub text: String,
}

/// How loud a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Debug,
    /// `console.log` too.
    Info,
    Warn,
    Error,
}

impl LogLevel {
    pub const ALL: [Self; 4] = [Self::Debug, Self::Info, Self::Warn, Self::Error];
}

/// What one attempt has written, up to [`LOG_BYTES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunLog {
    pub lines: Vec<LogLine>,
    /// Whether something was cut or dropped after the last line.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// What running the code took, if any ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<CodeUsage>,
}

/// What an attempt's code has used, all its runs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeUsage {
    /// Microseconds.
    pub wall_us: u64,
    /// Microseconds.
    pub cpu_us: u64,
    pub memory_peak_bytes: u64,
    /// Whether a sandbox had to be made first.
    pub cold: bool,
}

impl RunLog {
    /// Adds lines; once something is missing, nothing that came later is kept.
    pub fn add(&mut self, lines: Vec<LogLine>, truncated: bool) {
        let mut bytes: usize = self.lines.iter().map(cost).sum();
        for line in lines {
            bytes += cost(&line);
            self.truncated |= bytes > LOG_BYTES_MAX;
            if self.truncated {
                return;
            }
            self.lines.push(line);
        }
        self.truncated |= truncated;
    }

    /// The log, if there is anything in it.
    pub fn into_written(self) -> Option<Self> {
        (!self.lines.is_empty() || self.truncated || self.usage.is_some()).then_some(self)
    }
}

fn cost(line: &LogLine) -> usize {
    line.text.len() + LINE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize, bytes: usize) -> Vec<LogLine> {
        vec![LogLine { at: 1, level: LogLevel::Info, text: "x".repeat(bytes) }; count]
    }

    #[test]
    fn log_bytes_obeyed_and_violated() {
        let mut log = RunLog::default();
        log.add(lines(4, LOG_BYTES_MAX / 4 - LINE_BYTES), false);
        assert_eq!((log.lines.len(), log.truncated), (4, false));
        log.add(lines(1, 0), false);
        assert_eq!((log.lines.len(), log.truncated), (4, true));
    }

    #[test]
    fn empty_lines_are_bounded_too() {
        let mut log = RunLog::default();
        log.add(lines(LOG_BYTES_MAX, 0), false);
        assert_eq!((log.lines.len(), log.truncated), (LOG_BYTES_MAX / LINE_BYTES, true));
    }

    #[test]
    fn keeps_nothing_behind_a_gap() {
        let mut log = RunLog::default();
        log.add(lines(1, 1), true);
        log.add(lines(1, 1), false);
        assert_eq!((log.lines.len(), log.truncated), (1, true));
        assert_eq!(RunLog::default().into_written(), None);
    }
}
