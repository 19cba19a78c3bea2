//! From counts to verdicts, each of a named check.
//!
//! The chance of a false alarm, 1 - C, is shared equally by the statistical checks and within each by all its tests
//! (Bonferroni), so an honest program fails any of them with probability at most 1 - C, however the tests depend on each
//! other. The other checks an honest program cannot fail.

use serde_json::{Value, json};

use super::events::Purpose;
use super::leakage::{self, Leakage, Measured};
use super::statistics::{Comparison, Deviation, Frequency, Ranking};
use super::succession::Series;
use super::tally::{OfInput, Tally};
use super::transcript::{Rule, Transcript};

/// The statistical checks: ids, epsilon, calibration, joint, serial independence.
const STATISTICAL: f64 = 5.0;
/// The longest text of an input that is repeated in a sentence.
const SHOWN_CHARS: usize = 24;
/// Deviations of a check that are kept for JSON and the picture.
const KEPT: usize = 16;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing against the program.
    Passed,
    /// The program is at fault.
    Failed,
    /// There was nothing to judge by.
    NotJudged,
}

impl Outcome {
    /// The word in the table.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::NotJudged => "not judged",
        }
    }

    const fn of(failed: bool) -> Self {
        if failed { Self::Failed } else { Self::Passed }
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The name of the check.
    pub check: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What deviates most.
    pub worst: String,
    /// By how much.
    pub statistic: String,
    /// What is allowed.
    pub limit: String,
    /// The largest deviations of a two-sided check.
    pub deviations: Vec<Deviation<String>>,
    /// All figures.
    pub figures: Value,
}

impl Verdict {
    /// One row of the table.
    pub fn row(&self) -> [String; 5] {
        let word = self.outcome.word();
        [self.check, &self.worst, &self.statistic, &self.limit, word].map(str::to_owned)
    }

    /// All of it.
    pub fn to_json(&self) -> Value {
        json!({
            "check": self.check,
            "verdict": self.outcome.word().to_lowercase(),
            "worst_case": self.worst,
            "statistic": self.statistic,
            "limit": self.limit,
            "figures": self.figures,
            "deviations": self.deviations.iter().map(deviation_to_json).collect::<Value>(),
        })
    }

    fn not_judged(check: &'static str, why: &str) -> Self {
        Self {
            check,
            outcome: Outcome::NotJudged,
            worst: why.to_owned(),
            statistic: "-".to_owned(),
            limit: "-".to_owned(),
            deviations: Vec::new(),
            figures: Value::Null,
        }
    }
}

/// What the program is held against.
pub struct Claim<'a> {
    /// The texts of the inputs.
    pub inputs: &'a [String],
    /// The declared epsilon.
    pub declared: f64,
    /// The logarithm of the exact law's largest likelihood ratio.
    pub realized: f64,
    /// C.
    pub confidence: f64,
}

impl Claim<'_> {
    /// An input in a sentence: its text, or its number where that is long.
    fn input(&self, i: usize) -> String {
        let text = &self.inputs[i];
        if text.chars().count() <= SHOWN_CHARS { format!("`{text}`") } else { format!("input {}", i + 1) }
    }
}

/// All checks.
pub fn judge(transcript: &Transcript<'_>, tally: &Tally, claim: &Claim<'_>) -> Vec<Verdict> {
    let lines = Rule::ALL.into_iter().map(|rule| of_rule(transcript, rule));
    let misaligned = transcript.breach(Rule::OnePerValue).count > 0;
    let statistical = if misaligned {
        let why = "the reports cannot be matched with the values";
        let names = ["meaningless ids", "epsilon", "calibration", "joint", "serial independence"];
        names.map(|check| Verdict::not_judged(check, why)).into()
    } else {
        statistical(tally, claim)
    };
    lines.chain(statistical).collect()
}

/// The checks of frequencies.
pub fn statistical(tally: &Tally, claim: &Claim<'_>) -> Vec<Verdict> {
    let error = (1.0 - claim.confidence) / STATISTICAL;
    let input = |i: usize| claim.input(i);
    let event = |at: OfInput| format!("{} given {}", tally.events().list()[at.event].describe(input), input(at.input));
    let calibrated = |at: Option<OfInput>| at.map_or_else(|| "supports its own input, all inputs".to_owned(), event);
    let calibration = tally.comparisons(Purpose::Calibration).map(|comparison| comparison.map(Some));
    let calibration = calibration.chain([tally.own_support().map(|()| None)]);
    let bit = |at: OfInput| format!("bit {} of the id given {}", at.event, input(at.input));
    let series = |series: Series| series.describe(input);
    vec![
        two_sided("meaningless ids", tally.id_bits(), error, bit, "no reports"),
        epsilon(&leakage::measure(tally, error), tally, claim),
        two_sided("calibration", calibration, error, calibrated, "no reports"),
        two_sided("joint", tally.comparisons(Purpose::Joint), error, event, "a report is one index: see calibration"),
        two_sided("serial independence", tally.succession().comparisons(), error, series, "no two reports"),
    ]
}

fn of_rule(transcript: &Transcript<'_>, rule: Rule) -> Verdict {
    let breach = transcript.breach(rule);
    Verdict {
        check: rule.name(),
        outcome: Outcome::of(breach.count > 0),
        worst: if breach.count > 0 { breach.first.clone() } else { "-".to_owned() },
        statistic: format!("{} broken", breach.count),
        limit: "0".to_owned(),
        deviations: Vec::new(),
        figures: json!({ "broken": breach.count, "lines": transcript.lines() }),
    }
}

fn two_sided<T>(
    check: &'static str,
    comparisons: impl Iterator<Item = Comparison<T>>,
    error: f64,
    describe: impl Fn(T) -> String,
    nothing: &str,
) -> Verdict {
    let ranking = Ranking::of(comparisons, error, KEPT);
    let (failed, tests, level) = (ranking.contradicts(), ranking.tests, ranking.level);
    let deviations: Vec<Deviation<String>> =
        ranking.largest.into_iter().map(|deviation| deviation.map(&describe)).collect();
    let Some(worst) = deviations.first() else { return Verdict::not_judged(check, nothing) };
    Verdict {
        check,
        outcome: Outcome::of(failed),
        worst: worst.subject.clone(),
        statistic: format!("{} where the law says {}", decimal(worst.frequency.observed()), decimal(worst.law)),
        limit: format!("law in {}..{}", decimal(worst.interval.0), decimal(worst.interval.1)),
        figures: json!({ "tests": tests, "level": level }),
        deviations,
    }
}

fn epsilon(leakage: &Leakage, tally: &Tally, claim: &Claim<'_>) -> Verdict {
    let Some(Measured { bound, events, complement, likely, unlikely }) =
        leakage.largest.as_ref().filter(|measured| measured.bound > f64::NEG_INFINITY)
    else {
        return Verdict::not_judged("epsilon", "no event came often enough");
    };
    // No event at all tells inputs apart by less than nothing.
    let bound = bound.max(0.0);
    let input = |i: usize| claim.input(i);
    let first = events.first().map(|&event| tally.events().list()[event].describe(input)).unwrap_or_default();
    let others = match events.len() {
        1 => String::new(),
        n => format!(" or {} more", n - 1),
    };
    let not = if *complement { "not: " } else { "" };
    let side = |(i, frequency): &(usize, Frequency)| json!({ "input": claim.inputs[*i], "hits": frequency.hits, "draws": frequency.draws });
    Verdict {
        check: "epsilon",
        outcome: Outcome::of(bound > claim.declared),
        worst: format!("{not}{first}{others}, {} against {}", input(likely.0), input(unlikely.0)),
        statistic: format!("at least {bound:.4}"),
        limit: format!("declared {}, exact {:.6}", claim.declared, claim.realized),
        deviations: Vec::new(),
        figures: json!({
            "lower_bound": bound,
            "declared": claim.declared,
            "realized": claim.realized,
            "tests": leakage.tests,
            "level": leakage.level,
            "likely": side(likely),
            "unlikely": side(unlikely),
        }),
    }
}

fn deviation_to_json(deviation: &Deviation<String>) -> Value {
    json!({
        "subject": deviation.subject,
        "hits": deviation.frequency.hits,
        "draws": deviation.frequency.draws,
        "observed": deviation.frequency.observed(),
        "law": deviation.law,
        "interval": [deviation.interval.0, deviation.interval.1],
    })
}

/// A probability with the digits that matter.
pub fn decimal(value: f64) -> String {
    if value == 0.0 || value >= 1e-3 { format!("{value:.5}") } else { format!("{value:.2e}") }
}

#[cfg(test)]
mod tests;
