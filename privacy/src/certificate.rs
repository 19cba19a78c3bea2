//! The certificate of a metric: what its mechanism really guarantees, in exact fractions, for anyone to recompute.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One metric's certificate, as `hubbub audit` writes it. All fractions are `numerator/denominator` in decimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// `hubbub-certificate/1`.
    pub format: String,
    /// The metric's full name.
    pub metric: String,
    /// The version of its definition.
    pub version: u32,
    /// The domain's kind.
    pub kind: String,
    /// d, the number of values.
    pub values: u64,
    /// The declared epsilon, an exact decimal.
    pub epsilon: String,
    /// The mechanism's family.
    pub family: String,
    /// Its parameters, the threshold T or the digest of the weight table among them.
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// The largest likelihood ratio over all outputs and pairs of inputs, computed from what the sampler reads.
    pub ratio: String,
    /// Fractions that enclose the natural logarithm of `ratio`: the epsilon really spent.
    pub epsilon_realized: [String; 2],
    /// Two inputs (labels) and an output (payload) whose likelihood ratio is `ratio`.
    pub attained_by: Witness,
    /// The largest number of bits a report needs.
    pub report_bits: u32,
    /// By how many honest devices one forged report can move an estimate, rounded up at the sixth decimal.
    pub poisoning_gain: String,
}

/// Where the largest ratio is attained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// The input that makes the output most likely.
    pub likely: String,
    /// The input that makes it least likely.
    pub unlikely: String,
    /// The output, as on the wire.
    pub output: serde_json::Value,
}

impl Certificate {
    /// The name of this format.
    pub const FORMAT: &str = "hubbub-certificate/1";
}
