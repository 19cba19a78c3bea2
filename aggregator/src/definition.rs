//! What a series' counters mean, kept beside them in the store, so that they never depend on today's registry.

use std::collections::{BTreeMap, BTreeSet};

use hubbub_privacy::registry::Status;
use hubbub_privacy::{Metric, MetricId};
use hubbub_randomizer::{Mechanism, Plan};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The meaning of the counters of one metric and version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The metric's full name.
    pub name: String,
    /// The mechanism's family.
    pub family: String,
    /// The mechanism's parameters, as canonical JSON.
    pub parameters: String,
    /// The declared epsilon, an exact decimal.
    pub epsilon: String,
    /// How many counters there are.
    pub counters: u64,
    /// SHA-256 of the kind and the labels in order: two lists of the same length must not be mixed.
    pub values: String,
}

impl Definition {
    fn of(metric: &Metric, mechanism: &Mechanism) -> Self {
        let mut labels = Sha256::new();
        labels.update(metric.domain.kind());
        for index in 0..metric.domain.size() {
            labels.update([0]);
            labels.update(metric.domain.label(index as u32));
        }
        Self {
            name: metric.name.clone(),
            family: mechanism.family().to_owned(),
            parameters: mechanism.parameters_json(),
            epsilon: metric.privacy.epsilon.to_string(),
            counters: mechanism.counters() as u64,
            values: labels.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// The first thing that differs from `other`, for a message.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        [
            ("name", self.name != other.name),
            ("mechanism", self.family != other.family),
            ("epsilon", self.epsilon != other.epsilon),
            ("list of values", self.values != other.values),
            ("mechanism's parameters", self.parameters != other.parameters || self.counters != other.counters),
        ]
        .into_iter()
        .find_map(|(what, differs)| differs.then_some(what))
    }
}

/// What the registry says now about everything that can be counted.
#[derive(Debug)]
pub struct Catalogue {
    /// The meaning of the counters of every metric and version.
    pub definitions: BTreeMap<(MetricId, u32), Definition>,
    /// Metrics in status testing: their data is published and then deleted.
    pub testing: BTreeSet<(MetricId, u32)>,
    /// The registry's digest.
    pub digest: String,
}

impl Catalogue {
    /// Of all metrics of a plan that have a mechanism.
    pub fn of(plan: &Plan) -> Self {
        let resolved = || plan.registry().metrics().filter_map(|metric| plan.get(metric.id).ok());
        let key = |metric: &Metric| (metric.id, metric.version);
        Self {
            definitions: resolved()
                .map(|(metric, mechanism)| (key(metric), Definition::of(metric, mechanism)))
                .collect(),
            testing: resolved()
                .filter(|(metric, _)| metric.status == Status::Testing)
                .map(|(metric, _)| key(metric))
                .collect(),
            digest: plan.registry().digest().to_owned(),
        }
    }
}
