//! The kit that every mechanism must pass, and that must reject every planted mutant.
//!
//! [`check`] looks at a mechanism only through [`Law`]: it enumerates the declared law exactly, puts scripted words on
//! both sides of every edge of the sampler's coin, and holds the sampler's draws against the law. Statistical verdicts use a Chernoff bound, which holds for every number of draws, so a correct
//! sampler fails with probability at most [`FALSE_ALARM`] per run, and the seed is fixed.

mod coin;
mod independence;
mod scripted;

use dashu_ratio::RBig;
use hubbub_privacy::{Payload, Value};
use rand_core::TryCryptoRng;
use thiserror::Error;

use crate::ExpBound;
pub use scripted::{OutOfWords, ScriptedRng, SplitMix};

/// The chance that [`check`] rejects a correct mechanism.
pub const FALSE_ALARM: f64 = 1e-6;

/// Draws over all inputs together. With d inputs, a coordinate of probability p whose law is off by a factor 1 + r shows
/// as n KL = (DRAWS / d) p r^2 / (2 (1 - p)), against a limit of about 20: 1 % at p = 0.5 gives 75 for two inputs and 30
/// for five, so it is found out; for more inputs or smaller p the shift must be larger. A coin that is shifted by less is
/// found out by its edges, which are checked exactly.
const DRAWS: u32 = 3_000_000;

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
    /// The coin that decides on the output's side, unless other randomness has a say in it for this value.
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

/// What a mechanism got wrong.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Violation {
    /// The probabilities of an input do not sum to one.
    #[error("the probabilities of {input:?} sum to {sum}")]
    Total {
        /// The input.
        input: Value,
        /// Their sum.
        sum: String,
    },
    /// An output distinguishes two inputs better than epsilon allows.
    #[error("output {output:?}: the likelihoods of {likely:?} and {unlikely:?} differ by more than e^epsilon")]
    Privacy {
        /// The output.
        output: Payload,
        /// The input that makes it most likely.
        likely: Value,
        /// The input that makes it least likely.
        unlikely: Value,
    },
    /// The estimator is biased.
    #[error("statistic {statistic} of {input:?} is estimated as {estimate}, not {truth}")]
    Bias {
        /// The statistic.
        statistic: u32,
        /// The input.
        input: Value,
        /// The mean of the estimate over all outputs.
        estimate: String,
        /// What it should be.
        truth: String,
    },
    /// The sampler gave an output that the law does not know.
    #[error("{input:?} gave {output:?}, which the law excludes")]
    Impossible {
        /// The input.
        input: Value,
        /// The output.
        output: Payload,
    },
    /// The sampler's frequency of a counter contradicts the law.
    #[error("{input:?}: counter {counter} was hit {hits} times in {draws} draws, where the law expects {expected:.1}")]
    Frequency {
        /// The input.
        input: Value,
        /// The counter.
        counter: u32,
        /// How often it was hit.
        hits: u32,
        /// How many reports were drawn.
        draws: u32,
        /// The law's expectation.
        expected: f64,
    },
    /// The sampler's frequency of a whole output contradicts the law.
    #[error("{input:?}: output {output:?} came {hits} times in {draws} draws, where the law expects {expected:.1}")]
    Joint {
        /// The input.
        input: Value,
        /// The output.
        output: Payload,
        /// How often it came.
        hits: u32,
        /// How many reports were drawn.
        draws: u32,
        /// The law's expectation.
        expected: f64,
    },
    /// The coin falls elsewhere than the law says.
    #[error("{input:?}: with {word:#018x} as its coin the report is {output:?}, on side {side}, not {expected}")]
    Coin {
        /// The input.
        input: Value,
        /// The word.
        word: u64,
        /// The report.
        output: Payload,
        /// Its side.
        side: usize,
        /// The side that the law puts this word on.
        expected: usize,
    },
    /// How many words are drawn tells something about the input.
    #[error("{input:?} draws {words} words where {first:?} draws {expected}")]
    Words {
        /// The input.
        input: Value,
        /// How many words it drew.
        words: usize,
        /// The first input.
        first: Value,
        /// How many that drew from the same stream.
        expected: usize,
    },
    /// Successive reports depend on each other.
    #[error(
        "{input:?}: successive reports agree {hits} times in {draws} pairs, where independence expects {expected:.1}"
    )]
    Dependent {
        /// The input.
        input: Value,
        /// How often two successive reports were equal.
        hits: u32,
        /// How many pairs were drawn.
        draws: u32,
        /// The expectation of independent reports.
        expected: f64,
    },
}

impl Violation {
    /// The name of the check that found it.
    pub const fn check(&self) -> &'static str {
        match self {
            Self::Total { .. } | Self::Privacy { .. } => "privacy",
            Self::Bias { .. } => "unbiased",
            Self::Coin { .. } => "coin",
            Self::Words { .. } => "words",
            Self::Impossible { .. } | Self::Frequency { .. } | Self::Joint { .. } => "sampler",
            Self::Dependent { .. } => "independence",
        }
    }
}

/// Everything that is checked, on a mechanism whose inputs and outputs can be enumerated.
///
/// # Errors
/// The first violation found.
pub fn check<M: Law>(mechanism: &M, bound: &ExpBound, seed: u64) -> Result<(), Violation> {
    check_privacy(mechanism, bound)?;
    check_unbiased(mechanism)?;
    coin::check(mechanism, seed ^ 0xc017)?;
    check_sampler(mechanism, seed)?;
    independence::check(mechanism, seed ^ 0x5eed)
}

/// Exact privacy: every output, every pair of inputs; and every input's probabilities sum to one.
///
/// # Errors
/// The first violation found.
pub fn check_privacy<M: Law>(mechanism: &M, bound: &ExpBound) -> Result<(), Violation> {
    let (inputs, outputs) = (mechanism.inputs(), mechanism.outputs());
    for input in &inputs {
        let sum = sum(outputs.iter().map(|output| mechanism.probability(input, output)));
        if sum != RBig::ONE {
            return Err(Violation::Total { input: input.clone(), sum: sum.to_string() });
        }
    }
    let limit = bound.to_ratio();
    for output in outputs {
        let likelihoods = inputs.iter().map(|input| (mechanism.probability(input, &output), input));
        let likely = likelihoods.clone().max_by(|a, b| a.0.cmp(&b.0));
        let unlikely = likelihoods.min_by(|a, b| a.0.cmp(&b.0));
        if let (Some((most, likely)), Some((least, unlikely))) = (likely, unlikely)
            && most > &limit * least
        {
            return Err(Violation::Privacy { output, likely: likely.clone(), unlikely: unlikely.clone() });
        }
    }
    Ok(())
}

/// Exact unbiasedness: the mean of the estimate over all outputs, for every input and statistic.
///
/// # Errors
/// The first violation found.
pub fn check_unbiased<M: Law>(mechanism: &M) -> Result<(), Violation> {
    let outputs = mechanism.outputs();
    let error = mechanism.estimator_error();
    for input in mechanism.inputs() {
        let law: Vec<RBig> = outputs.iter().map(|output| mechanism.probability(&input, output)).collect();
        for statistic in 0..mechanism.statistics() {
            let estimate =
                sum(outputs.iter().zip(&law).map(|(output, p)| p * mechanism.contribution(statistic, output)));
            let truth = mechanism.truth(statistic, &input);
            if estimate > (&truth + &error) || &estimate + &error < truth {
                let (estimate, truth) = (estimate.to_string(), truth.to_string());
                return Err(Violation::Bias { statistic, input, estimate, truth });
            }
        }
    }
    Ok(())
}

/// The sampler against the exact law: every input, every counter, and every whole output.
///
/// # Errors
/// The first violation found.
pub fn check_sampler<M: Law>(mechanism: &M, seed: u64) -> Result<(), Violation> {
    let mut rng = SplitMix::new(seed);
    let (inputs, outputs) = (mechanism.inputs(), mechanism.outputs());
    let tests = (inputs.len() * (mechanism.counters() + outputs.len())) as f64;
    let limit = (2.0 * tests / (FALSE_ALARM / 2.0)).ln();
    let draws = DRAWS / inputs.len() as u32;
    for input in inputs {
        let mut hits = std::collections::BTreeMap::<Vec<u32>, u32>::new();
        for _ in 0..draws {
            let Ok(output) = mechanism.randomize(&input, &mut rng);
            *hits.entry(mechanism.support(&output)).or_default() += 1;
        }
        let mut per_counter = vec![0u32; mechanism.counters()];
        for (support, count) in &hits {
            for &counter in support {
                match per_counter.get_mut(counter as usize) {
                    Some(hits) => *hits += count,
                    None => return Err(Violation::Impossible { input, output: Payload::List(support.clone()) }),
                }
            }
        }
        let mut expected = vec![0.0; mechanism.counters()];
        for output in &outputs {
            let p = mechanism.probability(&input, output).to_f64().value();
            let support = mechanism.support(output);
            support.iter().for_each(|&counter| expected[counter as usize] += p);
            let count = hits.remove(&support).unwrap_or(0);
            if contradicts(count, draws, p, limit) {
                let expected = p * f64::from(draws);
                return Err(Violation::Joint { input, output: output.clone(), hits: count, draws, expected });
            }
        }
        if let Some(support) = hits.into_keys().next() {
            return Err(Violation::Impossible { input, output: Payload::List(support) });
        }
        for (counter, (&count, &p)) in per_counter.iter().zip(&expected).enumerate() {
            if contradicts(count, draws, p, limit) {
                let (counter, expected) = (counter as u32, p * f64::from(draws));
                return Err(Violation::Frequency { input, counter, hits: count, draws, expected });
            }
        }
    }
    Ok(())
}

fn sum(terms: impl Iterator<Item = RBig>) -> RBig {
    terms.fold(RBig::ZERO, |sum, term| sum + term)
}

/// Whether `hits` of `draws` contradict probability `p`: n KL(hits/n, p) > limit. For every n, a binomial variable exceeds
/// this with probability at most 2 e^-limit (Chernoff; Hoeffding 1963, theorem 1).
fn contradicts(hits: u32, draws: u32, p: f64, limit: f64) -> bool {
    let n = f64::from(draws);
    let q = f64::from(hits) / n;
    let part = |q: f64, p: f64| if q > 0.0 { q * (q / p).ln() } else { 0.0 };
    // Sums of rounded probabilities may pass 1 by an ulp.
    let p = p.clamp(f64::MIN_POSITIVE, 1.0);
    let divergence = part(q, p) + part(1.0 - q, (1.0 - p).max(f64::MIN_POSITIVE));
    n * divergence > limit
}
