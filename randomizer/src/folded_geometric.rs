//! The folded geometric mechanism: counts ("count perturbation").
//!
//! **Law.** x is clamped to 0..=C. The report y has weight proportional to alpha^|y-x| on 0..=C, with the tails beyond 0
//! and C folded onto the ends, alpha = e^(-epsilon/C): weights alpha^x/(1+alpha) at y = 0, alpha^(C-x)/(1+alpha) at
//! y = C, (1-alpha)/(1+alpha) alpha^|y-x| between. As integers: alpha is rounded down to 64 bits and then up by 2^-50 or,
//! at an epsilon above about 8, by as much more as privacy needs (towards more noise); every weight is floored at 2^64
//! scale, and what is missing to 2^64 goes to the diagonal.
//!
//! **Privacy.** Neighbouring truths change a weight by a factor alpha at most, so any two by alpha^-C = e^epsilon. For the
//! integers this is not argued but checked by enumeration when the table is built: for each output y,
//! max over x of w_x(y) <= E_lo min over x of w_x(y).
//!
//! **Estimator.** For any function f of the truth, g(y) = [(1+alpha^2) f(y) - alpha (f(y-1) + f(y+1))]/(1-alpha)^2 inside
//! and g(0) = [f(0) - alpha f(1)]/(1-alpha), g(C) = [f(C) - alpha f(C-1)]/(1-alpha) at the ends has mean f(x) over the
//! reports of x. For f(x) = x: g(y) = y inside, -alpha/(1-alpha) at 0, C + alpha/(1-alpha) at C. The integer table deviates
//! from the real weights by less than 2^-55, which the conformance kit measures exactly.
//!
//! **Wire.** y. **One report reveals** y, which is the truth plus noise of standard deviation about 1.4 C/epsilon, folded.
//!
//! **Source.** Ghosh, Roughgarden, Sundararajan, "Universally utility-maximizing privacy mechanisms", STOC 2009 (SIAM J.
//! Comput. 41(6), 2012), section 2, with the range of the count as sensitivity.

use std::collections::BTreeMap;

use dashu_int::UBig;
use dashu_ratio::RBig;
use hubbub_privacy::{Counters, Payload, Value};
use rand_core::TryCryptoRng;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::conformance::{Coin, Law};
use crate::exact::{ExpBound, floor_exp_negative, ratio};
use crate::payload::PayloadError;

const MILLION: u64 = 1_000_000;
/// What alpha is raised by at least, in units of 2^-64: 2^-50, so that flooring weights does not break the bound.
const LEAST_SLACK: u64 = 1 << 14;
/// What it is raised by at most: 2^-24, a part in sixteen million more noise. Only epsilons above 8 need more than the least.
const MOST_SLACK: u64 = 1 << 40;

/// Why no table can be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundExceeded;

/// The folded geometric mechanism on 0..=C.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldedGeometric {
    max: u32,
    /// alpha 2^64.
    alpha: u64,
    /// floor(2^64 alpha^n/(1+alpha)) for n in 0..=C: the weight of an end at distance n.
    ends: Vec<u64>,
    /// floor(2^64 (1-alpha)/(1+alpha) alpha^n) for n in 0..=C: the weight of an inner output at distance n.
    inner: Vec<u64>,
    /// For each x, what the floors miss to 2^64; it is added to w_x(x).
    remainders: Vec<u64>,
    /// Sums of the first n of `inner`, modulo 2^64: so that a sum of weights takes a few additions.
    sums: Vec<u64>,
}

impl FoldedGeometric {
    /// The mechanism for counts up to `max` = C (1 to 255) at an epsilon above 0.
    ///
    /// # Errors
    /// [`BoundExceeded`] when the integer table would leak more than epsilon; it is checked, entry by entry.
    pub fn new(epsilon: hubbub_privacy::Epsilon, max: u32) -> Result<Self, BoundExceeded> {
        assert!((1..=255).contains(&max), "counts are told apart up to 255");
        let numerator = UBig::from(epsilon.millionths());
        let denominator = UBig::from(MILLION) * UBig::from(max);
        let alpha = floor_exp_negative(&numerator, &denominator, 64);
        let bound = ExpBound::new(epsilon);
        let slacks = std::iter::successors(Some(LEAST_SLACK), |slack| Some(slack * 2)).take_while(|s| *s <= MOST_SLACK);
        let alphas = slacks.filter_map(|slack| u64::try_from(&alpha + UBig::from(slack)).ok());
        alphas.map(|alpha| Self::of(alpha, max)).find(|table| table.keeps(&bound)).ok_or(BoundExceeded)
    }

    /// The table of one alpha, whatever its privacy.
    fn of(alpha: u64, max: u32) -> Self {
        let (ends, inner) = floors(alpha, max);
        let sums = std::iter::once(0).chain(inner.iter().scan(0u64, |sum, weight| {
            *sum = sum.wrapping_add(*weight);
            Some(*sum)
        }));
        let sums = sums.collect();
        let mut mechanism = Self { max, alpha, ends, inner, remainders: vec![0; max as usize + 1], sums };
        for x in 0..=max {
            let sum: u128 = (0..=max).map(|y| u128::from(mechanism.weight(x, y))).sum();
            let missing = u64::try_from((1u128 << 64) - sum).expect("flooring loses less than one unit per output");
            mechanism.remainders[x as usize] = missing;
        }
        mechanism
    }

    /// The general criterion: for each output, the largest weight is at most E_lo times the least.
    fn keeps(&self, bound: &ExpBound) -> bool {
        (0..=self.max).all(|y| {
            let (most, least) = self.extremes(y);
            UBig::from(self.weight(most, y)) << 128 <= bound.numerator() * UBig::from(self.weight(least, y))
        })
    }

    /// C, the largest count.
    pub const fn max(&self) -> u32 {
        self.max
    }

    /// P(y | x).
    pub fn chance(&self, x: u32, y: u32) -> f64 {
        self.weight(x, y) as f64 / 2f64.powi(64)
    }

    /// g with E[g(y) | x] = target(x) for every x in 0..=C: averaged over reports it estimates the mean of `target` over
    /// the population without bias. C + 1 values.
    pub fn unbiased(&self, target: impl Fn(u32) -> f64) -> Vec<f64> {
        let scale = 2f64.powi(64);
        let alpha = self.alpha as f64 / scale;
        let beta = self.alpha.wrapping_neg() as f64 / scale; // 1 - alpha without cancellation
        let last = self.max;
        (0..=last)
            .map(|y| match y {
                0 => target(0) + alpha / beta * (target(0) - target(1)),
                y if y == last => target(y) + alpha / beta * (target(y) - target(y - 1)),
                y => target(y) + alpha / (beta * beta) * (2.0 * target(y) - target(y - 1) - target(y + 1)),
            })
            .collect()
    }

    /// By how many honest devices one forged report can move a mean, in units of the largest count: the farthest estimate
    /// from the count of a device at the other end.
    pub fn poisoning_gain(&self) -> f64 {
        let g = self.unbiased(f64::from);
        let max = f64::from(self.max);
        g[self.max as usize].max(max - g[0]) / max
    }

    /// The largest likelihood ratio, with the inputs and the output that attain it.
    pub fn worst_case(&self) -> (RBig, u32, u32, u32) {
        let worst = (0..=self.max).map(|y| {
            let (most, least) = self.extremes(y);
            (ratio(self.weight(most, y), self.weight(least, y)), most, least, y)
        });
        worst.max_by(|a, b| a.0.cmp(&b.0)).expect("there are at least two outputs")
    }

    pub(crate) fn parameters(&self) -> BTreeMap<String, serde_json::Value> {
        BTreeMap::from([
            ("max".to_owned(), json!(self.max)),
            ("alpha_2_64".to_owned(), json!(self.alpha.to_string())),
            ("weights_sha256".to_owned(), json!(self.digest())),
        ])
    }

    pub(crate) fn check(&self, payload: &Payload) -> Result<(), PayloadError> {
        match payload {
            Payload::Number(y) if *y <= self.max => Ok(()),
            Payload::Number(y) => Err(PayloadError::Range { index: *y, size: self.counters() }),
            Payload::List(_) => Err(PayloadError::Shape { expected: "a number" }),
        }
    }

    /// w_x(y), out of 2^64: what the sampler adds up and what the certificate is computed from.
    fn weight(&self, x: u32, y: u32) -> u64 {
        let distance = x.abs_diff(y) as usize;
        let floor = if y == 0 || y == self.max { self.ends[distance] } else { self.inner[distance] };
        floor + if x == y { self.remainders[x as usize] } else { 0 }
    }

    /// w_x(0) + ... + w_x(y), for y < C.
    fn sum(&self, x: u32, y: u32) -> u64 {
        let (x, y) = (x as usize, y as usize);
        let end = self.ends[x].wrapping_add(self.sums[x]);
        // Outputs below x come in descending order of distance, from x on in ascending order.
        let below = end.wrapping_sub(self.sums[x - y.min(x)]);
        let from_x_on =
            self.sums[(y + 1).saturating_sub(x)].wrapping_sub(self.sums[1]).wrapping_add(self.remainders[x]);
        if y < x { below } else { end.wrapping_add(from_x_on) }
    }

    /// The inputs that make `y` most and least likely.
    fn extremes(&self, y: u32) -> (u32, u32) {
        let most = (0..=self.max).max_by_key(|&x| self.weight(x, y)).expect("there are inputs");
        let least = (0..=self.max).min_by_key(|&x| self.weight(x, y)).expect("there are inputs");
        (most, least)
    }

    /// SHA-256 of all weights, row by row, each as eight bytes big-endian.
    fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for x in 0..=self.max {
            for y in 0..=self.max {
                hash.update(self.weight(x, y).to_be_bytes());
            }
        }
        let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    }
}

/// The floored weights by distance: of the two ends, and of the outputs between.
fn floors(alpha: u64, max: u32) -> (Vec<u64>, Vec<u64>) {
    let one = UBig::ONE << 64;
    let alpha = UBig::from(alpha);
    // With alpha = a / 2^64: alpha^n/(1+alpha) 2^64 = a^n / (2^(64 n) (2^64 + a)) 2^128, and likewise inside.
    let (plus, minus) = (&one + &alpha, &one - &alpha);
    let (mut ends, mut inner) = (Vec::new(), Vec::new());
    let mut power = UBig::ONE;
    for n in 0..=max as usize {
        let denominator = &plus << (64 * n);
        let end = (&power << 128) / &denominator;
        let inside = ((&power * &minus) << 64) / &denominator;
        ends.push(u64::try_from(end).expect("below 2^64, because 1 + alpha > 1"));
        inner.push(u64::try_from(inside).expect("below 2^64, because (1-alpha)/(1+alpha) < 1"));
        power *= &alpha;
    }
    (ends, inner)
}

fn index(value: &Value) -> u32 {
    match value {
        Value::Index(index) => *index,
        Value::Items(_) => unreachable!("sets have the subset family"),
    }
}

impl Law for FoldedGeometric {
    fn inputs(&self) -> Vec<Value> {
        (0..=self.max).map(Value::Index).collect()
    }

    fn outputs(&self) -> Vec<Payload> {
        (0..=self.max).map(Payload::Number).collect()
    }

    fn probability(&self, value: &Value, output: &Payload) -> RBig {
        match output {
            Payload::Number(y) => ratio(self.weight(index(value), *y), UBig::ONE << 64),
            Payload::List(_) => RBig::ZERO,
        }
    }

    fn randomize<R: TryCryptoRng + ?Sized>(&self, value: &Value, rng: &mut R) -> Result<Payload, R::Error> {
        let x = index(value);
        assert!(x <= self.max, "the domain clamps counts");
        let word = rng.try_next_u64()?;
        // y is the number of sums up to the word. The search halves its step whatever the word, so the work does not depend
        // on the value.
        let mut y = 0;
        for bit in (0..u32::BITS - self.max.leading_zeros()).rev() {
            let candidate = y + (1 << bit);
            let within = candidate <= self.max && self.sum(x, candidate - 1) <= word;
            y += u32::from(within) << bit;
        }
        Ok(Payload::Number(y))
    }

    fn coin(&self, value: &Value) -> Option<Coin> {
        let edges = (0..self.max).map(|y| self.sum(index(value), y)).collect();
        Some(Coin { words_before: 0, edges })
    }

    fn side(&self, _value: &Value, output: &Payload) -> usize {
        match output {
            Payload::Number(y) => *y as usize,
            Payload::List(_) => usize::MAX,
        }
    }

    fn counters(&self) -> usize {
        self.max as usize + 1
    }

    fn support(&self, output: &Payload) -> Vec<u32> {
        match output {
            Payload::Number(y) => vec![*y],
            Payload::List(_) => Vec::new(),
        }
    }

    fn statistics(&self) -> u32 {
        1
    }

    fn truth(&self, _mean: u32, value: &Value) -> RBig {
        RBig::from(index(value))
    }

    fn contribution(&self, _mean: u32, output: &Payload) -> RBig {
        let Payload::Number(y) = output else { return RBig::ZERO };
        RBig::try_from(self.unbiased(f64::from)[*y as usize]).expect("g is finite")
    }

    fn estimator_error(&self) -> RBig {
        // g is computed in f64; 2^-30 of a count is far below any noise.
        ratio(1u8, UBig::ONE << 30)
    }
}

impl FoldedGeometric {
    /// The unbiased mean of the population, from `counters` with at least one report.
    pub fn mean(&self, counters: &Counters) -> f64 {
        let g = self.unbiased(f64::from);
        let sum: f64 = counters.counts.iter().zip(g).map(|(&count, g)| count as f64 * g).sum();
        sum / counters.reports as f64
    }

    /// The variance of the estimate that one report of a device with count `x` makes.
    pub fn variance(&self, x: u32) -> f64 {
        let g = self.unbiased(f64::from);
        let spread = |y: u32| (g[y as usize] - f64::from(x)).powi(2);
        (0..=self.max).map(|y| self.chance(x, y) * spread(y)).sum()
    }

    /// The largest of these variances over all counts.
    pub fn largest_variance(&self) -> f64 {
        (0..=self.max).map(|x| self.variance(x)).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, ScriptedRng};

    fn mechanism(epsilon: &str, max: u32) -> FoldedGeometric {
        FoldedGeometric::new(epsilon.parse().unwrap(), max).unwrap()
    }

    #[test]
    fn it_conforms() {
        for (epsilon, max) in [("1", 1), ("0.5", 2), ("2", 5), ("4", 20)] {
            let bound = ExpBound::new(epsilon.parse().unwrap());
            conformance::check(&mechanism(epsilon, max), &bound, 11).unwrap();
        }
    }

    #[test]
    fn every_table_below_the_ceiling_can_be_built() {
        for epsilon in ["0.000001", "0.01", "1", "4", "8", "12", "16"] {
            for max in [1, 2, 3, 50, 255] {
                mechanism(epsilon, max);
            }
        }
    }

    #[test]
    fn a_table_that_would_leak_gets_more_slack() {
        // At epsilon 16 the smallest weights have so few bits that flooring them costs more than the least slack of alpha.
        let bound = ExpBound::new("16".parse().unwrap());
        let table = mechanism("16", 255);
        let exact = floor_exp_negative(&UBig::from(16u8), &UBig::from(255u8), 64);
        let leaking = FoldedGeometric::of(u64::try_from(exact).unwrap() + LEAST_SLACK, 255);
        assert!(table.keeps(&bound) && !leaking.keeps(&bound));
        assert!(table.alpha > leaking.alpha && table.alpha - leaking.alpha < MOST_SLACK);
    }

    #[test]
    fn sums_are_sums_of_weights() {
        for mechanism in [mechanism("1", 1), mechanism("0.3", 6), mechanism("4", 40)] {
            for x in 0..=mechanism.max {
                let sums = (0..mechanism.max).scan(0, |sum, y| {
                    *sum += mechanism.weight(x, y);
                    Some(*sum)
                });
                assert!(sums.eq((0..mechanism.max).map(|y| mechanism.sum(x, y))), "{x}");
            }
        }
    }

    #[test]
    fn the_search_splits_exactly_at_the_sums() {
        let mechanism = mechanism("1", 3);
        for x in 0..=3 {
            let mut sum = 0;
            for y in 0..3 {
                sum += mechanism.weight(x, y);
                for (word, expected) in [(sum - 1, y), (sum, y + 1)] {
                    let report = mechanism.randomize(&Value::Index(x), &mut ScriptedRng::new([word]));
                    assert_eq!(report, Ok(Payload::Number(expected)), "x {x}, word {word}");
                }
            }
        }
    }

    #[test]
    fn any_function_of_the_truth_has_an_unbiased_estimate() {
        let mechanism = mechanism("1.5", 30);
        let square = |x: u32| f64::from(x * x);
        let g = mechanism.unbiased(square);
        for x in 0..=30 {
            let mean: f64 = (0..=30).map(|y| mechanism.chance(x, y) * g[y as usize]).sum();
            assert!((mean - square(x)).abs() < 1e-8, "{x}: {mean}");
        }
    }
}
