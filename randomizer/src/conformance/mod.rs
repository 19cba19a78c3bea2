//! The kit that every mechanism and every device must pass, and that must reject every planted mutant.
//!
//! [`check`] looks at a mechanism only through [`Law`]: it enumerates the declared law exactly, puts scripted words on
//! both sides of every edge of the sampler's coin, and holds the sampler's draws against the law. Statistical verdicts
//! use a Chernoff bound, which holds for every number of draws, so a correct sampler fails with probability at most
//! [`FALSE_ALARM`] per run; n runs with seeds of their own raise an alarm with probability at most n [`FALSE_ALARM`].
//!
//! [`device::check_respondent`] looks at a device only through [`device::Respondent`].

mod chernoff;
mod coin;
pub mod device;
mod independence;
mod sampler;
mod scripted;
mod violation;

use dashu_ratio::RBig;
use hubbub_privacy::{Payload, Value};
use rand_core::TryCryptoRng;

use crate::ExpBound;
pub use chernoff::FALSE_ALARM;
pub use scripted::{OutOfWords, ScriptedRng, SplitMix};
pub use violation::Violation;

/// Reports that [`check`] draws over all inputs together. Where the coin is what is wrong, no draw is needed: its edges
/// are checked exactly. What is left to draws is everything after the coin. With d inputs, an output of probability p
/// whose law is off by a factor 1 + r shows as n KL = (DRAWS / d) p r^2 / (2 (1 - p)), against a limit of about 22: found
/// out are 1.5 % at p = 0.5 and two inputs, 7 % at p = 0.1 and five.
const DRAWS: u32 = 400_000;

/// Where a sampler's coin stands among its words, and where it changes its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    /// How many words are drawn before it.
    pub words_before: usize,
    /// Ascending: words below the first edge give outputs of side 0, from there to the second edge of side 1, ...
    pub edges: Vec<u64>,
}

/// A mechanism as the kit sees it: the declared law, the sampler, and the estimator.
pub trait Law {
    /// All inputs, for domains small enough to enumerate.
    fn inputs(&self) -> Vec<Value>;
    /// All outputs, for domains small enough to enumerate.
    fn outputs(&self) -> Vec<Payload>;
    /// P(output | value), exactly, from the integers that the sampler reads.
    fn probability(&self, value: &Value, output: &Payload) -> RBig;
    /// The sampler.
    ///
    /// # Errors
    /// The generator's.
    fn randomize<R: TryCryptoRng + ?Sized>(&self, value: &Value, rng: &mut R) -> Result<Payload, R::Error>;
    /// The coin that decides on the output's side, unless other randomness has a say in it for this value; then only
    /// draws speak about its law. Some value must have one.
    fn coin(&self, value: &Value) -> Option<Coin>;
    /// The side of the coin that an output lies on.
    fn side(&self, value: &Value, output: &Payload) -> usize;
    /// The number of counters that reports are folded into.
    fn counters(&self) -> usize;
    /// The counters that an output adds to.
    fn support(&self, output: &Payload) -> Vec<u32>;
    /// The number of statistics that the estimator claims to be unbiased for.
    fn statistics(&self) -> u32;
    /// The value of a statistic for a device with the truth `value`.
    fn truth(&self, statistic: u32, value: &Value) -> RBig;
    /// What one report adds to the (per-report) estimate of a statistic.
    fn contribution(&self, statistic: u32, output: &Payload) -> RBig;
    /// How far rounding may move an estimate; zero for exact estimators.
    fn estimator_error(&self) -> RBig {
        RBig::ZERO
    }
}

/// Everything that is checked, on a mechanism whose inputs and outputs can be enumerated.
///
/// # Errors
/// The first violation found.
pub fn check<M: Law>(mechanism: &M, bound: &ExpBound, seed: u64) -> Result<(), Violation> {
    check_with(mechanism, bound, seed, DRAWS)
}

/// As [`check`], from `draws` reports: more of them find smaller faults of what follows the coin, by the square root.
///
/// # Errors
/// The first violation found.
pub fn check_with<M: Law>(mechanism: &M, bound: &ExpBound, seed: u64, draws: u32) -> Result<(), Violation> {
    let table = Table::of(mechanism);
    table.check_privacy(bound)?;
    table.check_unbiased(mechanism)?;
    coin::check(mechanism, &table, seed ^ 0xc017)?;
    let series = sampler::Series::draw(mechanism, &table, seed, draws)?;
    sampler::check(mechanism, &table, &series)?;
    independence::check(&table, &series)
}

/// Exact privacy: every output, every pair of inputs; and every input's probabilities sum to one.
///
/// # Errors
/// The first violation found.
pub fn check_privacy<M: Law>(mechanism: &M, bound: &ExpBound) -> Result<(), Violation> {
    Table::of(mechanism).check_privacy(bound)
}

/// Exact unbiasedness: the mean of the estimate over all outputs, for every input and statistic.
///
/// # Errors
/// The first violation found.
pub fn check_unbiased<M: Law>(mechanism: &M) -> Result<(), Violation> {
    Table::of(mechanism).check_unbiased(mechanism)
}

/// The declared law, enumerated once.
struct Table {
    inputs: Vec<Value>,
    outputs: Vec<Payload>,
    /// By input, then by output.
    laws: Vec<Vec<RBig>>,
}

impl Table {
    fn of<M: Law>(mechanism: &M) -> Self {
        let (inputs, outputs) = (mechanism.inputs(), mechanism.outputs());
        let law = |input| outputs.iter().map(|output| mechanism.probability(input, output)).collect();
        let laws = inputs.iter().map(law).collect();
        Self { inputs, outputs, laws }
    }

    /// The law as floats, for verdicts on frequencies.
    fn rounded(&self) -> Vec<Vec<f64>> {
        self.laws.iter().map(|law| law.iter().map(|p| p.to_f64().value()).collect()).collect()
    }

    fn check_privacy(&self, bound: &ExpBound) -> Result<(), Violation> {
        if self.inputs.len() < 2 || self.outputs.len() < 2 {
            return Err(Violation::Few { inputs: self.inputs.len(), outputs: self.outputs.len() });
        }
        for (input, law) in self.inputs.iter().zip(&self.laws) {
            let sum = sum(law.iter().cloned());
            if sum != RBig::ONE {
                return Err(Violation::Total { input: input.clone(), sum: sum.to_string() });
            }
        }
        let limit = bound.to_ratio();
        for (y, output) in self.outputs.iter().enumerate() {
            let likelihoods = self.laws.iter().map(|law| &law[y]).zip(&self.inputs);
            let likely = likelihoods.clone().max_by(|a, b| a.0.cmp(b.0));
            let unlikely = likelihoods.min_by(|a, b| a.0.cmp(b.0));
            if let (Some((most, likely)), Some((least, unlikely))) = (likely, unlikely)
                && *most > &limit * least
            {
                let (likely, unlikely) = (likely.clone(), unlikely.clone());
                return Err(Violation::Privacy { output: output.clone(), likely, unlikely });
            }
        }
        Ok(())
    }

    fn check_unbiased<M: Law>(&self, mechanism: &M) -> Result<(), Violation> {
        let error = mechanism.estimator_error();
        for statistic in 0..mechanism.statistics() {
            let truths: Vec<RBig> = self.inputs.iter().map(|input| mechanism.truth(statistic, input)).collect();
            if truths.windows(2).all(|pair| pair[0] == pair[1]) {
                return Err(Violation::Constant { statistic });
            }
            let parts: Vec<RBig> =
                self.outputs.iter().map(|output| mechanism.contribution(statistic, output)).collect();
            for ((input, law), truth) in self.inputs.iter().zip(&self.laws).zip(truths) {
                let estimate = sum(parts.iter().zip(law).map(|(part, p)| p * part));
                if estimate > (&truth + &error) || &estimate + &error < truth {
                    let (estimate, truth) = (estimate.to_string(), truth.to_string());
                    return Err(Violation::Bias { statistic, input: input.clone(), estimate, truth });
                }
            }
        }
        Ok(())
    }
}

fn sum(terms: impl Iterator<Item = RBig>) -> RBig {
    terms.fold(RBig::ZERO, |sum, term| sum + term)
}
