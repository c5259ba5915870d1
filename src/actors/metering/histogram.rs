//! Counts durations in buckets that grow by halves of powers of two, so that quantiles cost no memory per sample. Written from
//! many threads at once; a reader may see a sample in one bucket before its neighbours, which is fine for a display.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Buckets: 0 µs, 1 µs, then two per power of two up to 2^30 µs (18 minutes); the last one takes everything above.
const BUCKETS: usize = 60;

/// Durations since the start of whoever owns it, in microseconds.
#[derive(Debug)]
pub(super) struct Histogram {
    counts: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

/// A histogram at one moment, as dashboards read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// How many durations were shorter than a bound, in microseconds: for growing bounds, over all from zero on.
    pub below_us: Vec<(u64, u64)>,
    /// All of them.
    pub count: u64,
    pub sum_us: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU64::new(0)), sum_us: AtomicU64::new(0) }
    }
}

impl Histogram {
    pub(super) fn record(&self, duration: Duration) {
        self.counts[bucket(duration)].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// How many durations were recorded.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }

    /// The counts below every second power of two: a quarter of the buckets, which is what a time series is worth.
    pub(super) fn distribution(&self) -> Distribution {
        let mut below_us = Vec::with_capacity(BUCKETS / 4);
        let mut count = 0;
        for (index, bucket) in self.counts.iter().enumerate() {
            count += bucket.load(Relaxed);
            if index % 4 == 3 && index + 1 < BUCKETS {
                below_us.push((last_us(index) + 1, count));
            }
        }
        Distribution { below_us, count, sum_us: self.sum_us.load(Relaxed) }
    }

    /// The duration that `percent` of the recorded ones do not exceed, in microseconds, rounded up to the end of its bucket:
    /// never too small, at most 1.5 times too large. `None` without samples.
    pub(super) fn quantile_us(&self, percent: u64) -> Option<u64> {
        let counts: Vec<u64> = self.counts.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let rank = (total.saturating_mul(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        counts.iter().enumerate().find_map(|(index, count)| {
            seen += count;
            (seen >= rank).then(|| last_us(index))
        })
    }
}

/// The bucket of a duration.
fn bucket(duration: Duration) -> usize {
    let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    if us < 2 {
        return usize::from(us == 1);
    }
    let octave = us.ilog2();
    let upper_half = usize::from((us >> (octave - 1)) & 1 == 1);
    let octave = usize::try_from(octave).expect("below 64");
    (2 * octave + upper_half).min(BUCKETS - 1)
}

/// The longest duration that belongs to a bucket, in microseconds.
fn last_us(index: usize) -> u64 {
    match index {
        0 | 1 => u64::from(index == 1),
        _ if index.is_multiple_of(2) => (3 << (index / 2 - 1)) - 1,
        _ => (4 << (index / 2 - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_within_its_bucket() {
        for us in (0..5_000).chain([65_535, 65_536, 98_303, 98_304, 1_000_000, 536_870_911]) {
            let index = bucket(Duration::from_micros(us));
            assert!(us <= last_us(index), "{us} µs lies above bucket {index}");
            assert!(index == 0 || us > last_us(index - 1), "{us} µs lies below bucket {index}");
        }
    }

    #[test]
    fn the_last_bucket_takes_what_is_longer() {
        assert_eq!(bucket(Duration::from_secs(86_400)), BUCKETS - 1);
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_round_up_to_the_end_of_a_bucket() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile_us(50), None);
        for us in 1..=100 {
            histogram.record(Duration::from_micros(us));
        }
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.quantile_us(50), Some(63));
        assert_eq!(histogram.quantile_us(99), Some(127));
        assert_eq!(histogram.quantile_us(0), Some(1));
    }

    #[test]
    fn a_distribution_counts_what_is_below_each_bound() {
        let histogram = Histogram::default();
        for us in [0, 3, 4, 15, 16, 1_000_000, 4_000_000_000] {
            histogram.record(Duration::from_micros(us));
        }
        let seen = histogram.distribution();
        let below = |bound| seen.below_us.iter().find(|(known, _)| *known == bound).map(|(_, count)| *count);
        assert_eq!((below(4), below(16), below(64)), (Some(2), Some(4), Some(5)));
        assert_eq!((seen.count, seen.sum_us), (7, 4_001_000_038));
        assert_eq!(seen.below_us.last().map(|(_, count)| *count), Some(6), "the last bucket has no bound");
        assert!(seen.below_us.is_sorted());
    }
}
