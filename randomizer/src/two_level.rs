//! The two-level law: one integer threshold decides between the inside and the outside of a set.

use dashu_int::UBig;
use dashu_ratio::RBig;
use rand_core::TryCryptoRng;

use crate::exact::{ExpBound, ratio};

/// With probability T / 2^64 the report is uniform among `r` outputs (inside), otherwise uniform among the `s = K - r`
/// others (outside). Where K is astronomically large, r : s is a reduced proportion.
///
/// T = floor(2^64 E_lo r / (s + E_lo r)), so the realized likelihood ratio T s / (r (2^64 - T)) never exceeds
/// E_lo <= e^epsilon. That ratio is the whole privacy proof: an output inside S(x) and outside S(x') has exactly this
/// likelihood ratio, every other pair has 1 or its inverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TwoLevel {
    threshold: u64,
    inside: u64,
    outside: u64,
}

impl TwoLevel {
    /// The law with the largest threshold that `bound` allows, for `inside`, `outside` >= 1.
    pub fn new(bound: &ExpBound, inside: u64, outside: u64) -> Self {
        let weight = bound.numerator() * UBig::from(inside);
        let total = &weight + (UBig::from(outside) << 128);
        let threshold = (weight << 64) / total;
        let threshold = u64::try_from(threshold).expect("T < 2^64 because some outputs lie outside");
        Self { threshold, inside, outside }
    }

    /// T.
    pub const fn threshold(self) -> u64 {
        self.threshold
    }

    /// The coin: whether the report lies inside.
    ///
    /// # Errors
    /// The generator's.
    pub fn is_inside<R: TryCryptoRng + ?Sized>(self, rng: &mut R) -> Result<bool, R::Error> {
        Ok(rng.try_next_u64()? < self.threshold)
    }

    /// p = T / 2^64, exactly.
    pub fn p(self) -> RBig {
        ratio(self.threshold, UBig::ONE << 64)
    }

    /// The largest likelihood ratio, T s / (r (2^64 - T)).
    pub fn ratio(self) -> RBig {
        let complement = (UBig::ONE << 64) - UBig::from(self.threshold);
        ratio(UBig::from(self.threshold) * UBig::from(self.outside), complement * UBig::from(self.inside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::ScriptedRng;

    #[test]
    fn the_threshold_is_the_largest_that_keeps_the_bound() {
        for epsilon in ["0.000001", "0.1", "1", "4", "16"] {
            let bound = ExpBound::new(epsilon.parse().unwrap());
            for (inside, outside) in [(1, 1), (1, 255), (69, 187), (1, u32::MAX.into())] {
                let law = TwoLevel::new(&bound, inside, outside);
                assert!(law.ratio() <= bound.to_ratio(), "{epsilon} {inside}:{outside}");
                let next = TwoLevel { threshold: law.threshold + 1, ..law };
                assert!(next.ratio() > bound.to_ratio(), "{epsilon} {inside}:{outside} leaves budget unused");
            }
        }
    }

    #[test]
    fn the_coin_is_strict() {
        let law = TwoLevel::new(&ExpBound::new("1".parse().unwrap()), 1, 1);
        let t = law.threshold();
        for (word, inside) in [(0, true), (t - 1, true), (t, false), (t + 1, false), (u64::MAX, false)] {
            assert_eq!(law.is_inside(&mut ScriptedRng::new([word])), Ok(inside), "word {word}");
        }
    }
}
