//! The closed set of mechanisms, and what all of them can do.

use std::collections::BTreeMap;

use dashu_int::UBig;
use dashu_ratio::RBig;
use hubbub_privacy::certificate::{Certificate, Witness};
use hubbub_privacy::{Counters, Metric, MetricId, Payload, REPORT_BODY_BYTES, Report, ReportId, Value};
use rand_core::TryCryptoRng;

use crate::conformance::Law;
use crate::exact::ln_enclosure;
use crate::payload::PayloadError;
use crate::subset::binomial;
use crate::{FoldedGeometric, Subset};

/// How a metric's values are randomized and its counters decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mechanism {
    /// Booleans and categories.
    Subset(Subset),
    /// Counts.
    FoldedGeometric(FoldedGeometric),
}

impl Mechanism {
    /// The family's name in files and certificates.
    pub const fn family(&self) -> &'static str {
        match self {
            Self::Subset(_) => "subset",
            Self::FoldedGeometric(_) => "folded_geometric",
        }
    }

    /// The parameters that fix the law, thresholds or the digest of the weight table included.
    pub fn parameters(&self) -> BTreeMap<String, serde_json::Value> {
        match self {
            Self::Subset(subset) => subset.parameters(),
            Self::FoldedGeometric(folded) => folded.parameters(),
        }
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
        let Value::Index(x) = value else { unreachable!("sets get no mechanism from `Plan`") };
        match self {
            Self::Subset(subset) => subset.randomize(*x, rng),
            Self::FoldedGeometric(folded) => folded.randomize(*x, rng),
        }
    }

    /// Whether a payload is one of the mechanism's outputs.
    ///
    /// # Errors
    /// [`PayloadError`] says why not.
    pub fn check(&self, payload: &Payload) -> Result<(), PayloadError> {
        match self {
            Self::Subset(subset) => subset.check(payload),
            Self::FoldedGeometric(folded) => folded.check(payload),
        }
    }

    /// How many counters a period of this mechanism has.
    pub fn counters(&self) -> usize {
        match self {
            Self::Subset(subset) => subset.counters(),
            Self::FoldedGeometric(folded) => folded.counters(),
        }
    }

    /// Adds one report to the sums.
    ///
    /// # Errors
    /// [`PayloadError`] when the payload is not one of the mechanism's outputs; nothing is added then.
    pub fn fold(&self, payload: &Payload, counters: &mut Counters) -> Result<(), PayloadError> {
        self.check(payload)?;
        let indices = match payload {
            Payload::Number(index) => std::slice::from_ref(index),
            Payload::List(indices) => indices,
        };
        for &index in indices {
            counters.counts[index as usize] += 1;
        }
        counters.reports += 1;
        Ok(())
    }

    /// Whether the sums fit the number of reports: every report adds the same total.
    pub fn accounts_for(&self, counters: &Counters) -> bool {
        let per_report = match self {
            Self::Subset(subset) => subset.k() as u128,
            Self::FoldedGeometric(_) => 1,
        };
        let sum: u128 = counters.counts.iter().map(|&count| u128::from(count)).sum();
        let possible = counters.counts.iter().all(|&count| count <= counters.reports);
        possible && counters.counts.len() == self.counters() && sum == u128::from(counters.reports) * per_report
    }

    /// The length of every upload of this mechanism, in bytes: the smallest multiple of 512 that its longest report fits.
    pub fn body_bytes(&self) -> usize {
        let payload = match self {
            Self::Subset(subset) => {
                let (d, k) = (subset.values() as u32, subset.k() as u32);
                Payload::List((d - k..d).collect())
            }
            Self::FoldedGeometric(folded) => Payload::Number(folded.max()),
        };
        let period = hubbub_privacy::Period::containing(0);
        let longest = Report { metric: MetricId(u32::MAX), version: u32::MAX, period, id: ReportId([0; 16]), payload };
        longest.encode().len().next_multiple_of(REPORT_BODY_BYTES)
    }

    /// The largest likelihood ratio over all outputs and pairs of inputs, from the very integers the sampler reads.
    pub fn ratio(&self) -> RBig {
        match self {
            Self::Subset(subset) => subset.law().ratio(),
            Self::FoldedGeometric(folded) => folded.worst_case().0,
        }
    }

    /// By how many honest devices one forged report can move an estimate.
    pub fn poisoning_gain(&self) -> f64 {
        match self {
            Self::Subset(subset) => subset.poisoning_gain(),
            Self::FoldedGeometric(folded) => folded.poisoning_gain(),
        }
    }

    /// The certificate of `metric`, whose mechanism this is.
    pub fn certificate(&self, metric: &Metric) -> Certificate {
        let ratio = self.ratio();
        let (low, high) = ln_enclosure(&ratio);
        let (likely, unlikely, output, outputs) = match self {
            Self::Subset(subset) => {
                let k = subset.k() as u32;
                let output: Vec<u32> = (0..k).collect();
                (0, k, Payload::List(output), binomial(subset.values() as u32, k))
            }
            Self::FoldedGeometric(folded) => {
                let (_, most, least, y) = folded.worst_case();
                (most, least, Payload::Number(y), UBig::from(folded.counters()))
            }
        };
        let fraction = |value: &RBig| format!("{}/{}", value.numerator(), value.denominator());
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
                likely: metric.domain.label(likely),
                unlikely: metric.domain.label(unlikely),
                output: serde_json::to_value(output).expect("indices serialize"),
            },
            report_bits: bits(&outputs),
            poisoning_gain: format!("{:.6}", (self.poisoning_gain() * 1e6).ceil() / 1e6),
        }
    }
}

/// The bits that tell `outputs` outputs apart.
fn bits(outputs: &UBig) -> u32 {
    let highest = outputs - UBig::ONE;
    (0u32..).find(|&bits| (&highest >> bits as usize) == UBig::ZERO).expect("every integer has a length")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ExpBound;

    fn mechanisms() -> Vec<Mechanism> {
        let bound = ExpBound::new("1".parse().unwrap());
        vec![
            Mechanism::Subset(Subset::new(&bound, 2, 1)),
            Mechanism::Subset(Subset::optimal(&bound, 16)),
            Mechanism::FoldedGeometric(FoldedGeometric::new("1".parse().unwrap(), 50).unwrap()),
        ]
    }

    #[test]
    fn uploads_of_a_mechanism_all_have_the_same_length() {
        for mechanism in mechanisms() {
            assert_eq!(mechanism.body_bytes(), 512);
        }
        let long = Mechanism::Subset(Subset::optimal(&ExpBound::new("0.01".parse().unwrap()), 256));
        assert_eq!(long.body_bytes(), 1024);
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
    fn bits_tell_outputs_apart() {
        for (outputs, needed) in [(2u32, 1), (3, 2), (4, 2), (5, 3), (256, 8)] {
            assert_eq!(bits(&UBig::from(outputs)), needed);
        }
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
