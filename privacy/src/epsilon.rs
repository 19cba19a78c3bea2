//! Exact decimals: privacy losses and probabilities as the registry writes them.

use std::fmt;
use std::ops::Add;
use std::str::FromStr;

use thiserror::Error;

/// Digits after the decimal point that a registry may use; every figure is a whole number of millionths.
const DECIMALS: usize = 6;
const MILLION: u64 = 1_000_000;
/// What a message repeats of a text that is no decimal.
const SHOWN_CHARS: usize = 40;

/// Why a string is not an exact decimal of at most six places.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecimalError {
    /// Not digits with at most one point between them.
    #[error("`{0}` is not a plain decimal number such as \"1.0\"")]
    Malformed(String),
    /// More than six digits after the point.
    #[error("`{0}` has more than 6 decimals")]
    TooPrecise(String),
    /// Larger than any figure in Hubbub can be.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

/// A non-negative rational number with denominator 10^6, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(u64);

impl Decimal {
    /// `millionths` / 10^6.
    pub const fn from_millionths(millionths: u64) -> Self {
        Self(millionths)
    }

    /// The numerator over 10^6.
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// The nearest float, for display and statistics only: no float decides a coin or a budget.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / MILLION as f64
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let shown = || text.chars().take(SHOWN_CHARS).collect::<String>();
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err(DecimalError::Malformed(shown())),
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return Err(DecimalError::Malformed(shown()));
        }
        if fraction.len() > DECIMALS {
            return Err(DecimalError::TooPrecise(shown()));
        }
        format!("{whole}{fraction:0<DECIMALS$}").parse().map(Self).map_err(|_| DecimalError::TooLarge(shown()))
    }
}

impl fmt::Display for Decimal {
    /// The shortest decimal with at least one place: `1.0`, `0.25`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:06}", self.0 % MILLION);
        let shortest = fraction.trim_end_matches('0');
        let shown = if shortest.is_empty() { "0" } else { shortest };
        f.pad(&format!("{}.{shown}", self.0 / MILLION))
    }
}

/// A privacy loss: the largest natural logarithm of a likelihood ratio that a report may have, exact.
///
/// Losses compose by plain addition (pure differential privacy).
///
/// ```
/// use hubbub_privacy::Epsilon;
/// let weekly: Epsilon = "0.1".parse()?;
/// let year: Epsilon = (0..52).map(|_| weekly).sum();
/// assert_eq!(year.to_string(), "5.2"); // floats would say 5.199999999999999
/// # Ok::<(), hubbub_privacy::DecimalError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epsilon(Decimal);

impl Epsilon {
    /// No loss at all.
    pub const ZERO: Self = Self::from_millionths(0);

    /// `millionths` / 10^6.
    pub const fn from_millionths(millionths: u64) -> Self {
        Self(Decimal(millionths))
    }

    /// The numerator over 10^6.
    pub const fn millionths(self) -> u64 {
        self.0.0
    }

    /// The nearest float, for display and statistics only.
    pub fn to_f64(self) -> f64 {
        self.0.to_f64()
    }

    /// The loss of `reports` reports together; saturates far above every ceiling.
    pub const fn times(self, reports: u32) -> Self {
        Self::from_millionths(self.millionths().saturating_mul(reports as u64))
    }

    /// What is left of `self` after `spent`, or nothing.
    pub const fn minus(self, spent: Self) -> Self {
        Self::from_millionths(self.millionths().saturating_sub(spent.millionths()))
    }
}

impl Add for Epsilon {
    type Output = Self;

    /// Saturates: a sum that does not fit is above every ceiling anyway.
    fn add(self, other: Self) -> Self {
        Self::from_millionths(self.millionths().saturating_add(other.millionths()))
    }
}

impl std::iter::Sum for Epsilon {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl FromStr for Epsilon {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Epsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A probability between 0 and 1, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probability(Decimal);

impl Probability {
    /// Certainty.
    pub const ONE: Self = Self(Decimal(MILLION));

    /// The probability, unless it is above one.
    pub fn new(value: Decimal) -> Option<Self> {
        (value.0 <= MILLION).then_some(Self(value))
    }

    /// The numerator over 10^6.
    pub const fn millionths(self) -> u32 {
        self.0.0 as u32
    }

    /// The nearest float, for display only.
    pub fn to_f64(self) -> f64 {
        self.0.to_f64()
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_round_trip_and_stay_exact() {
        for (text, millionths, shown) in [
            ("1", 1_000_000, "1.0"),
            ("1.0", 1_000_000, "1.0"),
            ("0.000001", 1, "0.000001"),
            ("3.250000", 3_250_000, "3.25"),
            ("007.5", 7_500_000, "7.5"),
        ] {
            let decimal: Decimal = text.parse().unwrap();
            assert_eq!((decimal.millionths(), decimal.to_string().as_str()), (millionths, shown));
        }
    }

    #[test]
    fn anything_but_a_plain_decimal_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1,0",
            " 1",
            "١",
            "0.0000001",
            "99999999999999999999",
            "1.2.3",
            "NaN",
        ] {
            assert!(text.parse::<Decimal>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn sums_saturate_instead_of_wrapping_to_a_refund() {
        let huge = Epsilon::from_millionths(u64::MAX);
        assert_eq!(huge + Epsilon::from_millionths(1), huge);
        assert_eq!(huge.times(2), huge);
        assert_eq!(Epsilon::ZERO.minus(huge), Epsilon::ZERO);
    }

    #[test]
    fn a_probability_is_at_most_one() {
        assert_eq!(Probability::new("1.000001".parse().unwrap()), None);
        assert_eq!(Probability::new("1".parse().unwrap()), Some(Probability::ONE));
    }
}
