//! Predicted errors: how far a mechanism's estimates will lie from the truth, before anyone is asked.
//!
//! The estimates are averages over reports, so every variance here is that of one report's estimate; n reports have one
//! n-th of it. There are two. For a fixed set of devices only the noise varies ([`Mechanism::noise_variances`]); a 95 %
//! interval also covers that the devices were drawn from a population, and so is predicted from both together
//! ([`Mechanism::predictions`]):
//!
//! - a share f: mu (1-mu) / (pi1-pi0)^2 with mu = f pi1 + (1-f) pi0;
//! - a mean over a population of values x: the average of v(x), which is the noise for x, and the variance of x.
//!
//! Shares are parts of 1; means are in steps of the domain: buckets, or counts.

use dashu_ratio::RBig;
use hubbub_privacy::{Counters, Epsilon};

use crate::choice::Shape;
use crate::cyclotomic;
use crate::exact::ln_enclosure;
use crate::{ExpBound, FoldedGeometric, Mechanism, Support, Window};

/// Standard errors to either side of an estimate that hold 95 % of a normal law.
pub const Z95: f64 = 1.959_963_984_540_054;

/// The population for which an error is predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Population {
    /// For a share: this part of the devices has the value.
    Share(f64),
    /// For a mean: `part` of the devices have the value `high`, all others `low`.
    TwoValues {
        /// One value.
        low: u32,
        /// The other.
        high: u32,
        /// How many devices have it, from 0 to 1.
        part: f64,
    },
}

/// An error that can be expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// For whom.
    pub population: Population,
    /// The variance times n, of noise and the choice of devices together.
    pub variance: f64,
}

impl Prediction {
    /// Half of a 95 % interval from `reports` reports; infinite without any.
    pub fn half_width_95(&self, reports: u64) -> f64 {
        Z95 * (self.variance / reports as f64).sqrt()
    }
}

/// What a mechanism's counters are decoded to.
enum Decoded<'a> {
    Shares(&'a Support),
    Mean(Noise<'a>),
}

/// v(x), the variance of the estimate of a mean that one report of value x makes.
enum Noise<'a> {
    /// A parabola, symmetric about the middle: `ends` at both ends, `bend` x (d-1-x) less between.
    Window {
        ends: f64,
        bend: f64,
        last: u32,
    },
    FoldedGeometric(&'a FoldedGeometric),
}

impl Noise<'_> {
    fn of_window(window: &Window) -> Self {
        let last = window.values() as u32 - 1;
        let ends = window.variance(0);
        // From v(1), exactly, because in floats little is left of the difference.
        let bend = (&ends - window.variance(1)) / RBig::from(last.saturating_sub(1).max(1));
        Self::Window { ends: ends.to_f64().value(), bend: bend.to_f64().value(), last }
    }

    fn at(&self, x: u32) -> f64 {
        match self {
            Self::Window { ends, bend, last } => ends - bend * f64::from(x) * f64::from(last - x),
            Self::FoldedGeometric(folded) => folded.variance(x),
        }
    }

    /// The population whose mean is hardest to estimate. For a given mean the average of v(x) + x^2 is largest for a
    /// population of at most two values, and there the variance is v(low) + part (v(high) - v(low)) +
    /// part (1-part) (high-low)^2.
    fn worst(&self) -> Prediction {
        let noise: Vec<(u32, f64)> = match self {
            // v(x) + x^2 is convex, so nothing between the ends is as bad as the ends.
            Self::Window { ends, last, .. } => vec![(0, *ends), (*last, *ends)],
            Self::FoldedGeometric(folded) => (0..=folded.max()).map(|x| (x, self.at(x))).collect(),
        };
        let pairs = noise.iter().enumerate().flat_map(|(i, low)| noise[i..].iter().map(move |high| (*low, *high)));
        let predictions = pairs.map(|((low, noise_low), (high, noise_high))| {
            let (square, difference) = (f64::from(high - low).powi(2), noise_high - noise_low);
            let part = if low == high { 0.0 } else { (0.5 + difference / (2.0 * square)).clamp(0.0, 1.0) };
            let variance = noise_low + part * difference + part * (1.0 - part) * square;
            Prediction { population: Population::TwoValues { low, high, part }, variance }
        });
        predictions.max_by(|a, b| a.variance.total_cmp(&b.variance)).expect("there are two values")
    }
}

impl Mechanism {
    fn decoded(&self) -> Decoded<'_> {
        match self {
            Self::Subset(subset) => Decoded::Shares(subset.support()),
            Self::Cyclotomic(cyclotomic) => Decoded::Shares(cyclotomic.support()),
            Self::Window(window) => Decoded::Mean(Noise::of_window(window)),
            Self::FoldedGeometric(folded) => Decoded::Mean(Noise::FoldedGeometric(folded)),
        }
    }

    /// d, the number of values that are told apart.
    pub const fn values(&self) -> usize {
        match self {
            Self::Subset(subset) => subset.values(),
            Self::Cyclotomic(cyclotomic) => cyclotomic.values(),
            Self::Window(window) => window.values(),
            Self::FoldedGeometric(folded) => folded.max() as usize + 1,
        }
    }

    /// The largest possible truth of an estimate: 1 for shares, the steps from the first to the last value for a mean.
    pub fn range(&self) -> f64 {
        match self.decoded() {
            Decoded::Shares(_) => 1.0,
            Decoded::Mean(_) => (self.values() - 1) as f64,
        }
    }

    /// Whether a mean is estimated, and not the share of every value.
    pub fn estimates_mean(&self) -> bool {
        matches!(self.decoded(), Decoded::Mean(_))
    }

    /// The errors to expect: of a value that nobody, the average part (categories only) or half of the devices have; of a
    /// mean, for the population whose mean is hardest to estimate.
    pub fn predictions(&self) -> Vec<Prediction> {
        match self.decoded() {
            Decoded::Mean(noise) => vec![noise.worst()],
            Decoded::Shares(support) => {
                let average = 1.0 / self.values() as f64;
                let of_sets = matches!(self, Self::Subset(subset) if subset.is_of_sets());
                let shares = if of_sets || average == 0.5 { vec![0.0, 0.5] } else { vec![0.0, average, 0.5] };
                let prediction = |share: f64| {
                    let (pi1, pi0) = (support.pi1(), support.pi0());
                    let mu = share * pi1 + (1.0 - share) * pi0;
                    let variance = mu * (1.0 - mu) / (pi1 - pi0).powi(2);
                    Prediction { population: Population::Share(share), variance }
                };
                shares.into_iter().map(prediction).collect()
            }
        }
    }

    /// The largest of [`Mechanism::predictions`].
    pub fn worst_prediction(&self) -> Prediction {
        let worst = self.predictions().into_iter().max_by(|a, b| a.variance.total_cmp(&b.variance));
        worst.expect("there is always a prediction")
    }

    /// The variance times n of each of [`Mechanism::estimates`] that the noise makes for fixed devices: `holders[x]` of
    /// `devices` (at least one) have the value x. A device has one value, of a set any number.
    pub fn noise_variances(&self, holders: &[u64], devices: u64) -> Vec<f64> {
        let part = |count: u64| count as f64 / devices as f64;
        match self.decoded() {
            Decoded::Shares(support) => holders.iter().map(|&count| support.noise_variance(part(count))).collect(),
            Decoded::Mean(noise) => {
                let held = (0..).zip(holders).filter(|(_, count)| **count > 0);
                vec![held.map(|(x, &count)| part(count) * noise.at(x)).sum()]
            }
        }
    }

    /// The unbiased estimates from `counters` with at least one report: the share of every value, or one mean.
    pub fn estimates(&self, counters: &Counters) -> Vec<f64> {
        match self {
            Self::Subset(subset) => subset.shares(counters),
            Self::Cyclotomic(cyclotomic) => cyclotomic.shares(counters),
            Self::Window(window) => vec![window.mean(counters)],
            Self::FoldedGeometric(folded) => {
                let g = folded.unbiased(f64::from);
                let sum: f64 = counters.counts.iter().zip(g).map(|(&count, g)| count as f64 * g).sum();
                vec![sum / counters.reports as f64]
            }
        }
    }

    /// The epsilon that is really spent, ln of [`Mechanism::ratio`], rounded up.
    pub fn epsilon_realized(&self) -> f64 {
        let (_, high) = ln_enclosure(&self.ratio());
        let nearest = high.to_f64().value();
        if RBig::try_from(nearest).is_ok_and(|nearest| nearest < high) { nearest.next_up() } else { nearest }
    }
}

/// The least variance V that any mechanism can have for categories: subset selection with the best k (Ye, Barg 2018).
/// Nothing for other shapes, where no such bound is known.
pub fn optimum(shape: Shape, epsilon: Epsilon) -> Option<RBig> {
    match shape {
        Shape::Categories { values } => Some(cyclotomic::optimum(&ExpBound::new(epsilon), values)),
        Shape::Sets { .. } | Shape::Ordered { .. } | Shape::Counts { .. } => None,
    }
}

/// A fraction as certificates write it, `numerator/denominator`.
pub fn fraction(value: &RBig) -> String {
    format!("{}/{}", value.numerator(), value.denominator())
}

#[cfg(test)]
mod tests {
    use hubbub_privacy::{Goal, Value};

    use super::*;
    use crate::conformance::SplitMix;

    fn chosen(shape: Shape, name: &str, epsilon: &str) -> Mechanism {
        shape.choose(name, epsilon.parse().unwrap()).unwrap().mechanism
    }

    fn close(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
    }

    #[test]
    fn a_boolean_has_the_textbook_interval() {
        let mechanism = chosen(Shape::Categories { values: 2 }, "auto", "1");
        let e = 1f64.exp();
        let (pi1, pi0) = (e / (1.0 + e), 1.0 / (1.0 + e));
        let predictions = mechanism.predictions();
        assert_eq!(predictions.len(), 2);
        close(predictions[0].half_width_95(20_000), Z95 * (pi0 * pi1 / 20_000.0).sqrt() / (pi1 - pi0));
        close(predictions[1].half_width_95(20_000), Z95 * 0.5 / 20_000f64.sqrt() / (pi1 - pi0));
        assert_eq!(mechanism.worst_prediction().population, Population::Share(0.5));
        assert!(mechanism.epsilon_realized() <= 1.0 && mechanism.epsilon_realized() > 1.0 - 1e-14);
    }

    #[test]
    fn sets_of_the_design_page_have_their_variance() {
        let shape = Shape::Sets { values: 500, max_items: 16 };
        let candidate = shape.choose("auto", "1".parse().unwrap()).unwrap();
        let Mechanism::Subset(subset) = &candidate.mechanism else { panic!("{candidate:?}") };
        // 16 dummies make 516 indices, of ten bits each.
        assert_eq!((subset.k(), candidate.mechanism.report_bits()), (8, 80));
        let v = candidate.variance.to_f64().value();
        assert!((61.5..63.5).contains(&v), "{v}");
        let nobody = candidate.mechanism.predictions()[0];
        // V is nearly the variance of a value that nobody has, because D - 1 of D are such.
        assert!((nobody.variance / v - 1.0).abs() < 0.02);
    }

    /// The variance of one report's estimate over a population, by enumeration.
    fn enumerated(mechanism: &Mechanism, population: &[(u32, f64)]) -> f64 {
        let estimates: Vec<f64> = (0..mechanism.counters())
            .map(|y| {
                let mut counters = Counters::new(mechanism.counters());
                (counters.reports, counters.counts[y]) = (1, 1);
                mechanism.estimates(&counters)[0]
            })
            .collect();
        let chance = |x, y: usize| {
            mechanism.probability(&Value::Index(x), &hubbub_privacy::Payload::Number(y as u32)).to_f64().value()
        };
        let moment = |power: i32| -> f64 {
            let of = |x| estimates.iter().enumerate().map(|(y, g)| chance(x, y) * g.powi(power)).sum::<f64>();
            population.iter().map(|&(x, part)| part * of(x)).sum()
        };
        moment(2) - moment(1).powi(2)
    }

    #[test]
    fn the_worst_mean_is_worse_than_any_other_and_attained() {
        let ordered = |values, goal| Shape::Ordered { values, goal };
        for mechanism in [
            chosen(ordered(2, Goal::Mean), "auto", "1"),
            chosen(ordered(9, Goal::Mean), "auto", "1"),
            chosen(ordered(9, Goal::Quantiles), "auto", "3"),
            chosen(Shape::Counts { max: 1 }, "folded_geometric", "1"),
            chosen(Shape::Counts { max: 10 }, "folded_geometric", "1"),
            chosen(Shape::Counts { max: 10 }, "folded_geometric", "6"),
        ] {
            let worst = mechanism.worst_prediction();
            let Population::TwoValues { low, high, part } = worst.population else { panic!("{worst:?}") };
            let attained = enumerated(&mechanism, &[(low, 1.0 - part), (high, part)]);
            assert!((attained / worst.variance - 1.0).abs() < 1e-8, "{attained} {worst:?}");
            let mut rng = SplitMix::new(5);
            let mut weight = || {
                let Ok(word) = crate::uniform::below(1000, &mut rng);
                word as f64
            };
            for _ in 0..200 {
                let weights: Vec<f64> = (0..mechanism.values()).map(|_| weight().powi(4)).collect();
                let sum: f64 = weights.iter().sum();
                let population: Vec<(u32, f64)> = (0..).zip(weights).map(|(x, weight)| (x, weight / sum)).collect();
                assert!(enumerated(&mechanism, &population) <= worst.variance * (1.0 + 1e-9), "{population:?}");
            }
        }
    }

    #[test]
    fn the_noise_of_fixed_devices_is_the_average_of_theirs() {
        for mechanism in [
            chosen(Shape::Ordered { values: 40, goal: Goal::Mean }, "auto", "1"),
            chosen(Shape::Counts { max: 10 }, "folded_geometric", "2"),
        ] {
            for x in [0, 1, 4, 5, 10] {
                let mut holders = vec![0; mechanism.values()];
                holders[x as usize] = 7;
                close(mechanism.noise_variances(&holders, 7)[0], enumerated(&mechanism, &[(x, 1.0)]));
            }
        }
        let subset = chosen(Shape::Categories { values: 16 }, "auto", "1");
        let Mechanism::Subset(law) = &subset else { panic!("{subset:?}") };
        let mut holders = vec![1; 16];
        holders[3] = 5;
        let all = subset.noise_variances(&holders, 20);
        // V is the average over the values, one of which each device has.
        close(all.iter().sum::<f64>() / 16.0, law.variance().to_f64().value());
    }

    #[test]
    fn only_categories_have_a_known_optimum() {
        let epsilon = "1".parse().unwrap();
        let small = Shape::Categories { values: 16 };
        assert_eq!(optimum(small, epsilon), Some(small.choose("auto", epsilon).unwrap().variance));
        let large = Shape::Categories { values: 5000 };
        let ratio = large.choose("auto", epsilon).unwrap().variance / optimum(large, epsilon).unwrap();
        assert!((1.0..=1.005).contains(&ratio.to_f64().value()));
        assert_eq!(optimum(Shape::Counts { max: 5 }, epsilon), None);
    }
}
