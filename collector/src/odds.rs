//! What one report lets anyone infer, in words for the computer's owner. Floats are for display: no coin is decided here.

use std::fmt;

use hubbub_privacy::{Domain, Epsilon, Payload, Value, budget};
use hubbub_randomizer::Mechanism;

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
    let fits = match value {
        Value::Index(index) => !matches!(domain, Domain::Set { .. }) && (*index as usize) < domain.size(),
        Value::Items(items) => {
            matches!(domain, Domain::Set { values, .. } if items.iter().all(|&i| (i as usize) < values.len()))
        }
    };
    let likelihood = |value: &Value| mechanism.probability(value, payload).to_f64().value();
    let with_value = fits.then(|| likelihood(value))?;
    let distance = |likelihood: f64| (likelihood / with_value).ln().abs();
    let others = counterparts(domain, payload).into_iter().filter(|other| other != value);
    let mut found: Option<(f64, Value)> = None;
    for other in others {
        let with_other = likelihood(&other);
        if distance(with_other) > found.as_ref().map_or(0.0, |(found, _)| distance(*found)) {
            found = Some((with_other, other));
        }
        // Of two-level laws, any value on the other side of the coin differs most.
        if found.is_some() && !matches!(mechanism, Mechanism::FoldedGeometric(_)) {
            break;
        }
    }
    let (with_other, other) = found?;
    let attacker_success = budget::attacker_success(epsilon);
    Some(Odds { with_value, with_other, other: domain.show(&other), attacker_success })
}

/// Values among which one differs most from the truth, whatever that is.
fn counterparts(domain: &Domain, payload: &Payload) -> Vec<Value> {
    let (Domain::Set { values, max_items }, Payload::List(report)) = (domain, payload) else {
        return (0..domain.size() as u32).map(Value::Index).collect();
    };
    // A full set that the report misses, one that it meets, and the empty one, which stands for all dummies.
    let missed = (0..values.len() as u32).filter(|item| !report.contains(item)).take(*max_items as usize).collect();
    let met = report.iter().filter(|&&item| (item as usize) < values.len()).take(1).copied().collect();
    vec![Value::Items(missed), Value::Items(met), Value::Items(Vec::new())]
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
    use hubbub_privacy::Goal;
    use hubbub_randomizer::{Cyclotomic, ExpBound, FoldedGeometric, Subset, Window};

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
    fn every_report_of_every_family_has_a_counterpart() {
        let epsilon: Epsilon = "1.0".parse().unwrap();
        let values: Vec<String> = (0..9).map(|n| format!("v{n}")).collect();
        let bound = ExpBound::new(epsilon);
        for (mechanism, domain, truths) in [
            (
                Mechanism::Subset(Subset::of_sets(&bound, 9, 2, 3)),
                Domain::Set { values: values.clone(), max_items: 2 },
                vec![Value::Items(vec![]), Value::Items(vec![3]), Value::Items(vec![0, 8])],
            ),
            (
                Mechanism::Cyclotomic(Cyclotomic::new(&bound, 9, 4, 1)),
                Domain::Categorical { values, absent: None, other: None },
                vec![Value::Index(0), Value::Index(8)],
            ),
            (
                Mechanism::Window(Window::new(&bound, 9, 4, Goal::Mean)),
                Domain::Ordered { edges: (0..10).collect(), goal: Goal::Mean, absent: 0 },
                vec![Value::Index(0), Value::Index(4)],
            ),
        ] {
            for _ in 0..50 {
                for truth in &truths {
                    let payload = mechanism.randomize(truth, &mut rand::rngs::SysRng).unwrap();
                    let odds = odds(&mechanism, &domain, epsilon, truth, &payload).unwrap();
                    let ratio = (odds.with_value / odds.with_other).max(odds.with_other / odds.with_value);
                    assert!(
                        (ratio - 1f64.exp()).abs() < 1e-6,
                        "{} {truth:?} {payload:?}: {odds:?}",
                        mechanism.family()
                    );
                }
            }
        }
        let boolean = Mechanism::Subset(Subset::optimal(&bound, 2));
        let answer = Payload::List(vec![0]);
        assert_eq!(odds(&boolean, &Domain::Boolean, epsilon, &Value::Items(vec![0]), &answer), None);
        assert_eq!(odds(&boolean, &Domain::Boolean, epsilon, &Value::Index(2), &answer), None);
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
