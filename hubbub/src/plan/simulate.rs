//! Realised errors: seeded populations answer through the real mechanism, and the truth is known.

use std::collections::BTreeSet;

use hubbub_privacy::{Counters, Domain, Value};
use hubbub_randomizer::Mechanism;
use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use rand_distr::{Distribution, Zipf};
use serde_json::json;

/// More reports a run show nothing more about a ratio of errors.
const MAX_REPORTS: u64 = 1_000_000;
/// What all runs of all metrics may take together, about a minute: one for a report of one index, more for longer ones.
const MAX_WORK: u64 = 100_000_000;
/// How many values a report draws from for one more unit of work.
const VALUES_PER_WORK: u64 = 16;
/// Zipf's exponent for labels, items, buckets and counts: a few common ones and a long tail, as real answers have.
const SKEW: f64 = 1.0;
/// Standard errors to either side that hold 99.9 % of a normal law: of a table of twenty metrics, one in fifty has a ratio
/// outside its band by chance.
const Z999: f64 = 3.290_526_731_491_926;

/// How a simulation is made.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// How often everybody is asked.
    pub runs: u32,
    /// How many metrics share the work.
    pub metrics: u64,
}

impl Effort {
    /// How many of `reports` are simulated in each run.
    pub fn affordable(&self, mechanism: &Mechanism, reports: u64) -> u64 {
        let work = match mechanism {
            Mechanism::Subset(subset) if subset.k() > 1 => 1 + subset.width() as u64 / VALUES_PER_WORK,
            _ => 1,
        };
        let share = MAX_WORK / (u64::from(self.runs) * self.metrics.max(1) * work);
        reports.min(MAX_REPORTS).min(share.max(1))
    }
}

/// Predicted and realised errors of the same runs. Root mean squares over runs, and over values where shares are
/// estimated; in units of the estimate.
#[derive(Debug, Clone, Copy)]
pub struct Realized {
    /// Reports in each run.
    pub reports: u64,
    /// Runs.
    pub runs: u32,
    /// The prediction for exactly these devices.
    pub predicted: f64,
    /// What came out.
    pub realized: f64,
    /// Where `ratio` lies in 999 of 1000 simulations if the prediction is right.
    pub band: (f64, f64),
}

impl Realized {
    /// Realised over predicted.
    pub fn ratio(&self) -> f64 {
        self.realized / self.predicted
    }

    /// Whether the ratio lies in its band.
    pub fn agrees(&self) -> bool {
        (self.band.0..=self.band.1).contains(&self.ratio())
    }

    /// Everything, for programs.
    pub fn to_json(self) -> serde_json::Value {
        json!({
            "reports": self.reports,
            "runs": self.runs,
            "rmse_predicted": self.predicted,
            "rmse_realized": self.realized,
            "ratio": self.ratio(),
            "ratio_band_999": [self.band.0, self.band.1],
            "agrees": self.agrees(),
        })
    }
}

/// Devices with a skewed truth: Zipf's law over the values in order; a set has a uniform size and items of that law.
struct Devices<'a> {
    domain: &'a Domain,
    values: Zipf<f64>,
}

impl Devices<'_> {
    fn index(&self, rng: &mut ChaCha20Rng) -> u32 {
        // Rounding may give the one behind the last.
        (self.values.sample(rng) as u32).clamp(1, self.domain.size() as u32) - 1
    }

    fn draw(&self, rng: &mut ChaCha20Rng) -> Value {
        match self.domain {
            Domain::Set { max_items, .. } => {
                let size = rng.random_range(0..=*max_items);
                let items: BTreeSet<u32> = (0..size).map(|_| self.index(rng)).collect();
                Value::Items(items.into_iter().collect())
            }
            _ => Value::Index(self.index(rng)),
        }
    }
}

/// Asks `reports` devices in each of `runs` runs, new ones each time. `tick` is told of every report.
pub fn simulate(
    mechanism: &Mechanism,
    domain: &Domain,
    reports: u64,
    runs: u32,
    rng: &mut ChaCha20Rng,
    mut tick: impl FnMut(),
) -> Realized {
    let d = domain.size();
    let values = Zipf::new(d as f64, SKEW).expect("domains have values, and the exponent is a positive constant");
    let devices = Devices { domain, values };
    let (mut squares, mut predicted, mut freedom) = (Vec::new(), 0.0, f64::INFINITY);
    for _ in 0..runs {
        let mut counters = Counters::new(mechanism.counters());
        let mut holders = vec![0u64; d];
        for _ in 0..reports {
            let value = devices.draw(rng);
            match &value {
                Value::Index(index) => holders[*index as usize] += 1,
                Value::Items(items) => items.iter().for_each(|&item| holders[item as usize] += 1),
            }
            let Ok(payload) = mechanism.randomize(&value, rng);
            mechanism.fold(&payload, &mut counters).expect("a mechanism's report is one of its outputs");
            tick();
        }
        let truth: Vec<f64> = if mechanism.estimates_mean() {
            let sum: f64 = (0..).zip(&holders).map(|(x, &count)| f64::from(x) * count as f64).sum();
            vec![sum / reports as f64]
        } else {
            holders.iter().map(|&count| count as f64 / reports as f64).collect()
        };
        let estimates = mechanism.estimates(&counters);
        let squared: f64 = estimates.iter().zip(&truth).map(|(estimate, truth)| (estimate - truth).powi(2)).sum();
        let variances = mechanism.noise_variances(&holders, reports);
        squares.push(squared / truth.len() as f64);
        predicted += variances.iter().sum::<f64>() / (reports as f64 * truth.len() as f64);
        freedom = freedom.min(freedom_of(&variances, mechanism));
    }
    let n = f64::from(runs);
    let mean = squares.iter().sum::<f64>() / n;
    // Errors of few reports have longer tails than the normal law's; then the runs themselves vary more, and are believed.
    let spread = squares.iter().map(|square| (square - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let freedom = freedom.min(2.0 * mean * mean / spread);
    let quantile = |z: f64| chi_square_over_freedom(n * freedom, z).max(0.0).sqrt();
    Realized {
        reports,
        runs,
        predicted: (predicted / n).sqrt(),
        realized: mean.sqrt(),
        band: (quantile(-Z999), quantile(Z999)),
    }
}

/// Of how many independent normal errors of equal size the squared error of all estimates together varies as much
/// (Satterthwaite). The counts of D values that a report supports a fixed number of are correlated by -1/(D-1).
fn freedom_of(variances: &[f64], mechanism: &Mechanism) -> f64 {
    let (sum, squares) = variances.iter().fold((0.0, 0.0), |(sum, squares), v| (sum + v, squares + v * v));
    let correlated = match mechanism {
        Mechanism::Window(_) | Mechanism::FoldedGeometric(_) => 0.0,
        Mechanism::Subset(subset) => 1.0 / (subset.width() as f64 - 1.0).powi(2),
        Mechanism::Cyclotomic(family) => 1.0 / (f64::from(family.prime()) - 1.0).powi(2),
    };
    sum * sum / (squares + (sum * sum - squares) * correlated)
}

/// The quantile of a chi-square law over its degrees of freedom, by the cube root's near normality (Wilson, Hilferty 1931).
fn chi_square_over_freedom(freedom: f64, z: f64) -> f64 {
    let ninth = 2.0 / (9.0 * freedom);
    (1.0 - ninth + z * ninth.sqrt()).powi(3)
}

#[cfg(test)]
mod tests {
    use hubbub_privacy::Goal;
    use hubbub_randomizer::choice::Shape;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn labels(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("v{index}")).collect()
    }

    fn domains() -> Vec<Domain> {
        let category = |count| Domain::Categorical { values: labels(count), absent: None, other: None };
        vec![
            Domain::Boolean,
            category(12),
            category(300),
            Domain::Ordered { edges: (0..=30).collect(), goal: Goal::Mean, absent: 0 },
            Domain::Count { max: 12 },
            Domain::Set { values: labels(40), max_items: 4 },
        ]
    }

    fn run(domain: &Domain, name: &str, seed: u64, reports: u64) -> Realized {
        let mechanism = Shape::of(domain).choose(name, "1".parse().unwrap()).unwrap().mechanism;
        simulate(&mechanism, domain, reports, 20, &mut ChaCha20Rng::seed_from_u64(seed), || ())
    }

    #[test]
    fn chi_square_quantiles_are_those_of_the_tables() {
        // 0.05 % and 99.95 % points: of 20 degrees 5.398 and 47.498, of 100 degrees 59.90 and 153.17.
        for (freedom, low, high) in [(20.0, 5.398, 47.498), (100.0, 59.90, 153.17)] {
            for (z, expected) in [(-Z999, low), (Z999, high)] {
                let found = freedom * chi_square_over_freedom(freedom, z);
                assert!((found / expected - 1.0).abs() < 0.025, "{freedom} {z}: {found}");
            }
        }
    }

    #[test]
    fn errors_are_as_predicted() {
        for domain in domains() {
            for seed in 0..5 {
                let realized = run(&domain, "auto", seed, 400);
                assert!(realized.agrees(), "{} {realized:?}", domain.kind());
            }
        }
        assert!(run(&Domain::Count { max: 12 }, "folded_geometric", 1, 400).agrees());
    }

    #[test]
    fn an_error_that_is_not_as_predicted_is_seen() {
        // Devices that answer at epsilon 1, judged as if at epsilon 0.8.
        let domain = Domain::Categorical { values: labels(40), absent: None, other: None };
        let judged = Shape::of(&domain).choose("auto", "0.8".parse().unwrap()).unwrap().mechanism;
        let realized = run(&domain, "auto", 1, 400);
        let weaker = simulate(&judged, &domain, 400, 20, &mut ChaCha20Rng::seed_from_u64(1), || ());
        assert!(!Realized { predicted: weaker.predicted, ..realized }.agrees(), "{realized:?} {weaker:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_errors() {
        let of = |seed| run(&Domain::Boolean, "auto", seed, 50).realized.to_bits();
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
    }

    #[test]
    fn work_is_bounded() {
        let sets = Domain::Set { values: labels(500), max_items: 16 };
        let mechanism = |domain| Shape::of(domain).choose("auto", "1".parse().unwrap()).unwrap().mechanism;
        let effort = Effort { runs: 20, metrics: 1 };
        assert_eq!(effort.affordable(&mechanism(&Domain::Boolean), 500), 500);
        assert_eq!(effort.affordable(&mechanism(&Domain::Boolean), u64::MAX), MAX_REPORTS);
        assert_eq!(effort.affordable(&mechanism(&sets), u64::MAX), MAX_WORK / (20 * (1 + 516 / 16)));
        let many = Effort { runs: 1000, metrics: 1_000_000 };
        assert_eq!(many.affordable(&mechanism(&sets), u64::MAX), 1);
    }
}
