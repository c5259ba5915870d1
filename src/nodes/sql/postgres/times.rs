//! Dates and times as RFC 3339 texts and back. Pure. The server counts microseconds and days from 2000-01-01.

use jiff::{
    Span, Timestamp,
    civil::{Date, DateTime, Time, date as civil_date},
};

use super::types::ConversionError;

/// 2000-01-01T00:00:00Z in Unix microseconds.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const EPOCH_DATE: Date = civil_date(2000, 1, 1);

/// The server's marks for `infinity` and `-infinity`.
fn infinity(value: i64, max: i64, min: i64) -> Option<String> {
    if value == max { Some("infinity".to_owned()) } else { (value == min).then(|| "-infinity".to_owned()) }
}

/// `2024-05-06T07:08:09.5Z`.
pub(super) fn timestamptz(micros: i64) -> Result<String, ConversionError> {
    if let Some(text) = infinity(micros, i64::MAX, i64::MIN) {
        return Ok(text);
    }
    let unix = micros.checked_add(EPOCH_MICROS).ok_or(RANGE)?;
    Timestamp::from_microsecond(unix).map(|timestamp| timestamp.to_string()).map_err(|_| RANGE)
}

/// `2024-05-06T07:08:09.5`: a time without a zone has no offset to show.
pub(super) fn timestamp(micros: i64) -> Result<String, ConversionError> {
    if let Some(text) = infinity(micros, i64::MAX, i64::MIN) {
        return Ok(text);
    }
    let at = EPOCH_DATE.to_datetime(Time::midnight()).checked_add(Span::new().try_microseconds(micros).map_err(|_| RANGE)?);
    at.map(|at| at.to_string()).map_err(|_| RANGE)
}

/// `2024-05-06`.
pub(super) fn date(days: i32) -> Result<String, ConversionError> {
    if let Some(text) = infinity(i64::from(days), i64::from(i32::MAX), i64::from(i32::MIN)) {
        return Ok(text);
    }
    let at = EPOCH_DATE.checked_add(Span::new().try_days(days).map_err(|_| RANGE)?);
    at.map(|at| at.to_string()).map_err(|_| RANGE)
}

/// `07:08:09.5`.
pub(super) fn time(micros: i64) -> Result<String, ConversionError> {
    let at = Span::new().try_microseconds(micros).map_err(|_| RANGE)?;
    Time::midnight().checked_add(at).map(|at| at.to_string()).map_err(|_| RANGE)
}

/// Microseconds of an RFC 3339 text.
pub(super) fn parse_timestamptz(text: &str) -> Result<i64, ConversionError> {
    let at: Timestamp = text.parse().map_err(|_| unfit("a time such as 2024-05-06T07:08:09Z"))?;
    Ok(at.as_microsecond() - EPOCH_MICROS)
}

/// Microseconds of a time without a zone.
pub(super) fn parse_timestamp(text: &str) -> Result<i64, ConversionError> {
    let at: DateTime = text.parse().map_err(|_| unfit("a time such as 2024-05-06T07:08:09"))?;
    let span = at.since((jiff::Unit::Microsecond, EPOCH_DATE.to_datetime(Time::midnight()))).map_err(|_| RANGE)?;
    Ok(span.get_microseconds())
}

/// Days of a date.
pub(super) fn parse_date(text: &str) -> Result<i32, ConversionError> {
    let at: Date = text.parse().map_err(|_| unfit("a date such as 2024-05-06"))?;
    Ok(at.since((jiff::Unit::Day, EPOCH_DATE)).map_err(|_| RANGE)?.get_days())
}

/// Microseconds of a time of day.
pub(super) fn parse_time(text: &str) -> Result<i64, ConversionError> {
    let at: Time = text.parse().map_err(|_| unfit("a time such as 07:08:09"))?;
    Ok(at.since((jiff::Unit::Microsecond, Time::midnight())).map_err(|_| RANGE)?.get_microseconds())
}

const RANGE: ConversionError = ConversionError::Unfit { expected: "a time between the years -9999 and 9999" };

fn unfit(expected: &'static str) -> ConversionError {
    ConversionError::Unfit { expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_both_ways() {
        for text in ["2024-05-06T07:08:09Z", "2024-05-06T07:08:09.000001Z", "2000-01-01T00:00:00Z", "0001-01-01T00:00:00Z"] {
            assert_eq!(parse_timestamptz(text).and_then(timestamptz), Ok(text.to_owned()));
        }
        for text in ["2024-05-06T07:08:09.5", "1999-12-31T23:59:59.999999"] {
            assert_eq!(parse_timestamp(text).and_then(timestamp), Ok(text.to_owned()));
        }
        for text in ["2024-02-29", "1970-01-01", "2000-01-01"] {
            assert_eq!(parse_date(text).and_then(date), Ok(text.to_owned()));
        }
        for text in ["00:00:00", "23:59:59.999999"] {
            assert_eq!(parse_time(text).and_then(time), Ok(text.to_owned()));
        }
        assert_eq!(parse_timestamptz("2000-01-01T02:00:00+02:00"), Ok(0));
    }

    #[test]
    fn shows_infinity_and_refuses_what_it_cannot_show() {
        assert_eq!(timestamptz(i64::MAX), Ok("infinity".to_owned()));
        assert_eq!(date(i32::MIN), Ok("-infinity".to_owned()));
        assert_eq!(timestamptz(i64::MAX - 1), Err(RANGE));
        assert_eq!(date(i32::MAX - 1), Err(RANGE));
        for text in ["", "yesterday", "2024-13-01"] {
            assert!(parse_timestamptz(text).is_err() && parse_date(text).is_err() && parse_timestamp(text).is_err());
        }
    }
}
