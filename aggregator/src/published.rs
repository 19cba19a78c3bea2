//! What `/metrics` shows. Figures change at commits only, and rejections once a minute: a scrape between two commits must
//! not tell when a report arrived.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::Rejection;

/// What [`Published::render`] makes.
pub const MEDIA_TYPE: &str = "application/openmetrics-text";
/// The same, with its parameters.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    code: &'static str,
}

/// All published figures.
#[derive(Debug)]
pub struct Published {
    registry: Registry,
    counted: Counter,
    commits: Counter,
    dropped: Counter,
    rejected: Family<Reason, Counter>,
    /// Rejections that are not published yet.
    rejected_since: Mutex<BTreeMap<&'static str, u64>>,
    pending: Gauge,
    ids: Gauge,
}

impl Published {
    /// All figures at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("hubbub");
        let (counted, commits, dropped) = (Counter::default(), Counter::default(), Counter::default());
        let (rejected, pending, ids) = (Family::default(), Gauge::default(), Gauge::default());
        registry.register("reports_counted", "Reports in committed counters since the start", counted.clone());
        registry.register("commits", "Transactions since the start", commits.clone());
        registry.register(
            "reports_dropped",
            "Reports given up at the end of a period because too few were left",
            dropped.clone(),
        );
        registry.register("reports_rejected", "Reports not taken, by reason", rejected.clone());
        registry.register("reports_pending", "Reports waiting in memory, as of the last commit", pending.clone());
        registry.register("ids_held", "Single-use ids remembered, as of the last commit", ids.clone());
        Self { registry, counted, commits, dropped, rejected, rejected_since: Mutex::default(), pending, ids }
    }

    /// A commit: so many reports counted, so many still waiting, so many ids remembered.
    pub fn committed(&self, reports: u64, pending: usize, ids: usize) {
        self.counted.inc_by(reports);
        self.commits.inc();
        self.publish_rejections();
        self.holds(pending, ids);
    }

    /// What is held after the start, or after a period was closed.
    pub fn holds(&self, pending: usize, ids: usize) {
        self.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
        self.ids.set(i64::try_from(ids).unwrap_or(i64::MAX));
    }

    /// Reports given up.
    pub fn dropped(&self, reports: u64) {
        self.dropped.inc_by(reports);
    }

    /// A report not taken; it shows at the next commit or the next minute.
    pub fn rejected(&self, rejection: Rejection) {
        *self.since().entry(rejection.code()).or_default() += 1;
    }

    /// Shows the rejections until now.
    pub fn publish_rejections(&self) {
        for (code, reports) in std::mem::take(&mut *self.since()) {
            self.rejected.get_or_create(&Reason { code }).inc_by(reports);
        }
    }

    fn since(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        // Counts are whole after every step.
        self.rejected_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}
