//! pi1 and pi0: how often a report supports the value that is true for its device, and any other one.
//!
//! Of n reports, C(x) support x. The share (C(x)/n - pi0)/(pi1 - pi0) is unbiased, and its variance times n, averaged over
//! D values of which one is true, is V = [pi1(1-pi1) + (D-1) pi0(1-pi0)] / (D (pi1-pi0)^2).

use dashu_ratio::RBig;

use crate::exact::Field;

/// The two probabilities of a family of sets, exactly and as floats.
#[derive(Debug, Clone, PartialEq)]
pub struct Support {
    exact: (RBig, RBig),
    rounded: (f64, f64),
}

impl Support {
    /// The probabilities `pi1` > `pi0`.
    pub fn new(pi1: RBig, pi0: RBig) -> Self {
        let rounded = (pi1.to_f64().value(), pi0.to_f64().value());
        Self { exact: (pi1, pi0), rounded }
    }

    /// The probability that a report supports a value that is true for its device.
    pub const fn pi1(&self) -> f64 {
        self.rounded.0
    }

    /// The probability that a report supports any one value that is not true for its device.
    pub const fn pi0(&self) -> f64 {
        self.rounded.1
    }

    /// pi1, exactly.
    pub const fn exact_pi1(&self) -> &RBig {
        &self.exact.0
    }

    /// pi0, exactly.
    pub const fn exact_pi0(&self) -> &RBig {
        &self.exact.1
    }

    /// The unbiased share of a value that `supporting` of `reports` (at least one) support; may be negative or above 1.
    pub fn share(&self, supporting: u64, reports: u64) -> f64 {
        (supporting as f64 / reports as f64 - self.pi0()) / (self.pi1() - self.pi0())
    }

    /// What one report adds to the (per-report) estimate of a value's share, exactly.
    pub fn contribution(&self, supports: bool) -> RBig {
        let (pi1, pi0) = &self.exact;
        (if supports { RBig::ONE } else { RBig::ZERO } - pi0) / (pi1 - pi0)
    }

    /// The variance, times n, of the estimated share of a value that `share` of the devices have: the noise alone, for a
    /// fixed set of devices.
    pub fn noise_variance(&self, share: f64) -> f64 {
        let (pi1, pi0) = self.rounded;
        (share * pi1 * (1.0 - pi1) + (1.0 - share) * pi0 * (1.0 - pi0)) / (pi1 - pi0).powi(2)
    }

    /// V over `width` values, exactly.
    pub fn variance(&self, width: u32) -> RBig {
        variance(self.exact.0.clone(), self.exact.1.clone(), RBig::from(width))
    }

    /// By how many honest devices one forged report can move a share: (1 - pi0)/(pi1 - pi0).
    pub fn poisoning_gain(&self) -> f64 {
        (1.0 - self.pi0()) / (self.pi1() - self.pi0())
    }
}

/// V over `width` values.
pub fn variance<T: Field>(pi1: T, pi0: T, width: T) -> T {
    let one = T::from(1);
    let spread = |pi: &T| pi.clone() * (one.clone() - pi.clone());
    let gap = pi1.clone() - pi0.clone();
    (spread(&pi1) + (width.clone() - one.clone()) * spread(&pi0)) / (width * gap.clone() * gap)
}
