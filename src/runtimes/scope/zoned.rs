//! `$now` and `$today`: a time in the execution's zone.

use jiff::{Timestamp, Zoned, tz::TimeZone};
use serde::Serialize;

/// What the guest makes `$now` of. **Shape**: the properties of `ZonedDate` in `prelude.js`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ZonedTime {
    /// ISO 8601 with milliseconds and the zone's offset: what the value is as text and in JSON.
    pub(crate) iso: String,
    /// Unix milliseconds.
    ms: i64,
    zone: String,
    offset_minutes: i32,
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    /// From 1, Monday, to 7, Sunday.
    weekday: i8,
}

impl ZonedTime {
    /// The time `now_ms` in a zone. Errors: a sentence, if there is no such zone or the time is beyond the year 9999.
    pub(crate) fn now(now_ms: u64, zone: &str) -> Result<Self, String> {
        Ok(Self::of(&zoned(now_ms, zone)?, zone))
    }

    /// The first moment of the day that `now_ms` is on in a zone. Errors: as [`Self::now`].
    pub(crate) fn today(now_ms: u64, zone: &str) -> Result<Self, String> {
        let start = zoned(now_ms, zone)?.start_of_day().map_err(|error| format!("there is no start of this day: {error}"))?;
        Ok(Self::of(&start, zone))
    }

    fn of(time: &Zoned, zone: &str) -> Self {
        let offset_minutes = time.offset().seconds() / 60;
        let local = time.strftime("%Y-%m-%dT%H:%M:%S%.3f");
        let iso = if offset_minutes == 0 { format!("{local}Z") } else { format!("{local}{}", time.strftime("%:z")) };
        Self {
            iso,
            ms: time.timestamp().as_millisecond(),
            zone: zone.to_owned(),
            offset_minutes,
            year: time.year(),
            month: time.month(),
            day: time.day(),
            hour: time.hour(),
            minute: time.minute(),
            second: time.second(),
            weekday: time.weekday().to_monday_one_offset(),
        }
    }
}

fn zoned(now_ms: u64, zone: &str) -> Result<Zoned, String> {
    let zone = TimeZone::get(zone).map_err(|_| format!("there is no time zone \"{zone}\""))?;
    let time = i64::try_from(now_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    Ok(time.ok_or_else(|| format!("{now_ms} ms is beyond the calendar"))?.to_zoned(zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-07-01T22:30:00.250Z.
    const SUMMER_NIGHT_MS: u64 = 1_782_945_000_250;

    #[test]
    fn shows_a_time_in_its_zone() {
        let now = ZonedTime::now(SUMMER_NIGHT_MS, "Europe/Berlin").unwrap();
        assert_eq!(now.iso, "2026-07-02T00:30:00.250+02:00");
        assert_eq!((now.day, now.hour, now.offset_minutes, now.weekday), (2, 0, 120, 4));
        assert_eq!(ZonedTime::now(SUMMER_NIGHT_MS, "UTC").unwrap().iso, "2026-07-01T22:30:00.250Z");
    }

    #[test]
    fn today_starts_at_midnight_of_the_zone() {
        assert_eq!(ZonedTime::today(SUMMER_NIGHT_MS, "Europe/Berlin").unwrap().iso, "2026-07-02T00:00:00.000+02:00");
        assert_eq!(ZonedTime::today(SUMMER_NIGHT_MS, "UTC").unwrap().iso, "2026-07-01T00:00:00.000Z");
    }

    #[test]
    fn names_an_unknown_zone() {
        assert_eq!(ZonedTime::now(0, "Mars/Olympus").unwrap_err(), "there is no time zone \"Mars/Olympus\"");
    }
}
