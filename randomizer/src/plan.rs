//! A registry with the mechanism of every metric resolved.

use std::collections::BTreeMap;

use hubbub_privacy::{Metric, MetricId, Registry};
use thiserror::Error;

use crate::Mechanism;
use crate::choice::{ChoiceError, Shape};

/// Why a metric cannot be randomized.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// No metric of that name or id.
    #[error("metric `{0}` is not in the registry; a full name is the namespace, a point and the key")]
    UnknownMetric(String),
    /// No such mechanism for the metric's domain and epsilon.
    #[error("metric {metric}: {reason}")]
    NoMechanism {
        /// The metric's full name.
        metric: String,
        /// Why not.
        reason: ChoiceError,
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

/// The mechanism of a metric: a pure function of its domain, epsilon and what the registry chose.
fn choose(metric: &Metric) -> Result<Mechanism, PlanError> {
    let chosen = Shape::of(&metric.domain).choose(&metric.privacy.mechanism, metric.privacy.epsilon);
    let refused = |reason| PlanError::NoMechanism { metric: metric.name.clone(), reason };
    chosen.map(|candidate| candidate.mechanism).map_err(refused)
}
