//! Mean and total of counts from the counters of a folded geometric mechanism.
//!
//! c(y): reports of y; n = sum of c; P(y | x): the chance that a device with count x reports y. g is the function with
//! E[g(y) | x] = x, so the mean of g over the reports is an unbiased mean of x.

use hubbub_privacy::Counters;
use hubbub_randomizer::FoldedGeometric;

use crate::interval::z;
use crate::row::{Figure, Statistic};

/// The mean over the devices that answered, and their total. `counters` must hold at least one report.
pub fn decode(mechanism: &FoldedGeometric, counters: &Counters) -> [Figure; 2] {
    let n = counters.reports as f64;
    let over_reports = |values: &[f64]| -> f64 {
        counters.counts.iter().zip(values).map(|(&count, value)| count as f64 * value).sum::<f64>() / n
    };
    let g = mechanism.unbiased(f64::from);
    let mean = over_reports(&g);
    let squares: Vec<f64> = g.iter().map(|g| (g - mean).powi(2)).collect();
    // Equal reports show no spread, and an interval of no width would be a lie.
    let different = counters.counts.iter().filter(|&&count| count > 0).count() > 1;
    let std_error = different.then(|| (over_reports(&squares) / n).sqrt());
    let h = mechanism.unbiased(|x| noise_variance(mechanism, &g, x));
    let noise_std_error = (over_reports(&h).max(0.0) / n).sqrt();
    let poisoning = mechanism.poisoning_gain() * f64::from(mechanism.max());

    [(Statistic::Mean, 1.0), (Statistic::Total, n)].map(|(statistic, scale)| Figure {
        statistic,
        value_index: None,
        noisy_count: None,
        estimate: scale * mean,
        std_error: std_error.map(|error| scale * error),
        noise_std_error: Some(scale * noise_std_error),
        ci95: std_error.map(|error| (scale * (mean - z() * error), scale * (mean + z() * error))),
        consistent: Some(scale * mean.clamp(0.0, f64::from(mechanism.max()))),
        pi1_pi0: None,
        poisoning_shift_1pct: Some(scale * 0.01 * poisoning),
    })
}

/// The variance of g(y) that the noise makes for a device whose count is x.
fn noise_variance(mechanism: &FoldedGeometric, g: &[f64], x: u32) -> f64 {
    let x_squared = f64::from(x).powi(2);
    (0_u32..).zip(g).map(|(y, g)| mechanism.chance(x, y) * g * g).sum::<f64>() - x_squared
}
