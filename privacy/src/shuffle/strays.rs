//! What the spread of the blanks l adds at each m, beyond what l at its mean gives.

use super::Terms;
use super::binomial::Spread;

/// Below this standard deviation of l every outcome is looked up by itself.
const LOOK_UP_BELOW: f64 = 128.0;
/// Between how many values of K+1 - t the sum is interpolated: the chords overstate it by a thousandth at most.
const CHORDS: usize = 16;
/// A table for a deviation s among n serves the next s^2 / 400 values of m, or (n / 50,000)^2: l's variance is n-m times
/// a constant, so it differs between them by far less than this whole correction matters.
const REACH: f64 = 400.0;
const LARGE: f64 = 50_000.0;

/// For all m from where it was made down to `until` + 1.
pub(super) struct Strays {
    /// The smallest c = m - 1.
    pub until: f64,
    spread: Spread,
    /// Between t and K+1, if not each outcome by itself: the sums over all i at distances 0, 1/16, .. 1.
    sums: Option<Vec<f64>>,
}

impl Strays {
    /// The spread of l at most grows as m falls, so what is right at the lowest m is enough above.
    pub fn from(terms: &Terms, m: f64) -> Self {
        let deviation = ((terms.reports - m) * terms.blank_share).sqrt();
        let reach = (deviation * deviation / REACH).max((terms.reports / LARGE).powi(2));
        let until = (m - 1.0 - reach.floor()).max(0.0);
        let spread = Spread::of(terms.reports - until - 1.0, terms.blank_share);
        let sums = if deviation < LOOK_UP_BELOW { None } else { chords(terms, &spread, m, until + 1.0) };
        Self { until, spread, sums }
    }

    /// In units of {...} at m, where i = `from` has the walk's weight and lies `above` t.
    pub fn at(&self, terms: &Terms, m: f64, from: f64, above: f64) -> f64 {
        let sum = match &self.sums {
            Some(sums) => {
                let place = above.clamp(0.0, 1.0) * CHORDS as f64;
                let chord = (place as usize).min(CHORDS - 1);
                let share = place - chord as f64;
                sums[chord] * (1.0 - share) + sums[chord + 1] * share
            }
            None => self.look_up(terms, m, from),
        };
        terms.blank_loss / from * sum
    }

    fn look_up(&self, terms: &Terms, m: f64, from: f64) -> f64 {
        // The table may be for more reports that are no clones than there are at m.
        let shift = self.spread.mean - (terms.reports - m) * terms.blank_share;
        let at = |i: f64| {
            // Up to which l the outcome has P above G Q; without t, which cancels where E is large.
            let (gain, loss) = (terms.best * i, terms.cross * (m - i));
            let rounding = 64.0 * f64::EPSILON * (gain + loss) / terms.blank_loss;
            self.spread.excess((gain - loss) / terms.blank_loss + shift, rounding)
        };
        let above = running(at(from), (1..).map(|d| from + f64::from(d)).take_while(|i| *i <= m), |i| {
            ((m - i + 1.0) / i, at(i))
        });
        running(above, (1..).map(|d| from - f64::from(d)).take_while(|i| *i >= 0.0), |i| ((i + 1.0) / (m - i), at(i)))
    }
}

/// `start` and the terms of a walk from it, each the product of all ratios so far and its own value, up to the first 0.
fn running(start: f64, places: impl Iterator<Item = f64>, step: impl Fn(f64) -> (f64, f64)) -> f64 {
    let (mut sum, mut density) = (start, 1.0);
    for place in places {
        let (ratio, value) = step(place);
        density *= ratio;
        if value == 0.0 {
            break;
        }
        sum += density * value;
    }
    sum
}

/// Upper bounds on the sum over all i, for any m between the two, by how far K+1 lies above t.
///
/// The densities are log-concave, so they are at most geometric either way from K+1 with the ratios next to it, whose
/// bounds in t are monotone in m. Each term is convex in t, as no i passes it. None where t comes up to m.
fn chords(terms: &Terms, spread: &Spread, high: f64, low: f64) -> Option<Vec<f64>> {
    let ends = [high, low].map(|m| (m, terms.threshold(m)));
    if ends.iter().any(|(m, t)| m - t < 2.0) {
        return None;
    }
    let largest =
        |ratio: fn(f64, f64) -> f64| ends.iter().map(|&(m, t)| ratio(m, t)).fold(0.0, f64::max) * (1.0 + 1e-9);
    let up = largest(|m, t| (m - t) / (t + 1.0));
    let down = largest(|m, t| (t + 1.0) / (m - t));
    let steps = terms.kappa / terms.blank_loss;
    let rounding = 256.0 * f64::EPSILON * high * steps;
    let at = |y: f64| spread.excess(spread.mean + y * steps, rounding);
    let sums = (0..=CHORDS).map(|chord| {
        let y = chord as f64 / CHORDS as f64;
        let above = running(at(y), (1..).map(f64::from), |d| (up, at(y + d)));
        running(above, (1..).map(f64::from), |d| (down, at(y - d)))
    });
    Some(sums.collect())
}
