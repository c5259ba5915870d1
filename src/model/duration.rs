//! Durations as people write them: `30s`, `5m`, `1h30m`, `7d`, or ISO 8601 (`PT1H30M`).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time in whole milliseconds. **Shape**: a string such as `1m30s`; a bare number is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DurationMs(pub u64);

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration such as `500ms`, `30s`, `5m`, `1h30m`, `7d` or `PT1H30M`")]
pub struct InvalidDuration;

const UNITS: [(&str, u64); 6] = [("ms", 1), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];

impl FromStr for DurationMs {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        match text.strip_prefix('P') {
            Some(iso) => parse_iso(iso),
            None => parse_units(text),
        }
    }
}

/// Parses `1h30m`: numbers, each followed by its unit.
fn parse_units(text: &str) -> Result<DurationMs, InvalidDuration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(InvalidDuration);
    }
    let mut total_ms: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(InvalidDuration)?;
        let number: u64 = rest[..digits].parse().map_err(|_| InvalidDuration)?;
        rest = &rest[digits..];
        let (name, unit_ms) = UNITS.iter().find(|(name, _)| rest.starts_with(name)).ok_or(InvalidDuration)?;
        rest = &rest[name.len()..];
        total_ms = number.checked_mul(*unit_ms).and_then(|ms| total_ms.checked_add(ms)).ok_or(InvalidDuration)?;
    }
    Ok(DurationMs(total_ms))
}

/// Parses what follows the `P` of ISO 8601; months and years are refused, since their length varies.
fn parse_iso(text: &str) -> Result<DurationMs, InvalidDuration> {
    let (days, time) = text.split_once('T').unwrap_or((text, ""));
    if days.contains(['M', 'Y']) || (days.is_empty() && time.is_empty()) {
        return Err(InvalidDuration);
    }
    parse_units(&format!("{days}{time}").to_ascii_lowercase())
}

impl fmt::Display for DurationMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest_ms = self.0;
        for (name, unit_ms) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if rest_ms >= unit_ms {
                write!(f, "{}{name}", rest_ms / unit_ms)?;
                rest_ms %= unit_ms;
            }
        }
        Ok(())
    }
}

impl Serialize for DurationMs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DurationMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(text.parse::<DurationMs>().ok().map(|d| d.0), expected, "{text}");
    }

    #[test]
    fn reads_both_notations() {
        check("500ms", Some(500));
        check("1h30m", Some(5_400_000));
        check("7d", Some(604_800_000));
        check("PT1H30M", Some(5_400_000));
        check("P1DT2S", Some(86_402_000));
    }

    #[test]
    fn refuses_what_has_no_fixed_length_or_no_unit() {
        for text in ["", "5", "s", "P", "P1M", "1x", "99999999999999999999s", "18446744073709551615d"] {
            check(text, None);
        }
    }

    #[test]
    fn shows_what_it_parses() {
        for ms in [0, 1, 999, 90_000, 86_400_001] {
            assert_eq!(DurationMs(ms).to_string().parse(), Ok(DurationMs(ms)));
        }
    }
}
