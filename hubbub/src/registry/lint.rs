//! The lints that need predicted errors. They bind only metrics that say what they must be good for.

use hubbub_privacy::Metric;
use hubbub_privacy::registry::{Code, Finding, Status};
use hubbub_randomizer::Mechanism;
use hubbub_randomizer::choice::Shape;

use crate::plan::figures::{HalfWidth, percentage_points};

/// How much further one forged report may move an estimate than under `auto`: somebody who chooses a mechanism by hand
/// gets this much room, and no more.
const MOST_POISONING: f64 = 1.5;

/// What is wrong with the mechanism of a metric.
pub fn lint(metric: &Metric, mechanism: &Mechanism) -> Vec<Finding> {
    if metric.status == Status::Withdrawn {
        return Vec::new();
    }
    precision(metric, mechanism).into_iter().chain(poisoning(metric, mechanism)).collect()
}

fn precision(metric: &Metric, mechanism: &Mechanism) -> Option<Finding> {
    let utility = metric.utility.as_ref()?;
    let (target, reports) = (utility.target_ci95_pp, utility.expected_reports);
    let predicted = HalfWidth::worst(mechanism, reports);
    if predicted.points <= target.to_f64() {
        return None;
    }
    let message = format!(
        "at {reports} expected reports the half-width of a 95 % interval is {}, for {}: above target_ci95_pp = {target}",
        percentage_points(predicted.points),
        predicted.of
    );
    let enough = (reports as f64 * (predicted.points / target.to_f64()).powi(2)).ceil();
    let remedy = if enough.is_finite() && reports > 0 {
        format!("ask more devices ({enough:.0} reports would do), list fewer values, or set a target that it can meet")
    } else {
        "expect some reports, and set a target above 0".to_owned()
    };
    Some(metric.finding(Code::Precision, &message, &remedy))
}

fn poisoning(metric: &Metric, mechanism: &Mechanism) -> Option<Finding> {
    metric.utility.as_ref()?;
    let auto = Shape::of(&metric.domain).choose("auto", metric.privacy.epsilon).ok()?.mechanism;
    let (gain, least) = (mechanism.poisoning_gain(), auto.poisoning_gain());
    if gain <= MOST_POISONING * least {
        return None;
    }
    let message = format!(
        "one forged report moves an estimate by {gain:.2} honest devices with mechanism = \"{}\", {:.2} times as far as \
         with \"auto\" ({least:.2})",
        metric.privacy.mechanism,
        gain / least
    );
    let remedy = format!("write mechanism = \"auto\"; at most {MOST_POISONING} times as far is allowed");
    Some(metric.finding(Code::Poisoning, &message, &remedy))
}
