//! A registry with the mechanism of every metric resolved.

use std::collections::BTreeMap;

use hubbub_privacy::{Domain, Epsilon, Metric, MetricId, Registry};
use thiserror::Error;

use crate::{ExpBound, FoldedGeometric, Mechanism, Subset};

/// Why a metric cannot be randomized.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// No metric of that name or id.
    #[error("metric `{0}` is not in the registry; a full name is the namespace, a point and the key")]
    UnknownMetric(String),
    /// No mechanism for such a domain yet.
    #[error("metric {metric}: there is no mechanism yet for kind {kind} with {values} values")]
    Unsupported {
        /// The metric's full name.
        metric: String,
        /// Its kind.
        kind: &'static str,
        /// d.
        values: usize,
    },
    /// The registry names a mechanism that does not serve the metric's kind.
    #[error("metric {metric}: mechanism `{mechanism}` does not serve kind {kind}; write mechanism = \"auto\"")]
    WrongMechanism {
        /// The metric's full name.
        metric: String,
        /// What the registry says.
        mechanism: String,
        /// Its kind.
        kind: &'static str,
    },
    /// No integer table keeps the bound at this epsilon.
    #[error(
        "metric {metric}: the {family} family has no exact table for epsilon {epsilon}; choose one between 0.000001 and 4"
    )]
    NoTable {
        /// The metric's full name.
        metric: String,
        /// The family.
        family: &'static str,
        /// The declared loss.
        epsilon: Epsilon,
    },
}

/// A registry and the mechanism of each of its metrics.
#[derive(Debug)]
pub struct Plan {
    registry: Registry,
    mechanisms: BTreeMap<MetricId, Result<Mechanism, PlanError>>,
}

impl Plan {
    /// Resolves every metric; a metric without a mechanism is refused when it is asked for.
    pub fn new(registry: Registry) -> Self {
        let mechanisms = registry.metrics().map(|metric| (metric.id, choose(metric))).collect();
        Self { registry, mechanisms }
    }

    /// The registry.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A metric and its mechanism.
    ///
    /// # Errors
    /// [`PlanError`] when there is no such metric or no mechanism for it.
    pub fn get(&self, id: MetricId) -> Result<(&Metric, &Mechanism), PlanError> {
        match (self.registry.get(id), self.mechanisms.get(&id)) {
            (Some(metric), Some(mechanism)) => Ok((metric, mechanism.as_ref().map_err(Clone::clone)?)),
            _ => Err(PlanError::UnknownMetric(id.to_string())),
        }
    }

    /// A metric of a full name and its mechanism.
    ///
    /// # Errors
    /// [`PlanError`] when there is no such metric or no mechanism for it.
    pub fn by_name(&self, name: &str) -> Result<(&Metric, &Mechanism), PlanError> {
        let metric = self.registry.by_name(name).ok_or_else(|| PlanError::UnknownMetric(name.to_owned()))?;
        self.get(metric.id)
    }
}

/// The mechanism of a metric: a pure function of its kind, d, epsilon and what the registry chose.
fn choose(metric: &Metric) -> Result<Mechanism, PlanError> {
    let epsilon = metric.privacy.epsilon;
    let kind = metric.domain.kind();
    let unsupported = || PlanError::Unsupported { metric: metric.name.clone(), kind, values: metric.domain.size() };
    let d = metric.domain.size();
    match (&metric.domain, metric.privacy.mechanism.as_str()) {
        (Domain::Boolean | Domain::Categorical { .. }, "auto" | "subset" | "randomized_response")
            if d > Subset::MAX_VALUES =>
        {
            Err(unsupported())
        }
        (Domain::Boolean | Domain::Categorical { .. }, "auto" | "subset") => {
            Ok(Mechanism::Subset(Subset::optimal(&ExpBound::new(epsilon), d as u32)))
        }
        (Domain::Boolean | Domain::Categorical { .. }, "randomized_response") => {
            Ok(Mechanism::Subset(Subset::new(&ExpBound::new(epsilon), d as u32, 1)))
        }
        (Domain::Count { max }, "auto" | "folded_geometric") => FoldedGeometric::new(epsilon, *max)
            .map(Mechanism::FoldedGeometric)
            .map_err(|_| PlanError::NoTable { metric: metric.name.clone(), family: "folded_geometric", epsilon }),
        (Domain::Ordered { .. } | Domain::Set { .. }, "auto") => Err(unsupported()),
        (_, mechanism) => {
            Err(PlanError::WrongMechanism { metric: metric.name.clone(), mechanism: mechanism.to_owned(), kind })
        }
    }
}
