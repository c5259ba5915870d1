//! Checks values that stand alone against the limits: retries, timeouts, retention, concurrency, the time zone's form.

use crate::model::{
    definition::{RetryPolicy, WorkflowDefinition, WorkflowSettings},
    duration::DurationMs,
    limits::{ATTEMPTS_MAX, WAIT_MS_MAX},
    problem::{Problems, excerpt},
};

/// Bytes of a time zone's name; the longest of the IANA database has 32.
const TIMEZONE_BYTES_MAX: usize = 64;

/// Reports every value that is out of its bounds.
pub(super) fn check(definition: &WorkflowDefinition, problems: &mut Problems) {
    for (position, node) in definition.nodes.iter().enumerate() {
        if let Some(retry) = &node.retry {
            check_retry(retry, &format!("/nodes/{position}/retry"), problems);
        }
        check_timeout(node.timeout, &format!("/nodes/{position}/timeout"), problems);
    }
    check_settings(&definition.settings, problems);
}

fn check_settings(settings: &WorkflowSettings, problems: &mut Problems) {
    check_timeout(settings.timeout, "/settings/timeout", problems);
    if let Some(retention) = &settings.retention {
        check_length(retention.success, "/settings/retention/success", problems);
        check_length(retention.failure, "/settings/retention/failure", problems);
    }
    if settings.concurrency == Some(0) {
        problems.report("/settings/concurrency", "out_of_range", "must be 1 or more; leave it out for no bound");
    }
    if let Some(timezone) = settings.timezone.as_deref().filter(|name| !is_plausible_timezone(name)) {
        let detail = format!("`{}` is not a time zone's name such as `Europe/Berlin` or `UTC`", excerpt(timezone));
        problems.report("/settings/timezone", "invalid_timezone", detail);
    }
}

fn check_retry(retry: &RetryPolicy, pointer: &str, problems: &mut Problems) {
    if !(1..=ATTEMPTS_MAX).contains(&retry.max_attempts) {
        let detail = format!("must be from 1 to {ATTEMPTS_MAX}, not {}; the first attempt counts", retry.max_attempts);
        problems.report(format!("{pointer}/max_attempts"), "out_of_range", detail);
    }
    check_length(Some(retry.max), &format!("{pointer}/max"), problems);
    if retry.initial > retry.max {
        let detail = format!("must not be longer than `max`, which is {}", retry.max);
        problems.report(format!("{pointer}/initial"), "out_of_range", detail);
    }
}

fn check_timeout(timeout: Option<DurationMs>, pointer: &str, problems: &mut Problems) {
    if timeout == Some(DurationMs(0)) {
        problems.report(pointer, "out_of_range", "must be longer than 0; leave it out for the default");
    }
    check_length(timeout, pointer, problems);
}

fn check_length(duration: Option<DurationMs>, pointer: &str, problems: &mut Problems) {
    if duration.is_some_and(|duration| duration.0 > WAIT_MS_MAX) {
        problems.report(pointer, "out_of_range", format!("must not be longer than {}", DurationMs(WAIT_MS_MAX)));
    }
}

/// Whether the text has the form of an IANA name: segments of letters, digits, `_`, `+`, `-`, parted by slashes. Whether there is
/// such a zone is known to whoever has the database, not here.
fn is_plausible_timezone(name: &str) -> bool {
    let is_segment = |segment: &str| {
        !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-'))
    };
    name.len() <= TIMEZONE_BYTES_MAX && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.split('/').all(is_segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_timezone(name: &str, plausible: bool) {
        assert_eq!(is_plausible_timezone(name), plausible, "{name}");
    }

    #[test]
    fn knows_the_form_of_a_time_zone() {
        for name in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "America/Port-au-Prince", "EST5EDT"] {
            check_timezone(name, true);
        }
        for name in ["", "+02:00", "Europe/", "/Berlin", "Europe//Berlin", "Europe Berlin", "../etc/passwd", "Zürich"] {
            check_timezone(name, false);
        }
        check_timezone(&"x".repeat(TIMEZONE_BYTES_MAX), true);
        check_timezone(&"x".repeat(TIMEZONE_BYTES_MAX + 1), false);
    }
}
