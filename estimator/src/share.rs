//! Shares of values from the counters of a subset or cyclotomic mechanism.
//!
//! C: reports that support a value; n: all reports; mu = C / n; f: the share; pi1, pi0: the chances that a report
//! supports a value that is, is not, its device's. E[mu] = f pi1 + (1 - f) pi0, so f = (mu - pi0) / (pi1 - pi0).

use hubbub_privacy::Counters;
use hubbub_randomizer::{Cyclotomic, Subset, Support};

use crate::interval::wilson;
use crate::row::{Figure, Statistic};
use crate::simplex;

/// One figure per value of a boolean or category, in the order of the registry. `counters` must hold at least one report.
pub fn decode(subset: &Subset, counters: &Counters) -> Vec<Figure> {
    let shares = |shares: &[f64]| simplex::project(shares);
    figures(subset.support(), &counters.counts[..subset.values()], counters.reports, shares)
}

/// One figure per value of a set; a device may have several. `counters` must hold at least one report.
pub fn decode_sets(subset: &Subset, counters: &Counters) -> Vec<Figure> {
    let clamped = |shares: &[f64]| shares.iter().map(|share| share.clamp(0.0, 1.0)).collect();
    figures(subset.support(), &counters.counts[..subset.values()], counters.reports, clamped)
}

/// One figure per value of a category of many values. `counters` must hold at least one report.
pub fn decode_cyclotomic(cyclotomic: &Cyclotomic, counters: &Counters) -> Vec<Figure> {
    let project = |shares: &[f64]| simplex::project(shares);
    figures(cyclotomic.support(), &cyclotomic.supporting(counters), counters.reports, project)
}

/// The figures of values that `supporting` of `reports` support.
fn figures(
    support: &Support,
    supporting: &[u64],
    reports: u64,
    consistent: impl Fn(&[f64]) -> Vec<f64>,
) -> Vec<Figure> {
    let (n, pi1, pi0) = (reports as f64, support.pi1(), support.pi0());
    let gain = pi1 - pi0;
    let share_of = |mu: f64| (mu - pi0) / gain;
    let shares: Vec<f64> = supporting.iter().map(|&count| support.share(count, reports)).collect();
    let consistent = consistent(&shares);
    let values = supporting.iter().zip(shares).zip(consistent).zip(0_u32..);
    values
        .map(|(((&count, share), consistent), index)| {
            let mu = count as f64 / n;
            let f = share.clamp(0.0, 1.0);
            let (low, high) = wilson(count, reports);
            Figure {
                statistic: Statistic::Share,
                value_index: Some(index),
                noisy_count: Some(count),
                estimate: share,
                std_error: Some((mu * (1.0 - mu) / n).sqrt() / gain),
                noise_std_error: Some((support.noise_variance(f) / n).sqrt()),
                ci95: Some((share_of(low), share_of(high))),
                consistent: Some(consistent),
                pi1_pi0: Some((pi1, pi0)),
                poisoning_shift_1pct: Some(0.01 * support.poisoning_gain()),
            }
        })
        .collect()
}
