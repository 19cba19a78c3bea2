//! How often a report of the subset family holds given values, in floats.
//!
//! D values, k of them in a report, m of them true (dummies included), p the chance of a report that meets the truth.
//! M(a) = 1 - C(D-a,k)/C(D,k) is the part of all k-subsets that meets a given values.

use hubbub_randomizer::Subset;
use statrs::distribution::{Discrete, Hypergeometric};
use statrs::function::factorial::ln_binomial;

/// The law of one subset mechanism.
#[derive(Debug, Clone, Copy)]
pub struct SetLaw {
    width: u32,
    k: u32,
    m: u32,
    p: f64,
}

impl SetLaw {
    /// The law of a mechanism.
    pub fn of(subset: &Subset) -> Self {
        let [width, k, m] = [subset.width(), subset.k(), subset.max_items()].map(|size| size as u32);
        Self { width, k, m, p: subset.law().p().to_f64().value() }
    }

    /// P(the report holds at least one of `size` values) for a truth of `length` >= m values that has `own` of them.
    ///
    /// Of a truth above m values a uniform m-subset is taken.
    pub fn meets(&self, length: u32, size: u32, own: u32) -> f64 {
        if length <= self.m {
            return self.meets_exactly(size, own);
        }
        let taken =
            Hypergeometric::new(length.into(), own.into(), self.m.into()).expect("own and m are at most length");
        let least = (self.m + own).saturating_sub(length);
        (least..=own.min(self.m))
            .map(|taken_own| taken.pmf(taken_own.into()) * self.meets_exactly(size, taken_own))
            .sum()
    }

    /// P(the report holds both of two values), of which the truth has the first or not, and the second or not.
    pub fn holds_both(&self, length: u32, own: [bool; 2]) -> f64 {
        let [first, second] = own.map(u32::from);
        self.meets(length, 1, first) + self.meets(length, 1, second) - self.meets(length, 2, first + second)
    }

    /// P(two reports are equal) of truths of m values each that have `union` values together.
    pub fn agreement(&self, union: u32) -> f64 {
        let [own, joined] = [self.m, union].map(|size| self.ln_missing(size).exp());
        // By how much a report inside (outside) is more likely than a uniform one.
        let (inside, outside) = (self.p / (1.0 - own), (1.0 - self.p) / own);
        let both = 1.0 - 2.0 * own + joined;
        let sum = both * inside * inside + 2.0 * (own - joined) * inside * outside + joined * outside * outside;
        sum * (-ln_binomial(self.width.into(), self.k.into())).exp()
    }

    fn meets_exactly(&self, size: u32, own: u32) -> f64 {
        let joined = self.m + size - own;
        let all = self.meeting(self.m);
        let inside = (all - self.meeting(joined) + self.meeting(size)) / all;
        let outside = -(self.ln_missing(joined) - self.ln_missing(self.m)).exp_m1();
        self.p * inside + (1.0 - self.p) * outside
    }

    /// M(a), without cancellation where it is small.
    fn meeting(&self, a: u32) -> f64 {
        -self.ln_missing(a).exp_m1()
    }

    /// ln(1 - M(a)).
    fn ln_missing(&self, a: u32) -> f64 {
        if a + self.k > self.width {
            return f64::NEG_INFINITY;
        }
        (0..self.k).map(|i| (-f64::from(a) / f64::from(self.width - i)).ln_1p()).sum()
    }
}

#[cfg(test)]
mod tests {
    use hubbub_privacy::{Payload, Value};
    use hubbub_randomizer::conformance::Law;
    use hubbub_randomizer::{ExpBound, Subset};

    use super::*;

    fn list(payload: &Payload) -> &[u32] {
        match payload {
            Payload::List(items) => items,
            Payload::Number(_) => &[],
        }
    }

    #[test]
    fn formulas_agree_with_enumeration() {
        let bound = ExpBound::new("1.5".parse().unwrap());
        for (values, m, k) in [(6, 2, 3), (5, 3, 1), (4, 1, 4), (7, 2, 2)] {
            let subset = Subset::of_sets(&bound, values, m, k);
            let law = SetLaw::of(&subset);
            for truth in subset.inputs() {
                let Value::Items(items) = &truth else { panic!("{truth:?}") };
                let mut padded = items.clone();
                padded.extend((values..).take((m as usize).saturating_sub(items.len())));
                let length = padded.len() as u32;
                let probability = |event: &dyn Fn(&[u32]) -> bool| -> f64 {
                    let outputs = subset.outputs().into_iter().filter(|output| event(list(output)));
                    outputs.map(|output| Law::probability(&subset, &truth, &output).to_f64().value()).sum()
                };
                for block in [vec![0], vec![1, 2], vec![0, 2, 3], vec![values - 1, values]] {
                    let own = block.iter().filter(|index| padded.contains(index)).count() as u32;
                    let exact = probability(&|output| output.iter().any(|index| block.contains(index)));
                    let found = law.meets(length, block.len() as u32, own);
                    assert!((exact - found).abs() < 1e-12, "{truth:?} {block:?}: {exact} {found}");
                }
                for pair in [[0, 1], [1, values], [2, 3]] {
                    let exact = probability(&|output| pair.iter().all(|index| output.contains(index)));
                    let found = law.holds_both(length, pair.map(|index| padded.contains(&index)));
                    assert!((exact - found).abs() < 1e-12, "{truth:?} {pair:?}: {exact} {found}");
                }
            }
        }
    }

    #[test]
    fn agreement_is_the_sum_of_products() {
        let subset = Subset::of_sets(&ExpBound::new("1".parse().unwrap()), 6, 2, 3);
        let law = SetLaw::of(&subset);
        for (first, second, union) in
            [(vec![0, 1], vec![0, 1], 2), (vec![0, 1], vec![1, 2], 3), (vec![0, 1], vec![], 4)]
        {
            let [first, second] = [first, second].map(Value::Items);
            let product = |output: &Payload| {
                (Law::probability(&subset, &first, output) * Law::probability(&subset, &second, output))
                    .to_f64()
                    .value()
            };
            let exact: f64 = subset.outputs().iter().map(product).sum();
            assert!((law.agreement(union) - exact).abs() < 1e-12, "{union}: {exact}");
        }
    }

    #[test]
    fn large_domains_lose_no_digits() {
        let subset = Subset::new(&ExpBound::new("1".parse().unwrap()), 1 << 20, 1);
        let law = SetLaw::of(&subset);
        assert!((law.meets(1, 1, 1) / subset.pi1() - 1.0).abs() < 1e-9);
        assert!((law.meets(1, 1, 0) / subset.pi0() - 1.0).abs() < 1e-9);
        let sets = Subset::of_sets(&ExpBound::new("1".parse().unwrap()), 500, 16, 8);
        let law = SetLaw::of(&sets);
        assert!((law.meets(16, 1, 1) / sets.pi1() - 1.0).abs() < 1e-9);
        assert!((law.meets(16, 1, 0) / sets.pi0() - 1.0).abs() < 1e-9);
    }
}
