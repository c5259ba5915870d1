//! Times: RFC 3339 in UTC with milliseconds.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::clock;

/// A time in Unix milliseconds that is shown in RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Time(pub(in crate::http) u64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&clock::rfc3339(self.0))
    }
}

/// Reads RFC 3339 with any offset, as Unix milliseconds; `None` if it is something else. Nothing here is from before 1970: a time
/// before it is as good as its beginning.
pub(in crate::http) fn parse_time(text: &str) -> Option<u64> {
    Some(u64::try_from(text.parse::<Timestamp>().ok()?.as_millisecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_milliseconds_in_utc() {
        assert_eq!(serde_json::to_value(Time(1_700_000_000_120)).unwrap(), "2023-11-14T22:13:20.120Z");
        assert!(serde_json::to_value(Time(u64::MAX)).unwrap().is_string());
    }

    #[test]
    fn reads_any_offset() {
        assert_eq!(parse_time("2023-11-14T23:13:20.120+01:00"), Some(1_700_000_000_120));
        assert_eq!(parse_time("yesterday"), None);
        assert_eq!(parse_time("0001-12-31T00:00:00Z"), Some(0));
    }
}
