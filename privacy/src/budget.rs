//! The ceilings that no registry can raise: what a device may lose, whatever it is asked.

use crate::Epsilon;

/// Per report: at epsilon 4 someone who sees one answer to a yes-or-no question is right 98 % of the time.
pub const PER_REPORT: Epsilon = Epsilon::from_millionths(4_000_000);
/// Per device and ISO week, over all metrics.
pub const PER_WEEK: Epsilon = Epsilon::from_millionths(6_000_000);
/// Per device and ISO year, over all metrics: less than 52 full weeks, so that most weeks ask little.
pub const PER_YEAR: Epsilon = Epsilon::from_millionths(100_000_000);
/// Per metric for life, over all versions of its id and of the ids it names as predecessors.
pub const PER_METRIC: Epsilon = Epsilon::from_millionths(16_000_000);
/// Per installation for life, over everything.
pub const PER_INSTALLATION: Epsilon = Epsilon::from_millionths(400_000_000);

/// How often an attacker who sees one epsilon-LDP answer to a yes-or-no question guesses it right, at best, when both
/// answers are equally likely beforehand: `e^epsilon / (1 + e^epsilon)`.
pub fn attacker_success(epsilon: Epsilon) -> f64 {
    let e = epsilon.to_f64().exp();
    e / (1.0 + e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attacker_is_right_98_percent_of_the_time_at_the_ceiling() {
        assert_eq!((attacker_success(PER_REPORT) * 100.0).round(), 98.0);
        assert_eq!(attacker_success(Epsilon::ZERO), 0.5);
    }
}
