//! What everyone on the bus may see as properties: the answer, the switches and the budget.

use std::collections::BTreeMap;

use hubbub_privacy::{Epsilon, Metric, Period, budget};
use rand::TryCryptoRng;

use super::Device;
use crate::store::answers::Consent;

/// The properties of `org.hubbub.Metrics1`, but for the registry's digest, which never changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Published {
    /// The owner's answer.
    pub consent: Consent,
    /// The five switches.
    pub categories: BTreeMap<String, bool>,
    /// Spent: `week`, `year`, `installation` and `metric:<name>`.
    pub spent: BTreeMap<String, String>,
    /// Left, by the same names.
    pub left: BTreeMap<String, String>,
}

impl<R: TryCryptoRng> Device<R> {
    /// What the properties say now.
    pub fn published(&mut self) -> Published {
        let period = Period::containing(self.parts.clock.now_s());
        let mut published = Published {
            consent: self.standing.consent,
            categories: self.standing.switches.iter().map(|(category, on)| (category.name().to_owned(), *on)).collect(),
            ..Published::default()
        };
        let mut add = |name: String, spent: Epsilon, cap: Epsilon| {
            published.left.insert(name.clone(), cap.minus(spent).to_string());
            published.spent.insert(name, spent.to_string());
        };
        add("week".to_owned(), self.ledger.spent_in_week(period), budget::PER_WEEK);
        add("year".to_owned(), self.ledger.spent_in_year(period.year()), budget::PER_YEAR);
        add("installation".to_owned(), self.ledger.spent(), budget::PER_INSTALLATION);
        for (metric, _) in self.parts.catalogue.metrics() {
            let cap = metric.privacy.lifetime_epsilon().min(budget::PER_METRIC);
            add(format!("metric:{}", metric.name), self.spent_on(metric), cap);
        }
        published
    }

    /// Spent on a metric and on those it continues.
    fn spent_on(&self, metric: &Metric) -> Epsilon {
        let lineage = self.parts.catalogue.registry().lineage(metric.id);
        lineage.into_iter().map(|id| self.ledger.spent_on(id)).sum()
    }
}
