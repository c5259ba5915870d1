//! The only place that reads the time, draws ids and draws chance. Everything else gets them as arguments.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use uuid::Uuid;

/// Unix milliseconds by the system's clock.
#[expect(clippy::disallowed_methods, reason = "this is the one reading of the clock")]
pub fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// Unix milliseconds as RFC 3339 in UTC: `2026-01-31T12:00:00.000Z`. What is beyond the calendar is its last moment.
pub fn rfc3339(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX);
    format!("{time:.3}")
}

/// A new UUID of version 7: ordered by time.
#[expect(clippy::disallowed_methods, reason = "this is the one source of ids")]
pub fn new_uuid() -> Uuid {
    Uuid::now_v7()
}

/// A number that is uniform over `u64`, from the operating system.
pub fn chance() -> u64 {
    let mut bytes = [0_u8; 8];
    fill_random(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Fills the buffer with random bytes that are fit for secrets.
pub fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system has a random source");
}
