//! Mechanisms in figures: what each costs in error, bytes, memory, trust and privacy at a number of reports.

use std::fmt;

use hubbub_privacy::{Epsilon, Shuffle, ShuffleError};
use hubbub_randomizer::Mechanism;
use hubbub_randomizer::accuracy::{self, Population};
use hubbub_randomizer::choice::{Candidate, ChoiceError, Shape};
use serde_json::{Value, json};
use thiserror::Error;

/// An exact variance with more characters than this is left out: it says nothing to people and little to programs.
const MOST_EXACT_CHARS: usize = 1_000;

/// Why there are no figures.
#[derive(Debug, Error)]
pub enum FiguresError {
    /// No mechanism serves the shape.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// The crowd cannot be judged.
    #[error(transparent)]
    Shuffle(#[from] ShuffleError),
}

/// Half of a 95 % interval.
#[derive(Debug, Clone)]
pub struct HalfWidth {
    /// The population it is predicted for, in words.
    pub of: String,
    population: Population,
    /// In units of the estimate: parts of 1 for shares, steps for means.
    pub estimate: f64,
    /// In percentage points: of the devices for shares, of the range for means.
    pub points: f64,
}

impl HalfWidth {
    /// One for each population that the mechanism makes predictions for.
    pub fn all(mechanism: &Mechanism, reports: u64) -> Vec<Self> {
        let of = |prediction: accuracy::Prediction| {
            let estimate = prediction.half_width_95(reports);
            Self {
                of: in_words(prediction.population, mechanism.values()),
                population: prediction.population,
                estimate,
                points: 100.0 * estimate / mechanism.range(),
            }
        };
        mechanism.predictions().into_iter().map(of).collect()
    }

    /// The largest of them.
    pub fn worst(mechanism: &Mechanism, reports: u64) -> Self {
        let all = Self::all(mechanism, reports).into_iter();
        all.max_by(|a, b| a.points.total_cmp(&b.points)).expect("every mechanism makes a prediction")
    }

    fn to_json(&self) -> Value {
        let population = match self.population {
            Population::Share(share) => json!({ "share": share }),
            Population::TwoValues { low, high, part } => json!({ "low": low, "high": high, "part": part }),
        };
        json!({ "population": population, "half_width_95": self.estimate, "half_width_95_pp": self.points })
    }
}

fn in_words(population: Population, values: usize) -> String {
    match population {
        Population::Share(0.0) => "a value that no device has".to_owned(),
        Population::Share(0.5) => "a value that half of the devices have".to_owned(),
        Population::Share(share) => format!("a value that {} % of the devices have", short(100.0 * share)),
        Population::TwoValues { low, high, .. } if low == high => format!("devices that all have value {low}"),
        Population::TwoValues { low: 0, high, part } if high as usize + 1 == values => {
            format!("devices of which {} % have the last value and all others the first", short(100.0 * part))
        }
        Population::TwoValues { low, high, part } => {
            format!("devices of which {} % have value {high} and all others {low}", short(100.0 * part))
        }
    }
}

/// The central epsilon of a crowd of unlinkable reports, at a delta; upper bounds.
#[derive(Debug, Clone, Copy)]
pub struct Shuffled {
    /// The chance that the bound does not hold.
    pub delta: f64,
    /// For any mechanism of the same epsilon.
    pub generic: f64,
    /// For this one.
    pub specific: f64,
}

impl Shuffled {
    /// The central epsilon of `reports` unlinkable reports; of a crowd of none nothing is known.
    ///
    /// # Errors
    /// [`ShuffleError`] when there is none for such a mechanism.
    pub fn new(
        mechanism: &Mechanism,
        epsilon: Epsilon,
        reports: u64,
        delta: f64,
    ) -> Result<Option<Self>, ShuffleError> {
        if reports == 0 {
            return Ok(None);
        }
        let beta = mechanism.total_variation().to_f64().value();
        let generic = Shuffle::generic(epsilon, reports)?.epsilon(delta);
        let specific = Shuffle::new(epsilon, beta, reports)?.epsilon(delta);
        Ok(Some(Self { delta, generic, specific }))
    }
}

/// One mechanism at a number of reports.
#[derive(Debug)]
pub struct Figures {
    /// What a registry writes to have it.
    pub name: &'static str,
    /// The mechanism.
    pub mechanism: Mechanism,
    /// V of shares, or the largest noise variance of a mean in squared steps; times n.
    pub variance: f64,
    variance_exact: Option<String>,
    /// `variance` over the least that any mechanism can have; only for categories is that known.
    pub ratio_to_optimum: Option<f64>,
    /// Half-widths of 95 % intervals.
    pub half_widths: Vec<HalfWidth>,
    /// The worst of them.
    pub worst: HalfWidth,
    /// The second figure.
    pub shuffled: Option<Shuffled>,
}

/// What mechanisms are compared at.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// What is randomized.
    pub shape: Shape,
    /// The loss of one report.
    pub epsilon: Epsilon,
    /// How many reports there are.
    pub reports: u64,
    /// For the second figure.
    pub delta: f64,
}

impl Setting {
    /// The mechanism of `name`, which may be `auto`.
    ///
    /// # Errors
    /// When no such mechanism serves the shape.
    pub fn choice(&self, name: &str) -> Result<Figures, FiguresError> {
        self.figures(self.shape.choose(name, self.epsilon)?)
    }

    /// Every mechanism that serves the shape but the one of `name`.
    ///
    /// # Errors
    /// When the crowd cannot be judged.
    pub fn alternatives(&self, name: &str) -> Result<Vec<Figures>, FiguresError> {
        let candidates = self.shape.candidates(self.epsilon).into_iter();
        candidates.filter(|candidate| candidate.name != name).map(|candidate| self.figures(candidate)).collect()
    }

    /// The least variance that any mechanism can have, as a number and exactly; known for categories only.
    pub fn optimum(&self) -> Option<(f64, String)> {
        let optimum = accuracy::optimum(self.shape, self.epsilon)?;
        Some((optimum.to_f64().value(), accuracy::fraction(&optimum)))
    }

    fn figures(&self, candidate: Candidate) -> Result<Figures, FiguresError> {
        let Candidate { mechanism, name, variance } = candidate;
        let optimum = accuracy::optimum(self.shape, self.epsilon);
        let exact = || Some(accuracy::fraction(&variance)).filter(|text| text.len() <= MOST_EXACT_CHARS);
        Ok(Figures {
            name,
            variance: variance.to_f64().value(),
            variance_exact: match mechanism {
                // Computed in floats.
                Mechanism::FoldedGeometric(_) => None,
                _ => exact(),
            },
            ratio_to_optimum: optimum.map(|optimum| (variance / optimum).to_f64().value()),
            half_widths: HalfWidth::all(&mechanism, self.reports),
            worst: HalfWidth::worst(&mechanism, self.reports),
            shuffled: Shuffled::new(&mechanism, self.epsilon, self.reports, self.delta)?,
            mechanism,
        })
    }
}

impl Figures {
    /// How many times the reports of `other` give the same variance.
    pub fn relative_cost(&self, other: &Self) -> f64 {
        self.variance / other.variance
    }

    /// `variance` of a mean of values from 0 to 1 instead of steps.
    pub fn variance_on_unit_range(&self) -> Option<f64> {
        self.mechanism.estimates_mean().then(|| self.variance / self.mechanism.range().powi(2))
    }

    /// Everything, for programs. `choice` is what costs are relative to.
    pub fn to_json(&self, choice: &Self) -> Value {
        let mechanism = &self.mechanism;
        let parameters = mechanism.parameters();
        json!({
            "name": self.name,
            "family": mechanism.family(),
            "threshold": parameters.get("threshold"),
            "parameters": parameters,
            "variance": self.variance,
            "variance_exact": self.variance_exact,
            "variance_on_unit_range": self.variance_on_unit_range(),
            "ratio_to_optimum": self.ratio_to_optimum,
            "relative_cost": self.relative_cost(choice),
            "half_width_95": self.worst.estimate,
            "half_width_95_pp": self.worst.points,
            "half_widths_95": self.half_widths.iter().map(HalfWidth::to_json).collect::<Vec<_>>(),
            "report_bits": mechanism.report_bits(),
            "body_bytes": mechanism.body_bytes(),
            "counters": mechanism.counters(),
            "poisoning_gain": mechanism.poisoning_gain(),
            "likelihood_ratio": accuracy::fraction(&mechanism.ratio()),
            "epsilon_realized": mechanism.epsilon_realized(),
            "total_variation": mechanism.total_variation().to_f64().value(),
            "shuffle": self.shuffled.map(|Shuffled { delta, generic, specific }| {
                json!({ "delta": delta, "generic": generic, "specific": specific })
            }),
        })
    }

    /// The columns of [`Figures::row`].
    pub const COLUMNS: [&str; 8] =
        ["mechanism", "variance x n", "cost", "+- pp (95 %)", "bits", "bytes", "counters", "poisoning"];

    /// The figures that people compare.
    pub fn row(&self, choice: &Self) -> Vec<String> {
        let mechanism = &self.mechanism;
        vec![
            law(self.name, mechanism),
            short(self.variance),
            format!("{:.3}", self.relative_cost(choice)),
            short(self.worst.points),
            mechanism.report_bits().to_string(),
            mechanism.body_bytes().to_string(),
            mechanism.counters().to_string(),
            format!("{:.2}", mechanism.poisoning_gain()),
        ]
    }
}

/// A mechanism's name and the parameters that people tell it apart by.
pub fn law(name: &str, mechanism: &Mechanism) -> String {
    match mechanism {
        Mechanism::Subset(subset) if subset.is_of_sets() => format!("{name} k={} m={}", subset.k(), subset.max_items()),
        Mechanism::Subset(subset) => format!("{name} k={}", subset.k()),
        Mechanism::Cyclotomic(family) => {
            format!("{name} K={} e={} c={}", family.prime(), family.parts(), family.cosets())
        }
        Mechanism::Window(window) => format!("{name} w={}", window.width()),
        Mechanism::FoldedGeometric(folded) => format!("{name} C={}", folded.max()),
    }
}

/// A number of percentage points, in words.
pub fn percentage_points(points: f64) -> impl fmt::Display {
    let shown = short(points);
    let unit = if shown == "1" { "percentage point" } else { "percentage points" };
    format!("{shown} {unit}")
}

/// A number with four significant digits; integers above that whole.
pub fn short(number: f64) -> String {
    const SIGNIFICANT: i32 = 4;
    if number == 0.0 || !number.is_finite() {
        return if number == 0.0 { "0".to_owned() } else { "-".to_owned() };
    }
    let magnitude = number.abs().log10().floor() as i32;
    if !(-SIGNIFICANT..3 * SIGNIFICANT).contains(&magnitude) {
        return format!("{number:.3e}");
    }
    let decimals = (SIGNIFICANT - 1 - magnitude).max(0) as usize;
    let shown = format!("{number:.decimals$}");
    if shown.contains('.') { shown.trim_end_matches('0').trim_end_matches('.').to_owned() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(shape: Shape, epsilon: &str) -> Setting {
        Setting { shape, epsilon: epsilon.parse().unwrap(), reports: 20_000, delta: 1e-6 }
    }

    #[test]
    fn numbers_keep_four_digits() {
        for (number, shown) in [
            (0.0, "0"),
            (f64::INFINITY, "-"),
            (3.68294, "3.683"),
            (1.0, "1"),
            (0.000_123_456, "0.0001235"),
            (1.5e-9, "1.500e-9"),
            (12_345.6, "12346"),
            (1.5e14, "1.500e14"),
        ] {
            assert_eq!(short(number), shown);
        }
    }

    #[test]
    fn the_specific_crowd_figure_is_at_most_the_generic_one() {
        for (shape, epsilon) in [
            (Shape::Categories { values: 2 }, "1"),
            (Shape::Categories { values: 300 }, "4"),
            (Shape::Counts { max: 12 }, "2"),
        ] {
            let shuffled = setting(shape, epsilon).choice("auto").unwrap().shuffled.unwrap();
            assert!(0.0 < shuffled.specific && shuffled.specific <= shuffled.generic, "{shape:?} {shuffled:?}");
        }
    }

    #[test]
    fn no_reports_no_figures() {
        let empty = Setting { reports: 0, ..setting(Shape::Categories { values: 5 }, "1") };
        let figures = empty.choice("auto").unwrap();
        assert!(figures.shuffled.is_none() && figures.worst.estimate.is_infinite());
        assert!(figures.to_json(&figures)["half_width_95"].is_null());
    }
}
