//! `mechanism = "auto"`: which mechanism serves a domain best, as a pure function of the domain and epsilon.

use dashu_ratio::RBig;
use hubbub_privacy::{Domain, Epsilon, Goal};
use thiserror::Error;

use crate::exact::ratio;
use crate::mechanism::Mechanism;
use crate::{Cyclotomic, ExpBound, FoldedGeometric, Subset, Window};

/// The names that a registry may write, besides `auto`.
pub const NAMES: [&str; 5] = ["subset", "randomized_response", "cyclotomic", "window", "folded_geometric"];

/// What a mechanism is chosen for: a domain without its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A boolean or a category of `values` values.
    Categories {
        /// d.
        values: u32,
    },
    /// A set of at most `max_items` of `values` values.
    Sets {
        /// d.
        values: u32,
        /// m.
        max_items: u32,
    },
    /// One of `values` ordered values.
    Ordered {
        /// d.
        values: u32,
        /// What is asked.
        goal: Goal,
    },
    /// A count from 0 to `max`.
    Counts {
        /// C.
        max: u32,
    },
}

/// Why there is no such mechanism.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChoiceError {
    /// The name is none of [`NAMES`].
    #[error("mechanism `{0}` does not exist; write \"auto\", or one of {list}", list = NAMES.join(", "))]
    Unknown(String),
    /// The mechanism does not serve the kind.
    #[error("mechanism `{mechanism}` does not serve kind {kind}; write mechanism = \"auto\"")]
    Kind {
        /// What was asked for.
        mechanism: String,
        /// The kind.
        kind: &'static str,
    },
    /// The subset family has a limit.
    #[error(
        "mechanism `subset` serves at most {limit} values, and there are {values}; write mechanism = \"auto\"",
        limit = Subset::MAX_VALUES
    )]
    TooManyValues {
        /// d.
        values: u32,
    },
    /// Even the smallest cyclotomic family is too large.
    #[error("no cyclotomic family over {values} values has at most {limit} counters; list fewer values", limit = Cyclotomic::MAX_COUNTERS)]
    TooManyCounters {
        /// d.
        values: u32,
    },
    /// No integer table keeps the bound.
    #[error("no exact table of counts up to {max} keeps epsilon {epsilon}; choose one of at least 0.000001")]
    NoTable {
        /// C.
        max: u32,
        /// The declared loss.
        epsilon: Epsilon,
    },
}

/// A mechanism and what it costs in error.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// What a registry writes to have it, epsilon and domain given.
    pub name: &'static str,
    /// The variance, times n, that candidates are compared by: of a share, averaged over the values (V), or the largest
    /// of a mean, in squared steps of the domain.
    pub variance: RBig,
}

impl Shape {
    /// The shape of a domain.
    pub fn of(domain: &Domain) -> Self {
        let values = domain.size() as u32;
        match domain {
            Domain::Boolean | Domain::Categorical { .. } => Self::Categories { values },
            Domain::Set { max_items, .. } => Self::Sets { values, max_items: *max_items },
            Domain::Ordered { goal, .. } => Self::Ordered { values, goal: *goal },
            Domain::Count { max } => Self::Counts { max: *max },
        }
    }

    /// The kind as the registry writes it; a boolean is a category of two values here.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Categories { .. } => "categorical",
            Self::Sets { .. } => "set",
            Self::Ordered { .. } => "ordered",
            Self::Counts { .. } => "count",
        }
    }

    /// Every mechanism that serves the shape at `epsilon`, in the order of [`NAMES`]: what `auto` chooses among, and for
    /// categories k-ary randomized response and the cyclotomic family too, for comparison.
    pub fn candidates(self, epsilon: Epsilon) -> Vec<Candidate> {
        NAMES.into_iter().filter_map(|name| self.candidate(name, epsilon).ok()).collect()
    }

    /// The mechanism of one of [`NAMES`].
    ///
    /// # Errors
    /// [`ChoiceError`] when there is none for the shape.
    pub fn candidate(self, name: &str, epsilon: Epsilon) -> Result<Candidate, ChoiceError> {
        let bound = ExpBound::new(epsilon);
        let name =
            NAMES.into_iter().find(|known| *known == name).ok_or_else(|| ChoiceError::Unknown(name.to_owned()))?;
        let share = |subset: Subset| (subset.variance(), Mechanism::Subset(subset));
        let mean = |window: Window| (window.largest_variance(), Mechanism::Window(window));
        let (variance, mechanism) = match (self, name) {
            (Self::Categories { values }, "subset") if values as usize > Subset::MAX_VALUES => {
                return Err(ChoiceError::TooManyValues { values });
            }
            (Self::Categories { values }, "subset") => share(Subset::optimal(&bound, values)),
            (Self::Categories { values }, "randomized_response") => share(Subset::new(&bound, values, 1)),
            (Self::Categories { values }, "cyclotomic") => {
                let family = Cyclotomic::optimal(&bound, values).ok_or(ChoiceError::TooManyCounters { values })?;
                (family.variance(), Mechanism::Cyclotomic(family))
            }
            (Self::Sets { values, max_items }, "subset") => share(Subset::optimal_of_sets(&bound, values, max_items)),
            (Self::Ordered { values, goal }, "window") => mean(Window::optimal(&bound, epsilon, values, goal)),
            (Self::Counts { max }, "window") => mean(Window::optimal(&bound, epsilon, max + 1, Goal::Mean)),
            (Self::Counts { max }, "folded_geometric") => {
                let folded = FoldedGeometric::new(epsilon, max).map_err(|_| ChoiceError::NoTable { max, epsilon })?;
                let variance = RBig::try_from(folded.largest_variance()).expect("a sum of 256 finite terms is finite");
                (variance, Mechanism::FoldedGeometric(folded))
            }
            _ => return Err(ChoiceError::Kind { mechanism: name.to_owned(), kind: self.kind() }),
        };
        Ok(Candidate { mechanism, name, variance })
    }

    /// The mechanism of `name`, which may be `auto`: then the one of least variance and, among those within 0.5 %, of the
    /// fewest counters.
    ///
    /// # Errors
    /// [`ChoiceError`] when there is none for the shape.
    pub fn choose(self, name: &str, epsilon: Epsilon) -> Result<Candidate, ChoiceError> {
        if name != "auto" {
            return self.candidate(name, epsilon);
        }
        let names: &[&str] = match self {
            // Up to 256 values the subset family is the exact optimum.
            Self::Categories { values } if values as usize <= Subset::MAX_VALUES => &["subset"],
            Self::Categories { .. } => &["randomized_response", "cyclotomic"],
            Self::Sets { .. } => &["subset"],
            Self::Ordered { .. } => &["window"],
            Self::Counts { .. } => &["folded_geometric", "window"],
        };
        let (candidates, errors): (Vec<_>, Vec<_>) =
            names.iter().map(|name| self.candidate(name, epsilon)).partition(Result::is_ok);
        let mut candidates: Vec<Candidate> = candidates.into_iter().flatten().collect();
        let Some(least) = candidates.iter().map(|candidate| candidate.variance.clone()).min() else {
            return Err(errors.into_iter().find_map(Result::err).expect("every kind has a mechanism to try"));
        };
        let limit = match self {
            // Counts have about as many counters either way, so there the error alone decides.
            Self::Counts { .. } => least,
            _ => least * ratio(1005u32, 1000u32),
        };
        candidates.retain(|candidate| candidate.variance <= limit);
        let fewest = candidates.into_iter().min_by_key(|candidate| candidate.mechanism.counters());
        Ok(fewest.expect("the least variance is within the limit"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(shape: Shape, epsilon: &str) -> Mechanism {
        shape.choose("auto", epsilon.parse().unwrap()).unwrap().mechanism
    }

    #[test]
    fn each_shape_gets_its_family() {
        let sets = Shape::Sets { values: 500, max_items: 16 };
        let ordered = Shape::Ordered { values: 20, goal: Goal::Quantiles };
        for (shape, epsilon, family) in [
            (Shape::Categories { values: 2 }, "1", "subset"),
            (Shape::Categories { values: 256 }, "4", "subset"),
            (Shape::Categories { values: 257 }, "0.25", "cyclotomic"),
            (Shape::Categories { values: 5000 }, "4", "cyclotomic"),
            (Shape::Categories { values: 257 }, "8", "subset"),
            (sets, "1", "subset"),
            (ordered, "1", "window"),
        ] {
            assert_eq!(auto(shape, epsilon).family(), family, "{shape:?} at {epsilon}");
        }
    }

    #[test]
    fn counts_take_the_smaller_largest_variance() {
        for (max, epsilon) in [(1, "1"), (12, "1"), (50, "0.25"), (50, "4"), (255, "1"), (255, "16")] {
            let shape = Shape::Counts { max };
            let candidates = shape.candidates(epsilon.parse().unwrap());
            assert_eq!(candidates.len(), 2);
            let chosen = shape.choose("auto", epsilon.parse().unwrap()).unwrap();
            assert!(candidates.iter().all(|other| chosen.variance <= other.variance), "{max} at {epsilon}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let epsilon = "1".parse().unwrap();
        let big = Shape::Categories { values: 300 };
        assert_eq!(big.choose("subset", epsilon), Err(ChoiceError::TooManyValues { values: 300 }));
        assert!(matches!(big.choose("window", epsilon), Err(ChoiceError::Kind { .. })));
        assert!(matches!(big.choose("laplace", epsilon), Err(ChoiceError::Unknown(_))));
        let huge = Shape::Categories { values: 1 << 26 };
        assert_eq!(huge.choose("cyclotomic", epsilon), Err(ChoiceError::TooManyCounters { values: 1 << 26 }));
    }
}
