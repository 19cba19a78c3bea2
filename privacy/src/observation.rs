//! One device's answer to one question, still secret.

use crate::{Metric, MetricId, Period, Private, Value};

/// The value of one metric in one period on one device. Every question that was drawn gives exactly one, "absent"
/// included.
#[derive(Debug)]
pub struct Observation {
    metric: MetricId,
    version: u32,
    period: Period,
    value: Private<Value>,
}

impl Observation {
    /// The answer of this device to `metric` in `period`.
    pub fn new(metric: &Metric, period: Period, value: Private<Value>) -> Self {
        Self { metric: metric.id, version: metric.version, period, value }
    }

    /// The metric, its version and the period: what the report will say openly.
    pub const fn question(&self) -> (MetricId, u32, Period) {
        (self.metric, self.version, self.period)
    }

    /// The secret part.
    pub const fn value(&self) -> &Private<Value> {
        &self.value
    }
}
