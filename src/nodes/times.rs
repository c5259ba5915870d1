//! Reads points in time as people and programs write them. Pure: the zone comes in as an argument.

use jiff::{Timestamp, Zoned, civil, tz::TimeZone};
use serde_json::Value;

/// The zone of a run's `$now`; UTC if its name is unknown, as the workflow's validation reports that.
pub fn zone_of(name: &str) -> TimeZone {
    find_zone(name).unwrap_or(TimeZone::UTC)
}

/// The IANA zone of that name.
pub fn find_zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

/// A time in Unix milliseconds as RFC 3339 in UTC, with milliseconds.
pub fn rfc3339(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX);
    format!("{time:.3}")
}

/// Reads a point in time, in Unix milliseconds: RFC 3339, a date or a date with time in `zone`, or a number of milliseconds.
pub fn read_instant_ms(value: &Value, zone: &TimeZone) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => parse_instant_ms(text.trim(), zone),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn parse_instant_ms(text: &str, zone: &TimeZone) -> Option<i64> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant.as_millisecond());
    }
    if let Ok(zoned) = text.parse::<Zoned>() {
        return Some(zoned.timestamp().as_millisecond());
    }
    let local: civil::DateTime = text.parse().ok()?;
    Some(local.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(value: Value, expected: Option<i64>) {
        assert_eq!(read_instant_ms(&value, &zone_of("Europe/Berlin")), expected, "{value}");
    }

    #[test]
    fn shows_milliseconds_in_utc() {
        assert_eq!(rfc3339(1_700_000_000_120), "2023-11-14T22:13:20.120Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn reads_instants_and_local_times() {
        check(json!("1970-01-01T00:00:01Z"), Some(1_000));
        check(json!("1970-01-01T02:00:00.5+02:00"), Some(500));
        check(json!("1970-01-01T01:00:00"), Some(0));
        check(json!("1970-01-01"), Some(-3_600_000));
        check(json!(1_500), Some(1_500));
        for value in [json!("soon"), json!(""), json!(true), json!(1.5), json!(null)] {
            check(value, None);
        }
    }
}
