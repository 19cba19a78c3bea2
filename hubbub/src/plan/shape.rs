//! `hubbub plan --kind`: what a question would cost that no registry asks yet.

use clap::ValueEnum;
use hubbub_privacy::{DecimalError, Epsilon, Goal};
use hubbub_randomizer::accuracy;
use hubbub_randomizer::choice::Shape;
use indicatif::HumanCount;
use serde_json::{Value, json};
use thiserror::Error;

use super::columns::{aligned, wrapped};
use super::figures::{Figures, FiguresError, HalfWidth, Setting, Shuffled, percentage_points, short};

/// The largest domain of labels, items or buckets: the registry's.
const MAX_VALUES: u64 = 1 << 20;
/// The largest count that is told apart: the registry's.
const MAX_COUNT: u64 = 255;
/// The largest epsilon that can be planned with: what one metric may spend for life. A registry allows less per report.
const MAX_EPSILON: Epsilon = hubbub_privacy::budget::PER_METRIC;

/// A longer ratio is left to `--json`: sets have hundreds of digits.
const MOST_RATIO_CHARS: usize = 100;

/// A kind, as the registry writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// True or false
    Boolean,
    /// One of a list of values
    Categorical,
    /// One of a number of buckets
    Ordered,
    /// A number from 0
    Count,
    /// Some of a list of values
    Set,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Categorical => "categorical",
            Self::Ordered => "ordered",
            Self::Count => "count",
            Self::Set => "set",
        }
    }
}

/// What is asked of ordered values, as the registry writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Asked {
    /// The mean
    Mean,
    /// Median, percentiles and distribution
    Quantiles,
}

impl Asked {
    const fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Quantiles => "quantiles",
        }
    }
}

/// What cannot be planned with.
#[derive(Debug, Error)]
pub enum ShapeError {
    /// No number of values.
    #[error("kind {kind} needs --values D, the number of its values{}", if *kind == "count" { ", or --max C, the largest count" } else { "" })]
    NoValues {
        /// The kind.
        kind: &'static str,
    },
    /// Too few or too many values.
    #[error("--values {values}: kind {kind} has from 2 to {most} values; give a number between them")]
    Values {
        /// The kind.
        kind: &'static str,
        /// What was given.
        values: u64,
        /// The most there can be.
        most: u64,
    },
    /// Counts up to too little or too much.
    #[error("--max {max}: a count goes up to at least 1 and at most {MAX_COUNT}; give a number between them")]
    Max {
        /// What was given.
        max: u64,
    },
    /// Two numbers of values.
    #[error("--max {max} makes {} values, not --values {values}; give one of the two", max + 1)]
    Contradiction {
        /// The largest count.
        max: u64,
        /// The number of values.
        values: u64,
    },
    /// No size of a set.
    #[error("kind set needs --max-items M, the largest set that is reported whole")]
    NoMaxItems,
    /// A set that is too small or too large.
    #[error(
        "--max-items {max_items}: a set of {values} values has from 1 to {values} items; give a number between them"
    )]
    MaxItems {
        /// What was given.
        max_items: u64,
        /// How many values there are.
        values: u64,
    },
    /// Nothing asked of ordered values.
    #[error("kind ordered needs --goal mean or --goal quantiles: no mechanism is best for both")]
    NoGoal,
    /// An argument of another kind.
    #[error("{argument} says nothing about kind {kind}; leave it out")]
    Foreign {
        /// The argument.
        argument: &'static str,
        /// The kind.
        kind: &'static str,
    },
    /// No exact decimal.
    #[error("--epsilon: {0}; write a decimal above 0 and at most {MAX_EPSILON}, such as 1.0")]
    Decimal(DecimalError),
    /// Zero or too much.
    #[error("--epsilon {0}: give a decimal above 0 and at most {MAX_EPSILON}, such as 1.0")]
    Epsilon(Epsilon),
}

/// A question without a registry, as the command line describes it.
#[derive(Debug, Clone)]
pub struct Question {
    /// The kind.
    pub kind: Kind,
    /// D, or C+1 of a count.
    pub values: Option<u64>,
    /// C of a count.
    pub max: Option<u64>,
    /// M of a set.
    pub max_items: Option<u64>,
    /// Of ordered values.
    pub goal: Option<Asked>,
    /// A decimal.
    pub epsilon: String,
}

impl Question {
    /// What a mechanism is chosen for.
    ///
    /// # Errors
    /// [`ShapeError`] with the argument that must change.
    pub fn shape(&self) -> Result<Shape, ShapeError> {
        let kind = self.kind.name();
        let foreign = [
            ("--max", self.max.is_some() && self.kind != Kind::Count),
            ("--max-items", self.max_items.is_some() && self.kind != Kind::Set),
            ("--goal", self.goal.is_some() && self.kind != Kind::Ordered),
        ];
        if let Some((argument, _)) = foreign.into_iter().find(|(_, is_foreign)| *is_foreign) {
            return Err(ShapeError::Foreign { argument, kind });
        }
        let most = match self.kind {
            Kind::Boolean => 2,
            Kind::Count => MAX_COUNT + 1,
            Kind::Categorical | Kind::Ordered | Kind::Set => MAX_VALUES,
        };
        let values = match (self.values, self.max) {
            (_, Some(max)) if !(1..=MAX_COUNT).contains(&max) => return Err(ShapeError::Max { max }),
            (Some(values), Some(max)) if values != max + 1 => return Err(ShapeError::Contradiction { max, values }),
            (_, Some(max)) => max + 1,
            (Some(values), None) if !(2..=most).contains(&values) => {
                return Err(ShapeError::Values { kind, values, most });
            }
            (Some(values), None) => values,
            (None, None) if self.kind == Kind::Boolean => 2,
            (None, None) => return Err(ShapeError::NoValues { kind }),
        };
        let count = u32::try_from(values).expect("checked to be at most 2^20");
        Ok(match self.kind {
            Kind::Boolean | Kind::Categorical => Shape::Categories { values: count },
            Kind::Count => Shape::Counts { max: count - 1 },
            Kind::Set => {
                let max_items = self.max_items.ok_or(ShapeError::NoMaxItems)?;
                match u32::try_from(max_items) {
                    Ok(items) if (1..=count).contains(&items) => Shape::Sets { values: count, max_items: items },
                    _ => return Err(ShapeError::MaxItems { max_items, values }),
                }
            }
            Kind::Ordered => {
                let goal = match self.goal.ok_or(ShapeError::NoGoal)? {
                    Asked::Mean => Goal::Mean,
                    Asked::Quantiles => Goal::Quantiles,
                };
                Shape::Ordered { values: count, goal }
            }
        })
    }

    /// The loss of one report.
    ///
    /// # Errors
    /// [`ShapeError`] when it is no decimal above 0 and at most 16.
    pub fn epsilon(&self) -> Result<Epsilon, ShapeError> {
        let epsilon: Epsilon = self.epsilon.parse().map_err(ShapeError::Decimal)?;
        if epsilon == Epsilon::ZERO || epsilon > MAX_EPSILON {
            return Err(ShapeError::Epsilon(epsilon));
        }
        Ok(epsilon)
    }

    /// The choice of `auto` and all alternatives, for people and programs.
    ///
    /// # Errors
    /// When no mechanism serves the question.
    pub fn answer(&self, setting: &Setting) -> Result<Answer, FiguresError> {
        let choice = setting.choice("auto")?;
        let alternatives = setting.alternatives(choice.name)?;
        Ok(Answer { question: self.clone(), setting: *setting, choice, alternatives })
    }
}

/// What a question would cost.
pub struct Answer {
    question: Question,
    setting: Setting,
    choice: Figures,
    alternatives: Vec<Figures>,
}

impl Answer {
    /// Everything, for programs.
    pub fn to_json(&self) -> Value {
        let optimum = self.setting.optimum();
        json!({
            "kind": self.question.kind.name(),
            "values": self.choice.mechanism.values(),
            "max_items": self.question.max_items,
            "goal": self.question.goal.map(Asked::name),
            "epsilon": self.setting.epsilon.to_string(),
            "reports": self.setting.reports,
            "optimum": optimum.as_ref().map(|(optimum, _)| optimum),
            "optimum_exact": optimum.as_ref().map(|(_, exact)| exact),
            "choice": self.choice.to_json(&self.choice),
            "alternatives": self.alternatives.iter().map(|other| other.to_json(&self.choice)).collect::<Vec<_>>(),
        })
    }

    /// A table and what it leaves out, for people.
    pub fn in_words(&self) -> String {
        let Setting { epsilon, reports, .. } = self.setting;
        let (choice, mechanism) = (&self.choice, &self.choice.mechanism);
        let head = format!(
            "{} of {} values at epsilon {epsilon}, {} reports; auto takes the first",
            self.question.kind.name(),
            HumanCount(mechanism.values() as u64),
            HumanCount(reports)
        );
        let mut rows = vec![[&Figures::COLUMNS[..], &["threshold"]].concat().into_iter().map(str::to_owned).collect()];
        rows.extend(std::iter::once(choice).chain(&self.alternatives).map(|figures| {
            let threshold = figures.mechanism.parameters().remove("threshold");
            let shown = threshold.as_ref().and_then(Value::as_str).unwrap_or("-").to_owned();
            [figures.row(choice), vec![shown]].concat()
        }));
        let (of, steps): (_, fn(&HalfWidth) -> String) = if mechanism.estimates_mean() {
            let steps = |half: &HalfWidth| format!(" of the range, {} steps", short(half.estimate));
            ("of a mean, the largest over all values, in squared steps", steps)
        } else {
            ("of a share, averaged over the values (of a set, its dummies too)", |_| String::new())
        };
        let mut notes =
            vec![format!("variance x n: {of}; cost: how many times the reports of the first give the same error")];
        if let Some(((optimum, _), ratio)) = self.setting.optimum().zip(choice.ratio_to_optimum) {
            let optimum = short(optimum);
            notes.push(format!("least variance x n of any mechanism: {optimum}; the first has {ratio:.5} times it"));
        }
        if let Some(unit) = choice.variance_on_unit_range() {
            notes.push(format!("largest variance x n of a mean on [0,1]: {}", short(unit)));
        }
        notes.extend(choice.half_widths.iter().map(|half| {
            format!("95 % interval: +- {}{}, for {}", percentage_points(half.points), steps(half), half.of)
        }));
        let ratio = accuracy::fraction(&mechanism.ratio());
        if ratio.len() <= MOST_RATIO_CHARS {
            notes.push(format!("largest likelihood ratio: {ratio}"));
        }
        notes.push(format!("epsilon realised: {:.15}", mechanism.epsilon_realized()));
        notes.extend(choice.shuffled.map(|Shuffled { delta, generic, specific }| {
            format!(
                "if the reports arrive unlinkable (a second figure, never instead of the first): central epsilon {} for this \
                 mechanism, {} for any of its epsilon, delta {delta:e}",
                short(specific),
                short(generic)
            )
        }));
        let notes: String = notes.iter().map(|note| wrapped(note)).collect();
        format!("{head}\n\n{}\n{notes}", aligned(&rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(kind: Kind) -> Question {
        Question { kind, values: None, max: None, max_items: None, goal: None, epsilon: "1".to_owned() }
    }

    #[test]
    fn counts_are_given_either_way() {
        let values = Question { values: Some(13), ..question(Kind::Count) };
        let max = Question { max: Some(12), ..question(Kind::Count) };
        let both = Question { values: Some(13), max: Some(12), ..question(Kind::Count) };
        for given in [values, max, both] {
            assert_eq!(given.shape().unwrap(), Shape::Counts { max: 12 });
        }
        let other = Question { values: Some(12), max: Some(12), ..question(Kind::Count) };
        assert!(matches!(other.shape(), Err(ShapeError::Contradiction { .. })));
    }

    #[test]
    fn epsilon_is_exact_and_bounded() {
        let of = |text: &str| Question { epsilon: text.to_owned(), ..question(Kind::Boolean) }.epsilon();
        assert_eq!(of("0.000001").unwrap().millionths(), 1);
        assert_eq!(of("16").unwrap().millionths(), 16_000_000);
        for text in ["0", "16.000001", "-1", "1e400", "NaN", "", "1.0000001"] {
            assert!(of(text).is_err(), "{text}");
        }
    }
}
