//! What Ruby writes to standard output and standard error, cut into lines for the log.

use crate::{model::log::LogLevel, runtimes::sandbox::state::Log};

/// A line that is longer than this is written in pieces, in bytes, so that output without newlines does not pile up.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// The lines that have begun.
#[derive(Default)]
pub(super) struct Output {
    info: Vec<u8>,
    error: Vec<u8>,
}

/// Where text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Output,
    Error,
}

impl Output {
    pub(super) fn write(&mut self, stream: Stream, mut text: &[u8], log: &mut Log) {
        let (level, line) = match stream {
            Stream::Output => (LogLevel::Info, &mut self.info),
            Stream::Error => (LogLevel::Error, &mut self.error),
        };
        while let Some(end) = text.iter().position(|&byte| byte == b'\n') {
            line.extend_from_slice(&text[..end]);
            log.write(level, line);
            line.clear();
            text = &text[end + 1..];
        }
        line.extend_from_slice(text);
        if line.len() > LINE_BYTES_MAX {
            log.write(level, line);
            line.clear();
        }
    }

    /// Ends the lines that have begun.
    pub(super) fn finish(&mut self, log: &mut Log) {
        for (level, line) in [(LogLevel::Info, &mut self.info), (LogLevel::Error, &mut self.error)] {
            if !line.is_empty() {
                log.write(level, line);
                line.clear();
            }
        }
    }
}
