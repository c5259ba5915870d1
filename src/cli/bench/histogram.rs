//! Latencies in buckets: exact below 256 microseconds, above it within one percent, in constant space.

use std::time::Duration;

/// Buckets per doubling: each is less than a percent of its times wide.
const STEPS: u64 = 128;
/// `log2` of [`STEPS`].
const STEP_BITS: u32 = 7;
/// Longest time that has a bucket of its own, in microseconds: more than an hour. What is longer counts as this long.
const MICROS_MAX: u64 = (1 << 32) - 1;
/// Number of buckets: one per microsecond below 256, and [`STEPS`] for each of the 24 doublings above.
const BUCKETS: usize = 256 + 24 * 128;

/// Times that were measured.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, max: Duration::ZERO }
    }
}

impl Histogram {
    /// Counts one time.
    pub(super) fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(micros)] += 1;
        self.count += 1;
        self.max = self.max.max(time);
    }

    /// Takes in what another one has counted.
    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// How many times were counted.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The longest time, exactly.
    pub(super) fn max(&self) -> Duration {
        self.max
    }

    /// The time that `percent` of the times do not exceed; zero if there are none.
    pub(super) fn percentile(&self, percent: u64) -> Duration {
        let wanted = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (index, count) in (0..).zip(&self.buckets) {
            seen += count;
            if seen >= wanted {
                return Duration::from_micros(end_of(index)).min(self.max);
            }
        }
        Duration::ZERO
    }
}

/// The bucket of a time.
fn bucket_of(micros: u64) -> usize {
    let micros = micros.min(MICROS_MAX);
    let doublings = (u64::BITS - micros.leading_zeros()).saturating_sub(STEP_BITS + 1);
    let index = u64::from(doublings) * STEPS + (micros >> doublings);
    usize::try_from(index).expect("a bucket's index is small")
}

/// The longest time of a bucket, in microseconds.
fn end_of(index: u64) -> u64 {
    let doublings = (index / STEPS).saturating_sub(1);
    let step = index - doublings * STEPS;
    ((step + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_time_within_a_percent() {
        for micros in (0..3_000).chain([10_000, 65_535, 65_536, 1_234_567, MICROS_MAX - 1, MICROS_MAX]) {
            let end = end_of(u64::try_from(bucket_of(micros)).unwrap());
            assert!(end >= micros && end - micros <= micros / 100, "{micros} is kept as {end}");
        }
        assert_eq!(bucket_of(u64::MAX), bucket_of(MICROS_MAX));
    }

    #[test]
    fn counts_percentiles() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50), Duration::ZERO);
        (1..=100).for_each(|millis| histogram.record(Duration::from_millis(millis)));
        let mut other = Histogram::default();
        other.record(Duration::from_secs(9));
        histogram.merge(&other);
        assert_eq!((histogram.count(), histogram.max()), (101, Duration::from_secs(9)));
        let p50 = histogram.percentile(50).as_micros();
        assert!((51_000..52_000).contains(&p50), "{p50}");
        assert_eq!(histogram.percentile(100), Duration::from_secs(9));
    }
}
