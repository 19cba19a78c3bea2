//! Subset selection: booleans, categories, and sets of values.
//!
//! **Law.** Truth X is a set of exactly m of D values, a report is a k-subset Z of them. The two-level law with
//! S(X) = { Z : Z meets X }: of the C(D,k) reports, b = C(D-m,k) lie outside and a - b = C(D,k) - b inside. For a boolean
//! or a category m = 1 and D = d, where r : (K - r) = k : (d - k); k = 1 is k-ary randomized response, and d = 2 is
//! Warner's. A set of at most m values is filled up with dummies d, d+1, ... to m of D = d + m. Of a larger set a uniform
//! m-subset is taken, so each of its L > m items is counted with weight m/L; the server does not learn how often.
//!
//! **Privacy.** Two truths differ on Z only if Z meets exactly one of them; then the likelihood ratio is
//! T b / ((a-b) (2^64 - T)) <= E_lo ([`TwoLevel`]). A larger set's law is a mixture of laws of m-subsets, so no ratio grows.
//!
//! **Estimator.** With p = T / 2^64: pi1 = p C(D-1,k-1)/(a-b) supports a value of X, and
//! pi0 = p [C(D-1,k-1) - C(D-m-1,k-1)]/(a-b) + (1-p) k/(D-m) any other. The share (C(x)/n - pi0)/(pi1 - pi0) is unbiased.
//! Its variance times n, averaged over values, is V ([`crate::support`]); for m = 1 the best k makes it the exact optimum.
//!
//! **Wire.** The k indices, ascending. **One report reveals** a set that meets the truth with probability p.
//!
//! **Source.** Ye, Barg, "Optimal schemes for discrete distribution estimation under locally differential privacy",
//! IEEE Trans. Inf. Theory 64(8), 2018, section III; for sets: Wang, Huang, Nie, Wang, Xu, Yang, "PrivSet", INFOCOM 2018;
//! Warner, JASA 60(309), 1965.

use std::collections::BTreeMap;

use dashu_int::UBig;
use dashu_ratio::RBig;
use hubbub_privacy::{Counters, Payload, Value};
use rand_core::TryCryptoRng;
use serde_json::json;

use crate::conformance::{Coin, Law};
use crate::exact::{ExpBound, least, ratio};
use crate::payload::PayloadError;
use crate::support::{self, Support};
use crate::two_level::TwoLevel;
use crate::uniform::{self, Ahead};
use crate::weighted::{Weighted, binomial};

/// Words fetched at once: half a kilobyte, so that most reports take one or two calls of the operating system.
const WORDS_AT_ONCE: usize = 64;

/// Subset selection over D values with k-subsets as reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Subset {
    values: u32,
    /// m of a set's law; none for a boolean or a category.
    max_items: Option<u32>,
    k: u32,
    law: TwoLevel,
    support: Support,
    /// How many of a report's indices are the truth's, given that some are: 1, 2, ...
    sizes: Weighted,
}

impl Subset {
    /// The largest domain of categories with k above 1; beyond it the cyclotomic family is as good and reports one index.
    pub const MAX_VALUES: usize = 256;
    /// The largest k: a report of as many indices below 2^21 still fits the 4 KiB that the server accepts.
    pub const MAX_K: u32 = 448;

    /// The mechanism of categories: `values` = d values with k-subsets, 1 <= k < d; d <= 256 unless k = 1.
    pub fn new(bound: &ExpBound, values: u32, k: u32) -> Self {
        assert!(1 <= k && k < values, "subset needs 1 <= k < d");
        assert!(k == 1 || values as usize <= Self::MAX_VALUES, "subset needs d <= 256 or k = 1");
        // C(d-1, k-1) : C(d-1, k) in lowest terms, or nearly so.
        let law = TwoLevel::new(bound, k, values - k);
        Self::with(law, values, None, k, ratio(k - 1, values - 1), Weighted::new(&[UBig::ONE]))
    }

    /// The mechanism of sets: at most `max_items` = m of `values` = d values, 1 <= m, 1 <= k <= d.
    pub fn of_sets(bound: &ExpBound, values: u32, max_items: u32, k: u32) -> Self {
        assert!(1 <= max_items && 1 <= k && k <= values && k <= Self::MAX_K, "a set needs m >= 1 and 1 <= k <= d");
        let width = values + max_items;
        let missing = binomial(values, k);
        let meeting = binomial(width, k) - &missing;
        // Of the reports that meet X, those that hold a given value outside X.
        let others = binomial(width - 1, k - 1) - binomial(values - 1, k - 1);
        let others = ratio(others, meeting.clone());
        let sizes = (1..=max_items.min(k)).map(|i| binomial(max_items, i) * binomial(values, k - i));
        let sizes = Weighted::new(&sizes.collect::<Vec<_>>());
        Self::with(TwoLevel::new(bound, meeting, missing), values, Some(max_items), k, others, sizes)
    }

    /// `others`: the part of the inside that holds any one value besides the truth.
    fn with(law: TwoLevel, values: u32, max_items: Option<u32>, k: u32, others: RBig, sizes: Weighted) -> Self {
        let (m, width) = (max_items.unwrap_or(1), values + max_items.unwrap_or(0));
        // A random report inside holds k values on average: m of the truth's, each with probability `own`, and the others.
        let own = (RBig::from(k) - RBig::from(width - m) * &others) / RBig::from(m);
        let p = law.p();
        let pi0 = &p * others + (RBig::ONE - &p) * ratio(k, width - m);
        let support = Support::new(p * own, pi0);
        Self { values, max_items, k, law, support, sizes }
    }

    /// The k of smallest V for categories, compared exactly; the smaller one when two are equal.
    pub fn optimal(bound: &ExpBound, values: u32) -> Self {
        let candidates: Vec<u32> = (1..=(values / 2).max(1)).collect();
        let best = least(&candidates, approximate_variance(bound, values, 1), |k| Self::optimum(bound, values, k));
        Self::new(bound, values, best.expect("k = 1 is always a candidate"))
    }

    /// The k of smallest V for sets, compared exactly; the smaller one when two are equal.
    pub fn optimal_of_sets(bound: &ExpBound, values: u32, max_items: u32) -> Self {
        let candidates: Vec<u32> = (1..=values.min(Self::MAX_K)).collect();
        let exact = |k| Self::of_sets(bound, values, max_items, k).variance();
        let best = least(&candidates, approximate_variance(bound, values + max_items, max_items), exact);
        Self::of_sets(bound, values, max_items, best.expect("k = 1 is always a candidate"))
    }

    /// V of k-subsets of d categories, exactly; for the best k the least V that any mechanism over d values has.
    pub(crate) fn optimum(bound: &ExpBound, values: u32, k: u32) -> RBig {
        let p = TwoLevel::new(bound, k, values - k).p();
        let pi0 = &p * ratio(k - 1, values - 1) + (RBig::ONE - &p) * ratio(k, values - 1);
        support::variance(p, pi0, RBig::from(values))
    }

    /// d.
    pub const fn values(&self) -> usize {
        self.values as usize
    }

    /// D: the values, and for sets the dummies.
    pub const fn width(&self) -> usize {
        match self.max_items {
            Some(m) => (self.values + m) as usize,
            None => self.values as usize,
        }
    }

    /// m: 1 for booleans and categories.
    pub const fn max_items(&self) -> usize {
        match self.max_items {
            Some(m) => m as usize,
            None => 1,
        }
    }

    /// Whether the truths are sets.
    pub const fn is_of_sets(&self) -> bool {
        self.max_items.is_some()
    }

    /// k, the size of a report.
    pub const fn k(&self) -> usize {
        self.k as usize
    }

    /// The coin and its likelihood ratio.
    pub const fn law(&self) -> &TwoLevel {
        &self.law
    }

    /// How often a report supports a true value and any other.
    pub const fn support(&self) -> &Support {
        &self.support
    }

    /// pi1 as a float.
    pub const fn pi1(&self) -> f64 {
        self.support.pi1()
    }

    /// pi0 as a float.
    pub const fn pi0(&self) -> f64 {
        self.support.pi0()
    }

    /// The largest part of the reports that meet one truth and miss another: for sets, two that share nothing.
    pub(crate) fn largest_part_apart(&self) -> RBig {
        let (k, width) = (self.k, self.width() as u32);
        match self.max_items {
            None => ratio(width - k, width - 1),
            Some(m) => {
                // Two disjoint sets need 2m of D = d + m: the empty one has the dummies for itself.
                let m = m.min(self.values);
                let apart = binomial(self.values, k) - binomial(self.values - m, k);
                RBig::from(apart) / RBig::from(self.law.inside().clone())
            }
        }
    }

    /// V over the D values, exactly.
    pub fn variance(&self) -> RBig {
        self.support.variance(self.width() as u32)
    }

    /// The unbiased share of every value (dummies left out), from `counters` with at least one report; may be negative or
    /// above 1.
    pub fn shares(&self, counters: &Counters) -> Vec<f64> {
        let values = &counters.counts[..self.values()];
        values.iter().map(|&count| self.support.share(count, counters.reports)).collect()
    }

    pub(crate) fn parameters(&self) -> BTreeMap<String, serde_json::Value> {
        let mut parameters = BTreeMap::from([
            ("d".to_owned(), json!(self.values)),
            ("k".to_owned(), json!(self.k)),
            ("m".to_owned(), json!(self.max_items())),
            // A string, because 64-bit integers do not survive every JSON reader.
            ("threshold".to_owned(), json!(self.law.threshold().to_string())),
        ]);
        if self.is_of_sets() {
            parameters.insert("D".to_owned(), json!(self.width()));
        }
        parameters
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
            Some(&last) if last as usize >= self.width() => {
                Err(PayloadError::Range { index: last, size: self.width() })
            }
            _ => Ok(()),
        }
    }

    fn randomize_category<R: TryCryptoRng + ?Sized>(&self, x: u32, rng: &mut R) -> Result<Payload, R::Error> {
        assert!(x < self.values, "the domain maps every value below d");
        let mut words = Ahead::<_, WORDS_AT_ONCE>::new(rng, 1 + self.k());
        let inside = self.law.is_inside(&mut words)?;
        // A uniform sequence of k of the d - 1 other values serves both cases: all of it is a uniform outside report,
        // its first k - 1 with x a uniform inside one. So the words drawn and the work done say nothing about x.
        let mut items = uniform::sequence(self.values - 1, self.k, &mut words)?;
        for item in &mut items {
            *item += u32::from(*item >= x);
        }
        let select = 0u32.wrapping_sub(u32::from(inside));
        let last = &mut items[self.k() - 1];
        *last = (x & select) | (*last & !select);
        Ok(Payload::List(uniform::ascending(items, self.width())))
    }

    fn randomize_set<R: TryCryptoRng + ?Sized>(&self, truth: &[u32], rng: &mut R) -> Result<Payload, R::Error> {
        assert!(truth.last().is_none_or(|&item| item < self.values), "the domain maps every item below d");
        let (m, members) = (self.max_items(), self.max_items().min(self.k()));
        // Which items, the coin, the size, which members, the others.
        let mut words = Ahead::<_, WORDS_AT_ONCE>::new(rng, m + 1 + self.sizes.words() + members + self.k());
        let mut own = truth.to_vec();
        for done in 0..m {
            // Drawn for small sets too, so that the number of words says nothing about the truth.
            let pick = done + uniform::below(truth.len().saturating_sub(done).max(1) as u64, &mut words)? as usize;
            if done < own.len() {
                own.swap(done, pick);
            }
        }
        own.truncate(m);
        own.extend((self.values..).take(m - own.len()));
        let inside = self.law.is_inside(&mut words)?;
        let size = 1 + self.sizes.sample(&mut words)?;
        // Both candidates are drawn, m and k long, and then cut: the work does not depend on the coin.
        for done in 0..members {
            let pick = done + uniform::below((m - done) as u64, &mut words)? as usize;
            own.swap(done, pick);
        }
        let others = uniform::sequence(self.values, self.k, &mut words)?;
        let mut held = own.clone();
        held.sort_unstable();
        let taken = if inside { size } else { 0 };
        let mut items = own[..taken].to_vec();
        items.extend(others[..self.k() - taken].iter().map(|&other| uniform::outside(other, &held)));
        Ok(Payload::List(uniform::ascending(items, self.width())))
    }

    /// In how many indices a report and a set meet.
    fn meeting(set: &[u32], report: &[u32]) -> usize {
        report.iter().filter(|item| set.binary_search(item).is_ok()).count()
    }

    /// The chance that the m-subset taken of `truth`, filled up with dummies, meets `report`.
    fn chance_to_meet(&self, truth: &[u32], report: &[u32]) -> RBig {
        let m = self.max_items() as u32;
        let own = Self::meeting(truth, report) as u32;
        match (truth.len() as u32).checked_sub(m) {
            None | Some(0) => {
                let dummies = self.values..self.values + m - truth.len() as u32;
                if own > 0 || report.iter().any(|item| dummies.contains(item)) { RBig::ONE } else { RBig::ZERO }
            }
            Some(excess) => {
                let size = m + excess;
                RBig::ONE - ratio(binomial(size - own, m), binomial(size, m))
            }
        }
    }
}

/// V by k in floats, `width` values of which m are true.
fn approximate_variance(bound: &ExpBound, width: u32, m: u32) -> impl Fn(u32) -> f64 {
    let e = bound.to_f64();
    let (d, m) = (f64::from(width), f64::from(m));
    // The part of all k-subsets that misses m given values, and the part that meets one, for every k at once.
    let mut misses = vec![(1.0, 0.0)];
    for k in 0..width.min(Subset::MAX_K) {
        let &(missing, meeting) = misses.last().expect("it starts with one");
        let hit = m / (d - f64::from(k));
        misses.push((missing * (1.0 - hit), meeting + missing * hit));
    }
    move |k| {
        let (missing, meeting) = misses[k as usize];
        let k = f64::from(k);
        let p = meeting * e / (meeting * e + missing);
        let pi1 = p * (k / d) / meeting;
        let pi0 = p * (k / d - missing * k / (d - m)) / meeting + (1.0 - p) * k / (d - m);
        support::variance(pi1, pi0, d)
    }
}

/// The value of a category, or the items of a set.
fn truth(value: &Value) -> &[u32] {
    match value {
        Value::Index(index) => std::slice::from_ref(index),
        Value::Items(items) => items,
    }
}

fn indices(output: &Payload) -> &[u32] {
    match output {
        Payload::List(items) => items,
        Payload::Number(_) => &[],
    }
}

impl Law for Subset {
    fn inputs(&self) -> Vec<Value> {
        match self.max_items {
            None => (0..self.values).map(Value::Index).collect(),
            // With sets that are one item too large.
            Some(m) => (0..=(m + 1).min(self.values)).flat_map(|k| subsets(self.values, k)).map(Value::Items).collect(),
        }
    }

    fn outputs(&self) -> Vec<Payload> {
        subsets(self.width() as u32, self.k).into_iter().map(Payload::List).collect()
    }

    fn probability(&self, value: &Value, output: &Payload) -> RBig {
        let meets = self.chance_to_meet(truth(value), indices(output));
        let scale = if self.is_of_sets() { RBig::ONE } else { self.reports_per_unit() };
        (&meets * self.law.probability(true) + (RBig::ONE - meets) * self.law.probability(false)) / scale
    }

    fn randomize<R: TryCryptoRng + ?Sized>(&self, value: &Value, rng: &mut R) -> Result<Payload, R::Error> {
        match value {
            Value::Index(x) if !self.is_of_sets() => self.randomize_category(*x, rng),
            _ => self.randomize_set(truth(value), rng),
        }
    }

    fn coin(&self, value: &Value) -> Option<Coin> {
        let words_before = self.max_items.unwrap_or(0) as usize;
        // A larger set's coin is mixed with the choice of its items.
        (truth(value).len() <= self.max_items()).then(|| Coin { words_before, edges: vec![self.law.threshold()] })
    }

    fn side(&self, value: &Value, output: &Payload) -> usize {
        usize::from(self.chance_to_meet(truth(value), indices(output)) == RBig::ZERO)
    }

    fn counters(&self) -> usize {
        self.width()
    }

    fn support(&self, output: &Payload) -> Vec<u32> {
        indices(output).to_vec()
    }

    fn statistics(&self) -> u32 {
        self.values
    }

    fn truth(&self, statistic: u32, value: &Value) -> RBig {
        let items = truth(value);
        if !items.contains(&statistic) {
            RBig::ZERO
        } else if items.len() > self.max_items() {
            ratio(self.max_items() as u32, items.len() as u32)
        } else {
            RBig::ONE
        }
    }

    fn contribution(&self, statistic: u32, output: &Payload) -> RBig {
        self.support.contribution(indices(output).contains(&statistic))
    }
}

impl Subset {
    /// Of categories, how many reports a unit of k : (d - k) stands for: C(d-1, k-1) / k.
    fn reports_per_unit(&self) -> RBig {
        ratio(binomial(self.values - 1, self.k - 1), self.k)
    }
}

/// All k-subsets of `0..n`, ascending, in lexicographic order.
fn subsets(n: u32, k: u32) -> Vec<Vec<u32>> {
    let mut all = Vec::new();
    let mut items: Vec<u32> = (0..k).collect();
    loop {
        all.push(items.clone());
        let Some(i) = (0..items.len()).rev().find(|&i| items[i] < n - k + i as u32) else { return all };
        items[i] += 1;
        for j in i + 1..items.len() {
            items[j] = items[j - 1] + 1;
        }
    }
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
    fn it_conforms_for_sets() {
        for (epsilon, values, m, k) in [("1", 2, 1, 1), ("0.5", 3, 2, 2), ("2", 4, 2, 1), ("1", 4, 3, 3)] {
            let bound = bound(epsilon);
            conformance::check(&Subset::of_sets(&bound, values, m, k), &bound, 8).unwrap();
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
    fn sixteen_of_five_hundred_cost_what_the_design_says() {
        let sets = Subset::optimal_of_sets(&bound("1"), 500, 16);
        assert_eq!((sets.k(), sets.width()), (8, 516));
        assert!((sets.variance().to_f64().value() - 62.5).abs() < 0.1);
    }

    #[test]
    fn floats_and_fractions_agree_on_the_variance() {
        for (epsilon, values, m) in [("1", 40, 5), ("0.25", 300, 1), ("4", 12, 12), ("8", 1000, 3)] {
            let bound = bound(epsilon);
            let floats = approximate_variance(&bound, values + m, m);
            for k in [1, 2, 7, 12] {
                let exact = Subset::of_sets(&bound, values, m, k).variance().to_f64().value();
                assert!((floats(k) / exact - 1.0).abs() < 1e-10, "{epsilon} {values} {m} {k}");
            }
        }
    }

    #[test]
    fn the_same_number_of_words_is_drawn_for_every_value() {
        let subset = Subset::new(&bound("1"), 9, 4);
        for x in 0..9 {
            let mut rng = ScriptedRng::new([1 << 60; 5]);
            subset.randomize(&Value::Index(x), &mut rng).unwrap();
            assert_eq!(rng.words_left(), 0);
        }
        // Three to choose items, the coin, the size, three members, three others.
        let sets = Subset::of_sets(&bound("1"), 9, 3, 3);
        for items in [vec![], vec![4], vec![0, 1, 8], vec![0, 1, 2, 3, 7]] {
            let mut rng = ScriptedRng::new([1; 11]);
            sets.randomize(&Value::Items(items), &mut rng).unwrap();
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
