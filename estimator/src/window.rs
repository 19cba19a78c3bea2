//! Means, quantiles and the distribution of ordered values from the counters of a window mechanism.
//!
//! c(y): reports of y; n = sum of c; E[y | x] = a x + b, so g(y) = (y - b)/a is an unbiased x, and its mean over the
//! reports an unbiased mean. Values are bucket numbers from 0, of a count the count itself.

use hubbub_privacy::Counters;
use hubbub_randomizer::Window;

use crate::interval::z;
use crate::row::{Figure, Statistic};

/// The quantiles that are given, with their names.
const QUANTILES: [(Statistic, f64); 3] = [(Statistic::P50, 0.5), (Statistic::P90, 0.9), (Statistic::P99, 0.99)];

/// The mean, the quantiles and the share of every value. `counters` must hold at least one report.
///
/// Quantiles and shares come by expectation-maximization with smoothing: post-processed, without an error.
pub fn decode_ordered(window: &Window, counters: &Counters) -> Vec<Figure> {
    let mean = mean(window, counters, Statistic::Mean, 1.0);
    let distribution = window.distribution(counters);
    let smoothed = |statistic, value_index, estimate| Figure {
        statistic,
        value_index,
        noisy_count: None,
        estimate,
        std_error: None,
        noise_std_error: None,
        ci95: None,
        consistent: Some(estimate),
        pi1_pi0: None,
        poisoning_shift_1pct: None,
    };
    let quantiles = QUANTILES.map(|(statistic, part)| smoothed(statistic, None, quantile(&distribution, part)));
    let shares = (0_u32..).zip(&distribution).map(|(index, &share)| smoothed(Statistic::Share, Some(index), share));
    std::iter::once(mean.clone()).chain(quantiles).chain(shares).collect()
}

/// The mean of a count and its total. `counters` must hold at least one report.
pub fn decode_counts(window: &Window, counters: &Counters) -> [Figure; 2] {
    let n = counters.reports as f64;
    [(Statistic::Mean, 1.0), (Statistic::Total, n)].map(|(statistic, scale)| mean(window, counters, statistic, scale))
}

fn mean(window: &Window, counters: &Counters, statistic: Statistic, scale: f64) -> Figure {
    let n = counters.reports as f64;
    let g: Vec<f64> = (0..counters.counts.len() as u32).map(|y| window.unbiased(y)).collect();
    let over_reports = |value: &dyn Fn(u32) -> f64| -> f64 {
        (0_u32..).zip(&counters.counts).map(|(y, &count)| count as f64 * value(y)).sum::<f64>() / n
    };
    let mean = over_reports(&|y| g[y as usize]);
    // Equal reports show no spread, and an interval of no width would be a lie.
    let different = counters.counts.iter().filter(|&&count| count > 0).count() > 1;
    let variance = over_reports(&|y| (g[y as usize] - mean).powi(2));
    let std_error = different.then(|| (variance / n).sqrt());
    let last = f64::from(window.values() as u32 - 1);
    // Of g^2 what the noise makes is what x^2 does not.
    let noise = over_reports(&|y| g[y as usize].powi(2) - window.unbiased_square(y)).max(0.0);
    Figure {
        statistic,
        value_index: None,
        noisy_count: None,
        estimate: scale * mean,
        std_error: std_error.map(|error| scale * error),
        noise_std_error: Some(scale * (noise / n).sqrt()),
        ci95: std_error.map(|error| (scale * (mean - z() * error), scale * (mean + z() * error))),
        consistent: Some(scale * mean.clamp(0.0, last)),
        pi1_pi0: None,
        poisoning_shift_1pct: Some(scale * 0.01 * window.poisoning_gain() * last),
    }
}

/// The first value at which the distribution function reaches `part`.
fn quantile(distribution: &[f64], part: f64) -> f64 {
    let reached = distribution.iter().scan(0.0, |sum, share| {
        *sum += share;
        Some(*sum)
    });
    // Rounding may leave the whole sum a little below 1.
    reached.take(distribution.len() - 1).filter(|reached| *reached < part).count() as f64
}
