//! Reads `Retry-After`. Pure.

use super::RETRY_AFTER_MS_MAX;
use crate::auth::egress::header::{HeaderMap, RETRY_AFTER};

/// Parses `Retry-After` as a delay in milliseconds: whole seconds, or an HTTP date compared with `now_ms`. Caps at
/// [`RETRY_AFTER_MS_MAX`]. `None` if there is none or it is malformed. Source: RFC 9110 section 10.2.3.
pub(super) fn retry_after_ms(headers: &HeaderMap, now_ms: u64) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let delay_ms = match text.parse::<u64>() {
        Ok(seconds) => seconds.saturating_mul(1_000),
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
            u64::try_from(at).unwrap_or(0).saturating_sub(now_ms)
        }
    };
    Some(delay_ms.min(RETRY_AFTER_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        // 1994-11-06T08:49:30Z
        let now_ms = 784_111_770_000;
        let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        assert_eq!(retry_after_ms(&headers, now_ms), expected, "{text}");
    }

    #[test]
    fn reads_seconds_and_dates() {
        check("120", Some(120_000));
        check(" 0 ", Some(0));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(7_000));
        check("Sun, 06 Nov 1994 08:49:00 GMT", Some(0));
    }

    #[test]
    fn caps_and_ignores_what_it_cannot_read() {
        check("99999999999", Some(RETRY_AFTER_MS_MAX));
        check("Sat, 06 Nov 2094 08:49:37 GMT", Some(RETRY_AFTER_MS_MAX));
        for text in ["", "-1", "1.5", "soon"] {
            check(text, None);
        }
        assert_eq!(retry_after_ms(&HeaderMap::new(), 0), None);
    }
}
