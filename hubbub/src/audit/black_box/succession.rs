//! Whether reports know of each other: of the same input one after the other, and from line to line.
//!
//! Two things are compared: whether both reports are equal, and whether both lie on the same side of their own input's set.
//! A stuck generator or remembered noise shows in the first, a coin used twice in the second. Only disjoint pairs are
//! compared within a series, because overlapping ones depend on each other even for an honest program.

use std::rc::Rc;

use hubbub_privacy::Payload;

use super::events::Events;
use super::statistics::{Comparison, Frequency};

/// How far apart the reports of a pair are.
const LAGS: [usize; 2] = [1, 2];
/// Each lag has two series of disjoint pairs: (0,1), (2,3), ... and (1,2), (3,4), ...
const PHASES: usize = 2;

/// Which reports follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The reports of one input, other lines left out.
    Input(usize),
    /// All lines.
    Lines,
    /// All lines, pairs of the same input only.
    LinesOfOneInput,
}

/// What two reports have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Common {
    /// They are equal.
    Report,
    /// Both support their own inputs, or neither does.
    Side,
}

/// One series of pairs and what is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    /// Which reports.
    pub scope: Scope,
    /// How far apart.
    pub lag: usize,
    /// Which of the two series of disjoint pairs.
    pub phase: usize,
    /// What is compared.
    pub common: Common,
}

impl Series {
    /// In words; `input` names an input.
    pub fn describe(&self, input: impl Fn(usize) -> String) -> String {
        let scope = match self.scope {
            Scope::Input(i) => format!("reports given {}", input(i)),
            Scope::Lines => "lines".to_owned(),
            Scope::LinesOfOneInput => "lines of the same input".to_owned(),
        };
        let common = match self.common {
            Common::Report => "equal",
            Common::Side => "alike in supporting their inputs",
        };
        let phase = if self.phase == 0 { "even" } else { "odd" };
        format!("{scope}, {} apart, {phase} pairs: {common}", self.lag)
    }
}

struct Seen {
    input: usize,
    payload: Rc<Payload>,
    side: bool,
}

/// The last reports of a series.
#[derive(Default)]
struct Recent {
    count: usize,
    /// By place modulo the longest lag.
    last: [Option<Seen>; LAGS.len()],
}

/// Pairs of one scope, lag and phase.
#[derive(Debug, Clone, Copy, Default)]
struct Pairs {
    equal: Frequency,
    alike: Frequency,
}

/// Counts of pairs of successive reports.
pub struct Succession {
    /// By input, and last of all lines.
    recent: Vec<Recent>,
    /// By scope (inputs, lines, lines of one input), lag and phase.
    pairs: Vec<[[Pairs; PHASES]; LAGS.len()]>,
    /// P(equal reports) of two inputs, where there is a formula.
    agreement: Vec<Vec<Option<f64>>>,
    /// P(a report supports its own input).
    support: Vec<f64>,
}

impl Succession {
    /// Nothing counted yet.
    pub fn new(events: &Events) -> Self {
        let n = events.inputs();
        Self {
            recent: (0..=n).map(|_| Recent::default()).collect(),
            pairs: vec![Default::default(); n + 2],
            agreement: (0..n).map(|a| (0..n).map(|b| events.agreement(a, b)).collect()).collect(),
            support: (0..n).map(|i| events.support_of_own(i)).collect(),
        }
    }

    /// Counts a report of an input, and on which side of that input's set it lies.
    pub fn add(&mut self, input: usize, payload: Payload, side: bool) {
        let n = self.support.len();
        let payload = Rc::new(payload);
        for scope in [input, n] {
            let now = Seen { input, payload: Rc::clone(&payload), side };
            let recent = &mut self.recent[scope];
            for (place, lag) in LAGS.into_iter().enumerate() {
                let Some(first) = recent.count.checked_sub(lag) else { continue };
                let Some(before) = &recent.last[first % LAGS.len()] else { continue };
                let phase = first / lag % PHASES;
                let known = self.agreement[before.input][input].is_some();
                let count = |pairs: &mut Pairs| {
                    pairs.alike = pairs.alike + seen(before.side == side);
                    if known {
                        pairs.equal = pairs.equal + seen(before.payload == now.payload);
                    }
                };
                count(&mut self.pairs[scope][place][phase]);
                if scope == n && before.input == input {
                    count(&mut self.pairs[n + 1][place][phase]);
                }
            }
            recent.last[recent.count % LAGS.len()] = Some(now);
            recent.count += 1;
        }
    }

    /// Every series against the law. Inputs are uniform and independent from line to line, so a line's law is the mean over
    /// inputs.
    pub fn comparisons(&self) -> impl Iterator<Item = Comparison<Series>> + '_ {
        let n = self.support.len();
        let scopes = (0..n).map(Scope::Input).chain([Scope::Lines, Scope::LinesOfOneInput]);
        scopes.zip(&self.pairs).flat_map(move |(scope, by_lag)| {
            let [equal, alike] = [Common::Report, Common::Side].map(|common| self.law(scope, common));
            LAGS.into_iter().zip(by_lag).flat_map(move |(lag, by_phase)| {
                by_phase.iter().enumerate().flat_map(move |(phase, pairs)| {
                    let comparison = move |common, frequency, law: Option<f64>| {
                        law.map(|law| Comparison { subject: Series { scope, lag, phase, common }, frequency, law })
                    };
                    let equal = comparison(Common::Report, pairs.equal, equal);
                    equal.into_iter().chain(comparison(Common::Side, pairs.alike, alike))
                })
            })
        })
    }

    fn law(&self, scope: Scope, common: Common) -> Option<f64> {
        let n = self.support.len();
        let of_pair = |a: usize, b: usize| match common {
            Common::Report => self.agreement[a][b],
            Common::Side => {
                let (p, q) = (self.support[a], self.support[b]);
                Some(p * q + (1.0 - p) * (1.0 - q))
            }
        };
        let known: Vec<f64> = match scope {
            Scope::Input(i) => of_pair(i, i).into_iter().collect(),
            Scope::Lines => (0..n * n).filter_map(|pair| of_pair(pair / n, pair % n)).collect(),
            Scope::LinesOfOneInput => (0..n).filter_map(|i| of_pair(i, i)).collect(),
        };
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }
}

fn seen(hit: bool) -> Frequency {
    Frequency { hits: u64::from(hit), draws: 1 }
}

#[cfg(test)]
mod tests {
    use hubbub_privacy::Value;
    use hubbub_randomizer::{ExpBound, Mechanism, Subset};

    use super::*;

    fn succession() -> Succession {
        let subset = Mechanism::Subset(Subset::new(&ExpBound::new("1".parse().unwrap()), 2, 1));
        Succession::new(&Events::of(&subset, &[0, 1].map(Value::Index)))
    }

    fn of(succession: &Succession, scope: Scope, lag: usize, phase: usize, common: Common) -> Frequency {
        let series = Series { scope, lag, phase, common };
        let found = succession.comparisons().find(|comparison| comparison.subject == series);
        found.unwrap().frequency
    }

    #[test]
    fn pairs_of_a_series_are_disjoint() {
        let mut succession = succession();
        // Lines 0 to 8; reports 0 0 1 0 0 1 1 1 0 of inputs 0 0 1 0 1 1 0 1 0.
        for (input, y) in [(0, 0), (0, 0), (1, 1), (0, 0), (1, 0), (1, 1), (0, 1), (1, 1), (0, 0)] {
            succession.add(input, Payload::List(vec![y]), input as u32 == y);
        }
        for (scope, lag, phase, common, hits, draws) in [
            // (0,1) (2,3) (4,5) (6,7), then (1,2) (3,4) (5,6) (7,8).
            (Scope::Lines, 1, 0, Common::Report, 2, 4),
            (Scope::Lines, 1, 1, Common::Report, 2, 4),
            (Scope::Lines, 1, 0, Common::Side, 2, 4),
            // (0,2) (1,3) (4,6) (5,7), then (2,4) (3,5) (6,8).
            (Scope::Lines, 2, 0, Common::Report, 2, 4),
            (Scope::Lines, 2, 1, Common::Report, 0, 3),
            (Scope::LinesOfOneInput, 1, 0, Common::Report, 1, 2),
            (Scope::LinesOfOneInput, 2, 1, Common::Report, 0, 2),
            // Input 0: reports 0 0 0 1 0; input 1: reports 1 0 1 1.
            (Scope::Input(0), 1, 0, Common::Report, 1, 2),
            (Scope::Input(0), 1, 1, Common::Report, 1, 2),
            (Scope::Input(0), 2, 0, Common::Side, 1, 2),
            (Scope::Input(1), 1, 0, Common::Report, 1, 2),
        ] {
            let found = of(&succession, scope, lag, phase, common);
            assert_eq!((found.hits, found.draws), (hits, draws), "{scope:?} {lag} {phase} {common:?}");
        }
    }

    #[test]
    fn the_law_is_that_of_independent_reports() {
        let succession = succession();
        let p = 1f64.exp() / (1.0 + 1f64.exp());
        for comparison in succession.comparisons() {
            let series = comparison.subject;
            let law = match (series.scope, series.common) {
                (Scope::Lines, Common::Report) => 0.5,
                _ => p * p + (1.0 - p) * (1.0 - p),
            };
            assert!((comparison.law - law).abs() < 1e-12, "{series:?}");
        }
        assert_eq!(succession.comparisons().count(), 4 * 2 * 2 * 2);
    }
}
