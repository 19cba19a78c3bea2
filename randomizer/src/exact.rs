//! Exponentials of exact decimals, enclosed between integers.

use std::ops::{Add, Div, Mul, Sub};

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;
use hubbub_privacy::Epsilon;

const MILLION: u64 = 1_000_000;
/// The grid of E_lo: 2^-128, far below the 2^-64 of a coin.
const GRID_BITS: usize = 128;

/// E_lo, the largest multiple of 2^-128 that is at most e^epsilon: what every likelihood ratio is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpBound(UBig);

impl ExpBound {
    /// floor(e^epsilon 2^128) / 2^128.
    pub fn new(epsilon: Epsilon) -> Self {
        Self(floor_exp(&UBig::from(epsilon.millionths()), &UBig::from(MILLION), GRID_BITS))
    }

    /// E_lo 2^128.
    pub fn numerator(&self) -> &UBig {
        &self.0
    }

    /// The denominator, 2^128.
    pub fn denominator() -> UBig {
        UBig::ONE << GRID_BITS
    }

    /// E_lo as a fraction.
    pub fn to_ratio(&self) -> RBig {
        ratio(self.0.clone(), Self::denominator())
    }

    /// E_lo, rounded to a float: for sorting candidates and for display.
    pub fn to_f64(&self) -> f64 {
        self.to_ratio().to_f64().value()
    }
}

/// Numbers that a formula can be written over once: [`RBig`] where it decides, `f64` where it only sorts candidates.
pub trait Field:
    Clone + From<u32> + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
}

impl<T> Field for T where
    T: Clone + From<u32> + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
}

/// What `f64` formulas of this crate are trusted to, relatively; nearer than this is decided exactly.
const TRUSTED: f64 = 1e-9;

/// The candidate whose `exact` value is least, the first of equals. `approximate` is off by less than 10^-9 of itself and
/// spares the rationals of whatever cannot be the least.
pub fn least<C: Copy>(candidates: &[C], approximate: impl Fn(C) -> f64, exact: impl Fn(C) -> RBig) -> Option<C> {
    let sorted: Vec<(C, f64)> = candidates.iter().map(|&candidate| (candidate, approximate(candidate))).collect();
    let least = sorted.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
    let near: Vec<C> =
        sorted.into_iter().filter(|(_, value)| *value <= least * (1.0 + 3.0 * TRUSTED)).map(|(c, _)| c).collect();
    match near[..] {
        [only] => Some(only),
        _ => near.into_iter().min_by_key(|&candidate| exact(candidate)),
    }
}

/// Whether a value is at most a limit, by their approximations where those are clearly apart.
pub fn at_most(approximate: f64, limit: f64, exact: impl FnOnce() -> bool) -> bool {
    if approximate < limit * (1.0 - 3.0 * TRUSTED) {
        true
    } else if approximate > limit * (1.0 + 3.0 * TRUSTED) {
        false
    } else {
        exact()
    }
}

/// `numerator / denominator` of non-negative integers.
pub fn ratio(numerator: impl Into<UBig>, denominator: impl Into<UBig>) -> RBig {
    RBig::from_parts(IBig::from(numerator.into()), denominator.into())
}

/// floor(e^(numerator/denominator) 2^bits); the Taylor sum is refined until the floor is unambiguous.
pub fn floor_exp(numerator: &UBig, denominator: &UBig, bits: usize) -> UBig {
    refine(bits, |precision| {
        let (low, high) = exp_enclosure(numerator, denominator, precision);
        (low >> (precision - bits), high >> (precision - bits))
    })
}

/// floor(e^(-numerator/denominator) 2^bits).
pub fn floor_exp_negative(numerator: &UBig, denominator: &UBig, bits: usize) -> UBig {
    refine(bits, |precision| {
        let (low, high) = exp_enclosure(numerator, denominator, precision);
        let one = UBig::ONE << (precision + bits);
        (&one / high, one / low)
    })
}

fn refine(bits: usize, floors: impl Fn(usize) -> (UBig, UBig)) -> UBig {
    let mut precision = bits + 64;
    loop {
        let (low, high) = floors(precision);
        if low == high {
            return low;
        }
        // e^x is irrational for rational x != 0, so a fine enough enclosure always decides; e^0 is exact at once.
        precision *= 2;
    }
}

/// Integers (low, high) with low <= e^x 2^precision <= high, for x = numerator/denominator >= 0.
fn exp_enclosure(numerator: &UBig, denominator: &UBig, precision: usize) -> (UBig, UBig) {
    let one = UBig::ONE << precision;
    let (mut low, mut high) = (one.clone(), one.clone());
    let (mut low_term, mut high_term) = (one.clone(), one);
    let mut n = 0u64;
    while high_term > UBig::ZERO {
        n += 1;
        let divisor = denominator * UBig::from(n);
        low_term = low_term * numerator / &divisor;
        high_term = (high_term * numerator + &divisor - UBig::ONE) / &divisor;
        low += &low_term;
        high += &high_term;
        // Once n >= 2x every further term is at most half the one before, so the rest is at most the last term.
        if UBig::from(n) * denominator >= numerator * UBig::from(2u8) && high_term <= UBig::ONE {
            high += &high_term;
            break;
        }
    }
    (low, high)
}

/// Fractions low <= ln(ratio) <= high on the grid of 10^-15, for a ratio of at least 1.
pub fn ln_enclosure(value: &RBig) -> (RBig, RBig) {
    const GRID: u64 = 1_000_000_000_000_000;
    let grid = UBig::from(GRID);
    let numerator = UBig::try_from(value.numerator().clone()).expect("likelihood ratios are positive");
    let exp_at_most = |steps: u64| {
        // e^(steps/GRID) <= value, decided on a grid of 2^-128 by its upper end.
        let above = floor_exp(&UBig::from(steps), &grid, GRID_BITS) + UBig::ONE;
        above * value.denominator() <= &numerator << GRID_BITS
    };
    let exp_at_least = |steps: u64| {
        let below = floor_exp(&UBig::from(steps), &grid, GRID_BITS);
        below * value.denominator() >= &numerator << GRID_BITS
    };
    let guess = (value.to_f64().value().ln().max(0.0) * GRID as f64) as u64;
    let mut low = guess;
    while low > 0 && !exp_at_most(low) {
        low -= 1;
    }
    let mut high = guess;
    while !exp_at_least(high) {
        high += 1;
    }
    (ratio(low, grid.clone()), ratio(high, grid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e_is_e() {
        // floor(e 2^128), from 2.71828182845904523536028747135266249775724709369995957...
        let e = ExpBound::new("1".parse().unwrap());
        assert_eq!(e.numerator().to_string(), "924983374546220337150911035843336795079");
        assert_eq!(ExpBound::new(Epsilon::ZERO).numerator(), &ExpBound::denominator());
    }

    #[test]
    fn products_of_exponentials_agree() {
        // e^a e^b lies between the product of the floors and that of the floors plus one.
        let bound = |text: &str| ExpBound::new(text.parse().unwrap()).numerator().clone();
        for (a, b, sum) in [("0.5", "0.25", "0.75"), ("0.000001", "4", "4.000001"), ("8", "8", "16")] {
            let (x, y) = (bound(a), bound(b));
            let low = (&x * &y) >> GRID_BITS;
            let high = ((x + UBig::ONE) * (y + UBig::ONE)) >> GRID_BITS;
            assert!((low..=high).contains(&bound(sum)), "{a} + {b}");
        }
    }

    #[test]
    fn negative_exponents_are_reciprocals() {
        let small = floor_exp_negative(&UBig::from(1_250_000u32), &UBig::from(MILLION), 64);
        let small: f64 = small.to_f64().value() / 2f64.powi(64);
        assert!((small - (-1.25f64).exp()).abs() < 1e-15);
    }

    #[test]
    fn logarithms_are_enclosed() {
        for text in ["0.1", "1", "2.5", "4"] {
            let epsilon: Epsilon = text.parse().unwrap();
            let (low, high) = ln_enclosure(&ExpBound::new(epsilon).to_ratio());
            let exact = ratio(epsilon.millionths(), MILLION);
            assert!(low <= exact && exact <= high && (high - low).to_f64().value() <= 4e-15, "{text}");
        }
    }
}
