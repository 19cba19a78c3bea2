//! Subset selection: booleans and categories.
//!
//! **Law.** Truth x is one of d values, a report is a k-subset Z of the values. The two-level law with
//! S(x) = { Z : x in Z }: r : (K - r) = C(d-1, k-1) : C(d-1, k) = k : (d - k). k = 1 is k-ary randomized response, and
//! d = 2 is Warner's.
//!
//! **Privacy.** Two truths differ on Z only if Z holds exactly one of them; then the likelihood ratio is
//! T (d-k) / (k (2^64 - T)) <= E_lo ([`TwoLevel`]).
//!
//! **Estimator.** pi1 = T / 2^64 supports the truth, pi0 = pi1 (k-1)/(d-1) + (1-pi1) k/(d-1) any other value; the share
//! (C(x)/n - pi0)/(pi1 - pi0) is unbiased. Its variance times n, averaged over values, is
//! V = [pi1(1-pi1) + (d-1) pi0(1-pi0)] / (d (pi1-pi0)^2), and the best k makes it the exact optimum for its d.
//!
//! **Wire.** The k indices, ascending. **One report reveals** a set that holds the truth with probability pi1.
//!
//! **Source.** Ye, Barg, "Optimal schemes for discrete distribution estimation under locally differential privacy",
//! IEEE Trans. Inf. Theory 64(8), 2018, section III; Warner, JASA 60(309), 1965.

use std::collections::BTreeMap;

use dashu_int::UBig;
use dashu_ratio::RBig;
use hubbub_privacy::{Counters, Payload};
use rand_core::TryCryptoRng;
use serde_json::{Value, json};

use crate::conformance::Law;
use crate::exact::{ExpBound, ratio};
use crate::payload::PayloadError;
use crate::two_level::TwoLevel;
use crate::uniform;

/// Subset selection over d values with k-subsets as reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subset {
    values: u32,
    k: u32,
    law: TwoLevel,
}

impl Subset {
    /// The largest domain; beyond it reports grow too long and the cyclotomic family is as good.
    pub const MAX_VALUES: usize = 256;

    /// The mechanism for `values` = d values with k-subsets, 1 <= k < d <= 256.
    pub fn new(bound: &ExpBound, values: u32, k: u32) -> Self {
        assert!(1 <= k && k < values && values as usize <= Self::MAX_VALUES, "subset needs 1 <= k < d <= 256");
        Self { values, k, law: TwoLevel::new(bound, k.into(), (values - k).into()) }
    }

    /// The k of smallest variance, compared exactly; the smaller one when two are equal.
    pub fn optimal(bound: &ExpBound, values: u32) -> Self {
        let candidates = (1..=(values / 2).max(1)).map(|k| Self::new(bound, values, k));
        let best = candidates.min_by_key(|subset| subset.variance());
        best.expect("k = 1 is always a candidate")
    }

    /// d.
    pub const fn values(&self) -> usize {
        self.values as usize
    }

    /// k, the size of a report.
    pub const fn k(&self) -> usize {
        self.k as usize
    }

    /// The coin and its likelihood ratio.
    pub const fn law(&self) -> TwoLevel {
        self.law
    }

    /// The probability that a report supports its device's true value.
    pub fn pi1(&self) -> f64 {
        self.exact_pi1().to_f64().value()
    }

    /// The probability that a report supports any one other value.
    pub fn pi0(&self) -> f64 {
        self.exact_pi0().to_f64().value()
    }

    /// The unbiased share of every value, from `counters` with at least one report; may be negative or above 1.
    pub fn shares(&self, counters: &Counters) -> Vec<f64> {
        let (pi1, pi0) = (self.pi1(), self.pi0());
        let n = counters.reports as f64;
        counters.counts.iter().map(|&count| (count as f64 / n - pi0) / (pi1 - pi0)).collect()
    }

    /// By how many honest devices one forged report can move a share: (1 - pi0)/(pi1 - pi0).
    pub fn poisoning_gain(&self) -> f64 {
        (1.0 - self.pi0()) / (self.pi1() - self.pi0())
    }

    pub(crate) fn parameters(&self) -> BTreeMap<String, Value> {
        BTreeMap::from([
            ("d".to_owned(), json!(self.values)),
            ("k".to_owned(), json!(self.k)),
            ("m".to_owned(), json!(1)),
            // A string, because 64-bit integers do not survive every JSON reader.
            ("threshold".to_owned(), json!(self.law.threshold().to_string())),
        ])
    }

    pub(crate) fn check(&self, payload: &Payload) -> Result<(), PayloadError> {
        let Payload::List(items) = payload else { return Err(PayloadError::Shape { expected: "an array of indices" }) };
        if items.len() != self.k() {
            return Err(PayloadError::Length { expected: self.k(), found: items.len() });
        }
        if !items.is_sorted_by(|a, b| a < b) {
            return Err(PayloadError::Order);
        }
        match items.last() {
            Some(&last) if last >= self.values => Err(PayloadError::Range { index: last, size: self.values() }),
            _ => Ok(()),
        }
    }

    fn exact_pi1(&self) -> RBig {
        self.law.p()
    }

    fn exact_pi0(&self) -> RBig {
        let pi1 = self.exact_pi1();
        let others = UBig::from(self.values - 1);
        &pi1 * ratio(self.k - 1, others.clone()) + (RBig::ONE - pi1) * ratio(self.k, others)
    }

    /// V, exactly.
    fn variance(&self) -> RBig {
        let (pi1, pi0) = (self.exact_pi1(), self.exact_pi0());
        let spread = |pi: &RBig| pi * (RBig::ONE - pi);
        let gap = &pi1 - &pi0;
        (spread(&pi1) + spread(&pi0) * RBig::from(self.values - 1)) / (RBig::from(self.values) * (&gap * &gap))
    }
}

impl Law for Subset {
    fn inputs(&self) -> u32 {
        self.values
    }

    fn outputs(&self) -> Vec<Payload> {
        let mut outputs = Vec::new();
        let mut items: Vec<u32> = (0..self.k).collect();
        loop {
            outputs.push(Payload::List(items.clone()));
            // The next k-subset in lexicographic order.
            let room = self.values - self.k;
            let Some(i) = (0..items.len()).rev().find(|&i| items[i] < room + i as u32) else { return outputs };
            items[i] += 1;
            for j in i + 1..items.len() {
                items[j] = items[j - 1] + 1;
            }
        }
    }

    fn probability(&self, x: u32, output: &Payload) -> RBig {
        let Payload::List(items) = output else { return RBig::ZERO };
        let subsets = |k: u32| ratio(1u8, binomial(self.values - 1, k));
        if items.contains(&x) {
            self.exact_pi1() * subsets(self.k - 1)
        } else {
            (RBig::ONE - self.exact_pi1()) * subsets(self.k)
        }
    }

    fn randomize<R: TryCryptoRng + ?Sized>(&self, x: u32, rng: &mut R) -> Result<Payload, R::Error> {
        assert!(x < self.values, "the domain maps every value below d");
        let inside = self.law.is_inside(rng)?;
        // A uniform sequence of k of the d - 1 other values serves both cases: all of it is a uniform outside report,
        // its first k - 1 with x a uniform inside one. So the words drawn and the work done say nothing about x.
        let others = self.values - 1;
        let mut items: Vec<u32> = (0..others).collect();
        for done in 0..self.k {
            let pick = done + uniform::below(u64::from(others - done), rng)? as u32;
            items.swap(done as usize, pick as usize);
        }
        items.truncate(self.k());
        for item in &mut items {
            *item += u32::from(*item >= x);
        }
        let select = 0u32.wrapping_sub(u32::from(inside));
        let last = &mut items[self.k() - 1];
        *last = (x & select) | (*last & !select);
        items.sort_unstable();
        Ok(Payload::List(items))
    }

    fn counters(&self) -> usize {
        self.values()
    }

    fn support(&self, output: &Payload) -> Vec<u32> {
        match output {
            Payload::List(items) => items.clone(),
            Payload::Number(_) => Vec::new(),
        }
    }

    fn statistics(&self) -> u32 {
        self.values
    }

    fn truth(&self, statistic: u32, x: u32) -> RBig {
        if statistic == x { RBig::ONE } else { RBig::ZERO }
    }

    fn contribution(&self, statistic: u32, output: &Payload) -> RBig {
        let (pi1, pi0) = (self.exact_pi1(), self.exact_pi0());
        let supports = if self.support(output).contains(&statistic) { RBig::ONE } else { RBig::ZERO };
        (supports - &pi0) / (pi1 - pi0)
    }
}

/// C(n, k).
pub fn binomial(n: u32, k: u32) -> UBig {
    (0..k).fold(UBig::ONE, |product, i| product * UBig::from(n - i) / UBig::from(i + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, ScriptedRng};

    fn bound(epsilon: &str) -> ExpBound {
        ExpBound::new(epsilon.parse().unwrap())
    }

    #[test]
    fn it_conforms() {
        for (epsilon, values, k) in [("1", 2, 1), ("0.5", 3, 1), ("2", 5, 2), ("1", 8, 3), ("4", 6, 1), ("0.1", 7, 3)] {
            let bound = bound(epsilon);
            conformance::check(&Subset::new(&bound, values, k), &bound, 7).unwrap();
        }
    }

    #[test]
    fn warner_is_the_special_case_of_two_values() {
        let warner = Subset::optimal(&bound("1"), 2);
        let e = 1f64.exp();
        assert_eq!(warner.k(), 1);
        assert!((warner.pi1() - e / (1.0 + e)).abs() < 1e-15 && (warner.pi0() - 1.0 / (1.0 + e)).abs() < 1e-15);
    }

    #[test]
    fn the_optimal_k_is_near_d_over_one_plus_e_to_the_epsilon() {
        for (epsilon, values) in [("1", 16), ("0.1", 256), ("2", 100), ("4", 256)] {
            let k = Subset::optimal(&bound(epsilon), values).k() as f64;
            let e = epsilon.parse::<f64>().unwrap().exp();
            assert!((k - f64::from(values) / (1.0 + e)).abs() <= 1.0, "{epsilon} {values}: {k}");
        }
    }

    #[test]
    fn the_same_number_of_words_is_drawn_for_every_value() {
        let subset = Subset::new(&bound("1"), 9, 4);
        for x in 0..9 {
            let mut rng = ScriptedRng::new([1 << 60; 5]);
            subset.randomize(x, &mut rng).unwrap();
            assert_eq!(rng.words_left(), 0);
        }
    }

    #[test]
    fn outputs_are_all_the_subsets() {
        let subset = Subset::new(&bound("1"), 6, 3);
        let outputs = subset.outputs();
        assert_eq!(UBig::from(outputs.len()), binomial(6, 3));
        assert!(outputs.iter().all(|output| subset.check(output).is_ok()));
    }
}
