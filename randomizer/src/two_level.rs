//! The two-level law: one integer threshold decides between the inside and the outside of a set.

use dashu_int::UBig;
use dashu_ratio::RBig;
use rand_core::TryCryptoRng;

use crate::exact::{ExpBound, ratio};

/// With probability T / 2^64 the report is uniform among `r` outputs (inside), otherwise uniform among the `s = K - r`
/// others (outside).
///
/// T = floor(2^64 E_lo r / (s + E_lo r)), so the realized likelihood ratio T s / (r (2^64 - T)) never exceeds
/// E_lo <= e^epsilon. That ratio is the whole privacy proof: an output inside S(x) and outside S(x') has exactly this
/// likelihood ratio, every other pair has 1 or its inverse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwoLevel {
    threshold: u64,
    inside: UBig,
    outside: UBig,
}

impl TwoLevel {
    /// The law with the largest threshold that `bound` allows, for `inside`, `outside` >= 1.
    pub fn new(bound: &ExpBound, inside: impl Into<UBig>, outside: impl Into<UBig>) -> Self {
        let (inside, outside) = (inside.into(), outside.into());
        assert!(inside > UBig::ZERO && outside > UBig::ZERO, "a set of outputs has an inside and an outside");
        let weight = bound.numerator() * &inside;
        let total = &weight + (&outside << 128);
        let threshold = (weight << 64) / total;
        let threshold = u64::try_from(threshold).expect("T < 2^64 because some outputs lie outside");
        Self { threshold, inside, outside }
    }

    /// T.
    pub const fn threshold(&self) -> u64 {
        self.threshold
    }

    /// r, the outputs inside.
    pub const fn inside(&self) -> &UBig {
        &self.inside
    }

    /// K - r, the outputs outside.
    pub const fn outside(&self) -> &UBig {
        &self.outside
    }

    /// The coin: whether the report lies inside.
    ///
    /// # Errors
    /// The generator's.
    pub fn is_inside<R: TryCryptoRng + ?Sized>(&self, rng: &mut R) -> Result<bool, R::Error> {
        Ok(rng.try_next_u64()? < self.threshold)
    }

    /// p = T / 2^64, exactly.
    pub fn p(&self) -> RBig {
        ratio(self.threshold, UBig::ONE << 64)
    }

    /// The probability of one output, exactly.
    pub fn probability(&self, is_inside: bool) -> RBig {
        if is_inside {
            self.p() / RBig::from(self.inside.clone())
        } else {
            (RBig::ONE - self.p()) / RBig::from(self.outside.clone())
        }
    }

    /// The largest likelihood ratio, T s / (r (2^64 - T)).
    pub fn ratio(&self) -> RBig {
        let complement = (UBig::ONE << 64) - UBig::from(self.threshold);
        ratio(&self.outside * UBig::from(self.threshold), &self.inside * complement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::ScriptedRng;

    #[test]
    fn the_threshold_is_the_largest_that_keeps_the_bound() {
        let huge = UBig::ONE << 700;
        for epsilon in ["0.000001", "0.1", "1", "4", "16"] {
            let bound = ExpBound::new(epsilon.parse().unwrap());
            for (inside, outside) in [
                (UBig::ONE, UBig::ONE),
                (UBig::ONE, UBig::from(255u8)),
                (UBig::from(69u8), UBig::from(187u8)),
                (UBig::ONE, UBig::from(u32::MAX)),
                (huge.clone(), huge.clone() * UBig::from(3u8) + UBig::ONE),
            ] {
                let law = TwoLevel::new(&bound, inside.clone(), outside.clone());
                assert!(law.ratio() <= bound.to_ratio(), "{epsilon} {inside}:{outside}");
                let next = TwoLevel { threshold: law.threshold + 1, ..law };
                assert!(next.ratio() > bound.to_ratio(), "{epsilon} {inside}:{outside} leaves budget unused");
            }
        }
    }

    #[test]
    fn the_coin_is_strict() {
        let law = TwoLevel::new(&ExpBound::new("1".parse().unwrap()), 1u8, 1u8);
        let t = law.threshold();
        for (word, inside) in [(0, true), (t - 1, true), (t, false), (t + 1, false), (u64::MAX, false)] {
            assert_eq!(law.is_inside(&mut ScriptedRng::new([word])), Ok(inside), "word {word}");
        }
    }
}
