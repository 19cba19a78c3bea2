//! Binomial laws with directed rounding: where they are likely, how heavy their tails are, how they spread.

use std::f64::consts::{LN_2, PI};

/// What either tail outside a window may weigh: a trillionth of the smallest delta in use.
pub(super) const TAIL: f64 = 1e-24;
/// Summing a tail stops where its terms fall below the last bit of the sum.
const LAST_BIT: f64 = 1e-17;
/// Covers the at most seven roundings of one step (half an epsilon each).
pub(super) const DOWN: f64 = 1.0 - 4.0 * f64::EPSILON;
/// Epsilons of relative error that one step along a window may add to a density or a sum of densities.
pub(super) const STEP_ERROR: f64 = 16.0;

/// The likely outcomes of a binomial law: all but [`TAIL`] on either side.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    pub low: f64,
    pub high: f64,
    /// The density at `high`, divided by slightly too little.
    pub at_high: f64,
    /// At most this probability lies at or outside the ends.
    pub outside: f64,
}

impl Window {
    /// Of Bin(`trials`, p) with this mean and `odds` = p/(1-p).
    ///
    /// The density is built from near its mode without a scale, which its own sum then gives. A binomial tail is at
    /// most geometric with the ratio of its first two terms, because the ratios fall.
    pub fn over(trials: f64, mean: f64, odds: f64) -> Self {
        let start = mean.floor().min(trials);
        let (mut total, mut outside) = (1.0, 0.0);
        let (mut high, mut at_high) = (start, 1.0);
        while high < trials {
            let ratio = (trials - high) / (high + 1.0) * odds;
            if ratio < 1.0 && at_high * ratio <= TAIL * total * (1.0 - ratio) {
                outside += TAIL;
                break;
            }
            at_high *= ratio;
            high += 1.0;
            total += at_high;
        }
        let (mut low, mut at_low) = (start, 1.0);
        while low > 0.0 {
            let ratio = low / ((trials - low + 1.0) * odds);
            if ratio < 1.0 && at_low <= TAIL * total * (1.0 - ratio) {
                outside += TAIL;
                break;
            }
            at_low *= ratio;
            low -= 1.0;
            total += at_low;
        }
        // The last factor is far more than the rounding of the tails.
        Self { low, high, at_high: at_high / total, outside: outside * (1.0 + 1e-6) }
    }

    pub fn len(&self) -> f64 {
        self.high - self.low + 1.0
    }
}

/// How far a binomial count L strays from its mean: E[(k - L)+] and E[(L - k)+] for every k in its window.
pub(super) struct Spread {
    pub mean: f64,
    low: f64,
    below: Vec<f64>,
    above: Vec<f64>,
    margin: f64,
}

impl Spread {
    /// Of Bin(`trials`, `p`).
    pub fn of(trials: f64, p: f64) -> Self {
        let (mean, odds) = (trials * p, p / (1.0 - p));
        let window = Window::over(trials, mean, odds);
        let mut densities = vec![window.at_high];
        let (mut l, mut density) = (window.high, window.at_high);
        while l > window.low {
            density *= l / ((trials - l + 1.0) * odds);
            l -= 1.0;
            densities.push(density);
        }
        let above = stop_losses(densities.iter());
        let below = stop_losses(densities.iter().rev());
        let margin = 1.0 + STEP_ERROR * (window.len() + 64.0) * f64::EPSILON;
        Self { mean, low: window.low, below, above: above.into_iter().rev().collect(), margin }
    }

    /// The larger of E[(k - L)+] - max(0, k - E[L]) over all k within `rounding` of `place`: E[(L - k)+] above the mean.
    pub fn excess(&self, place: f64, rounding: f64) -> f64 {
        let rounding = rounding + 4.0 * f64::EPSILON * (self.mean + place.abs());
        let (table, index) = if place < self.mean {
            // `below` starts at E[(low - L)+].
            (&self.below, place + rounding - self.low)
        } else {
            // `above` starts one earlier, so that it ends where it is 0.
            (&self.above, place - rounding - self.low + 1.0)
        };
        let index = index.clamp(0.0, table.len() as f64);
        let Some(next) = table.get(index as usize + 1) else {
            // Above the window; `below` reaches past the mean.
            return 0.0;
        };
        // Linear between whole numbers, without loss.
        let share = index.fract();
        (table[index as usize] * (1.0 - share) + next * share) * self.margin
    }
}

/// The sums of the sums of the densities before each place, from 0 before the first to beyond the last.
fn stop_losses<'a>(densities: impl Iterator<Item = &'a f64>) -> Vec<f64> {
    let (mut mass, mut loss) = (0.0, 0.0);
    let beyond = densities.map(|density| {
        mass += density;
        loss += mass;
        loss
    });
    std::iter::once(0.0).chain(beyond).collect()
}

/// A lower bound on T(c,k+1)/b(c,k) for k >= c/2; T and b as in the module above.
pub(super) fn tail_over_density(c: f64, k: f64) -> f64 {
    let (mut term, mut sum, mut count) = (1.0, 0.0, 0.0);
    while k + count < c {
        term *= (c - k - count) / (k + count + 1.0);
        sum += term;
        count += 1.0;
        if term <= LAST_BIT * sum {
            break;
        }
    }
    sum * (1.0 - 2.0 * (count + 1.0) * f64::EPSILON)
}

/// The logarithm of C(m,k)/2^m, to about 64 epsilons of its size (the saddle-point form of Loader, "Fast and accurate
/// computation of binomial probabilities", 2000): log-gamma would lose seven digits at 10^9.
pub(super) fn ln_fair_density(m: f64, k: f64) -> f64 {
    if k == 0.0 || k == m {
        return -m * LN_2;
    }
    let rest = m - k;
    let skew = (k - rest) / m;
    let correction = stirling_error(m) - stirling_error(k) - stirling_error(rest);
    correction - 0.5 * (2.0 * PI * k * (rest / m)).ln() - 0.5 * m * fair_deviance(skew)
}

/// (1+y) ln(1+y) + (1-y) ln(1-y) for |y| < 1.
fn fair_deviance(y: f64) -> f64 {
    if y.abs() > 0.5 {
        return (1.0 + y) * y.ln_1p() + (1.0 - y) * (-y).ln_1p();
    }
    // The series of y^(2j) / (j (2j-1)): without cancellation, and 27 terms reach the last bit at 1/2.
    (1..=27).rev().map(f64::from).fold(0.0, |sum, j| (sum + 1.0 / (j * (2.0 * j - 1.0))) * y * y)
}

/// ln n! - [(n + 1/2) ln n - n + ln(2 pi)/2] for n >= 1.
fn stirling_error(n: f64) -> f64 {
    if n < 16.0 {
        let factorial: f64 = (1..=n as u32).map(f64::from).product();
        return factorial.ln() - (n + 0.5) * n.ln() + n - 0.5 * (2.0 * PI).ln();
    }
    let square = n * n;
    // The next term of the series is below 2e-16 from 16 on.
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / (1188.0 * square)) / square) / square) / square)
        / n
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C(m,k), exact up to m = 120.
    fn choose(m: u32, k: u32) -> u128 {
        (0..k).fold(1, |c, i| c * u128::from(m - i) / u128::from(i + 1))
    }

    #[test]
    fn fair_densities_and_tails_are_those_of_exact_integers() {
        for m in 1..=120 {
            let mut tail = 0u128;
            for k in (0..=m).rev() {
                let exact = choose(m, k);
                let ln_density = (exact as f64).ln() - f64::from(m) * LN_2;
                let found = ln_fair_density(f64::from(m), f64::from(k));
                assert!((found - ln_density).abs() < 5e-14, "C({m},{k}): {found}, not {ln_density}");
                if 2 * k >= m {
                    let ratio = tail as f64 / exact as f64;
                    let found = tail_over_density(f64::from(m), f64::from(k));
                    assert!((ratio * (1.0 - 1e-13)..=ratio).contains(&found), "T({m},{k}): {found}, not {ratio}");
                }
                tail += exact;
            }
        }
    }

    #[test]
    fn a_spread_is_what_its_definition_says_between_whole_numbers_too() {
        let (trials, p) = (12, 0.3_f64);
        let spread = Spread::of(f64::from(trials), p);
        let mean = f64::from(trials) * p;
        for place in (-20..=300).map(|place| f64::from(place) / 20.0) {
            let stop_loss = |l: u32| {
                let density = choose(trials, l) as f64 * p.powi(l as i32) * (1.0 - p).powi((trials - l) as i32);
                density * (place - f64::from(l)).max(0.0)
            };
            let exact = (0..=trials).map(stop_loss).sum::<f64>() - (place - mean).max(0.0);
            let found = spread.excess(place, 0.0);
            assert!((-1e-15..1e-12).contains(&(found - exact)), "{place}: {found}, not {exact}");
            assert!(spread.excess(place, 0.1) >= found.min(spread.excess(mean, 0.0)));
        }
    }

    #[test]
    fn what_a_window_leaves_out_is_no_more_than_it_says() {
        for (trials, p) in [(300, 0.5_f64), (300, 0.01), (300, 0.99), (40, 0.2)] {
            let trials_f = f64::from(trials);
            let window = Window::over(trials_f, trials_f * p, p / (1.0 - p));
            let density = |l: u32| {
                let ln_odds = f64::from(l) * p.ln() + f64::from(trials - l) * (-p).ln_1p() + trials_f * LN_2;
                (ln_fair_density(trials_f, f64::from(l)) + ln_odds).exp()
            };
            let out: f64 =
                (0..=trials).filter(|l| !(window.low..=window.high).contains(&f64::from(*l))).map(density).sum();
            assert!(out <= window.outside, "{trials} {p}: {out:e}");
            assert!((window.at_high / density(window.high as u32) - 1.0).abs() < 1e-11, "{trials} {p}");
        }
    }
}
