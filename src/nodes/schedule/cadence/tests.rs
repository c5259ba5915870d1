//! Ticks in zones whose clocks change: tables of what comes after what.

use super::*;

const BERLIN: &str = "Europe/Berlin";
const NEW_YORK: &str = "America/New_York";

/// The ticks after a time, as the clock on the wall shows them with its offset from UTC.
fn ticks(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let zone = TimeZone::get(zone).unwrap();
    let cadence = Cadence::cron(cron, zone.clone()).unwrap_or_else(|error| panic!("{cron}: {error}"));
    let mut at_ms = u64::try_from(after.parse::<Timestamp>().unwrap().as_millisecond()).unwrap();
    let mut shown = Vec::new();
    for _ in 0..count {
        let next = cadence.next_after(at_ms).unwrap();
        assert!(next > at_ms, "{cron}: ticks go forwards");
        at_ms = next;
        let time = Timestamp::from_millisecond(i64::try_from(next).unwrap()).unwrap().to_zoned(zone.clone());
        shown.push(time.strftime("%m-%d %H:%M:%S %z").to_string());
    }
    shown
}

#[track_caller]
fn check(cron: &str, zone: &str, after: &str, expected: &[&str]) {
    assert_eq!(ticks(cron, zone, after, expected.len()), expected, "{cron} in {zone}");
}

// Berlin 2026: on March 29 the clock goes from 02:00 to 03:00, at 01:00 UTC; on October 25 from 03:00 back to 02:00, at 01:00 UTC.
// New York 2026: on March 8 from 02:00 to 03:00, at 07:00 UTC; on November 1 from 02:00 back to 01:00, at 06:00 UTC.

#[test]
fn what_falls_into_the_hour_that_is_left_out_fires_once_at_its_end() {
    let berlin = "2026-03-28T12:00:00Z";
    check("30 2 * * *", BERLIN, berlin, &["03-29 03:00:00 +0200", "03-30 02:30:00 +0200"]);
    check("0 2 * * *", BERLIN, berlin, &["03-29 03:00:00 +0200", "03-30 02:00:00 +0200"]);
    check("59 59 2 * * *", BERLIN, berlin, &["03-29 03:00:00 +0200", "03-30 02:59:59 +0200"]);
    check("*/15 2 * * *", BERLIN, berlin, &["03-29 03:00:00 +0200", "03-30 02:00:00 +0200", "03-30 02:15:00 +0200"]);
    check("0 2,3 * * *", BERLIN, berlin, &["03-29 03:00:00 +0200", "03-30 02:00:00 +0200", "03-30 03:00:00 +0200"]);
    check("30 2,3 * * *", BERLIN, berlin, &["03-29 03:00:00 +0200", "03-29 03:30:00 +0200", "03-30 02:30:00 +0200"]);
    check("30 2 29 3 *", BERLIN, berlin, &["03-29 03:00:00 +0200", "03-29 02:30:00 +0200"]);
    check("30 2 * * *", NEW_YORK, "2026-03-07T12:00:00Z", &["03-08 03:00:00 -0400", "03-09 02:30:00 -0400"]);
}

#[test]
fn what_falls_into_the_hour_that_comes_twice_fires_the_first_time() {
    let berlin = "2026-10-24T12:00:00Z";
    check("30 2 * * *", BERLIN, berlin, &["10-25 02:30:00 +0200", "10-26 02:30:00 +0100"]);
    check("0 2 * * *", BERLIN, berlin, &["10-25 02:00:00 +0200", "10-26 02:00:00 +0100"]);
    check("0,30 2 * * *", BERLIN, berlin, &["10-25 02:00:00 +0200", "10-25 02:30:00 +0200", "10-26 02:00:00 +0100"]);
    check("30 2,3 * * *", BERLIN, berlin, &["10-25 02:30:00 +0200", "10-25 03:30:00 +0100"]);
    check("0 3 * * *", BERLIN, berlin, &["10-25 03:00:00 +0100", "10-26 03:00:00 +0100"]);
    check("30 1 * * *", NEW_YORK, "2026-10-31T12:00:00Z", &["11-01 01:30:00 -0400", "11-02 01:30:00 -0500"]);
    // From within the second half on: it is over.
    check("30 2 * * *", BERLIN, "2026-10-25T01:00:00Z", &["10-26 02:30:00 +0100"]);
    check("*/15 2-3 * * *", BERLIN, "2026-10-25T01:10:00Z", &["10-25 03:00:00 +0100", "10-25 03:15:00 +0100"]);
    check("*/20 1 * * *", NEW_YORK, "2026-11-01T06:10:00Z", &["11-02 01:00:00 -0500"]);
}

#[test]
fn an_expression_for_every_hour_goes_by_the_time_that_passes() {
    let spring = ["03-29 01:00:00 +0100", "03-29 03:00:00 +0200", "03-29 04:00:00 +0200"];
    check("0 * * * *", BERLIN, "2026-03-28T23:30:00Z", &spring);
    check("30 * * * *", BERLIN, "2026-03-29T00:00:00Z", &["03-29 01:30:00 +0100", "03-29 03:30:00 +0200"]);
    let autumn = ["10-25 02:00:00 +0200", "10-25 02:00:00 +0100", "10-25 03:00:00 +0100"];
    check("0 * * * *", BERLIN, "2026-10-24T23:30:00Z", &autumn);
    check("0 */1 * * *", BERLIN, "2026-10-24T23:30:00Z", &autumn);
    check("@hourly", BERLIN, "2026-10-24T23:30:00Z", &autumn);
    check("0 0-23 * * *", BERLIN, "2026-10-24T23:30:00Z", &autumn);
    let halves = ["11-01 01:00:00 -0400", "11-01 01:30:00 -0400", "11-01 01:00:00 -0500", "11-01 01:30:00 -0500"];
    check("*/30 * * * *", NEW_YORK, "2026-11-01T04:45:00Z", &halves);
}

#[test]
fn no_second_is_left_out_and_none_comes_twice_while_the_clock_changes() {
    for (zone, from) in [
        (BERLIN, "2026-03-29T00:59:00Z"),
        (BERLIN, "2026-10-25T00:59:00Z"),
        (BERLIN, "2026-10-25T01:59:00Z"),
        (NEW_YORK, "2026-03-08T06:59:00Z"),
        (NEW_YORK, "2026-11-01T05:59:00Z"),
    ] {
        let cadence = Cadence::cron("* * * * * *", TimeZone::get(zone).unwrap()).unwrap();
        let mut at_ms = u64::try_from(from.parse::<Timestamp>().unwrap().as_millisecond()).unwrap();
        for _ in 0..120 {
            assert_eq!(cadence.next_after(at_ms), Some(at_ms + 1_000), "{zone} at {at_ms}");
            at_ms += 1_000;
        }
    }
}

#[test]
fn two_hourly_ticks_stay_on_the_even_hours() {
    let spring = ["03-29 00:00:00 +0100", "03-29 03:00:00 +0200", "03-29 04:00:00 +0200"];
    check("0 */2 * * *", BERLIN, "2026-03-28T22:30:00Z", &spring);
    let autumn = ["10-25 00:00:00 +0200", "10-25 02:00:00 +0200", "10-25 04:00:00 +0100"];
    check("0 */2 * * *", BERLIN, "2026-10-24T21:30:00Z", &autumn);
}

#[test]
fn knows_last_days_nearest_weekdays_and_nth_weekdays() {
    check("0 0 L * *", "UTC", "2028-01-31T12:00:00Z", &["02-29 00:00:00 +0000", "03-31 00:00:00 +0000"]);
    check("0 0 15W * *", "UTC", "2026-08-01T00:00:00Z", &["08-14 00:00:00 +0000", "09-15 00:00:00 +0000"]);
    check("0 0 * * 5#L", "UTC", "2026-01-01T00:00:00Z", &["01-30 00:00:00 +0000", "02-27 00:00:00 +0000"]);
    check("0 0 * * MON#2", "UTC", "2026-01-01T00:00:00Z", &["01-12 00:00:00 +0000", "02-09 00:00:00 +0000"]);
    check("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", &["02-29 00:00:00 +0000"]);
    check("*/20 30 9 * * MON-FRI", "UTC", "2026-01-02T09:30:30Z", &["01-02 09:30:40 +0000", "01-05 09:30:00 +0000"]);
}

#[test]
fn goes_on_from_between_two_seconds() {
    let cadence = Cadence::cron("* * * * * *", TimeZone::UTC).unwrap();
    assert_eq!(cadence.next_after(1_000_000_000_500), Some(1_000_000_001_000));
    let cadence = Cadence::cron("*/10 0-22 * * *", TimeZone::UTC).unwrap();
    assert_eq!(cadence.next_after(1_000_000_200_001), Some(1_000_000_800_000));
}

#[test]
fn an_interval_counts_from_1970() {
    let quarter = Cadence::Every { every_ms: 900_000 };
    assert_eq!(
        (quarter.next_after(0), quarter.next_after(899_999), quarter.next_after(900_000)),
        (Some(900_000), Some(900_000), Some(1_800_000))
    );
    assert_eq!(quarter.next_after(u64::MAX), None);
}

#[test]
fn refuses_what_is_no_expression_or_never_comes() {
    for text in
        ["", "*", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "a b c d e", "0 0 1 1 * * 2030"]
    {
        assert!(matches!(Cadence::cron(text, TimeZone::UTC), Err(InvalidCron::Pattern(_))), "{text}");
    }
    for text in ["0 0 30 2 *", "0 0 31 4,6 *"] {
        assert!(matches!(Cadence::cron(text, TimeZone::UTC), Err(InvalidCron::Never)), "{text}");
    }
}

#[test]
fn ends_where_the_calendar_does() {
    let cadence = Cadence::cron("0 0 1 1 *", TimeZone::UTC).unwrap();
    assert_eq!(cadence.next_after(u64::MAX), None);
    assert_eq!(cadence.next_after(253_402_300_799_000), None);
}
