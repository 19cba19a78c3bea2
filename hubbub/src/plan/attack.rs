//! What somebody knows who sees every report of a device and can tell that they are one device's.

use hubbub_privacy::{Epsilon, budget};

/// How often the best guess between two equally likely answers is right after `reports` reports of `epsilon`, if the
/// answer is the same each time.
///
/// Of a yes-or-no question this is exact: each report names the true answer with probability p = e^epsilon/(1+e^epsilon),
/// and the best guess is the majority. Of any other question no two answers are told apart more often, because any two
/// epsilon-private laws can be had by processing such reports (Kairouz, Oh, Viswanath, "The composition theorem for
/// differential privacy", IEEE Trans. Inf. Theory 63(6), 2017, theorem 3.3 and its proof).
pub fn success(epsilon: Epsilon, reports: u32) -> f64 {
    if reports == 0 {
        return 0.5;
    }
    let p = budget::attacker_success(epsilon);
    let spread = p * (1.0 - p);
    // An even number of reports helps as much as one fewer; from 2i-1 to 2i+1 the majority gains
    // (2p-1) C(2i-1, i) (p (1-p))^i.
    let odd = reports - u32::from(reports.is_multiple_of(2));
    let (mut term, mut sum) = (spread, 0.0);
    for i in 1..=(odd - 1) / 2 {
        sum += term;
        let i = f64::from(i);
        term *= spread * 2.0 * (2.0 * i + 1.0) / (i + 1.0);
    }
    (p + (2.0 * p - 1.0) * sum).min(1.0)
}

/// A share of the time, with as many digits as tell it from always.
pub fn percent(part: f64) -> String {
    const MOST_DECIMALS: usize = 6;
    let digits = (1.0 - part).log10().abs().floor() as usize;
    let decimals = digits.saturating_sub(1).min(MOST_DECIMALS);
    let shown = format!("{:.decimals$}", part * 100.0);
    match shown.strip_prefix("100") {
        Some(_) => "more than 99.9999 %".to_owned(),
        None => format!("{shown} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_one(reports: u32) -> f64 {
        success(Epsilon::from_millionths(1_000_000), reports)
    }

    #[test]
    fn the_averaging_attack_has_the_documented_figures() {
        assert_eq!([1, 11, 53].map(|reports| percent(at_one(reports))), ["73 %", "95 %", "99.98 %"]);
    }

    #[test]
    fn it_is_the_majority_of_independent_answers() {
        // The sum over all outcomes, half of a draw for each side.
        let p = 1f64.exp() / (1.0 + 1f64.exp());
        for reports in 1..=30u32 {
            let mut ways = 1.0;
            let mut expected = 0.0;
            for right in 0..=reports {
                let chance = ways * p.powi(right as i32) * (1.0 - p).powi((reports - right) as i32);
                expected += match (2 * right).cmp(&reports) {
                    std::cmp::Ordering::Greater => chance,
                    std::cmp::Ordering::Equal => chance / 2.0,
                    std::cmp::Ordering::Less => 0.0,
                };
                ways *= f64::from(reports - right) / f64::from(right + 1);
            }
            assert!((at_one(reports) - expected).abs() < 1e-12, "{reports}");
        }
    }

    #[test]
    fn it_lies_between_a_coin_and_the_lifetime_bound() {
        let epsilon = Epsilon::from_millionths(10_000);
        assert_eq!(success(epsilon, 0), 0.5);
        for reports in [1, 2, 100, 1_600] {
            let (guess, bound) = (success(epsilon, reports), budget::attacker_success(epsilon.times(reports)));
            assert!(0.5 < guess && guess <= bound, "{reports}: {guess} {bound}");
        }
        // Many weak answers: the normal law of their sum, Phi(sqrt(n) epsilon/2) = Phi(0.5) = 0.6915.
        assert!((success(epsilon, 10_001) - 0.691_46).abs() < 1e-4);
    }

    #[test]
    fn nobody_is_always_right() {
        for (part, shown) in [
            (0.5, "50 %"),
            (0.7311, "73 %"),
            (0.98, "98 %"),
            (0.9966, "99.7 %"),
            (0.999_83, "99.98 %"),
            (1.0 - 1e-12, "more than 99.9999 %"),
            (1.0, "more than 99.9999 %"),
        ] {
            assert_eq!(percent(part), shown);
        }
    }
}
