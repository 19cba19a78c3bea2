//! Windows: ordered values (buckets, durations, sizes), and counts whose mean matters.
//!
//! **Law.** K = d + w - 1 outputs, S(x) = {x, ..., x+w-1}: the two-level law with r = w and K - r = d - 1.
//!
//! **Privacy.** Every window has w outputs, so the likelihood ratio is at most T (d-1) / (w (2^64 - T)) <= E_lo
//! ([`TwoLevel`]).
//!
//! **Estimator.** E[y | x] = a x + b, a = p - (1-p) w/(d-1), b = p (w-1)/2 + (1-p)(K(K-1) - w(w-1))/(2(d-1)), so
//! (y - b)/a is an unbiased mean. Quantiles and the distribution come by maximum likelihood; unsmoothed shares would have
//! many times the variance and are not offered.
//!
//! **Width.** For a mean, the w with the least largest variance Var(y | x)/a^2 over all x. For quantiles, the w that
//! maximizes the bound log K - H(y | x) on what a report tells: w = 2b (d-1), 2b = (eps E - E + 1)/(E (E - 1 - eps)),
//! rounded.
//!
//! **Wire.** y. **One report reveals** a window of w outputs that holds x with probability p.
//!
//! **Source.** Square Wave of Li, Wang, Lopuhaä-Zwakenberg, Škorić, Li, "Estimating numerical distributions under local
//! differential privacy", SIGMOD 2020, section 5, made discrete and exact.

use std::collections::BTreeMap;

use dashu_ratio::RBig;
use hubbub_privacy::{Counters, Epsilon, Goal, Payload, Value};
use rand_core::TryCryptoRng;
use serde_json::json;

use crate::conformance::{Coin, Law};
use crate::exact::{ExpBound, Field, least, ratio};
use crate::payload::PayloadError;
use crate::two_level::TwoLevel;
use crate::uniform::{self, Ahead};

const MILLION: u64 = 1_000_000;
/// From so many values on, smoothing is that of Li et al. With fewer, the same kernel would blur the whole scale: for 8 and
/// 40 values, 20,000 reports at epsilon 1 and smooth shapes, it makes the distribution function two to ten times worse.
const SMOOTH_VALUES: f64 = 128.0;
/// Steps of expectation-maximization at most.
const MAX_STEPS: usize = 10_000;
/// The likelihood gained per report and step below which the iteration ends (Li et al. 2020, section 5.5: 10^-3 over all
/// reports; a gain per report does not depend on how many there are).
const LEAST_GAIN: f64 = 1e-9;

/// The window mechanism over d values.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    values: u32,
    width: u32,
    goal: Goal,
    law: TwoLevel,
    line: Line<RBig>,
    /// a and b, rounded.
    rounded: (f64, f64),
}

/// E[y | x] = a x + b.
#[derive(Debug, Clone, PartialEq)]
struct Line<T> {
    a: T,
    b: T,
}

impl<T: Field> Line<T> {
    fn new(p: &T, values: u32, width: u32) -> Self {
        let [one, d, w] = [1, values, width].map(T::from);
        let k = d.clone() + w.clone() - one.clone();
        let q = one.clone() - p.clone();
        let before = |n: &T| n.clone() * (n.clone() - one.clone()) / T::from(2);
        let others = d - one.clone();
        Self {
            a: p.clone() - q.clone() * w.clone() / others.clone(),
            b: p.clone() * (w.clone() - one.clone()) / T::from(2) + q * (before(&k) - before(&w)) / others,
        }
    }
}

/// Var(y | x) of the window of `width` over `values`.
fn variance<T: Field>(p: &T, values: u32, width: u32, x: u32) -> T {
    let [one, d, w, start] = [1, values, width, x].map(T::from);
    let q = one.clone() - p.clone();
    // 0 + 1 + ... + (n-1), and the same of squares.
    let sum = |n: &T| n.clone() * (n.clone() - one.clone()) / T::from(2);
    let squares = |n: &T| sum(n) * (n.clone() + n.clone() - one.clone()) / T::from(3);
    let (k, end) = (d.clone() + w.clone() - one.clone(), start.clone() + w.clone());
    let inside = |total: &dyn Fn(&T) -> T| total(&end) - total(&start);
    let moment = |total: &dyn Fn(&T) -> T| {
        p.clone() * inside(total) / w.clone() + q.clone() * (total(&k) - inside(total)) / (d.clone() - one.clone())
    };
    let mean = moment(&sum);
    moment(&squares) - mean.clone() * mean
}

impl Window {
    /// The mechanism for `values` = d >= 2 with windows of `width` = w >= 1; `goal` is what w was chosen for.
    pub fn new(bound: &ExpBound, values: u32, width: u32, goal: Goal) -> Self {
        assert!(values >= 2 && width >= 1, "a window needs d >= 2 and w >= 1");
        let law = TwoLevel::new(bound, width, values - 1);
        let line = Line::new(&law.p(), values, width);
        let rounded = (line.a.to_f64().value(), line.b.to_f64().value());
        Self { values, width, goal, law, line, rounded }
    }

    /// The window that serves `goal` best at `epsilon`, whose bound is `bound`.
    pub fn optimal(bound: &ExpBound, epsilon: Epsilon, values: u32, goal: Goal) -> Self {
        let width = match goal {
            Goal::Mean => width_for_mean(bound, values),
            Goal::Quantiles => width_for_quantiles(bound, epsilon, values),
        };
        Self::new(bound, values, width, goal)
    }

    /// d.
    pub const fn values(&self) -> usize {
        self.values as usize
    }

    /// w.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// What w was chosen for.
    pub const fn goal(&self) -> Goal {
        self.goal
    }

    /// The coin and its likelihood ratio.
    pub const fn law(&self) -> &TwoLevel {
        &self.law
    }

    /// The unbiased estimate of x that one report y makes, (y - b)/a, in buckets.
    pub fn unbiased(&self, y: u32) -> f64 {
        let (a, b) = self.rounded;
        (f64::from(y) - b) / a
    }

    /// The unbiased estimate of x^2 that one report y makes, in squared buckets: E[y^2 | x] = a x^2 + a (w-1) x + c.
    pub fn unbiased_square(&self, y: u32) -> f64 {
        let squares = |n: u32| f64::from(n) * (f64::from(n) - 1.0) * (2.0 * f64::from(n) - 1.0) / 6.0;
        let (high, low) = (self.chance(0, 0), self.chance(0, self.width));
        let c = (high - low) * squares(self.width) + low * squares(self.values + self.width - 1);
        (f64::from(y).powi(2) - c) / self.rounded.0 - f64::from(self.width - 1) * self.unbiased(y)
    }

    /// P(y | x).
    pub fn chance(&self, x: u32, y: u32) -> f64 {
        let is_inside = (x..x + self.width).contains(&y);
        let p = self.law.threshold() as f64 / 2f64.powi(64);
        if is_inside { p / f64::from(self.width) } else { (1.0 - p) / f64::from(self.values - 1) }
    }

    /// The unbiased mean of the population, in buckets, from `counters` with at least one report.
    pub fn mean(&self, counters: &Counters) -> f64 {
        let sum: f64 = (0..).zip(&counters.counts).map(|(y, &count)| count as f64 * self.unbiased(y)).sum();
        sum / counters.reports as f64
    }

    /// The distribution of the population by expectation-maximization with smoothing (EMS): d shares that are not negative
    /// and sum to one. Biased towards smoothness; from `counters` with at least one report.
    pub fn distribution(&self, counters: &Counters) -> Vec<f64> {
        let (d, w) = (self.values(), self.width as usize);
        let n = counters.reports as f64;
        let (low, high) = (self.chance(0, self.width), self.chance(0, 0));
        let mut shares = vec![1.0 / d as f64; d];
        let mut before = f64::NEG_INFINITY;
        for _ in 0..MAX_STEPS {
            // P(y): a window of shares counts with the high chance, all others with the low one.
            let sums = running_sums(&shares);
            let covering = |y: usize| sums[(y + 1).min(d)] - sums[(y + 1).saturating_sub(w)];
            let chances: Vec<f64> = (0..d + w - 1).map(|y| low + (high - low) * covering(y)).collect();
            let observed = || counters.counts.iter().zip(&chances).filter(|(count, _)| **count > 0);
            let likelihood: f64 = observed().map(|(&count, chance)| count as f64 / n * chance.ln()).sum();
            let weights: Vec<f64> = counters.counts.iter().zip(&chances).map(|(&c, p)| c as f64 / n / p).collect();
            let weights = running_sums(&weights);
            let all = weights[d + w - 1];
            let posterior = |x: usize| low * all + (high - low) * (weights[x + w] - weights[x]);
            let expected: Vec<f64> = shares.iter().enumerate().map(|(x, share)| share * posterior(x)).collect();
            shares = smoothed(&expected);
            if likelihood - before < LEAST_GAIN {
                break;
            }
            before = likelihood;
        }
        shares
    }

    /// The variance of the estimate that one report of a device with value `x` makes, in squared buckets, exactly.
    pub fn variance(&self, x: u32) -> RBig {
        variance(&self.law.p(), self.values, self.width, x) / (&self.line.a * &self.line.a)
    }

    /// The largest of these variances over all values. Var(y | x) is a parabola in x, symmetric about the middle, so it is
    /// attained at an end or in the middle.
    pub fn largest_variance(&self) -> RBig {
        self.variance(0).max(self.variance(self.values / 2))
    }

    /// By how many honest devices one forged report can move a mean, in units of the largest value: the farthest estimate
    /// from the value of a device at the other end.
    pub fn poisoning_gain(&self) -> f64 {
        let last = f64::from(self.values - 1);
        let (low, high) = (self.unbiased(0), self.unbiased(self.values + self.width - 2));
        high.max(last - low) / last
    }

    pub(crate) fn parameters(&self) -> BTreeMap<String, serde_json::Value> {
        let goal = match self.goal {
            Goal::Mean => "mean",
            Goal::Quantiles => "quantiles",
        };
        BTreeMap::from([
            ("d".to_owned(), json!(self.values)),
            ("w".to_owned(), json!(self.width)),
            ("K".to_owned(), json!(self.values + self.width - 1)),
            ("goal".to_owned(), json!(goal)),
            ("threshold".to_owned(), json!(self.law.threshold().to_string())),
        ])
    }

    pub(crate) fn check(&self, payload: &Payload) -> Result<(), PayloadError> {
        match payload {
            Payload::Number(y) if (*y as usize) < self.counters() => Ok(()),
            Payload::Number(y) => Err(PayloadError::Range { index: *y, size: self.counters() }),
            Payload::List(_) => Err(PayloadError::Shape { expected: "a number" }),
        }
    }
}

/// 0, v_0, v_0 + v_1, ...
fn running_sums(values: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0];
    sums.extend(values.iter().scan(0.0, |sum, value| {
        *sum += value;
        Some(*sum)
    }));
    sums
}

/// Every share moved towards the binomial average of its neighbours (1 : 2 : 1), then all scaled to sum to one.
///
/// Each step smooths by the same part of the whole scale, so fewer values are moved less: fully from [`SMOOTH_VALUES`] on.
fn smoothed(shares: &[f64]) -> Vec<f64> {
    let last = shares.len() - 1;
    let strength = (shares.len() as f64 / SMOOTH_VALUES).powi(2).min(1.0);
    let average = |x: usize| match x {
        0 => (2.0 * shares[0] + shares[1]) / 3.0,
        x if x == last => (2.0 * shares[last] + shares[last - 1]) / 3.0,
        x => (shares[x - 1] + 2.0 * shares[x] + shares[x + 1]) / 4.0,
    };
    let smooth: Vec<f64> = (0..=last).map(|x| shares[x] + strength * (average(x) - shares[x])).collect();
    let sum: f64 = smooth.iter().sum();
    smooth.into_iter().map(|share| share / sum).collect()
}

/// The width whose largest variance of a mean is least.
fn width_for_mean(bound: &ExpBound, values: u32) -> u32 {
    let e = bound.to_f64();
    let largest = |width: u32| {
        let inside = e * f64::from(width);
        let p = inside / (inside + f64::from(values - 1));
        let a = Line::new(&p, values, width).a;
        let at = |x| variance(&p, values, width, x) / (a * a);
        at(0).max(at(values / 2))
    };
    let exact = |width: u32| Window::new(bound, values, width, Goal::Mean).largest_variance();
    let candidates: Vec<u32> = (1..=2 * values).collect();
    least(&candidates, largest, exact).expect("w = 1 is always a candidate")
}

/// The width that lets a report tell most, as a bound on the mutual information sees it.
fn width_for_quantiles(bound: &ExpBound, epsilon: Epsilon, values: u32) -> u32 {
    let (e, epsilon) = (bound.to_ratio(), ratio(epsilon.millionths(), MILLION));
    let top = &epsilon * &e - &e + RBig::ONE;
    let bottom = &e * (&e - RBig::ONE - epsilon);
    let rounded = (top / bottom * RBig::from(values - 1) + ratio(1u8, 2u8)).floor();
    u32::try_from(rounded).expect("0 <= 2b <= 1").max(1)
}

fn index(value: &Value) -> u32 {
    match value {
        Value::Index(index) => *index,
        Value::Items(_) => unreachable!("sets have the subset family"),
    }
}

impl Law for Window {
    fn inputs(&self) -> Vec<Value> {
        (0..self.values).map(Value::Index).collect()
    }

    fn outputs(&self) -> Vec<Payload> {
        (0..self.counters() as u32).map(Payload::Number).collect()
    }

    fn probability(&self, value: &Value, output: &Payload) -> RBig {
        self.law.probability(self.side(value, output) == 0)
    }

    fn randomize<R: TryCryptoRng + ?Sized>(&self, value: &Value, rng: &mut R) -> Result<Payload, R::Error> {
        let x = index(value);
        assert!(x < self.values, "the domain maps every value below d");
        let mut words = Ahead::<_, 3>::new(rng, 3);
        let is_inside = self.law.is_inside(&mut words)?;
        let inside = x + uniform::below(self.width.into(), &mut words)? as u32;
        let outside = uniform::below((self.values - 1).into(), &mut words)? as u32;
        let outside = outside + (self.width & 0u32.wrapping_sub(u32::from(outside >= x)));
        let select = 0u32.wrapping_sub(u32::from(is_inside));
        Ok(Payload::Number((inside & select) | (outside & !select)))
    }

    fn coin(&self, _value: &Value) -> Option<Coin> {
        Some(Coin { words_before: 0, edges: vec![self.law.threshold()] })
    }

    fn side(&self, value: &Value, output: &Payload) -> usize {
        let x = index(value);
        usize::from(!matches!(output, Payload::Number(y) if (x..x + self.width).contains(y)))
    }

    fn counters(&self) -> usize {
        (self.values + self.width - 1) as usize
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
        (RBig::from(*y) - &self.line.b) / &self.line.a
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    fn optimal(epsilon: &str, values: u32, goal: Goal) -> Window {
        let epsilon: Epsilon = epsilon.parse().unwrap();
        Window::optimal(&ExpBound::new(epsilon), epsilon, values, goal)
    }

    #[test]
    fn it_conforms() {
        for (epsilon, values, width) in [("1", 2, 1), ("0.5", 4, 3), ("2", 7, 2), ("4", 5, 1), ("0.1", 3, 5)] {
            let bound = ExpBound::new(epsilon.parse().unwrap());
            conformance::check(&Window::new(&bound, values, width, Goal::Mean), &bound, 17).unwrap();
        }
    }

    #[test]
    fn the_variance_is_that_of_the_enumerated_law() {
        let window = optimal("1", 9, Goal::Mean);
        for x in 0..9 {
            let moment = |power: isize| {
                let terms = window.outputs().into_iter().map(|output| {
                    window.probability(&Value::Index(x), &output) * window.contribution(0, &output).pow(power)
                });
                terms.fold(RBig::ZERO, |sum, term| sum + term)
            };
            assert_eq!(window.variance(x), moment(2) - moment(1).sqr());
            assert!(window.variance(x) <= window.largest_variance());
        }
    }

    #[test]
    fn squares_are_estimated_without_bias() {
        let window = optimal("2", 11, Goal::Mean);
        for x in 0..11 {
            let mean: f64 =
                (0..window.counters() as u32).map(|y| window.chance(x, y) * window.unbiased_square(y)).sum();
            assert!((mean - f64::from(x * x)).abs() < 1e-9, "{x}: {mean}");
        }
    }

    #[test]
    fn the_distribution_of_many_reports_is_the_populations() {
        let window = optimal("1", 40, Goal::Quantiles);
        // A smooth hill, so that smoothing costs little.
        let truth: Vec<f64> = (0..40).map(|x| (-(f64::from(x) - 25.0).powi(2) / 72.0).exp()).collect();
        let total: f64 = truth.iter().sum();
        let law = |y: u32| (0..).zip(&truth).map(|(x, share)| share / total * window.chance(x, y)).sum::<f64>();
        let counts: Vec<u64> = (0..window.counters() as u32).map(|y| (law(y) * 1e9).round() as u64).collect();
        let counters = Counters { reports: counts.iter().sum(), counts };
        let found = window.distribution(&counters);
        assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-9 && found.iter().all(|share| *share >= 0.0));
        let (mut ours, mut theirs, mut apart) = (0.0, 0.0, 0f64);
        for (found, truth) in found.iter().zip(&truth) {
            ours += found;
            theirs += truth / total;
            apart = apart.max((ours - theirs).abs());
        }
        assert!(apart < 0.02, "the distribution functions are {apart} apart");
        let mean: f64 = (0..).zip(&truth).map(|(x, share): (u32, _)| f64::from(x) * share / total).sum();
        assert!((window.mean(&counters) - mean).abs() < 1e-6);
    }

    #[test]
    fn widths_are_those_of_the_design() {
        let part = |epsilon, goal| f64::from(optimal(epsilon, 1000, goal).width()) / 1000.0;
        assert!((part("1", Goal::Mean) - 0.77).abs() < 0.01);
        assert!((part("4", Goal::Mean) - 0.32).abs() < 0.01);
        assert!((part("1", Goal::Quantiles) - 0.51).abs() < 0.01);
        // On a scale where the largest value is 1.
        let largest = |epsilon| optimal(epsilon, 1000, Goal::Mean).largest_variance().to_f64().value() / 999f64.powi(2);
        assert!((largest("1") - 1.27).abs() < 0.01, "{}", largest("1"));
        assert!((largest("4") - 0.0405).abs() < 0.0005, "{}", largest("4"));
    }
}
