//! Shares of values from the counters of a subset mechanism.
//!
//! C: reports that support a value; n: all reports; mu = C / n; f: the share; pi1, pi0: the chances that a report
//! supports a value that is, is not, its device's. E[mu] = f pi1 + (1 - f) pi0, so f = (mu - pi0) / (pi1 - pi0).

use hubbub_privacy::Counters;
use hubbub_randomizer::Subset;

use crate::interval::wilson;
use crate::row::{Figure, Statistic};
use crate::simplex;

/// One figure per value, in the order of the registry. `counters` must hold at least one report.
pub fn decode(subset: &Subset, counters: &Counters) -> Vec<Figure> {
    let (n, pi1, pi0) = (counters.reports as f64, subset.pi1(), subset.pi0());
    let gain = pi1 - pi0;
    let share_of = |mu: f64| (mu - pi0) / gain;
    let shares = subset.shares(counters);
    let consistent = simplex::project(&shares);
    let values = counters.counts.iter().zip(shares).zip(consistent).zip(0_u32..);
    values
        .map(|(((&count, share), consistent), index)| {
            let mu = count as f64 / n;
            let f = share.clamp(0.0, 1.0);
            let noise = f * pi1 * (1.0 - pi1) + (1.0 - f) * pi0 * (1.0 - pi0);
            let (low, high) = wilson(count, counters.reports);
            Figure {
                statistic: Statistic::Share,
                value_index: Some(index),
                noisy_count: Some(count),
                estimate: share,
                std_error: Some((mu * (1.0 - mu) / n).sqrt() / gain),
                noise_std_error: Some((noise / n).sqrt() / gain),
                ci95: Some((share_of(low), share_of(high))),
                consistent: Some(consistent),
                pi1_pi0: Some((pi1, pi0)),
                poisoning_shift_1pct: 0.01 * (1.0 - pi0) / gain,
            }
        })
        .collect()
}
