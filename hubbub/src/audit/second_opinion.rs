//! OpenDP's opinion of our mechanisms: the privacy map of an independent library for the very numbers our samplers read.
//!
//! **What it can express.** Randomized response of a boolean or of categories: subset with k = 1 for truths of one value,
//! window with w = 1. Discrete Laplace noise: the folded geometric is that noise of the same alpha, clamped to 0..=C; clamping is
//! post-processing, so noise that is private for sensitivity C makes a private count.
//!
//! **Honest floats.** OpenDP takes floats, so every number is rounded towards less privacy before it is handed over, and
//! OpenDP rounds its map upwards: what it certifies is true of our integers. The probability is the threshold's,
//! T / 2^64 rounded up. The scale is that of the table's alpha, -1/ln(alpha), rounded down. Neither is computed from the
//! declared epsilon, so a wrong threshold or a wrong alpha shows.

use std::collections::HashSet;
use std::fmt;

use hubbub_privacy::Epsilon;
use hubbub_randomizer::Mechanism;
use opendp::domains::AtomDomain;
use opendp::error::Fallible;
use opendp::measurements::{make_laplace, make_randomized_response, make_randomized_response_bool};
use opendp::measures::MaxDivergence;
use opendp::metrics::AbsoluteDistance;
use serde_json::json;
use thiserror::Error;

/// By how much OpenDP's upward rounding may pass the declared epsilon. At the ceiling of epsilon 4 a rounded probability
/// is good for 10^-14; our own certificate is exact and gets nothing.
pub const ROUNDING: f64 = 1e-12;

/// What `f64::ln_1p` is trusted to, relatively: 2^-50, eight units in the last place.
const LOGARITHM_ERROR: f64 = 1.0 / (1u64 << 50) as f64;

/// What OpenDP says of a mechanism.
#[derive(Debug, Clone, PartialEq)]
pub enum Opinion {
    /// It can express the mechanism.
    AtMost {
        /// The mechanism in its terms.
        counterpart: Counterpart,
        /// The largest loss of one report that its privacy map certifies.
        epsilon: f64,
    },
    /// It has no such mechanism.
    NotExpressible {
        /// What it lacks.
        why: &'static str,
    },
}

/// One of our laws as a measurement of OpenDP.
#[derive(Debug, Clone, PartialEq)]
pub enum Counterpart {
    /// Randomized response of a boolean.
    Boolean {
        /// The probability of the truth.
        p: f64,
    },
    /// Randomized response of categories.
    Categories {
        /// How many.
        values: u32,
        /// The probability of the truth.
        p: f64,
    },
    /// Discrete Laplace noise on an integer.
    Laplace {
        /// By how much two truths may differ.
        sensitivity: u32,
        /// -1/ln(alpha).
        scale: f64,
    },
}

/// Why the second opinion is against a mechanism.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Objection {
    /// The parameters are none that its measurement has.
    #[error(
        "OpenDP refuses to build {counterpart}: {said}; the mechanism's parameters are wrong, so collect nothing with it"
    )]
    Refused {
        /// The mechanism in its terms.
        counterpart: Counterpart,
        /// What it said.
        said: String,
    },
    /// It certifies less privacy than is declared.
    #[error(
        "OpenDP certifies epsilon {certified} for {counterpart}, more than the declared {declared}; the mechanism's \
         parameters leak too much, so collect nothing with it"
    )]
    Exceeded {
        /// The mechanism in its terms.
        counterpart: Counterpart,
        /// What it certifies.
        certified: f64,
        /// What the registry promises.
        declared: Epsilon,
    },
}

impl Opinion {
    /// Asks OpenDP.
    ///
    /// # Errors
    /// [`Objection::Refused`] when it cannot build its counterpart with our parameters.
    pub fn of(mechanism: &Mechanism) -> Result<Self, Objection> {
        let counterpart = match counterpart(mechanism) {
            Ok(counterpart) => counterpart,
            Err(why) => return Ok(Self::NotExpressible { why }),
        };
        match counterpart.certified() {
            Ok(epsilon) => Ok(Self::AtMost { counterpart, epsilon }),
            Err(error) => Err(Objection::Refused { said: error.message.unwrap_or_default(), counterpart }),
        }
    }

    /// Holds the opinion against the declared loss.
    ///
    /// # Errors
    /// [`Objection::Exceeded`] when OpenDP certifies more than `declared`, its rounding apart.
    pub fn check(&self, declared: Epsilon) -> Result<(), Objection> {
        match self {
            // Written so that NaN is refused too.
            Self::AtMost { epsilon, .. } if *epsilon <= declared.to_f64() + ROUNDING => Ok(()),
            Self::AtMost { counterpart, epsilon } => {
                Err(Objection::Exceeded { counterpart: counterpart.clone(), certified: *epsilon, declared })
            }
            Self::NotExpressible { .. } => Ok(()),
        }
    }

    /// The opinion for programs.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::AtMost { counterpart, epsilon } => {
                json!({ "opendp": epsilon, "measurement": counterpart.to_string() })
            }
            Self::NotExpressible { why } => json!({ "not_expressible": why }),
        }
    }
}

impl fmt::Display for Opinion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost { epsilon, .. } => write!(f, "opendp <= {epsilon}"),
            Self::NotExpressible { why } => write!(f, "not expressible: {why}"),
        }
    }
}

impl Counterpart {
    /// Randomized response with the threshold T, over a number of values.
    fn randomized_response(values: u32, threshold: u64) -> Self {
        let p = rounded_up(threshold.into());
        if values == 2 { Self::Boolean { p } } else { Self::Categories { values, p } }
    }

    /// Discrete Laplace noise of an alpha in units of 2^-64.
    fn laplace(sensitivity: u32, alpha: u64) -> Self {
        let beta = rounded_up((1 << 64) - u128::from(alpha));
        let loss_per_step = -(-beta).ln_1p() * (1.0 + LOGARITHM_ERROR);
        Self::Laplace { sensitivity, scale: loss_per_step.recip().next_down().max(0.0) }
    }

    /// The loss that OpenDP certifies for two truths that differ as much as ours can.
    fn certified(&self) -> Fallible<f64> {
        match *self {
            Self::Boolean { p } => make_randomized_response_bool(p, false)?.map(&1),
            Self::Categories { values, p } => {
                let categories: HashSet<u32> = (0..values).collect();
                make_randomized_response(categories, p)?.map(&1)
            }
            Self::Laplace { sensitivity, scale } => {
                let (domain, metric) = (AtomDomain::<i64>::default(), AbsoluteDistance::<i64>::default());
                make_laplace::<_, _, MaxDivergence>(domain, metric, scale, None)?.map(&i64::from(sensitivity))
            }
        }
    }
}

impl fmt::Display for Counterpart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean { p } => write!(f, "randomized response of a boolean with p = {p}"),
            Self::Categories { values, p } => write!(f, "randomized response of {values} values with p = {p}"),
            Self::Laplace { sensitivity, scale } => {
                write!(f, "discrete Laplace noise of scale {scale} for sensitivity {sensitivity}")
            }
        }
    }
}

/// The mechanism in OpenDP's terms, or what OpenDP lacks for it.
fn counterpart(mechanism: &Mechanism) -> Result<Counterpart, &'static str> {
    match mechanism {
        // A set of at most one item has one of D values, the dummy for none included.
        Mechanism::Subset(subset) if subset.k() == 1 && subset.max_items() == 1 => {
            Ok(Counterpart::randomized_response(subset.width() as u32, subset.law().threshold()))
        }
        Mechanism::Window(window) if window.width() == 1 => {
            Ok(Counterpart::randomized_response(window.values() as u32, window.law().threshold()))
        }
        Mechanism::Subset(subset) if subset.k() == 1 => Err("truths of several values"),
        Mechanism::Subset(_) => Err("reports of several values"),
        Mechanism::Cyclotomic(_) => Err("reports of a block of a difference family"),
        Mechanism::Window(_) => Err("reports of a window of values"),
        Mechanism::FoldedGeometric(folded) => Ok(Counterpart::laplace(folded.max(), alpha(mechanism))),
    }
}

/// The alpha of a weight table, in units of 2^-64.
fn alpha(mechanism: &Mechanism) -> u64 {
    let parameters = mechanism.parameters();
    let alpha = parameters.get("alpha_2_64").and_then(|alpha| alpha.as_str());
    alpha.and_then(|alpha| alpha.parse().ok()).expect("a folded geometric table gives its alpha as 64-bit digits")
}

/// `numerator` / 2^64, or the next larger float.
fn rounded_up(numerator: u128) -> f64 {
    let nearest = numerator as f64;
    let above = if (nearest as u128) < numerator { nearest.next_up() } else { nearest };
    above / 2f64.powi(64)
}

#[cfg(test)]
mod tests {
    use hubbub_privacy::Goal;
    use hubbub_randomizer::{Cyclotomic, ExpBound, FoldedGeometric, Subset, Window};

    use super::*;

    fn loss(text: &str) -> Epsilon {
        text.parse().unwrap()
    }

    fn bound(text: &str) -> ExpBound {
        ExpBound::new(loss(text))
    }

    fn certified(mechanism: &Mechanism) -> f64 {
        match Opinion::of(mechanism).unwrap() {
            Opinion::AtMost { epsilon, .. } => epsilon,
            opinion @ Opinion::NotExpressible { .. } => panic!("{opinion}"),
        }
    }

    #[test]
    fn what_opendp_can_express_it_certifies_up_to_its_rounding() {
        for text in ["0.000001", "0.1", "0.5", "1", "2", "4"] {
            let mut mechanisms: Vec<Mechanism> =
                [2, 3, 16, 256, 10_000].map(|d| Mechanism::Subset(Subset::new(&bound(text), d, 1))).to_vec();
            mechanisms.push(Mechanism::Subset(Subset::of_sets(&bound(text), 7, 1, 1)));
            mechanisms.extend([2, 20].map(|d| Mechanism::Window(Window::new(&bound(text), d, 1, Goal::Mean))));
            mechanisms.extend(
                [1, 5, 50, 255].map(|max| Mechanism::FoldedGeometric(FoldedGeometric::new(loss(text), max).unwrap())),
            );
            for mechanism in mechanisms {
                let certified = certified(&mechanism);
                let declared = loss(text).to_f64();
                assert!(Opinion::of(&mechanism).unwrap().check(loss(text)).is_ok(), "{text}: {certified}");
                // The slack of a folded geometric's alpha costs up to 10^-12 of epsilon.
                assert!(certified > declared - 1e-11, "{text}: {certified} is no opinion of this mechanism");
            }
        }
    }

    #[test]
    fn the_least_that_can_be_declared_too_little_is_noticed() {
        let (declared, planted) = ("1", "1.000001");
        for mechanism in [
            Mechanism::Subset(Subset::new(&bound(planted), 2, 1)),
            Mechanism::Subset(Subset::new(&bound(planted), 256, 1)),
            Mechanism::Subset(Subset::of_sets(&bound(planted), 7, 1, 1)),
            Mechanism::Window(Window::new(&bound(planted), 20, 1, Goal::Mean)),
            Mechanism::FoldedGeometric(FoldedGeometric::new(loss(planted), 255).unwrap()),
        ] {
            let objection = Opinion::of(&mechanism).unwrap().check(loss(declared)).unwrap_err();
            assert!(matches!(objection, Objection::Exceeded { .. }), "{objection}");
        }
    }

    #[test]
    fn a_threshold_or_an_alpha_past_the_rounding_is_noticed() {
        let honest = Subset::new(&bound("1"), 16, 1).law().threshold();
        // d epsilon = d p / (p (1 - p)), so 2^30 steps of 2^-64 are 5 10^-10 here.
        let planted = Counterpart::randomized_response(16, honest + (1 << 30));
        let table = Mechanism::FoldedGeometric(FoldedGeometric::new(loss("1"), 5).unwrap());
        let weaker = Counterpart::laplace(5, alpha(&table) - (1 << 30));
        for counterpart in [planted, weaker] {
            let epsilon = counterpart.certified().unwrap();
            let opinion = Opinion::AtMost { counterpart, epsilon };
            assert!(opinion.check(loss("1")).is_err(), "{opinion}");
        }
    }

    #[test]
    fn parameters_of_no_mechanism_are_refused_or_certified_as_nothing() {
        // p and q swapped: the truth is less likely than each lie.
        let swapped = Counterpart::randomized_response(2, 1 << 62);
        assert!(swapped.certified().is_err());
        for leaking in [Counterpart::randomized_response(5, u64::MAX), Counterpart::laplace(5, 0)] {
            let epsilon = leaking.certified().unwrap();
            assert!(Opinion::AtMost { counterpart: leaking, epsilon }.check(loss("4")).is_err());
        }
        let opinion = Opinion::AtMost { counterpart: swapped, epsilon: f64::NAN };
        assert!(opinion.check(loss("4")).is_err());
    }

    #[test]
    fn floats_are_rounded_against_us() {
        for numerator in [1, (1 << 53) + 1, (1 << 63) + 1, u64::MAX - 1, u64::MAX] {
            // Powers of two keep the comparison exact.
            let back = rounded_up(numerator.into()) * 2f64.powi(64);
            assert!(back as u128 >= u128::from(numerator), "{numerator}");
            assert!(back.next_down().next_down() as u128 <= u128::from(numerator), "{numerator} is rounded too far");
        }
    }

    #[test]
    fn what_opendp_lacks_is_said() {
        let bound = bound("1");
        for (mechanism, why) in [
            (Mechanism::Subset(Subset::new(&bound, 16, 4)), "reports of several values"),
            (Mechanism::Subset(Subset::of_sets(&bound, 16, 3, 1)), "truths of several values"),
            (Mechanism::Cyclotomic(Cyclotomic::new(&bound, 300, 4, 1)), "reports of a block of a difference family"),
            (Mechanism::Window(Window::new(&bound, 20, 2, Goal::Quantiles)), "reports of a window of values"),
        ] {
            let opinion = Opinion::of(&mechanism).unwrap();
            assert_eq!(opinion.to_string(), format!("not expressible: {why}"));
            assert_eq!(opinion.check(loss("1")), Ok(()));
        }
    }
}
