//! What one report lets anyone infer, in words for the computer's owner. Floats are for display: no coin is decided here.

use std::fmt;

use hubbub_privacy::{Domain, Epsilon, Payload, Value, budget};
use hubbub_randomizer::{FoldedGeometric, Mechanism, Subset};

/// How likely one answer is under two truths.
#[derive(Debug, Clone, PartialEq)]
pub struct Odds {
    /// The chance of this very answer under the true value.
    pub with_value: f64,
    /// Its chance under the value that differs most.
    pub with_other: f64,
    /// The name of that value.
    pub other: String,
    /// How often somebody who sees only this report guesses right, at best.
    pub attacker_success: f64,
}

/// The odds of `payload`; nothing when value and payload do not belong to the mechanism.
pub fn odds(
    mechanism: &Mechanism,
    domain: &Domain,
    epsilon: Epsilon,
    value: &Value,
    payload: &Payload,
) -> Option<Odds> {
    mechanism.check(payload).ok()?;
    let Value::Index(value) = *value else { return None };
    let (with_value, with_other, other) = match (mechanism, payload) {
        (Mechanism::Subset(subset), payload) => subset_odds(subset, value, payload)?,
        (Mechanism::FoldedGeometric(geometric), Payload::Number(answer)) => geometric_odds(geometric, value, *answer)?,
        (Mechanism::FoldedGeometric(_), Payload::List(_)) => return None,
    };
    let attacker_success = budget::attacker_success(epsilon);
    Some(Odds { with_value, with_other, other: domain.label(other), attacker_success })
}

/// The answers that contain a truth share pi1 evenly, the others share 1 - pi1.
fn subset_odds(subset: &Subset, value: u32, payload: &Payload) -> Option<(f64, f64, u32)> {
    let chosen: Vec<u32> = match payload {
        Payload::List(items) => items.clone(),
        Payload::Number(item) => vec![*item],
    };
    let (d, k) = (subset.values() as u32, subset.k() as u32);
    let containing = subset.pi1() / combinations(d - 1, k - 1);
    let missing = (1.0 - subset.pi1()) / combinations(d - 1, k);
    let is_chosen = chosen.contains(&value);
    let other = (0..d).find(|candidate| *candidate != value && chosen.contains(candidate) != is_chosen)?;
    Some(if is_chosen { (containing, missing, other) } else { (missing, containing, other) })
}

fn geometric_odds(geometric: &FoldedGeometric, value: u32, answer: u32) -> Option<(f64, f64, u32)> {
    if value > geometric.max() {
        return None;
    }
    let with_value = geometric.probability(value, answer);
    let distance = |other: &u32| (geometric.probability(*other, answer) / with_value).ln().abs();
    let other =
        (0..=geometric.max()).filter(|other| *other != value).max_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    Some((with_value, geometric.probability(other, answer), other))
}

/// n over k.
fn combinations(n: u32, k: u32) -> f64 {
    (0..k).map(|i| f64::from(n - i) / f64::from(i + 1)).product()
}

/// A chance as people read it: percent where that is short, else one in so many, to two digits.
fn chance(p: f64) -> String {
    if p >= 0.001 {
        return format!("{:.1} %", p * 100.0);
    }
    let in_so_many = 1.0 / p;
    if in_so_many >= 1e12 {
        return "less than 1 in 1,000,000,000,000".to_owned();
    }
    let unit = 10f64.powf(in_so_many.log10().floor() - 1.0);
    let digits = format!("{:.0}", (in_so_many / unit).round() * unit);
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    format!("1 in {}", groups.join(","))
}

/// Percent, rounded up: an attacker's success is never understated.
pub fn percent_up(p: f64) -> u32 {
    (p * 100.0 - 1e-9).ceil().clamp(0.0, 100.0) as u32
}

impl fmt::Display for Odds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (times, word) = match self.with_value / self.with_other {
            ratio if ratio >= 1.0 => (ratio, "more"),
            ratio => (1.0 / ratio, "less"),
        };
        write!(
            f,
            "this very answer is {times:.1} times {word} likely with your value than with `{}` ({} against {}); someone \
             who sees only this report guesses right at most {} % of the time",
            self.other,
            chance(self.with_value),
            chance(self.with_other),
            percent_up(self.attacker_success)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hubbub_randomizer::ExpBound;

    #[test]
    fn the_two_chances_differ_by_no_more_than_the_bound_and_nearly_reach_it() {
        let epsilon: Epsilon = "1.0".parse().unwrap();
        let e = 1f64.exp();
        let labels =
            Domain::Categorical { values: (0..16).map(|n| format!("v{n}")).collect(), absent: None, other: None };
        for (mechanism, domain) in [
            (Mechanism::Subset(Subset::optimal(&ExpBound::new(epsilon), 16)), &labels),
            (Mechanism::Subset(Subset::optimal(&ExpBound::new(epsilon), 2)), &Domain::Boolean),
        ] {
            let mut rng = rand::rngs::SysRng;
            for value in 0..2 {
                let payload = mechanism.randomize(&Value::Index(value), &mut rng).unwrap();
                let odds = odds(&mechanism, domain, epsilon, &Value::Index(value), &payload).unwrap();
                let ratio = (odds.with_value / odds.with_other).max(odds.with_other / odds.with_value);
                assert!((ratio - e).abs() < 1e-6, "{ratio}");
            }
        }
        let counts = FoldedGeometric::new(epsilon, 20).unwrap();
        let domain = Domain::Count { max: 20 };
        let odds = odds(&Mechanism::FoldedGeometric(counts), &domain, epsilon, &Value::Index(0), &Payload::Number(0));
        let odds = odds.unwrap();
        assert_eq!(odds.other, "20");
        assert!((odds.with_value / odds.with_other - e).abs() < 1e-3, "{odds:?}");
    }

    #[test]
    fn the_chances_of_all_answers_sum_to_one() {
        let subset = Subset::new(&ExpBound::new("2.0".parse().unwrap()), 5, 2);
        let answers = (0..5).flat_map(|a| (a + 1..5).map(move |b| Payload::List(vec![a, b])));
        let total: f64 = answers.map(|answer| subset_odds(&subset, 3, &answer).unwrap().0).sum();
        assert!((total - 1.0).abs() < 1e-9, "{total}");
    }

    #[test]
    fn the_words_never_understate_the_attacker() {
        assert_eq!(percent_up(budget::attacker_success("1.0".parse().unwrap())), 74);
        assert_eq!(percent_up(0.5), 50);
        let odds = Odds { with_value: 0.25, with_other: 1e-5, other: "amd".into(), attacker_success: 0.731 };
        let words = odds.to_string();
        for part in ["25.0 %", "1 in 100,000", "`amd`", "25000.0 times more likely", "74 %"] {
            assert!(words.contains(part), "{words}");
        }
    }
}
