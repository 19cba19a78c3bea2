//! How long answers took, in buckets of 3 %.

use std::time::Duration;

/// Buckets to a doubling.
const STEPS: f64 = 24.0;
/// From a microsecond up to more than an hour.
const BUCKETS: usize = 24 * 32;

/// A histogram of durations.
#[derive(Debug, Clone)]
pub struct Latencies(Vec<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(vec![0; BUCKETS])
    }
}

impl Latencies {
    /// Counts one.
    pub fn add(&mut self, latency: Duration) {
        let bucket = (latency.as_secs_f64() * 1e6).max(1.0).log2() * STEPS;
        self.0[(bucket as usize).min(BUCKETS - 1)] += 1;
    }

    /// The upper edge of the bucket that holds the given share of all, in milliseconds; 0 when there are none.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let rank = (self.0.iter().sum::<u64>() as f64 * share).ceil() as u64;
        let mut seen = 0;
        let bucket = self.0.iter().position(|count| {
            seen += count;
            seen >= rank && seen > 0
        });
        bucket.map_or(0.0, |bucket| 2f64.powf((bucket + 1) as f64 / STEPS) / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket_of_the_truth() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile_ms(0.5), 0.0);
        (1..=1000).for_each(|ms| latencies.add(Duration::from_millis(ms)));
        for (share, truth) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = latencies.quantile_ms(share);
            assert!((truth..truth * 1.03).contains(&found), "{share}: {found} ms");
        }
    }
}
