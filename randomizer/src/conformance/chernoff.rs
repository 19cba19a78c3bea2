//! Verdicts on frequencies, with a bound that holds for every number of draws.

/// The chance that a whole check rejects a correct subject.
pub const FALSE_ALARM: f64 = 1e-6;

/// What `n KL` may reach when `tests` verdicts together may reject a correct subject with probability `alarm`.
pub(super) fn limit(tests: usize, alarm: f64) -> f64 {
    (2.0 * tests as f64 / alarm).ln()
}

/// Whether `hits` of `draws` contradict probability `p`: n KL(hits/n, p) > limit. For every n, a sum of n independent
/// indicators with mean probability `p` exceeds this with probability at most 2 e^-limit (Chernoff; Hoeffding 1963,
/// theorem 1).
pub(super) fn contradicts(hits: u32, draws: u32, p: f64, limit: f64) -> bool {
    if draws == 0 {
        return false;
    }
    let n = f64::from(draws);
    let q = f64::from(hits) / n;
    let part = |q: f64, p: f64| if q > 0.0 { q * (q / p).ln() } else { 0.0 };
    // Sums of rounded probabilities may pass 1 by an ulp.
    let p = p.clamp(f64::MIN_POSITIVE, 1.0);
    let divergence = part(q, p) + part(1.0 - q, (1.0 - p).max(f64::MIN_POSITIVE));
    n * divergence > limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_turn_at_the_bound() {
        // 1000 KL(0.6, 0.5) = 20.136.
        assert!(contradicts(600, 1000, 0.5, 20.1) && !contradicts(600, 1000, 0.5, 20.2));
        assert!(contradicts(400, 1000, 0.5, 20.1) && !contradicts(400, 1000, 0.5, 20.2));
        // n ln 2 for n heads in a row.
        assert!(contradicts(30, 30, 0.5, 20.7) && !contradicts(30, 30, 0.5, 20.8));
        assert!(contradicts(1, 1000, 0.0, 20.0) && !contradicts(0, 1000, 0.0, 20.0));
        assert!(!contradicts(1000, 1000, 1.0 + f64::EPSILON, 20.0) && contradicts(999, 1000, 1.0, 20.0));
    }
}
