//! What a mechanism can get wrong, each under the name of the check that finds it.

use hubbub_privacy::{Payload, Value};
use thiserror::Error;

/// What a mechanism got wrong.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Violation {
    /// There is too little to enumerate.
    #[error("{inputs} inputs and {outputs} outputs are listed, where a law needs two of each")]
    Few {
        /// How many inputs.
        inputs: usize,
        /// How many outputs.
        outputs: usize,
    },
    /// No two of the listed inputs differ in a statistic, so some input is left out.
    #[error("statistic {statistic} has the same truth for every input that is listed")]
    Constant {
        /// The statistic.
        statistic: u32,
    },
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
    /// No input declares its coin, so nothing about it can be checked exactly.
    #[error("no input declares the coin that decides on its output")]
    NoCoin,
    /// The declared coin does not give the declared probabilities.
    #[error("{input:?}: the coin puts {declared} of 2^64 words on side {side}, where the law has {mass} of 1")]
    Edges {
        /// The input.
        input: Value,
        /// The side.
        side: usize,
        /// The words that the edges give it.
        declared: String,
        /// The probability of its outputs together.
        mass: String,
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
    /// How many words are drawn tells something about the input, or about the coin and so, with the report, about the
    /// input.
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
    /// Reports that follow each other agree too often or too rarely.
    #[error("of {draws} pairs of reports, {lag} apart, {hits} are equal, where independence expects {expected:.1}")]
    Dependent {
        /// How far apart they were drawn.
        lag: usize,
        /// How many pairs were equal.
        hits: u32,
        /// How many pairs were drawn.
        draws: u32,
        /// The expectation of independent reports.
        expected: f64,
    },
    /// A report says something about the next one.
    #[error(
        "{first:?} gave a report of group {first_group} and {second:?} then one of group {second_group} {hits} times in \
         {draws} pairs, where independence expects {expected:.1}"
    )]
    Foretold {
        /// The input of the first report.
        first: Value,
        /// The input of the second.
        second: Value,
        /// The group of outputs that the first report lies in.
        first_group: usize,
        /// That of the second.
        second_group: usize,
        /// How often.
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
            Self::Few { .. } | Self::Constant { .. } => "inputs",
            Self::Total { .. } | Self::Privacy { .. } => "privacy",
            Self::Bias { .. } => "unbiased",
            Self::NoCoin | Self::Edges { .. } | Self::Coin { .. } => "coin",
            Self::Words { .. } => "words",
            Self::Impossible { .. } | Self::Frequency { .. } | Self::Joint { .. } => "sampler",
            Self::Dependent { .. } | Self::Foretold { .. } => "independence",
        }
    }
}
