//! Which metrics of the registry this program can collect, and how.

use std::collections::BTreeMap;

use hubbub_privacy::registry::{Aggregate, Category};
use hubbub_privacy::{Metric, MetricId, Registry};
use hubbub_randomizer::{Mechanism, Plan, PlanError};
use thiserror::Error;

use crate::event;
use crate::probes::Probe;

/// Where a metric's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A probe of this program.
    Probe(Probe),
    /// Applications, over D-Bus.
    Events,
}

/// How one metric is collected.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// The user's switch.
    pub category: Category,
    /// Where values come from.
    pub source: Source,
    /// How a week becomes one value.
    pub aggregate: Aggregate,
}

/// Why this program cannot collect a metric: it is left out of the questionnaire, whatever its data.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unusable {
    /// There is no mechanism for it.
    #[error(transparent)]
    Mechanism(#[from] PlanError),
    /// A newer registry names a probe that this program does not have.
    #[error("this version of hubbubd has no probe `{0}`")]
    Probe(String),
    /// The registry asks for the sum of labels, say.
    #[error("a {kind} metric cannot be aggregated by {}", aggregate_name(*aggregate))]
    Aggregate {
        /// The metric's kind.
        kind: &'static str,
        /// What the registry asks for.
        aggregate: Aggregate,
    },
    /// Only drafts lack these.
    #[error("it names no category or no source")]
    Incomplete,
}

/// The collected metrics of a registry.
#[derive(Debug)]
pub struct Catalogue {
    plan: Plan,
    ways: BTreeMap<MetricId, Result<Way, Unusable>>,
}

impl Catalogue {
    /// Resolves every metric that devices collect; drafts, paused and withdrawn ones are left out.
    pub fn new(registry: Registry) -> Self {
        let plan = Plan::new(registry);
        let collected = plan.registry().metrics().filter(|metric| metric.status.is_collected());
        let ways = collected.map(|metric| (metric.id, way(&plan, metric))).collect();
        Self { plan, ways }
    }

    /// The registry.
    pub const fn registry(&self) -> &Registry {
        self.plan.registry()
    }

    /// Every collected metric, by ascending id, with the way it is collected or why it cannot be.
    pub fn metrics(&self) -> impl Iterator<Item = (&Metric, Result<&Way, &Unusable>)> {
        self.ways.iter().filter_map(|(id, way)| Some((self.registry().get(*id)?, way.as_ref())))
    }

    /// The metrics that can be collected.
    pub fn usable(&self) -> impl Iterator<Item = (&Metric, &Way)> {
        self.metrics().filter_map(|(metric, way)| Some((metric, way.ok()?)))
    }

    /// A collected metric by name.
    pub fn by_name(&self, name: &str) -> Option<(&Metric, Result<&Way, &Unusable>)> {
        let metric = self.registry().by_name(name)?;
        self.ways.get(&metric.id).map(|way| (metric, way.as_ref()))
    }

    /// A metric that can be collected, its way and its mechanism.
    pub fn get(&self, id: MetricId) -> Option<(&Metric, &Way, &Mechanism)> {
        let way = self.ways.get(&id)?.as_ref().ok()?;
        let (metric, mechanism) = self.plan.get(id).ok()?;
        Some((metric, way, mechanism))
    }
}

/// The aggregate as the registry writes it.
pub const fn aggregate_name(aggregate: Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Last => "last",
        Aggregate::MostCommon => "most_common",
        Aggregate::Max => "max",
        Aggregate::Sum => "sum",
        Aggregate::Count => "count",
        Aggregate::Any => "any",
        Aggregate::Union => "union",
        Aggregate::SampleOne => "sample_one",
    }
}

fn way(plan: &Plan, metric: &Metric) -> Result<Way, Unusable> {
    plan.get(metric.id)?;
    let (Some(category), Some(collect)) = (metric.category, &metric.collect) else { return Err(Unusable::Incomplete) };
    let source = match (collect.source.as_str(), Probe::of_source(&collect.source)) {
        ("dbus", _) => Source::Events,
        (_, Some(probe)) => Source::Probe(probe),
        (unknown, None) => return Err(Unusable::Probe(unknown.to_owned())),
    };
    if !event::fits(&metric.domain, collect.aggregate) {
        return Err(Unusable::Aggregate { kind: metric.domain.kind(), aggregate: collect.aggregate });
    }
    Ok(Way { category, source, aggregate: collect.aggregate })
}
