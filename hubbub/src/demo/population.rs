//! The simulated population: a known, skewed truth for every metric.

use hubbub_privacy::{Domain, Metric, Value};
use rand_chacha::ChaCha20Rng;
use rand_distr::weighted::WeightedAliasIndex;
use rand_distr::{Beta, Distribution};

use super::DemoError;
use crate::demo::uniform_order;

/// Zipf's exponent for labels and counts: a few common values and a long tail, as real answers have.
const SKEW: f64 = 1.2;

/// The true distribution of one metric over the population.
pub struct Truth {
    shares: Vec<f64>,
    sampler: WeightedAliasIndex<f64>,
}

impl Truth {
    /// A skewed distribution over the metric's domain: for booleans a share from Beta(1, 3); for categories Zipf's law in
    /// random order; for counts Zipf's law in ascending order.
    ///
    /// # Errors
    /// When the domain is one that has no distribution here.
    pub fn draw(metric: &Metric, rng: &mut ChaCha20Rng) -> Result<Self, DemoError> {
        let d = metric.domain.size();
        let zipf = |rank: usize| (rank as f64 + 1.0).powf(-SKEW);
        let weights: Vec<f64> = match &metric.domain {
            Domain::Boolean => {
                let share = Beta::new(1.0, 3.0).expect("the parameters are positive").sample(rng);
                vec![1.0 - share, share]
            }
            Domain::Categorical { .. } => {
                let mut weights = vec![0.0; d];
                uniform_order(d, rng).into_iter().enumerate().for_each(|(rank, index)| weights[index] = zipf(rank));
                weights
            }
            Domain::Count { .. } => (0..d).map(zipf).collect(),
            Domain::Ordered { .. } | Domain::Set { .. } => {
                return Err(DemoError::Domain { metric: metric.name.clone(), kind: metric.domain.kind() });
            }
        };
        let total: f64 = weights.iter().sum();
        let shares: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        let sampler = WeightedAliasIndex::new(shares.clone()).expect("shares are positive and sum to one");
        Ok(Self { shares, sampler })
    }

    /// One device's true value.
    pub fn sample(&self, rng: &mut ChaCha20Rng) -> Value {
        Value::Index(self.sampler.sample(rng) as u32)
    }

    /// The true share of every index.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// The true mean of a count.
    pub fn mean(&self) -> f64 {
        self.shares.iter().enumerate().map(|(count, share)| count as f64 * share).sum()
    }
}
