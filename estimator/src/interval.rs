//! Confidence intervals.

use statrs::distribution::{ContinuousCDF, Normal};

/// What every `ci95` promises.
const CONFIDENCE: f64 = 0.95;

/// Standard errors to either side of the estimate that hold [`CONFIDENCE`] of a normal law.
pub fn z() -> f64 {
    Normal::standard().inverse_cdf(0.5 + CONFIDENCE / 2.0)
}

/// Wilson's score interval for a proportion of which `count` of `n > 0` were seen: unlike the plain normal one it has
/// its coverage at small n and near 0 and 1, and is never empty.
pub fn wilson(count: u64, n: u64) -> (f64, f64) {
    let (n, mu, z) = (n as f64, count as f64 / n as f64, z());
    let shrink = 1.0 + z * z / n;
    let centre = (mu + z * z / (2.0 * n)) / shrink;
    let half = z * (mu * (1.0 - mu) / n + z * z / (4.0 * n * n)).sqrt() / shrink;
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_gives_the_published_figures() {
        // Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        for (count, n, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let (found_low, found_high) = wilson(count, n);
            assert!((found_low - low).abs() < 5e-5 && (found_high - high).abs() < 5e-5, "{count}/{n}");
        }
        assert!((wilson(20, 20).0 - (1.0 - 0.1611)).abs() < 5e-5);
        assert_eq!(wilson(20, 20).1, 1.0);
    }
}
