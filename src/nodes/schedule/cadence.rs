//! When the ticks of a schedule are. Pure: times come in as arguments, zones from the IANA database.
//!
//! Clocks that change: where the hours of a cron expression are all hours, it goes by the time that passes, so every real hour
//! has its ticks. Otherwise it goes by the clock on the wall: what falls into an hour that is left out fires once, at its end,
//! and an hour that comes twice counts the first time. The `every` of a schedule knows no zone.

use croner::{
    Cron,
    errors::CronError,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    Timestamp, Zoned,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};

use crate::model::schedule::Ticks;

/// A year before every schedule, 2000-01-01: an expression that has no tick after it never has one.
const EPOCH_MS: u64 = 946_684_800_000;
/// Hours of a day.
const HOURS: usize = 24;

/// When the ticks are.
#[derive(Debug, Clone)]
pub enum Cadence {
    /// At the multiples of an interval since 1970: known without a start, so every process agrees.
    Every {
        every_ms: u64,
    },
    /// Once.
    At {
        at_ms: u64,
    },
    Cron(Box<CronCadence>),
}

/// A cron expression in a zone.
#[derive(Debug, Clone)]
pub struct CronCadence {
    cron: Cron,
    zone: TimeZone,
    /// Whether real time counts, and not the clock on the wall.
    is_every_hour: bool,
}

/// Why a text is no cron expression.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCron {
    #[error("{0}")]
    Pattern(#[source] CronError),
    #[error("no date ever fits")]
    Never,
}

impl Cadence {
    /// A cron expression of 5 or 6 fields.
    ///
    /// Errors: see [`InvalidCron`].
    pub fn cron(text: &str, zone: TimeZone) -> Result<Self, InvalidCron> {
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(InvalidCron::Pattern)?;
        let is_every_hour = cron.pattern.hours.values().len() == HOURS;
        let cadence = Self::Cron(Box::new(CronCadence { cron, zone, is_every_hour }));
        if cadence.next_after(EPOCH_MS).is_none() { Err(InvalidCron::Never) } else { Ok(cadence) }
    }
}

impl Ticks for Cadence {
    fn next_after(&self, at_ms: u64) -> Option<u64> {
        match self {
            Self::Every { every_ms } => (at_ms / every_ms).checked_add(1)?.checked_mul(*every_ms),
            Self::At { at_ms: tick } => Some(*tick).filter(|tick| *tick > at_ms),
            Self::Cron(cron) => cron.next_after(at_ms),
        }
    }
}

impl CronCadence {
    fn next_after(&self, at_ms: u64) -> Option<u64> {
        let after = Timestamp::from_millisecond(i64::try_from(at_ms).ok()?).ok()?.to_zoned(self.zone.clone());
        let next =
            if self.is_every_hour { self.cron.find_next_occurrence(&after, false).ok()? } else { self.next_on_the_wall(&after)? };
        u64::try_from(next.timestamp().as_millisecond()).ok()
    }

    fn next_on_the_wall(&self, after: &Zoned) -> Option<Zoned> {
        let mut shown = self.repeated_until(after).unwrap_or_else(|| after.datetime());
        loop {
            shown = self.cron.find_next_occurrence(&shown, false).ok()?;
            let time = self.zone.to_ambiguous_zoned(shown);
            let real = match time.offset() {
                AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => time.earlier().ok()?,
                AmbiguousOffset::Gap { .. } => self.end_of_gap(&time.later().ok()?)?,
            };
            // The end of the gap that the last tick was moved to: the others of the gap are one with it.
            if real.timestamp() > after.timestamp() {
                return Some(real);
            }
        }
    }

    /// Where a time is in the second half of an hour that comes twice: the last second of it on the wall, which is over already.
    fn repeated_until(&self, at: &Zoned) -> Option<DateTime> {
        let twice = self.zone.to_ambiguous_zoned(at.datetime());
        let AmbiguousOffset::Fold { before, .. } = twice.offset() else { return None };
        if at.timestamp() < twice.later().ok()?.timestamp() {
            return None;
        }
        let turned = self.change_before(at)?;
        before.to_datetime(turned).checked_sub(jiff::Span::new().seconds(1)).ok()
    }

    /// The first moment after the hour that is left out. `later` is a time in it as if it were not.
    fn end_of_gap(&self, later: &Zoned) -> Option<Zoned> {
        Some(self.change_before(later)?.to_zoned(self.zone.clone()))
    }

    /// The last change of the clock at a time or before it.
    fn change_before(&self, at: &Zoned) -> Option<Timestamp> {
        let just_after = at.timestamp().checked_add(jiff::SignedDuration::from_nanos(1)).ok()?;
        self.zone.preceding(just_after).next().map(|change| change.timestamp())
    }
}

#[cfg(test)]
mod tests;
