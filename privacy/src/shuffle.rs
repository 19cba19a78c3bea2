//! Shuffle amplification: how little one device shows inside a crowd of unlinkable reports.
//!
//! # The bound
//! n reports of an epsilon-LDP mechanism R arrive without names. E = e^epsilon, beta is the largest total variation
//! distance between two inputs' laws, a = beta/(E-1), g = 1 - a(E+1). Any two laws R(x), R(x') at that distance are
//! a E Q1 + a Q2 + g Q* and a Q1 + a E Q2 + g Q*, with Q1 where R(x) is the larger and Q2 where it is the smaller; and
//! every third law R(z) is at least max(R(x), R(x'))/E, so at least a Q1 + a Q2 + (g/E) Q*. Whoever sees only how many
//! reports came from Q1, Q2 and Q* can draw all the others (a uniform set of the other devices, each from what its law
//! has left) and so make the whole crowd. Hence the crowd shows at most what this pair of laws shows: one device adds to
//! (i, j, l) one of its places with probability (a E, a, g) under P and (a, a E, g) under Q, every other device one with
//! probability (a, a, g/E), or nothing. delta(x) = sum of max(0, P - e^x Q); by symmetry the other direction is equal.
//!
//! With G = e^x and (i, j, l) multinomial over all n devices with (a, a, g/E), that is
//!
//! delta = E[max(0, (E-G) i - (GE-1) j - (G-1)E l)] / n,
//!
//! a mean of n independent terms W. Lowering a keeps the mean of W and moves mass from its outer values E-G and -(GE-1)
//! to the inner ones 0 and -(G-1)E: so delta grows with beta, and at most g = 0, beta = (E-1)/(E+1), covers every
//! mechanism. Means of more terms spread less: so delta falls with n.
//!
//! Sources: clones are from Feldman, McMillan, Talwar, "Stronger privacy amplification by shuffling for Renyi and
//! approximate differential privacy" (SODA 2023); beta from Wang et al., "Privacy amplification via shuffling: unified,
//! simplified, and tightened" (VLDB 2024, the variation-ratio reduction); the mean of W is the privacy blanket of Balle
//! et al. (CRYPTO 2019). A device's Q* is not merged with the reports that add nothing: that pair of laws is simpler but
//! no bound, and ternary randomized response among two devices already exceeds it (`privacy/tests/shuffle.rs`).
//!
//! # The sum, one term for each m = i + j
//! w is the density of Bin(n-1, 2a), b(M,K) = C(M,K)/2^M, T(M,K) its upper tail from K on, c = m-1, kappa = (E-1)(1+G).
//! A term is positive where i is above t + tau (l - its mean given m), with tau = (G-1)E/kappa and
//! t = [m(GE-1) + (G-1) g (n-m)/(1-2a)] / kappa. First let l be its mean. Between one m and the next t rises by 1/2 to 1.
//! With K = floor(t), h = T(c,K+1)/b(c,K) and v = (n-m)/(m(1-2a)), the sum over i > K is
//!
//! a w(c) b(c,K) { (E-G) - (G-1) [g v + h (E+1 + 2 g v)] }.
//!
//! From (c,K) one step down leads to (c-1,K-1) or (c-1,K), and h to [h(1+r) + r]/2 with r = (c-K)/K, or to
//! [h(1+1/r) - 1]/2: a walk over the likely m, of constant cost each. Then l's own spread adds, for the few i near t,
//! kappa b(m,i) E[max(0, i - t - tau (l - its mean))] - kappa b(m,i) max(0, i - t); [`Strays`] tabulates its sum.
//!
//! # Why nothing is understated
//! - h only lowers the sum. It starts as a sum of positive terms cut short, and each step maps a lower bound to a lower
//!   bound and is rounded down. Steps of the second kind can widen the gap to the truth, never turn it round; in
//!   practice it stays near rounding wherever delta is above 1e-14.
//! - Both sides of the braces are products and sums of positive numbers (E-1, G-1 and E-G from `exp_m1`, 1-2a and g from
//!   1 - beta/generic without cancellation); the first is rounded up, the second down, then subtracted.
//! - t is rounded down, so at most terms with P barely below G Q are added, and where one may be [`Terms::barely`] makes
//!   up for it. What l's spread adds peaks at t, and is read as near to it as rounding may have put it.
//! - The rest is a product of factors with a relative error of a few [`f64::EPSILON`] for each step; the result is
//!   raised by more than their number.
//! - What lies outside the windows of m and l weighs at most a small multiple of [`TAIL`], which is added.
//! - epsilon and beta are rounded up: an epsilon-LDP mechanism is also one for a larger epsilon.
//!
//! These are figures for display. No coin and no budget reads them.

mod binomial;
mod strays;

use std::f64::consts::LN_2;

use thiserror::Error;

use self::binomial::{DOWN, STEP_ERROR, TAIL, Window, ln_fair_density, tail_over_density};
use self::strays::Strays;
use crate::Epsilon;

/// The largest local epsilon accepted: what `hubbub plan` accepts; the margins are argued up to here.
const MAX_LOCAL: Epsilon = Epsilon::from_millionths(16_000_000);
/// More reports are counted as this many, which only overstates: it bounds an evaluation to about a million steps.
const MAX_REPORTS: u64 = 10_000_000_000;
/// Where the generic delta is below this nobody needs a smaller one; there the spread of l would cost the most.
const GENERIC_WILL_DO: f64 = 1e-20;
/// Keeps the place in the table of l's spread, which is over G - 1, within range.
const SMALLEST_CENTRAL: f64 = 1e-100;
/// How finely `epsilon` is searched, relative.
const FINE: f64 = 1e-10;

/// Covers E - G: two `exp_m1`, of which the argument's own rounding is magnified up to 17 times.
const UP: f64 = 1.0 + 32.0 * f64::EPSILON;
/// Relative error of t, from at most forty roundings.
const THRESHOLD: f64 = 32.0 * f64::EPSILON;
/// Epsilons of error for each unit of a logarithm before it is exponentiated.
const LOGARITHM_ERROR: f64 = 32.0;
/// Epsilons of error of all that is done once, Stirling's series for small numbers above all.
const FIXED_ERROR: f64 = 256.0;
/// The walk's terms are scaled by this power of two when they outgrow it, so that no intermediate overflows.
const RESCALE_BITS: i32 = 800;

/// Why there is no amplification to compute.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum ShuffleError {
    /// No report was shuffled.
    #[error("computing shuffle amplification of 0 reports: give at least 1")]
    NoReports,
    /// The local loss is zero or above the largest supported.
    #[error("computing shuffle amplification at a local epsilon of {0}: give one above 0.0 and at most {MAX_LOCAL}")]
    LocalEpsilon(Epsilon),
    /// No mechanism has this total variation.
    #[error(
        "computing shuffle amplification at a total variation of {beta}: at the mechanism's epsilon it must lie above 0 \
         and at most at {largest}"
    )]
    TotalVariation {
        /// What was given.
        beta: f64,
        /// (E-1)/(E+1), the most that the local epsilon allows.
        largest: f64,
    },
}

/// The central privacy of n unlinkable reports of one mechanism; every figure is an upper bound.
///
/// ```
/// use hubbub_privacy::Shuffle;
/// let crowd = Shuffle::generic("1.0".parse()?, 10_000)?;
/// let central = crowd.epsilon(1e-6);
/// assert!((0.0432..0.0433).contains(&central));
/// assert!(crowd.delta(central) <= 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Shuffle {
    generic: Crowd,
    /// With the mechanism's own beta, where that is smaller.
    own: Option<Crowd>,
}

impl Shuffle {
    /// `reports` of an `epsilon`-LDP mechanism, any two inputs of which differ by at most `beta` in total variation.
    ///
    /// # Errors
    /// No reports, an epsilon of 0 or above 16, or a beta that is not in (0, (E-1)/(E+1)] up to rounding.
    pub fn new(epsilon: Epsilon, beta: f64, reports: u64) -> Result<Self, ShuffleError> {
        let Self { generic, .. } = Self::generic(epsilon, reports)?;
        let largest = generic.local.gain / generic.local.total;
        let blank = 1.0 - beta / largest;
        let rounding = 8.0 * f64::EPSILON;
        if beta.is_nan() || beta <= 0.0 || blank < -rounding {
            return Err(ShuffleError::TotalVariation { beta, largest });
        }
        // Rounding beta up is rounding g down.
        let own = (blank > rounding).then(|| Crowd::new(generic.local, blank - rounding, generic.others));
        Ok(Self { generic, own })
    }

    /// `reports` of a mechanism of which nothing but `epsilon` is known: beta = (E-1)/(E+1).
    ///
    /// # Errors
    /// No reports, or an epsilon of 0 or above 16.
    pub fn generic(epsilon: Epsilon, reports: u64) -> Result<Self, ShuffleError> {
        if reports == 0 {
            return Err(ShuffleError::NoReports);
        }
        if epsilon == Epsilon::ZERO || epsilon > MAX_LOCAL {
            return Err(ShuffleError::LocalEpsilon(epsilon));
        }
        let others = (reports.min(MAX_REPORTS) - 1) as f64;
        Ok(Self { generic: Crowd::new(Local::new(epsilon), 0.0, others), own: None })
    }

    /// An upper bound on the delta at which the crowd is (`central`, delta)-private; 0 from the local epsilon on.
    ///
    /// In a large crowd it does not fall below about 1e-24 before that. A negative `central` or one that is no number
    /// promises nothing: 1.
    pub fn delta(&self, central: f64) -> f64 {
        let generic = self.generic.delta(central);
        match &self.own {
            Some(own) if generic > GENERIC_WILL_DO => own.delta(central).min(generic),
            _ => generic,
        }
    }

    /// An upper bound on the epsilon at which the crowd is (epsilon, `delta`)-private; at most the local epsilon.
    pub fn epsilon(&self, delta: f64) -> f64 {
        let generic = smallest(|central| self.generic.delta(central), delta, &[], self.generic.local.epsilon);
        let Some(own) = &self.own else { return generic };
        // In a large crowd it falls with the root of beta.
        let near = generic * (1.0 - own.blank).sqrt();
        smallest(|central| self.delta(central), delta, &[1.02 * near, 0.98 * near], generic)
    }
}

/// The smallest x up to `limit`, within [`FINE`] above it, at which the falling `bound` is at most `delta`; `trials` are
/// tried first.
///
/// What is returned was itself tried, or is `limit`: a correct bound needs no faith in monotonicity.
fn smallest(bound: impl Fn(f64) -> f64, delta: f64, trials: &[f64], limit: f64) -> f64 {
    // Of a delta of 0 or one that is no number, only the local epsilon is sure.
    if delta.is_nan() || delta <= 0.0 {
        return limit;
    }
    let miss = |x| (bound(x) / delta).ln();
    let (mut low, mut high) = ((0.0, miss(0.0)), (limit, miss(limit)));
    if low.1 <= 0.0 {
        return 0.0;
    }
    let mut trials = trials.iter();
    let mut last_was_high = None;
    for round in 0.. {
        let width = high.0 - low.0;
        if width <= FINE * high.0 {
            break;
        }
        // False position (Illinois), a hair to either side in turn so that both ends close in; now and then bisection,
        // which alone would end it.
        let hair = if round % 2 == 0 { 0.4 } else { -0.4 } * FINE * high.0;
        let guess = low.0 + width * low.1 / (low.1 - high.1) + hair;
        let inside = |x: &f64| low.0 < *x && *x < high.0;
        let guess = Some(guess).filter(|x| round % 5 != 4 && high.1.is_finite() && inside(x));
        let middle = trials.next().copied().filter(inside).or(guess).unwrap_or(low.0 + 0.5 * width);
        let at_middle = miss(middle);
        let is_high = at_middle <= 0.0;
        // An end that stays is weighed less, or it would stay for good.
        let weight = if last_was_high == Some(is_high) { 0.5 } else { 1.0 };
        last_was_high = Some(is_high);
        if is_high {
            high = (middle, at_middle);
            low.1 *= weight;
        } else {
            low = (middle, at_middle);
            high.1 *= weight;
        }
    }
    high.0
}

/// The local loss, as float and through functions that lose nothing where it is small.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Local {
    /// As callers see it.
    epsilon: f64,
    /// Certainly not below the exact decimal.
    up: f64,
    /// E - 1.
    gain: f64,
    /// E + 1.
    total: f64,
}

impl Local {
    fn new(epsilon: Epsilon) -> Self {
        let epsilon = epsilon.to_f64();
        let up = epsilon.next_up().next_up();
        let gain = up.exp_m1();
        Self { epsilon, up, gain, total: gain + 2.0 }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Crowd {
    local: Local,
    /// g.
    blank: f64,
    /// a.
    clone: f64,
    /// n - 1.
    others: f64,
    /// Of Bin(n-1, 2a).
    window: Window,
}

impl Crowd {
    fn new(local: Local, blank: f64, others: f64) -> Self {
        let clone = (1.0 - blank) / local.total;
        let odds = 2.0 * (1.0 - blank) / (local.gain + 2.0 * blank);
        Self { local, blank, clone, others, window: Window::over(others, 2.0 * clone * others, odds) }
    }

    fn delta(&self, central: f64) -> f64 {
        if central.is_nan() || central < 0.0 {
            return 1.0;
        }
        if central >= self.local.epsilon {
            return 0.0;
        }
        // What is closer to 0 is counted as 0, where delta is larger.
        let terms = Terms::new(self, if central < SMALLEST_CENTRAL { 0.0 } else { central });
        let Sum { sum, ln_scale, ln_top } = self.sum(&terms);
        let error = STEP_ERROR * self.window.len() + LOGARITHM_ERROR * ln_top.abs() + FIXED_ERROR;
        // In two halves, because the scale alone may underflow where the product does not; whatever else underflows
        // loses less than the smallest normal number.
        let half_scale = (0.5 * ln_scale).exp();
        let likely = self.clone * (sum * half_scale) * half_scale * (1.0 + error * f64::EPSILON);
        // Of an unlikely m, P - G Q <= (1 - G/E) P; of a likely m and an unlikely l, it is at most 2 beta times P's share.
        let unlikely_m = self.window.outside * terms.best / (1.0 + self.local.gain);
        let unlikely_l = if terms.spreads() { 4.0 * TAIL } else { 0.0 };
        let alone = self.clone * terms.best;
        ((likely + unlikely_m + unlikely_l + f64::MIN_POSITIVE) * UP).min(alone * UP)
    }

    /// The walk, from the largest likely m down.
    fn sum(&self, terms: &Terms) -> Sum {
        let Window { low, high, at_high, .. } = self.window;
        // 2 / odds
        let pace = (self.local.gain + 2.0 * self.blank) / (1.0 - self.blank);
        let mut c = high;
        let mut threshold = terms.threshold(c + 1.0);
        // Above m no outcome lies above t, only l's spread counts; (c,c) is where its weights begin.
        let mut k = threshold.floor().min(c);
        let ln_top = at_high.ln() + ln_fair_density(c, k);
        let mut h = tail_over_density(c, k);
        let mut strays = None;
        let (mut weight, mut sum, mut rescaled) = (1.0_f64, 0.0_f64, 0.0_f64);
        loop {
            if threshold < c + 1.0 {
                sum += weight * terms.braces(c, h, k + 1.0 - threshold);
            } else if !terms.spreads() {
                // Below, t falls more slowly than m: no outcome lies above it any more.
                break;
            }
            if terms.spreads() {
                let table = strays.get_or_insert_with(|| Strays::from(terms, c + 1.0));
                sum += weight * table.at(terms, c + 1.0, k + 1.0, k + 1.0 - threshold);
                if table.until >= c {
                    strays = None;
                }
            }
            if c == low {
                break;
            }
            threshold = terms.threshold(c);
            let next = threshold.floor().min(c - 1.0);
            let (ones, zeros, divisor) = (k, c - k, self.others - c + 1.0);
            if next < k {
                let ratio = zeros / ones;
                h = (h * (1.0 + ratio) + ratio) * (0.5 * DOWN);
                weight *= pace * ones / divisor;
                k -= 1.0;
            } else {
                let ratio = ones / zeros;
                h = ((h * (1.0 + ratio) * DOWN - 1.0) * (0.5 * DOWN)).max(0.0);
                weight *= pace * zeros / divisor;
            }
            c -= 1.0;
            while next < k {
                // Two at once, where t falls by 1 and its rounding hides one step.
                let above = c - k + 1.0;
                h = above / k * (1.0 + h) * DOWN;
                weight *= k / above;
                k -= 1.0;
            }
            if weight > 2.0_f64.powi(RESCALE_BITS) {
                weight *= 2.0_f64.powi(-RESCALE_BITS);
                sum *= 2.0_f64.powi(-RESCALE_BITS);
                rescaled += 1.0;
            }
        }
        Sum { sum, ln_scale: ln_top + rescaled * f64::from(RESCALE_BITS) * LN_2, ln_top }
    }
}

/// The sum over the walk of w(c) b(c,K) {...}: `sum` times e to the `ln_scale`.
struct Sum {
    sum: f64,
    ln_scale: f64,
    /// The logarithm at the start, to which the error of `ln_scale` is proportional.
    ln_top: f64,
}

/// What every m has in common at one central epsilon.
struct Terms {
    /// G - 1.
    central_gain: f64,
    /// E + 1.
    total: f64,
    /// E - G, rounded up.
    best: f64,
    /// More than the terms can add that t's rounding lets in: |i - t| <= 2 [`THRESHOLD`] t, and a term is
    /// a w(c) b(c,K) kappa (i-t)/(K+1) where t < K+1 up to rounding.
    barely: f64,
    kappa: f64,
    /// GE - 1.
    cross: f64,
    /// (G-1) E, or tau times kappa.
    blank_loss: f64,
    /// t = `own` m + `foreign` (n-m).
    own: f64,
    foreign: f64,
    /// g v = `blank` (n-m)/m.
    blank: f64,
    /// How likely a report that is no clone is a blank: (g/E)/(1-2a).
    blank_share: f64,
    reports: f64,
}

impl Terms {
    fn new(crowd: &Crowd, central: f64) -> Self {
        let &Crowd { local: Local { up, gain, total, .. }, blank, others, .. } = crowd;
        let central_gain = central.exp_m1();
        let kappa = gain * (2.0 + central_gain);
        let cross = gain * central_gain + gain + central_gain;
        // g / (1-2a)
        let blank = blank * total / (gain + 2.0 * blank);
        Self {
            central_gain,
            total,
            best: (1.0 + central_gain) * (up - central).exp_m1() * UP,
            barely: 2.0 * THRESHOLD * kappa,
            kappa,
            cross,
            blank_loss: central_gain * (1.0 + gain),
            own: cross / kappa,
            foreign: central_gain * blank / kappa,
            blank,
            blank_share: blank / (1.0 + gain),
            reports: others + 1.0,
        }
    }

    /// t, rounded down.
    fn threshold(&self, m: f64) -> f64 {
        (m * self.own + (self.reports - m) * self.foreign) * (1.0 - THRESHOLD)
    }

    /// {...} for m = c + 1, rounded up; h rounded down; the first i summed lies `margin` above t.
    fn braces(&self, c: f64, h: f64, margin: f64) -> f64 {
        let blank = self.blank * (self.reports - c - 1.0) / (c + 1.0);
        let against = self.central_gain * (blank + h * (self.total + 2.0 * blank));
        let barely = if margin < 3.0 * THRESHOLD * (c + 1.0) { self.barely } else { 0.0 };
        (self.best + barely - against * (DOWN * DOWN)).max(0.0)
    }

    /// Whether l matters.
    fn spreads(&self) -> bool {
        self.blank > 0.0 && self.central_gain > 0.0
    }
}
