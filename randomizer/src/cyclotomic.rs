//! Cyclotomic difference families: categories of many values, one index per report.
//!
//! **Law.** K is the least prime >= d with K = 1 mod e, g the least primitive root, and
//! B = { g^(e u + s) : 0 <= s < c, 0 <= u < (K-1)/e } the union of c cosets of the e-th powers, r = c (K-1)/e elements.
//! A public coordinate j is uniform in 0..e; the report is (j, y), y = x + g^j delta mod K, with delta uniform in B with
//! probability p = T / 2^64 and uniform outside B otherwise.
//!
//! **Privacy.** For one j, S_j(x) = x + g^j B has r of the K outputs whatever x, so the law of y is two-level, and j says
//! nothing: the likelihood ratio is at most T (K-r) / (r (2^64 - T)) <= E_lo ([`TwoLevel`]).
//!
//! **Estimator.** Over all j the cosets g^j B cover every difference equally often (Wilson 1972), so S_j(x) and S_j(x')
//! share l = r(r-1)/(K-1) outputs on average, the same for every pair. Hence pi1 = p, pi0 = p l/r + (1-p)(r-l)/(K-r), and
//! (C(x)/n - pi0)/(pi1 - pi0) is unbiased, C(x) = reports with y in S_j(x): e cyclic correlations, exact after rounding.
//!
//! **Wire.** `[j, y]`. **One report reveals** a set of r of the K residues that holds the truth with probability p.
//!
//! **Source.** Wilson, "Cyclotomy and difference families in elementary abelian groups", J. Number Theory 4, 1972; balanced
//! designs as optimal randomizers: Park, Nam, Lee 2023 (arXiv 2305.01261), Gentle 2025 (arXiv 2508.05110). e = 2, c = 1
//! are the quadratic residues of Paley.

use std::collections::BTreeMap;

use dashu_ratio::RBig;
use hubbub_privacy::{Counters, Payload, Value};
use rand_core::TryCryptoRng;
use serde_json::json;

use crate::conformance::{Coin, Law};
use crate::correlation;
use crate::exact::{ExpBound, at_most, least, ratio};
use crate::payload::PayloadError;
use crate::prime::{Powers, least_prime, primitive_root};
use crate::subset::Subset;
use crate::support::{self, Support};
use crate::two_level::TwoLevel;
use crate::uniform::{self, Ahead};

/// The mechanism of one cyclotomic family.
#[derive(Debug, Clone, PartialEq)]
pub struct Cyclotomic {
    values: u32,
    /// K.
    prime: u32,
    /// e, the number of public coordinates.
    parts: u32,
    /// c.
    cosets: u32,
    root: u32,
    powers: Powers,
    law: TwoLevel,
    support: Support,
}

/// One member of the family: e, c and the K that follows from d and e.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    parts: u32,
    cosets: u32,
    prime: u32,
}

impl Shape {
    const fn inside(self) -> u32 {
        (self.prime - 1) / self.parts * self.cosets
    }

    fn counters(self) -> u64 {
        u64::from(self.parts) * u64::from(self.prime)
    }

    /// V over d values in floats.
    fn approximate_variance(self, e: f64, values: u32) -> f64 {
        let (r, k) = (f64::from(self.inside()), f64::from(self.prime));
        let p = e * r / (e * r + k - r);
        let overlap = r * (r - 1.0) / (k - 1.0);
        support::variance(p, p * overlap / r + (1.0 - p) * (r - overlap) / (k - r), values.into())
    }

    fn law(self, bound: &ExpBound) -> TwoLevel {
        TwoLevel::new(bound, self.inside(), self.prime - self.inside())
    }

    fn support(self, p: RBig) -> Support {
        let (r, k) = (self.inside(), self.prime);
        let overlap = ratio(r, k - 1) * RBig::from(r - 1);
        let pi0 = &p * &overlap / RBig::from(r) + (RBig::ONE - &p) * (RBig::from(r) - overlap) / RBig::from(k - r);
        Support::new(p, pi0)
    }
}

impl Cyclotomic {
    /// The largest e K: half a gigabyte of counters in memory.
    pub const MAX_COUNTERS: u64 = 1 << 26;
    /// How much larger than the optimum V may be, in thousandths, where fewer counters come of it.
    const TOLERANCE_PER_MILLE: u32 = 5;

    /// The mechanism for `values` = d >= 2 with e = `parts` and 1 <= c = `cosets` < e.
    pub fn new(bound: &ExpBound, values: u32, parts: u32, cosets: u32) -> Self {
        assert!(values >= 2 && 1 <= cosets && cosets < parts, "a difference family needs d >= 2 and 1 <= c < e");
        let prime = least_prime(values, parts).expect("domains and e are far below 2^31");
        Self::of(Shape { parts, cosets, prime }, bound, values)
    }

    fn of(shape: Shape, bound: &ExpBound, values: u32) -> Self {
        let Shape { parts, cosets, prime } = shape;
        let root = primitive_root(prime);
        let law = shape.law(bound);
        let support = shape.support(law.p());
        Self { values, prime, parts, cosets, root, powers: Powers::new(root, prime), law, support }
    }

    /// The family with the fewest counters whose V is within 0.5 % of the optimum for `values` = d (subset selection with
    /// the best k); where none is, the one with the least V.
    ///
    /// Nothing when even the smallest family has more than [`Cyclotomic::MAX_COUNTERS`].
    pub fn optimal(bound: &ExpBound, values: u32) -> Option<Self> {
        let e = bound.to_f64();
        let optimum = optimum(bound, values);
        let limit = optimum * ratio(1000 + Self::TOLERANCE_PER_MILLE, 1000u32);
        let approximate_limit = limit.to_f64().value();
        let exact = |shape: Shape| shape.support(shape.law(bound).p()).variance(values);
        let mut seen: Vec<Shape> = Vec::new();
        let mut chosen: Option<Shape> = None;
        for parts in 2.. {
            let fewest = chosen.map_or(Self::MAX_COUNTERS, Shape::counters);
            if u64::from(parts) * u64::from(values.max(parts)) > fewest {
                break;
            }
            let Some(prime) = least_prime(values, parts) else { continue };
            let best = f64::from(parts) / (1.0 + e);
            let [low, high] = [best.floor(), best.ceil()].map(|c| (c as u32).clamp(1, parts - 1));
            let shapes = [low, high].map(|cosets| Shape { parts, cosets, prime });
            let shapes = if low == high { &shapes[..1] } else { &shapes[..] };
            if shapes[0].counters() > fewest {
                continue;
            }
            seen.extend(shapes);
            let acceptable: Vec<Shape> = shapes
                .iter()
                .copied()
                .filter(|shape| {
                    let approximate = shape.approximate_variance(e, values);
                    at_most(approximate, approximate_limit, || exact(*shape) <= limit)
                })
                .collect();
            let fewer = chosen.is_none_or(|chosen| shapes[0].counters() < chosen.counters());
            if let (Some(better), true) = (least(&acceptable, |s| s.approximate_variance(e, values), exact), fewer) {
                chosen = Some(better);
            }
        }
        let chosen = chosen.or_else(|| least(&seen, |shape| shape.approximate_variance(e, values), exact))?;
        Some(Self::of(chosen, bound, values))
    }

    /// d.
    pub const fn values(&self) -> usize {
        self.values as usize
    }

    /// K.
    pub const fn prime(&self) -> u32 {
        self.prime
    }

    /// e, the number of public coordinates.
    pub const fn parts(&self) -> u32 {
        self.parts
    }

    /// c, the cosets that make up B.
    pub const fn cosets(&self) -> u32 {
        self.cosets
    }

    /// r, the elements of B.
    pub const fn inside(&self) -> u32 {
        (self.prime - 1) / self.parts * self.cosets
    }

    /// The coin and its likelihood ratio.
    pub const fn law(&self) -> &TwoLevel {
        &self.law
    }

    /// How often a report supports the true value and any other.
    pub const fn support(&self) -> &Support {
        &self.support
    }

    /// V over the d values, exactly.
    pub fn variance(&self) -> RBig {
        self.support.variance(self.values)
    }

    /// The set of one coordinate, g^j B.
    pub fn block(&self, j: u32) -> Vec<u32> {
        let order = self.prime - 1;
        let step = self.powers.power(self.parts);
        let mut row: Vec<u32> = (0..self.cosets).map(|s| self.powers.power((j + s) % order)).collect();
        let mut block = Vec::with_capacity(self.inside() as usize);
        for _ in 0..order / self.parts {
            block.extend_from_slice(&row);
            row.iter_mut().for_each(|element| *element = self.powers.product(*element, step));
        }
        block
    }

    /// C(x) for every value: how many reports support it. Exact.
    pub fn supporting(&self, counters: &Counters) -> Vec<u64> {
        let parts: Vec<&[u64]> = counters.counts.chunks_exact(self.prime as usize).collect();
        // y = x + delta supports x, so C(x) sums the counts at x + delta.
        let block = |j| self.block(j as u32);
        let mut all = correlation::translates(&parts, block, self.inside() as usize, self.prime as usize);
        all.truncate(self.values());
        all
    }

    /// The unbiased share of every value, from `counters` with at least one report; may be negative or above 1.
    pub fn shares(&self, counters: &Counters) -> Vec<f64> {
        let share = |count: u64| self.support.share(count, counters.reports);
        self.supporting(counters).into_iter().map(share).collect()
    }

    pub(crate) fn parameters(&self) -> BTreeMap<String, serde_json::Value> {
        BTreeMap::from([
            ("d".to_owned(), json!(self.values)),
            ("K".to_owned(), json!(self.prime)),
            ("e".to_owned(), json!(self.parts)),
            ("c".to_owned(), json!(self.cosets)),
            ("g".to_owned(), json!(self.root)),
            ("r".to_owned(), json!(self.inside())),
            ("threshold".to_owned(), json!(self.law.threshold().to_string())),
        ])
    }

    pub(crate) fn check(&self, payload: &Payload) -> Result<(), PayloadError> {
        let Payload::List(items) = payload else {
            return Err(PayloadError::Shape { expected: "an array of a coordinate and an index" });
        };
        let &[j, y] = items.as_slice() else { return Err(PayloadError::Length { expected: 2, found: items.len() }) };
        for (index, size) in [(j, self.parts), (y, self.prime)] {
            if index >= size {
                return Err(PayloadError::Range { index, size: size as usize });
            }
        }
        Ok(())
    }

    /// The counter of a checked report.
    pub(crate) fn counter(&self, j: u32, y: u32) -> usize {
        j as usize * self.prime as usize + y as usize
    }

    /// log_g of the t-th element of B.
    const fn exponent_inside(&self, t: u32) -> u32 {
        t / self.cosets * self.parts + t % self.cosets
    }

    /// log_g of the t-th element outside B and above 0.
    const fn exponent_outside(&self, t: u32) -> u32 {
        let others = self.parts - self.cosets;
        t / others * self.parts + self.cosets + t % others
    }

    /// Whether y lies in S_j(x).
    fn supports(&self, j: u32, y: u32, x: u32) -> bool {
        let delta = (y + self.prime - x) % self.prime;
        self.block(j).contains(&delta)
    }
}

/// V of subset selection with the best k: the least that any mechanism over `values` values can have.
pub(crate) fn optimum(bound: &ExpBound, values: u32) -> RBig {
    // The best k is next to d / (1 + E) (Ye, Barg 2018, theorem IV.3).
    let near = (f64::from(values) / (1.0 + bound.to_f64())) as u32;
    let candidates = near.saturating_sub(1).max(1)..=(near + 2).min(values - 1);
    candidates.map(|k| Subset::optimum(bound, values, k)).min().expect("d >= 2 leaves a k")
}

fn index(value: &Value) -> u32 {
    match value {
        Value::Index(index) => *index,
        Value::Items(_) => unreachable!("sets have the subset family"),
    }
}

impl Law for Cyclotomic {
    fn inputs(&self) -> Vec<Value> {
        (0..self.values).map(Value::Index).collect()
    }

    fn outputs(&self) -> Vec<Payload> {
        (0..self.parts).flat_map(|j| (0..self.prime).map(move |y| Payload::List(vec![j, y]))).collect()
    }

    fn probability(&self, value: &Value, output: &Payload) -> RBig {
        self.law.probability(self.side(value, output) == 0) / RBig::from(self.parts)
    }

    fn randomize<R: TryCryptoRng + ?Sized>(&self, value: &Value, rng: &mut R) -> Result<Payload, R::Error> {
        let x = index(value);
        assert!(x < self.values, "the domain maps every value below d");
        let mut words = Ahead::<_, 4>::new(rng, 4);
        let is_inside = self.law.is_inside(&mut words)?;
        let j = uniform::below(self.parts.into(), &mut words)? as u32;
        let inside = uniform::below(self.inside().into(), &mut words)? as u32;
        let outside = uniform::below((self.prime - self.inside()).into(), &mut words)? as u32;
        // Both candidates are drawn, one exponent is selected and one power is taken, so the work says nothing about x.
        let select = 0u32.wrapping_sub(u32::from(is_inside));
        let exponents = (self.exponent_inside(inside), self.exponent_outside(outside.saturating_sub(1)));
        let exponent = j + ((exponents.0 & select) | (exponents.1 & !select));
        let order = self.prime - 1;
        let exponent = exponent - (order & 0u32.wrapping_sub(u32::from(exponent >= order)));
        let is_zero = !is_inside & (outside == 0);
        let delta = self.powers.power(exponent) & u32::from(is_zero).wrapping_sub(1);
        let y = x + delta;
        let y = y - (self.prime & 0u32.wrapping_sub(u32::from(y >= self.prime)));
        Ok(Payload::List(vec![j, y]))
    }

    fn coin(&self, _value: &Value) -> Option<Coin> {
        Some(Coin { words_before: 0, edges: vec![self.law.threshold()] })
    }

    fn side(&self, value: &Value, output: &Payload) -> usize {
        let Payload::List(items) = output else { return 1 };
        usize::from(!matches!(items[..], [j, y] if self.supports(j, y, index(value))))
    }

    fn counters(&self) -> usize {
        self.parts as usize * self.prime as usize
    }

    fn support(&self, output: &Payload) -> Vec<u32> {
        match output {
            Payload::List(items) => vec![self.counter(items[0], items[1]) as u32],
            Payload::Number(_) => Vec::new(),
        }
    }

    fn statistics(&self) -> u32 {
        self.values
    }

    fn truth(&self, statistic: u32, value: &Value) -> RBig {
        if statistic == index(value) { RBig::ONE } else { RBig::ZERO }
    }

    fn contribution(&self, statistic: u32, output: &Payload) -> RBig {
        self.support.contribution(self.side(&Value::Index(statistic), output) == 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::conformance::{self, SplitMix};

    fn bound(epsilon: &str) -> ExpBound {
        ExpBound::new(epsilon.parse().unwrap())
    }

    #[test]
    fn it_conforms() {
        for (epsilon, values, parts, cosets) in
            [("1", 2, 2, 1), ("0.5", 7, 2, 1), ("2", 5, 4, 1), ("1", 9, 4, 1), ("0.1", 11, 5, 2), ("4", 6, 6, 1)]
        {
            let bound = bound(epsilon);
            conformance::check(&Cyclotomic::new(&bound, values, parts, cosets), &bound, 13).unwrap();
        }
    }

    /// How often each difference of two elements of the blocks occurs, over all coordinates.
    fn differences(family: &Cyclotomic) -> Vec<u64> {
        let k = family.prime as usize;
        let mut counts = vec![0; k];
        for j in 0..family.parts {
            let mut marks = vec![0u64; k];
            family.block(j).into_iter().for_each(|element| marks[element as usize] = 1);
            let shifted = correlation::translates(&[&marks], |_| family.block(j), family.inside() as usize, k);
            counts.iter_mut().zip(shifted).for_each(|(sum, count)| *sum += count);
        }
        counts
    }

    #[test]
    fn every_difference_is_covered_equally() {
        let bound = bound("1");
        let chosen =
            [("0.25", 257), ("0.5", 300), ("1", 500), ("2", 257), ("3", 1024), ("4", 300), ("1", 5000), ("2", 16_384)];
        let chosen = chosen.map(|(epsilon, d)| Cyclotomic::optimal(&self::bound(epsilon), d).unwrap());
        let small = [(2, 2, 1), (7, 3, 2), (30, 5, 3), (100, 12, 1), (101, 100, 99), (255, 8, 5)]
            .map(|(values, parts, cosets)| Cyclotomic::new(&bound, values, parts, cosets));
        for family in chosen.iter().chain(&small) {
            let (r, k, e) = (u64::from(family.inside()), u64::from(family.prime), u64::from(family.parts));
            let counts = differences(family);
            assert_eq!(counts[0], e * r, "a block has r elements");
            // e r (r-1) pairs over K - 1 differences: l = r(r-1)/(K-1) for each coordinate on average.
            assert!(counts[1..].iter().all(|&count| count * (k - 1) == e * r * (r - 1)), "{:?}", family.parameters());
        }
    }

    #[test]
    fn transform_and_enumeration_agree_on_the_support() {
        let family = Cyclotomic::optimal(&bound("1"), 300).unwrap();
        let mut counters = Counters::new(family.counters());
        let mut rng = SplitMix::new(3);
        let mut direct = vec![0u64; 300];
        for report in 0..500u32 {
            let Ok(payload) = family.randomize(&Value::Index(report % 300), &mut rng);
            let Payload::List(items) = &payload else { panic!("{payload:?}") };
            counters.counts[family.counter(items[0], items[1])] += 1;
            counters.reports += 1;
            let block: BTreeSet<u32> = family.block(items[0]).into_iter().collect();
            for (x, count) in direct.iter_mut().enumerate() {
                *count += u64::from(block.contains(&((items[1] + family.prime - x as u32) % family.prime)));
            }
        }
        assert_eq!(family.supporting(&counters), direct);
    }

    #[test]
    fn chosen_families_are_close_to_the_optimum_and_small() {
        for (epsilon, values, at_most_counters) in [("1", 257, 5), ("1", 65_536, 5), ("4", 1024, 60), ("2", 16_384, 10)]
        {
            let family = Cyclotomic::optimal(&bound(epsilon), values).unwrap();
            let ratio = (family.variance() / optimum(&bound(epsilon), values)).to_f64().value();
            assert!(ratio <= 1.005, "{epsilon} {values}: {ratio}");
            assert!(family.counters() <= at_most_counters * values as usize, "{:?}", family.parameters());
        }
    }
}
