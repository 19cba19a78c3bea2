//! Registries in memory, good and bad.

use super::*;

/// A draft boolean metric, for tests of budgets.
pub(crate) fn draft(id: u32, epsilon: &str, max_reports: u32) -> Metric {
    Metric {
        id: MetricId(id),
        name: format!("test.metric_{id}"),
        version: 1,
        status: Status::Draft,
        category: None,
        predecessor: None,
        texts: Texts::default(),
        domain: Domain::Boolean,
        collect: None,
        privacy: Budget {
            epsilon: epsilon.parse().unwrap(),
            mechanism: "auto".to_owned(),
            ask_probability: Probability::ONE,
            max_reports,
        },
        utility: None,
        lifecycle: None,
        reviews: Vec::new(),
        covers: String::new(),
        origin: Origin::default(),
    }
}
