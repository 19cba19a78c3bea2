//! The closed set of mechanisms, and what all of them can do.

use std::collections::BTreeMap;

use dashu_ratio::RBig;
use hubbub_privacy::certificate::{Certificate, Witness};
use hubbub_privacy::{Counters, Metric, MetricId, Payload, REPORT_BODY_BYTES, Report, ReportId, Value};
use rand_core::TryCryptoRng;

use crate::conformance::Law;
use crate::exact::{ln_enclosure, ratio};
use crate::payload::PayloadError;
use crate::two_level::TwoLevel;
use crate::{Cyclotomic, FoldedGeometric, Subset, Window};

/// How a metric's values are randomized and its counters decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum Mechanism {
    /// Booleans, categories and sets.
    Subset(Subset),
    /// Categories of many values.
    Cyclotomic(Cyclotomic),
    /// Ordered values, and counts whose mean it estimates better.
    Window(Window),
    /// Counts.
    FoldedGeometric(FoldedGeometric),
}

/// The same call on whichever family it is.
macro_rules! each {
    ($mechanism:expr, $family:ident => $call:expr) => {
        match $mechanism {
            Mechanism::Subset($family) => $call,
            Mechanism::Cyclotomic($family) => $call,
            Mechanism::Window($family) => $call,
            Mechanism::FoldedGeometric($family) => $call,
        }
    };
}

impl Mechanism {
    /// The family's name in files and certificates.
    pub const fn family(&self) -> &'static str {
        match self {
            Self::Subset(_) => "subset",
            Self::Cyclotomic(_) => "cyclotomic",
            Self::Window(_) => "window",
            Self::FoldedGeometric(_) => "folded_geometric",
        }
    }

    /// The parameters that fix the law, thresholds or the digest of the weight table included.
    pub fn parameters(&self) -> BTreeMap<String, serde_json::Value> {
        each!(self, family => family.parameters())
    }

    /// The parameters as one line of JSON, keys sorted.
    pub fn parameters_json(&self) -> String {
        serde_json::to_string(&self.parameters()).expect("strings and numbers serialize")
    }

    /// A fresh random report of a value of the metric's domain.
    ///
    /// # Errors
    /// The generator's; then there is no report.
    pub fn randomize<R: TryCryptoRng + ?Sized>(&self, value: &Value, rng: &mut R) -> Result<Payload, R::Error> {
        each!(self, family => family.randomize(value, rng))
    }

    /// P(payload | value), exactly, for a payload that [`Mechanism::check`] accepts.
    pub fn probability(&self, value: &Value, payload: &Payload) -> RBig {
        each!(self, family => family.probability(value, payload))
    }

    /// Whether a payload is one of the mechanism's outputs.
    ///
    /// # Errors
    /// [`PayloadError`] says why not.
    pub fn check(&self, payload: &Payload) -> Result<(), PayloadError> {
        each!(self, family => family.check(payload))
    }

    /// How many counters a period of this mechanism has.
    pub fn counters(&self) -> usize {
        each!(self, family => Law::counters(family))
    }

    /// Adds one report to the sums.
    ///
    /// # Errors
    /// [`PayloadError`] when the payload is not one of the mechanism's outputs; nothing is added then.
    pub fn fold(&self, payload: &Payload, counters: &mut Counters) -> Result<(), PayloadError> {
        self.touched(payload)?.for_each(|index| counters.counts[index] += 1);
        counters.reports += 1;
        Ok(())
    }

    /// The indices of the counters that a report adds one to, each once.
    ///
    /// # Errors
    /// [`PayloadError`] when the payload is not one of the mechanism's outputs.
    pub fn touched<'a>(&self, payload: &'a Payload) -> Result<impl Iterator<Item = usize> + use<'a>, PayloadError> {
        self.check(payload)?;
        let (one, many) = match (self, payload) {
            (Self::Cyclotomic(cyclotomic), Payload::List(items)) => {
                (Some(cyclotomic.counter(items[0], items[1])), &[][..])
            }
            (_, Payload::Number(index)) => (Some(*index as usize), &[][..]),
            (_, Payload::List(indices)) => (None, indices.as_slice()),
        };
        Ok(one.into_iter().chain(many.iter().map(|&index| index as usize)))
    }

    /// Whether the sums fit the number of reports: every report adds the same total.
    pub fn accounts_for(&self, counters: &Counters) -> bool {
        counters.counts.len() == self.counters() && self.totals_fit(counters.reports, counters.counts.iter().copied())
    }

    /// The same for counters that come one by one; those that are zero may be left out.
    pub fn totals_fit(&self, reports: u64, counts: impl IntoIterator<Item = u64>) -> bool {
        let per_report = match self {
            Self::Subset(subset) => subset.k() as u128,
            Self::Cyclotomic(_) | Self::Window(_) | Self::FoldedGeometric(_) => 1,
        };
        let mut counts = counts.into_iter();
        let sum = counts.try_fold(0u128, |sum, count| (count <= reports).then_some(sum + u128::from(count)));
        sum == Some(u128::from(reports) * per_report)
    }

    /// The length of every upload of this mechanism, in bytes: the smallest multiple of 512 that its longest report fits.
    pub fn body_bytes(&self) -> usize {
        let payload = match self {
            Self::Subset(subset) => {
                let (width, k) = (subset.width() as u32, subset.k() as u32);
                Payload::List((width - k..width).collect())
            }
            Self::Cyclotomic(cyclotomic) => Payload::List(vec![cyclotomic.parts(), cyclotomic.prime()]),
            Self::Window(_) | Self::FoldedGeometric(_) => Payload::Number(self.counters() as u32),
        };
        let period = hubbub_privacy::Period::containing(0);
        let longest = Report { metric: MetricId(u32::MAX), version: u32::MAX, period, id: ReportId([0; 16]), payload };
        longest.encode().len().next_multiple_of(REPORT_BODY_BYTES)
    }

    /// The largest number of bits a report needs, as indices of fixed width.
    pub fn report_bits(&self) -> u32 {
        let bits = |outputs: usize| (outputs - 1).checked_ilog2().map_or(0, |log| log + 1);
        match self {
            Self::Subset(subset) => subset.k() as u32 * bits(subset.width()),
            Self::Cyclotomic(_) | Self::Window(_) | Self::FoldedGeometric(_) => bits(self.counters()),
        }
    }

    /// The largest likelihood ratio over all outputs and pairs of inputs, from the very integers the sampler reads.
    pub fn ratio(&self) -> RBig {
        match self.two_level() {
            Ok(law) => law.ratio(),
            Err(folded) => folded.worst_case().0,
        }
    }

    /// By how many honest devices one forged report can move an estimate.
    pub fn poisoning_gain(&self) -> f64 {
        match self {
            Self::Subset(subset) => subset.support().poisoning_gain(),
            Self::Cyclotomic(cyclotomic) => cyclotomic.support().poisoning_gain(),
            Self::Window(window) => window.poisoning_gain(),
            Self::FoldedGeometric(folded) => folded.poisoning_gain(),
        }
    }

    /// The largest total variation distance between the laws of two inputs: what shuffling amplifies.
    pub fn total_variation(&self) -> RBig {
        // Of two-level laws: the outputs inside S(x) and outside S(x'), each likelier by the same difference. `apart` is
        // the largest part of S(x) outside S(x').
        let two_level = |law: &TwoLevel, apart: RBig| {
            let difference = law.probability(true) - law.probability(false);
            difference * RBig::from(law.inside().clone()) * apart
        };
        match self {
            Self::Subset(subset) => two_level(subset.law(), subset.largest_part_apart()),
            Self::Cyclotomic(cyclotomic) => {
                // Averaged over the public coordinate, 1 - l/r = 1 - (r-1)/(K-1) for every pair.
                let (r, k) = (cyclotomic.inside(), cyclotomic.prime());
                two_level(cyclotomic.law(), ratio(k - r, k - 1))
            }
            Self::Window(window) => {
                // The ends are the farthest apart.
                let (d, w) = (window.values() as u32, window.width());
                two_level(window.law(), ratio(w.min(d - 1), w))
            }
            Self::FoldedGeometric(folded) => {
                let ends = [0, folded.max()].map(Value::Index);
                let positive = |payload: Payload| {
                    let [low, high] = [&ends[0], &ends[1]].map(|end| folded.probability(end, &payload));
                    if low > high { low - high } else { RBig::ZERO }
                };
                folded.outputs().into_iter().map(positive).fold(RBig::ZERO, |sum, part| sum + part)
            }
        }
    }

    /// The law of the families of sets; of the others the table.
    fn two_level(&self) -> Result<&TwoLevel, &FoldedGeometric> {
        match self {
            Self::Subset(subset) => Ok(subset.law()),
            Self::Cyclotomic(cyclotomic) => Ok(cyclotomic.law()),
            Self::Window(window) => Ok(window.law()),
            Self::FoldedGeometric(folded) => Err(folded),
        }
    }

    /// Two inputs and an output whose likelihood ratio is [`Mechanism::ratio`].
    fn witness(&self) -> (Value, Value, Payload) {
        let index = Value::Index;
        match self {
            Self::Subset(subset) => {
                let k = subset.k() as u32;
                let output = Payload::List((0..k).collect());
                if subset.is_of_sets() {
                    // One value of the report against none: the empty set is all dummies, and those come last.
                    return (Value::Items(vec![0]), Value::Items(Vec::new()), output);
                }
                (index(0), index(k), output)
            }
            Self::Cyclotomic(cyclotomic) => {
                let output = |y| Payload::List(vec![0, y]);
                let inside = cyclotomic.block(0);
                // Some y supports value 0 and not value 1, or every y that supports one supports the other.
                let apart =
                    inside.iter().find(|&&y| !inside.contains(&((y + cyclotomic.prime() - 1) % cyclotomic.prime())));
                (index(0), index(1), output(*apart.expect("a block is not closed under addition of 1")))
            }
            Self::Window(window) => (index(0), index(window.values() as u32 - 1), Payload::Number(0)),
            Self::FoldedGeometric(folded) => {
                let (_, most, least, y) = folded.worst_case();
                (index(most), index(least), Payload::Number(y))
            }
        }
    }

    /// The certificate of `metric`, whose mechanism this is.
    pub fn certificate(&self, metric: &Metric) -> Certificate {
        let ratio = self.ratio();
        let (low, high) = ln_enclosure(&ratio);
        let (likely, unlikely, output) = self.witness();
        let fraction = |value: &RBig| format!("{}/{}", value.numerator(), value.denominator());
        let name = |value: &Value| match value {
            Value::Index(index) => metric.domain.label(*index),
            Value::Items(_) => metric.domain.show(value),
        };
        Certificate {
            format: Certificate::FORMAT.to_owned(),
            metric: metric.name.clone(),
            version: metric.version,
            kind: metric.domain.kind().to_owned(),
            values: metric.domain.size() as u64,
            epsilon: metric.privacy.epsilon.to_string(),
            family: self.family().to_owned(),
            parameters: self.parameters(),
            ratio: fraction(&ratio),
            epsilon_realized: [fraction(&low), fraction(&high)],
            attained_by: Witness {
                likely: name(&likely),
                unlikely: name(&unlikely),
                output: serde_json::to_value(output).expect("indices serialize"),
            },
            report_bits: self.report_bits(),
            poisoning_gain: format!("{:.6}", (self.poisoning_gain() * 1e6).ceil() / 1e6),
        }
    }
}

#[cfg(test)]
mod tests {
    use hubbub_privacy::Goal;
    use proptest::prelude::*;

    use super::*;
    use crate::ExpBound;

    fn mechanisms() -> Vec<Mechanism> {
        let bound = ExpBound::new("1".parse().unwrap());
        vec![
            Mechanism::Subset(Subset::new(&bound, 2, 1)),
            Mechanism::Subset(Subset::optimal(&bound, 16)),
            Mechanism::Subset(Subset::of_sets(&bound, 6, 2, 3)),
            Mechanism::Cyclotomic(Cyclotomic::new(&bound, 12, 4, 1)),
            Mechanism::Window(Window::new(&bound, 9, 4, Goal::Mean)),
            Mechanism::FoldedGeometric(FoldedGeometric::new("1".parse().unwrap(), 20).unwrap()),
        ]
    }

    /// The law of an enumerable mechanism.
    fn law(mechanism: &Mechanism) -> (Vec<Value>, Vec<Payload>) {
        each!(mechanism, family => (family.inputs(), family.outputs()))
    }

    #[test]
    fn uploads_of_a_mechanism_all_have_the_same_length() {
        for mechanism in mechanisms() {
            assert_eq!(mechanism.body_bytes(), 512);
        }
        let long = Mechanism::Subset(Subset::optimal(&ExpBound::new("0.01".parse().unwrap()), 256));
        assert_eq!(long.body_bytes(), 1024);
        let longest = Subset::of_sets(&ExpBound::new("1".parse().unwrap()), 1 << 20, 1, Subset::MAX_K);
        assert_eq!(Mechanism::Subset(longest).body_bytes(), 4096);
    }

    #[test]
    fn totals_that_no_set_of_reports_has_are_noticed() {
        let mechanism = &mechanisms()[0];
        for (reports, counts, fits) in
            [(3, vec![1, 2], true), (3, vec![1, 1], false), (3, vec![4, 0], false), (3, vec![1, 2, 0], false)]
        {
            assert_eq!(mechanism.accounts_for(&Counters { reports, counts: counts.clone() }), fits, "{counts:?}");
        }
    }

    #[test]
    fn the_witness_attains_the_largest_ratio() {
        for mechanism in mechanisms() {
            let (likely, unlikely, output) = mechanism.witness();
            assert_eq!(mechanism.check(&output), Ok(()));
            let attained = mechanism.probability(&likely, &output) / mechanism.probability(&unlikely, &output);
            assert_eq!(attained, mechanism.ratio(), "{}", mechanism.family());
        }
    }

    #[test]
    fn the_total_variation_is_that_of_the_enumerated_law() {
        for mechanism in mechanisms() {
            let (inputs, outputs) = law(&mechanism);
            let laws: Vec<Vec<RBig>> = inputs
                .iter()
                .map(|input| outputs.iter().map(|output| mechanism.probability(input, output)).collect())
                .collect();
            let distance = |a: &[RBig], b: &[RBig]| {
                let parts = a.iter().zip(b).filter(|(a, b)| a > b).map(|(a, b)| a - b);
                parts.fold(RBig::ZERO, |sum, part| sum + part)
            };
            let largest = laws.iter().flat_map(|a| laws.iter().map(|b| distance(a, b))).max();
            assert_eq!(largest, Some(mechanism.total_variation()), "{}", mechanism.family());
        }
    }

    #[test]
    fn bits_tell_outputs_apart() {
        let bits: Vec<u32> = mechanisms().iter().map(Mechanism::report_bits).collect();
        assert_eq!(bits, [1, 4 * 4, 3 * 3, 6, 4, 5]);
    }

    proptest! {
        #[test]
        fn no_payload_breaks_folding(items in prop::collection::vec(any::<u32>(), 0..20), number in any::<u32>()) {
            for mechanism in mechanisms() {
                for payload in [Payload::List(items.clone()), Payload::Number(number)] {
                    let mut counters = Counters::new(mechanism.counters());
                    let before = counters.clone();
                    match mechanism.fold(&payload, &mut counters) {
                        Ok(()) => prop_assert!(mechanism.accounts_for(&counters)),
                        Err(_) => prop_assert_eq!(counters, before),
                    }
                }
            }
        }
    }
}
